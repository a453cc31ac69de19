// The seeds of each fuzz target: recorded messages of real clients, and inputs that no recording contains.

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

import { root } from './toolchain.mjs'

/** @returns {Record<string, Buffer[]>} inputs by target; the formats are those of `fuzz/checks/src/` */
export function seeds() {
  const { frames, bodies, tokens } = recorded()
  return {
    frames,
    serializer: [...bodies, ...values],
    tokens: [
      ...tokens.map((token) => Buffer.concat([Buffer.of(0), Buffer.from(token)])),
      ...payloads.map((payload) => Buffer.concat([Buffer.of(1), Buffer.from(payload)])),
      ...headers.map((header) => Buffer.concat([Buffer.of(2), Buffer.from(header)])),
      // Kind 3: the kind of client, the position in two bytes, the number of bytes, and their replacement.
      ...[3, 7].flatMap((kind) => [0, 1, 20, 60].map((place) => Buffer.from([kind, 0, place, 1, 0x65]))),
    ],
    upgrades: queries.map((query) => Buffer.from(query)),
    messages: conversations.map(conversation),
  }
}

/** The separator between the parts of a conversation. */
const BETWEEN = Buffer.of(0xfe)

/** @param {(string | number | Buffer)[]} parts a number starts an action besides the messages of the socket */
function conversation(parts) {
  const [kind, ...rest] = parts
  const joined = rest.map((part, index) =>
    Buffer.concat([typeof part === 'number' ? Buffer.of(part) : Buffer.from(part), ...(typeof part === 'number' || index === rest.length - 1 ? [] : [BETWEEN])]),
  )
  return Buffer.concat([Buffer.of(kind), ...joined])
}

function recorded() {
  const folder = join(root, 'tests', 'frames')
  const exchanges = readdirSync(folder)
    .sort()
    .flatMap((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')).exchanges)
  const frames = exchanges
    .filter(({ kind }) => kind === 'frame')
    .map(({ payload, payloadBase64 }) => (payload === undefined ? Buffer.from(payloadBase64, 'base64') : Buffer.from(payload)))
  const bodies = exchanges
    .flatMap(({ request, response }) => [request?.body, response?.body])
    .filter((body) => typeof body === 'string' && body.startsWith('{'))
    .map((body) => Buffer.from(body))
  const tokens = exchanges
    .map(({ request }) => request?.url?.match(/token=([^&]+)/)?.[1])
    .filter((token) => token !== undefined)
  return { frames, bodies, tokens }
}

const call = (i, path, input) => `{"i":"${i}","p":{"u":"/call","b":{"json":{"path":${JSON.stringify(path)},"input":${input}}}}}`
const subscribe = (i, headers = '{}') => `{"i":"${i}","p":{"u":"/subscribe","b":{},"h":${headers},"m":"GET"}}`
const [PUBLISH, LATER, PRUNE, WAKE] = [1, 2, 3, 4]
/** The id of the first event: the clock of the targets, in microseconds. */
const first = 1_800_000_000_000_000

const conversations = [
  [0, subscribe(0), PUBLISH, '[{"a":1}]', call(1, ['echo'], '{"a":[1]}'), '{"i":"0","t":4}', PUBLISH, '[{"a":2}]', subscribe(2, `{"last-event-id":"${first}"}`)],
  [2, PUBLISH, '[{"a":1},{"to":["me"]}]', PUBLISH, '[[1],{"except":["me"],"retry":5,"comments":["c"]}]', PUBLISH, '[{},{"tags":["x"],"key":"k"}]', PUBLISH, '[{},{"key":"k"}]', subscribe(0), subscribe(1)],
  [3, subscribe('a', '{"last-event-id":"abc","x-durable-event-since":"1.5"}'), PUBLISH, '[{}]', LATER, 'x', WAKE, '', PRUNE, '', subscribe('b', '{"last-event-id":["1"]}'), LATER, 'zz', call('c', ['echo'], 'null')],
  [1, call(0, ['router', 'typed'], '{"text":"a","at":null}'), call(1, ['router', 'count'], '5'), call(2, ['forbidden'], '1'), call(3, ['constructor'], '1'), call(4, [], '1'), '{"i":"5","p":{"u":"/router/typed","b":{"json":{"text":"a","big":"1"},"meta":[[0,"big"]]}}}'],
  [0, '{"i":"0","p":{"u":"/router/sum","h":{"content-type":"text/event-stream"}}}', '{"i":"0","t":3,"p":{"e":"message","d":{"json":1.5}}}', '{"i":"0","t":3,"p":{"e":"message","d":{"json":2}}}', '{"i":"0","t":3,"p":{"e":"done"}}', '{"i":"1","p":{"u":"/router/sum","h":{"content-type":"text/event-stream"}}}', '{"i":"1","t":3,"p":{"e":"error"}}'],
  [0, '{"i":"0","p":{"u":"/router/sum","h":{"content-type":"text/event-stream"}}}', '{"i":"0","p":{"u":"/echo"}}'],
  [0, '{"i":"0","p":{"u":"/updateToken","b":{"json":{"token":"x"}}}}', '{"i":"1","p":{"u":"/nowhere/__proto__"}}', '{"i":"2"}', '{"i":"","t":4}'],
  [1, subscribe(0), call(1, ['router', 'say'], '{"hello":1}'), call(2, ['router', 'say'], '1'), ...Array.from({ length: 9 }, (_, n) => [PUBLISH, `[{"n":${n}}]`]).flat(), subscribe(3, '{"last-event-id":"1"}'), LATER, '\xff'],
  [2, Buffer.concat([Buffer.from('{"i":"1","p":{"u":"/echo","h":{"content-type":"multipart/form-data; boundary=X"}}}'), Buffer.of(0xff), Buffer.from('--X\r\nContent-Disposition: form-data; name="data"\r\n\r\n{"json":{"a":{}},"maps":[["a"]]}\r\n--X\r\nContent-Disposition: form-data; name="0"; filename="f"\r\nContent-Type: a/b\r\n\r\nfile\r\n--X--')])],
  // Audiences, live: by connection id, and by tag.
  [2, subscribe(0), PUBLISH, '[{"a":1},{"to":["me"]}]', PUBLISH, '[{"a":2},{"to":["other"]}]', PUBLISH, '[{"a":3},{"except":["me"]}]', WAKE, '', PUBLISH, '[{"a":4},{"except":["other"]}]'],
  [3, subscribe(0), PUBLISH, '[{"a":1},{"tags":["x"]}]', PUBLISH, '[{"a":2},{"tags":["y"]}]', WAKE, '', PUBLISH, '[{"a":3},{"to":["me"],"tags":["x","y"]}]', LATER, 'x', PUBLISH, '[{"a":4}]'],
]

const date = '2020-01-01T00:00:00.000Z'

const values = [
  `{"json":{"date":"${date}","big":"1","url":"https://a/","expression":"/a/g","set":["${date}"],"map":[["a",["https://a/"]]]},"meta":[[1,"date"],[0,"big"],[4,"url"],[5,"expression"],[1,"set",0],[6,"set"],[4,"map",0,1,0],[7,"map"]]}`,
  `{"json":{"own":"${date}","tuple":[1,"a"],"raw":{"a":[1]},"nested":{"text":"a","letter":"b"},"number":null,"any":[null]},"meta":[[1,"own"],[30,"own"],[21,"own"],[2,"number"],[3,"any",0]]}`,
  '{"json":{"choice":{"Named":{"at":null,"set":[1]}},"untagged":{"name":"a"},"internal":{"kind":"Named","name":"a","count":1},"adjacent":{"kind":"Named","content":{"set":[1]}}},"meta":[[6,"choice","Named","set"],[6,"adjacent","content","set"]]}',
  '{"json":{"unsigned":18446744073709551615,"signed":-32768,"large":-9223372036854775808,"small":0.1,"yes":true,"number":1e308,"unit":null,"more":{"x":[-0,1e999,1.5e-7]}}}',
  `{"json":{"One":"${date}"},"meta":[[1,"One"]]}`,
  '{"json":{"Two":["1","https://a/"]},"meta":[[0,"Two",0],[4,"Two",1]]}',
  `{"json":{"kind":"One","content":"${date}"},"meta":[[1,"content"]]}`,
  `{"json":{"-1":"${date}","5":null},"meta":[[1,"-1"]]}`,
  '{"json":[[{"a":1},["1","2"]]],"meta":[[0,0,1,0],[0,0,1,1],[6,0,1],[7]]}',
  '{"json":[1,"a",{"\\ud83d\\ude00\\ud800":"\\u0000\\"\\\\\\n"}],"meta":[[21]]}',
  '{"json":"None"}',
  '{"json":"Plain"}',
  '{"meta":[]}',
  '{}',
].map((text) => Buffer.from(text))

const payloads = [
  '{"chn":"a","rpc":[],"iat":1800000000,"exp":1800000001}',
  '{"chn":"a","rpc":["x"],"att":{"a":[1]},"iat":1.5,"exp":1800000001.25,"nbf":0,"tags":["t"],"other":1}',
  '{"chn":"a.b","iat":0,"exp":9007199254740991,"tags":[]}',
  '{"chn":"a","rpc":[],"iat":-1,"exp":1e308}',
  '{"chn":"a","chn":"b","rpc":null,"iat":"1","exp":null}',
  `{"chn":"a","rpc":[],"att":${'['.repeat(127)}${']'.repeat(127)},"iat":1,"exp":1800000002}`,
]

const headers = [
  '{"alg":"HS256"}',
  '{"typ":"JWT","alg":"HS256","kid":"1"}',
  '{"alg":"none"}',
  '{"alg":"RS256"}',
  '{"alg":"HS512"}',
  '{"alg":"HS256","crit":["b64"],"b64":false}',
  '{"alg":"HS256","alg":"none"}',
  '[["HS256"]]',
]

const queries = [
  'websocket\ntoken={1}\n/channels/a%2Fb/events?data=1',
  'WebSocket\ntoken={2}&id=abc\n/rpc/router/ping?data=%7B%22json%22%3A1%7D#x',
  'websocket\ntoken=x&token={1}&id=%7E\n/a/%FF/%/%4',
  'websocket\ntoken={1}&token=\n//a?data=1&data=2',
  'websocket\n%74oken={1}%20\n',
  'h2c\ntoken={1}\n',
  'websocket\ntoken={2}\n',
  'websocket\ntoken={2}&id=a b\n',
  'websocket\nid=1&token={1}{2}+\n',
]

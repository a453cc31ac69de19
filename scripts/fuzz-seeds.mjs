// What each fuzzer begins with: what real clients were recorded to send, and what no recording has.

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

import { root } from './toolchain.mjs'

/** @returns {Record<string, Buffer[]>} inputs by target; the formats are those of `src/fuzzing/` in the crate */
export function seeds() {
  const { frames, bodies, tokens } = recorded()
  return {
    frames,
    serializer: [...bodies, ...values],
    tokens: [
      ...tokens.map((token) => Buffer.concat([Buffer.of(0), Buffer.from(token)])),
      ...payloads.map((payload) => Buffer.concat([Buffer.of(1), Buffer.from(payload)])),
      ...headers.map((header) => Buffer.concat([Buffer.of(2), Buffer.from(header)])),
      // Kind 3: which generation, the place in two bytes, how many bytes, and what comes in their place.
      ...[3, 7].flatMap((kind) => [0, 1, 20, 60].map((place) => Buffer.from([kind, 0, place, 1, 0x65]))),
    ],
    upgrades: queries.map((query) => Buffer.from(query)),
    // Some frames of one socket, with what happens between them.
    messages: frames.map((frame) => frame),
  }
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

// The generic Worker.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { Client, SIGNING_KEY, token } from './support/client.ts'
import { token as durableIteratorToken } from './support/durable-iterator.ts'
import { EventStream } from './support/event-stream.ts'
import { Publisher, publisherWorker } from './support/publisher.ts'
import { BareSocket } from './support/socket.ts'
import { startWorkers } from './support/workerd.ts'
import type { RunningWorkers } from './support/workerd.ts'

const PUBLISH_KEY = 'the publish key of the tests'
const READ_KEY = 'the read key of the tests'
const durableObjects = { CHANNEL: { className: 'DurableEventIteratorObject' } }

/** Publishes through a stub. */
const PUBLISHER = `export default {
  async fetch(request, env) {
    const { chn, event } = await request.json()
    return Response.json(await env.CHANNEL.getByName(chn).publish(event))
  },
}`

let worker: RunningWorkers
beforeAll(async () => {
  worker = await startWorkers({
    workers: [
      { name: 'worker', crate: '.', variables: { SIGNING_KEY, PUBLISH_KEY, READ_KEY, CORS_ORIGINS: 'https://app.example, https://other.example' }, durableObjects },
      { name: 'publisher', source: PUBLISHER, durableObjects: { CHANNEL: { ...durableObjects.CHANNEL, scriptName: 'worker' } } },
    ],
  })
})
afterAll(() => worker.dispose())

async function connect(running: RunningWorkers, chn: string, iat?: number): Promise<Client> {
  const url = new URL(running.url)
  url.protocol = 'ws:'
  url.searchParams.set('token', await token(iat === undefined ? { chn } : { chn, iat }))
  return Client.connect(url.href)
}

const publish = (
  channel: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = { authorization: `Bearer ${PUBLISH_KEY}` },
): Promise<Response> => worker.fetch(`/channels/${encodeURIComponent(channel)}/events`, { method: 'POST', body, headers })

const authorized = (path: string): Promise<Response> =>
  worker.fetch(path, { method: 'POST', body: '{}', headers: { authorization: `Bearer ${PUBLISH_KEY}` } })

test('an event published over HTTP arrives with the id of the response', async () => {
  const chn = 'rööm/1 #?'
  const client = await connect(worker, chn)
  const subscription = await client.subscribe()
  const response = await publish(chn, '{"message":"Hello, world!","n":1.5}')
  expect(response.status).toBe(201)
  expect(response.headers.get('content-type')).toContain('application/json')
  const { id } = (await response.json()) as { id: string }
  await subscription.count(1)
  expect(subscription.received[0]).toMatchObject({ event: { message: 'Hello, world!', n: 1.5 }, id })
  client.close()
})

test('a channel is read over HTTP: with a token, with the read key, and by pages of the listed origins', async () => {
  const chn = 'read'
  expect((await publish(chn, '{"n":1}')).status).toBe(201)
  const read = async (path: string, headers: Record<string, string>): Promise<Response> => worker.fetch(path, { headers })
  const authorization = `Bearer ${await token({ chn })}`
  const origin = 'https://other.example'
  const response = await read('/channels/read/events', { authorization, origin })
  expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([200, origin])
  expect(((await response.json()) as any).events.map(({ json }: any) => json)).toEqual([{ n: 1 }])
  const other = await read('/events?channel=read&last=1', { authorization: `Bearer ${READ_KEY}`, origin: 'https://evil.example' })
  expect([other.status, other.headers.get('access-control-allow-origin')]).toEqual([200, null])
  const stream = await EventStream.open(new URL(`/channels/read/events?token=${await token({ chn })}`, worker.url))
  await stream.count(1)
  expect(stream.messages).toEqual([{ n: 1 }])
  await stream.close()
  // The keys are separate.
  expect((await read('/channels/read/events', { authorization: `Bearer ${PUBLISH_KEY}` })).status).toBe(403)
  expect((await publish(chn, '{"n":2}', { authorization: `Bearer ${READ_KEY}` })).status).toBe(403)
  expect((await publish(chn, '{"n":2}', { authorization })).status).toBe(401)
  expect((await worker.fetch('/channels/read/call', { method: 'POST', body: '{"json":{"path":["x"]}}', headers: { authorization } })).status).toBe(403)
})

/** Names with characters that are special in URLs. */
const NAMES = [
  '.', '..', '...', '.hidden', '%2E', '%2e%2E', '/', '//', 'a/b', 'a//b', '../x', '/channels/x/events', ' ', '+', 'a+b', 'a b',
  '?', '#', '&channel=x', 'channel=', '%', '%FF', '\\', '\0', '\n', '\t', '漢', '😀', 'ü'.repeat(256), "'\"<>`{}|^[]@:;,$!*()~",
  'constructor', '__proto__', 'events',
]

test.each(NAMES)('the channel %j is the same by token, by stub and over HTTP', async (chn) => {
  const client = await connect(worker, chn)
  const subscription = await client.subscribe()
  const headers = { authorization: `Bearer ${PUBLISH_KEY}` }
  const publishTo = (path: string, n: number): Promise<Response> =>
    worker.fetch(path, { method: 'POST', body: JSON.stringify({ n }), headers })
  const byStub = await worker.fetch(await worker.urlOf('publisher'), { method: 'POST', body: JSON.stringify({ chn, event: { n: 1 } }) })
  expect(byStub.status).toBe(200)
  expect((await publishTo(`/events?channel=${encodeURIComponent(chn)}`, 2)).status).toBe(201)
  expect((await publishTo(`/events?${new URLSearchParams({ channel: chn })}`, 3)).status).toBe(201)
  // URLs cannot have such a segment: it is resolved before the request.
  const read = await worker.fetch(`/events?${new URLSearchParams({ channel: chn, last: '2' })}`, { headers: { authorization: `Bearer ${await token({ chn })}` } })
  expect(((await read.json()) as any).events.map(({ json }: any) => json.n)).toEqual([2, 3])
  if (chn !== '.' && chn !== '..') expect((await publishTo(`/channels/${encodeURIComponent(chn)}/events`, 4)).status).toBe(201)
  else await publishTo(`/events?channel=${chn}`, 4)
  expect(await subscription.count(4)).toEqual([1, 2, 3, 4].map((n) => ({ n })))
  client.close()
})

test('a byte order mark before the body is ignored, as in JavaScript', async () => {
  const headers = { authorization: `Bearer ${PUBLISH_KEY}` }
  const serialized = { ...headers, 'content-type': 'application/vnd.orpc+json' }
  const client = await connect(worker, 'bom')
  const subscription = await client.subscribe()
  expect((await publish('bom', '\ufeff{"n":1}', headers)).status).toBe(201)
  expect((await publish('bom', '\ufeff{"json":{"n":2}}', serialized)).status).toBe(201)
  expect(await subscription.count(2)).toEqual([{ n: 1 }, { n: 2 }])
  client.close()
})

test("an event in oRPC's serialized form arrives with its types", async () => {
  const client = await connect(worker, 'serialized')
  const subscription = await client.subscribe()
  const headers = { authorization: `bearer ${PUBLISH_KEY}`, 'content-type': 'application/vnd.orpc+json; charset=utf-8' }
  const response = await publish('serialized', '{"json":{"at":"2020-01-02T03:04:05.678Z","n":"7"},"meta":[[1,"at"],[0,"n"]]}', headers)
  expect(response.status).toBe(201)
  expect(await subscription.count(1)).toEqual([{ at: new Date('2020-01-02T03:04:05.678Z'), n: 7n }])
  client.close()
})

test.each([
  ['a URL that no client can construct', { json: { x: 'foo://@/' }, meta: [[4, 'x']] }],
  ['a RegExp that no client can construct', { json: { x: '/(/' }, meta: [[5, 'x']] }],
  ['a bigint of 4,301 digits', { json: { x: '9'.repeat(4_301) }, meta: [[0, 'x']] }],
  ['a path that leads to nothing', { json: {}, meta: [[1, 'x']] }],
])('an event with %s is rejected, and does not affect clients', async (name, event) => {
  const client = await connect(worker, name)
  const subscription = await client.subscribe()
  const headers = { authorization: `Bearer ${PUBLISH_KEY}`, 'content-type': 'application/vnd.orpc+json' }
  const response = await publish(name, JSON.stringify(event), headers)
  expect([response.status, await response.json()]).toMatchObject([400, { json: { code: 'BAD_REQUEST' } }])
  await publish(name, '{"n":1}')
  expect(await subscription.count(1)).toEqual([{ n: 1 }])
  client.close()
})

test('an event with an Idempotency-Key is stored and sent once, and repeated requests return its id', async () => {
  const client = await connect(worker, 'once')
  const subscription = await client.subscribe()
  const headers = { authorization: `Bearer ${PUBLISH_KEY}`, 'idempotency-key': '8e03978e-40d5-43dd-bc93-6894a57f9324' }
  const answers = await Promise.all([1, 2, 3, 4].map((n) => publish('once', JSON.stringify({ n }), headers)))
  const bodies = await Promise.all(answers.map((answer) => answer.json()))
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 201])
  expect(answers.map(({ status }) => status === 200)).toEqual(bodies.map(({ duplicate }: any) => duplicate))
  expect(new Set(bodies.map(({ id }: any) => id)).size).toBe(1)
  await publish('once', '{"n":"last"}')
  await subscription.count(2)
  expect(subscription.received[0]!.id).toBe((bodies[0] as any).id)
  expect(subscription.events[1]).toEqual({ n: 'last' })
  client.close()
})

test.each<[string, () => Promise<Response>, number, string]>([
  ['without a publish key', () => publish('a', '{}', {}), 401, 'UNAUTHORIZED'],
  ['with another key', () => publish('a', '{}', { authorization: 'Bearer nope' }), 401, 'UNAUTHORIZED'],
  ['with the signing key', () => publish('a', '{}', { authorization: `Bearer ${SIGNING_KEY}` }), 401, 'UNAUTHORIZED'],
  [
    "with a subscriber's token",
    async () => publish('a', '{}', { authorization: `Bearer ${await token({ chn: 'a' })}` }),
    401,
    'UNAUTHORIZED',
  ],
  ['with invalid JSON', () => publish('a', '{'), 400, 'BAD_REQUEST'],
  ['with invalid UTF-8', () => publish('a', new Uint8Array([0x7b, 0xff, 0x7d])), 400, 'BAD_REQUEST'],
  ['with an event that is not an object', () => publish('a', '"text"'), 400, 'BAD_REQUEST'],
  [
    'with an idempotency key that is none',
    () => publish('a', '{}', { authorization: `Bearer ${PUBLISH_KEY}`, 'idempotency-key': 'a b' }),
    400,
    'BAD_REQUEST',
  ],
  ['with an empty idempotency key', () => publish('a', '{}', { authorization: `Bearer ${PUBLISH_KEY}`, 'idempotency-key': '' }), 400, 'BAD_REQUEST'],
  ['with a channel name that is too long', () => publish('x'.repeat(513), '{}'), 400, 'BAD_REQUEST'],
  ['with a channel name in invalid UTF-8', () => authorized('/channels/%FF/events'), 400, 'BAD_REQUEST'],
  ['with a channel name in invalid UTF-8 in the query', () => authorized('/events?channel=%FF'), 400, 'BAD_REQUEST'],
  ['without a channel', () => authorized('/events'), 400, 'BAD_REQUEST'],
  ['with an empty channel', () => authorized('/events?channel='), 400, 'BAD_REQUEST'],
  ['with two channels', () => authorized('/events?channel=a&channel=b'), 400, 'BAD_REQUEST'],
  ['with a misspelt audience', () => authorized('/channels/a/events?tag=staff'), 400, 'BAD_REQUEST'],
  ['with an empty audience', () => authorized('/events?channel=a&to='), 400, 'BAD_REQUEST'],
  ['with two retry delays', () => authorized('/channels/a/events?retry=1&retry=2'), 400, 'BAD_REQUEST'],
  ['with two names of the channel', () => authorized('/channels/a/events?channel=a'), 400, 'BAD_REQUEST'],
  [
    'with an audience in the serialized form',
    () => publish('a', '{"json":{},"tags":["staff"]}', { authorization: `Bearer ${PUBLISH_KEY}`, 'content-type': 'application/vnd.orpc+json' }),
    400,
    'BAD_REQUEST',
  ],
  ['with an event that is too large', () => publish('a', JSON.stringify({ x: 'x'.repeat(2_000_000) })), 413, 'PAYLOAD_TOO_LARGE'],
])('publishing %s is rejected', async (_, request, status, code) => {
  const response = await request()
  expect([response.status, ((await response.json()) as any).json]).toEqual([
    status,
    { defined: false, code, status, message: expect.any(String) },
  ])
})

test('unknown paths and methods are not found', async () => {
  for (const [path, method] of [['/nope', 'GET'], ['/channels/a/event', 'GET'], ['/channels//events', 'GET'], ['/channels//events', 'POST'], ['/channels/a/b/events', 'POST']]) {
    expect((await worker.fetch(path!, { method: method! })).status).toBe(404)
  }
})

test('without its keys the Worker logs the commands to run, and discloses nothing in responses', async () => {
  const log: string[] = []
  const bare = await startWorkers({
    workers: [{ name: 'worker', crate: '.', durableObjects }],
    onLog: (line) => log.push(line),
  })
  try {
    const upgrade = await bare.fetch(`/?token=${await token({ chn: 'a' })}`)
    const published = await bare.fetch('/channels/a/events', { method: 'POST', body: '{}', headers: { authorization: 'Bearer x' } })
    expect([upgrade.status, published.status]).toEqual([500, 500])
    expect(await upgrade.text()).toBe('Internal Server Error')
    expect(log.join('\n')).toContain('npx wrangler secret put SIGNING_KEY')
    expect(log.join('\n')).toContain('npx wrangler secret put PUBLISH_KEY')
  } finally {
    await bare.dispose()
  }
})

test('variables set where DurableIterator clients start, and the idempotency window', async () => {
  const variables = { SIGNING_KEY, PUBLISH_KEY, START_DURABLE_ITERATORS_LIVE: 'true', IDEMPOTENCY_WINDOW_SECONDS: '0' }
  const log: string[] = []
  const live = await startWorkers({
    workers: [
      { name: 'worker', crate: '.', variables, durableObjects },
      { name: 'misspelt', crate: '.', variables: { ...variables, START_DURABLE_ITERATORS_LIVE: 'yes' }, durableObjects },
    ],
    onLog: (line) => log.push(line),
  })
  try {
    const headers = { authorization: `Bearer ${PUBLISH_KEY}`, 'idempotency-key': 'k' }
    for (const [worker, events] of [['worker', [3]], ['misspelt', [1, 2, 3]]] as const) {
      const url = await live.urlOf(worker)
      const say = (n: number): Promise<Response> =>
        live.fetch(new URL('/channels/a/events', url), { method: 'POST', body: JSON.stringify({ n }), headers })
      await say(1)
      await say(2) // without a window, the same key publishes another event
      const upgrade = new URL(url)
      upgrade.protocol = 'ws:'
      upgrade.searchParams.set('token', await durableIteratorToken({ chn: 'a' }))
      upgrade.searchParams.set('id', 'an-id')
      const client = await Client.connect(upgrade.href, { version: '1.16.1' })
      const subscription = await client.subscribe()
      await say(3)
      await subscription.until(({ events }) => events.some(({ n }) => n === 3))
      expect(subscription.events.map(({ n }) => n)).toEqual(events)
      client.close()
    }
    expect(log.join('\n')).toContain('START_DURABLE_ITERATORS_LIVE is neither `true` nor `false`')
  } finally {
    await live.dispose()
  }
})

test('the previous signing key is still accepted, and variables set retention and limits', async () => {
  const variables = {
    SIGNING_KEY: 'a new key',
    PREVIOUS_SIGNING_KEY: SIGNING_KEY,
    PUBLISH_KEY,
    MAX_RETAINED_EVENTS: '4',
    EVENT_RETENTION_SECONDS: 'many',
  }
  const log: string[] = []
  const rotated = await startWorkers({
    workers: [{ name: 'worker', crate: '.', variables, durableObjects }],
    onLog: (line) => log.push(line),
  })
  try {
    const iat = Date.now() / 1000 - 1
    const headers = { authorization: `Bearer ${PUBLISH_KEY}` }
    for (let n = 1; n <= 10; n++) {
      await rotated.fetch('/channels/few/events', { method: 'POST', body: JSON.stringify({ n }), headers })
    }
    const client = await connect(rotated, 'few', iat)
    const subscription = await client.subscribe()
    const last = await subscription.until(({ events }) => events.some(({ n }) => n === 10)).then(() => subscription.events)
    expect(last.length).toBeLessThanOrEqual(4)
    expect(log.join('\n')).toContain('EVENT_RETENTION_SECONDS is not an integer')
    client.close()
  } finally {
    await rotated.dispose()
  }
})

test('variables set the maximum frame size and the retained bytes, and clients that missed more receive a gap notification', async () => {
  const variables = { SIGNING_KEY, PUBLISH_KEY, MAX_FRAME_BYTES: '1000', MAX_RETAINED_BYTES: '4000' }
  const limited = await startWorkers({ workers: [{ name: 'worker', crate: '.', variables, durableObjects }] })
  try {
    const upgrade = new URL(limited.url)
    upgrade.protocol = 'ws:'
    upgrade.searchParams.set('token', await token({ chn: 'small', iat: Date.now() / 1000 - 1 }))
    const frame = (size: number): string => {
      const empty = JSON.stringify({ i: '1', p: { u: '/call', b: { json: { path: ['none'], input: '' } } } })
      return empty.replace('""', `"${'x'.repeat(size - empty.length)}"`)
    }
    const socket = await BareSocket.open(upgrade)
    socket.send(frame(1000))
    expect((await socket.frames(1))[0]).toMatchObject({ i: '1', p: { s: 403 } })
    socket.send(frame(1001))
    expect(await socket.end()).toEqual({ code: 1009, reason: 'Frame too large' })

    const headers = { authorization: `Bearer ${PUBLISH_KEY}` }
    const padding = 'x'.repeat(380)
    const ids: string[] = []
    for (let n = 1; n <= 30; n++) {
      const response = await limited.fetch('/channels/small/events', { method: 'POST', body: JSON.stringify({ n, padding }), headers })
      ids.push(((await response.json()) as { id: string }).id)
    }
    const late = await BareSocket.open(upgrade)
    late.send({ i: 's', p: { u: '/subscribe', b: {}, h: { 'last-event-id': ids[0] } } })
    await late.until((messages) => messages.some((text) => text.includes(ids.at(-1)!)))
    const [answer, ...events] = late.messages.map((text) => JSON.parse(text))
    expect(answer.p.h['x-durable-event-gap']).toMatch(/^\d+$/)
    // 4,000 bytes are at most ten events of 400 bytes, and at least three quarters of that.
    expect(events.length).toBeLessThanOrEqual(10)
    expect(events.length).toBeGreaterThanOrEqual(7)
    expect(events.map(({ p }) => p.m.id)).toEqual(ids.slice(-events.length))
    late.vanish()
  } finally {
    await limited.dispose()
  }
})

test('with PUBLISHER, oRPC\'s publisher in another Worker publishes and subscribes, and clients cannot', async () => {
  const running = await startWorkers({
    workers: [
      { name: 'worker', crate: '.', variables: { SIGNING_KEY, PUBLISHER: 'true' }, durableObjects },
      publisherWorker('publisher', { CHANNEL: { ...durableObjects.CHANNEL, scriptName: 'worker' } }),
    ],
  })
  try {
    const publisher = await Publisher.of(running)
    const subscriber = await publisher.subscribed('CHANNEL', 'published')
    const client = await connect(running, 'published')
    const subscription = await client.subscribe()
    const event = { at: new Date(0), big: 1n }
    expect(await publisher.publish('CHANNEL', 'published', event)).toEqual({})
    expect(await subscriber.count(1)).toEqual([event])
    expect(await subscription.count(1)).toEqual([event])
    for (const path of ['/publish', '/subscribe', '/publish?channel=published']) {
      for (const init of [{ method: 'POST', body: '{"data":{"json":{}}}' }, {}]) {
        expect((await running.fetch(path, { ...init, headers: { 'x-forwarded-host': 'localhost' } })).status).toBe(404)
      }
    }
    client.close()
    subscriber.close()
  } finally {
    await running.dispose()
  }
})

// oRPC's publisher for Durable Objects, unmodified, in a Worker, on our Durable Objects.

import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { token } from './support/client.ts'
import { connect as connectIterator } from './support/durable-iterator.ts'
import { IMPLEMENTATION, startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { Publisher, publisherWorker, User } from './support/publisher.ts'
import type { Subscriber } from './support/publisher.ts'

let journals: Journals
let publisher: Publisher
const log: string[] = []
beforeAll(async () => {
  const workers = [publisherWorker(), publisherWorker('another'), publisherWorker('forwarder')]
  journals = await startJournals({ workers, onLog: (line) => log.push(line) })
  publisher = await Publisher.of(journals)
})
afterAll(() => journals.dispose())

/** Connects an oRPC client to a channel of the Durable Objects that serve publishers. */
const client = (chn: string, version?: '1.8.8' | '1.16.1') =>
  IMPLEMENTATION === 'DurableIteratorObject'
    ? connectIterator(journals, 'PUBLISHED', { chn }, { id: 'a-client', version: version ?? '1.16.1' })
    : journals.client('PUBLISHED', { chn }, version === undefined ? {} : { version })

const numbered = (from: number, to: number): object[] => Array.from({ length: to - from + 1 }, (_, n) => ({ n: from + n }))

test('subscribers receive the events that are published after they subscribe, in order', async () => {
  await publisher.publish('PUBLISHED', 'plain', { n: 0 })
  const subscribers = await Promise.all([
    publisher.subscribed('PUBLISHED', 'plain'),
    publisher.subscribed('PUBLISHED', 'plain'),
  ])
  for (let n = 1; n <= 20; n++) expect(await publisher.publish('PUBLISHED', 'plain', { n })).toEqual({})
  for (const subscriber of subscribers) {
    expect(await subscriber.count(20)).toEqual(numbered(1, 20))
    const ids = subscriber.ids.map(Number)
    expect(ids).toEqual(ids.toSorted((a, b) => a - b))
    expect(new Set(ids).size).toBe(20)
    subscriber.close()
  }
})

test('a subscriber resumes after its last event, with a listener and with an iterator', async () => {
  const first = await publisher.subscribed('PUBLISHED', 'resumed')
  for (let n = 1; n <= 5; n++) await publisher.publish('PUBLISHED', 'resumed', { n })
  await first.count(5)
  first.close()
  const lastEventId = first.ids[2]!
  for (const form of ['listener', 'iterator'] as const) {
    const resumed = publisher.subscribe('PUBLISHED', 'resumed', { lastEventId, form })
    expect((await resumed.count(2)).slice(0, 2)).toEqual(numbered(4, 5))
    expect(resumed.ids.slice(0, 2)).toEqual(first.ids.slice(3))
    await publisher.publish('PUBLISHED', 'resumed', { form })
    expect((await resumed.count(form === 'listener' ? 3 : 4)).at(-1)).toEqual({ form })
    resumed.close()
  }
  expect((await publisher.open('PUBLISHED', 'resumed', { lastEventId })).headers).not.toHaveProperty('x-durable-event-gap')
})

test('all types arrive, live and on replay', async () => {
  const payload = {
    date: new Date('2020-01-02T03:04:05.678Z'), invalidDate: new Date(Number.NaN), big: 12345678901234567890n, nan: Number.NaN, nothing: null,
    url: new URL('https://example.com/a?b=c#d'), re: /a\/b+(c)/gi, set: new Set(['one', 2n]), map: new Map<unknown, unknown>([[1, new Date(0)]]),
    nested: [{ deep: [undefined, [new Date(1)], { nothing: undefined, big: 1n }] }], user: new User('Ann'), text: '\u2028"\\é\u0000𝄞',
  }
  const live = await publisher.subscribed('PUBLISHED', 'types')
  await publisher.publish('PUBLISHED', 'types', { before: true })
  await publisher.publish('PUBLISHED', 'types', payload)
  await publisher.publish('PUBLISHED', 'types', [new Date(2), undefined])
  await live.count(3)
  const replayed = publisher.subscribe('PUBLISHED', 'types', { lastEventId: live.ids[0]! })
  await replayed.count(2)
  for (const [object, list] of [live.received.slice(1), replayed.received]) {
    const { nested, ...rest } = object!.payload
    const { nested: _, ...expected } = payload
    expect(rest).toEqual(expected)
    expect(nested).toEqual([{ deep: [undefined, [new Date(1)], { big: 1n }] }])
    expect(object!.isUser).toBe(true)
    expect(list!.payload).toEqual([new Date(2), undefined])
  }
  live.close()
  replayed.close()
})

test('event meta arrives; the id is that of the channel', async () => {
  const live = await publisher.subscribed('PUBLISHED', 'meta')
  const meta = { retry: 1_234, comments: ['one', 'two "'] }
  await publisher.publish('PUBLISHED', 'meta', { n: 1 }, { ...meta, id: 'of the publisher' })
  await publisher.publish('PUBLISHED', 'meta', { n: 2 }, { id: 'of the publisher' })
  await live.count(2)
  const replayed = publisher.subscribe('PUBLISHED', 'meta', { lastEventId: '1' })
  await replayed.count(2)
  for (const { received } of [live, replayed]) {
    expect(received[0]!.meta).toEqual({ ...meta, id: expect.stringMatching(/^\d{16}$/) })
    expect(received[1]!.meta).toEqual({ id: expect.stringMatching(/^\d{16}$/) })
  }
  expect(replayed.ids).toEqual(live.ids)
  live.close()
  replayed.close()
})

const NOT_OBJECTS = ['text', '', 7, true, null, undefined, 9n, new Date(0), new Map([[1, 2]]), new Set([1]), new URL('https://a.example/'), new User('Ann')]

test('payloads that are not objects or arrays reach subscribers, but not the clients of iterators, whose cursor is that of objects', async () => {
  const channel = 'not-objects'
  const live = await publisher.subscribed('PUBLISHED', channel)
  const iterator = await client(channel)
  const subscription = await iterator.subscribe()
  await publisher.publish('PUBLISHED', channel, { first: true })
  for (const payload of NOT_OBJECTS) expect(await publisher.publish('PUBLISHED', channel, payload)).toEqual({})
  await publisher.publish('PUBLISHED', channel, { last: true })
  const payloads = await live.count(NOT_OBJECTS.length + 2)
  expect(payloads).toEqual([{ first: true }, ...NOT_OBJECTS, { last: true }])
  expect(payloads.at(-2)).toBeInstanceOf(User)
  // Objects and custom types have an id; the publisher cannot attach it to the others without breaking them.
  expect(live.ids.map((id) => id !== undefined)).toEqual([true, ...NOT_OBJECTS.map((payload) => payload instanceof User), true])
  const replayed = publisher.subscribe('PUBLISHED', channel, { lastEventId: live.ids[0]! })
  expect(await replayed.count(NOT_OBJECTS.length + 1)).toEqual([...NOT_OBJECTS, { last: true }])
  expect(await subscription.count(2)).toEqual([{ first: true }, { last: true }])
  iterator.cut()
  await publisher.publish('PUBLISHED', channel, { again: true })
  expect(await subscription.count(3)).toEqual([{ first: true }, { last: true }, { again: true }])
  for (const end of [live, replayed, iterator]) end.close()
})

test('clients of iterators receive what a publisher publishes, and its subscribers receive what others publish', async () => {
  const channel = 'both-ways'
  const subscriber = await publisher.subscribed('PUBLISHED', channel)
  const iterator = await client(channel)
  const subscription = await iterator.subscribe()
  await publisher.publish('PUBLISHED', channel, { by: 'publisher', at: new Date(7) }, { retry: 5, comments: ['c'] })
  const id = await journals.stub('PUBLISHED', channel, 'publish', { by: 'stub' }, { retry: 6, comments: ['d'] })
  await journals.stub('PUBLISHED', channel, 'transact', [{ publish: { by: 'a transaction' } }])
  const expected = [{ by: 'publisher', at: new Date(7) }, { by: 'stub' }, { by: 'a transaction' }]
  expect(await subscription.count(3)).toEqual(expected)
  expect(await subscriber.count(3)).toEqual(expected)
  expect(subscription.received.map(({ meta }) => meta)).toEqual(subscriber.received.map(({ meta }) => meta))
  expect(subscriber.received[1]!.meta).toEqual({ id, retry: 6, comments: ['d'] })
  // A cursor belongs to the channel: one of an iterator is one of a publisher.
  const resumed = publisher.subscribe('PUBLISHED', channel, { lastEventId: subscription.received[0]!.id! })
  expect(await resumed.count(2)).toEqual(expected.slice(1))
  for (const end of [subscriber, resumed, iterator]) end.close()
})

test('subscribers receive no event with an audience', async () => {
  const channel = 'restricted'
  const subscriber = await publisher.subscribed('PUBLISHED', channel)
  await publisher.publish('PUBLISHED', channel, { n: 0 })
  for (const options of [{ to: ['someone'] }, { tags: ['some'] }]) await journals.publish('PUBLISHED', channel, { secret: true }, options)
  await journals.publish('PUBLISHED', channel, { n: 1 }, { except: ['someone'] })
  expect(await subscriber.count(2)).toEqual(numbered(0, 1))
  const resumed = publisher.subscribe('PUBLISHED', channel, { lastEventId: subscriber.ids[0]! })
  expect(await resumed.count(1)).toEqual([{ n: 1 }])
  const empty = await journals.stub('PUBLISHED', channel, 'publish', { n: 2 }, { tags: [''] }).catch((error) => error.code)
  expect(empty).toBe('BAD_REQUEST')
  for (const end of [subscriber, resumed]) end.close()
})

test('an event that is published in a transaction is sent after the commit', async () => {
  const subscriber = await publisher.subscribed('PUBLISHED', 'transaction')
  await journals.stub('PUBLISHED', 'transaction', 'transact', [{ publish: { rolled: 'back' } }, { fail: 'reason' }])
  await journals.stub('PUBLISHED', 'transaction', 'transact', [{ publish: { n: 1 } }, { publish: { n: 2 } }])
  expect(await subscriber.count(2)).toEqual(numbered(1, 2))
  subscriber.close()
})

test('two publishers use many channels, with a prefix and with stubs of their own', async () => {
  const another = await Publisher.of(journals, 'another')
  const channels = Array.from({ length: 8 }, (_, n) => `channel-${n}`)
  const subscribers = await Promise.all(channels.map((channel) => publisher.subscribed('PUBLISHED', channel, { prefix: 'some/' })))
  const sameChannel = await another.subscribed('PUBLISHED', 'some/channel-3')
  const byId = await another.subscribed('PUBLISHED', 'any/some/channel-3', { by: 'id' })
  const other = await another.subscribed('PUBLISHED', 'channel-3')
  await Promise.all(channels.flatMap((channel) => [
    publisher.publish('PUBLISHED', channel, { channel }, undefined, { prefix: 'some/' }),
    another.publish('PUBLISHED', `some/${channel}`, { channel }),
  ]))
  for (const [n, subscriber] of subscribers.entries()) {
    expect(await subscriber.count(2)).toEqual([{ channel: channels[n] }, { channel: channels[n] }])
  }
  expect(await sameChannel.count(2)).toEqual([{ channel: 'channel-3' }, { channel: 'channel-3' }])
  await another.publish('PUBLISHED', 'channel-3', { by: 'name' })
  await another.publish('PUBLISHED', 'x/channel-3', { by: 'id' }, undefined, { by: 'id' })
  expect(await other.count(2)).toEqual([{ by: 'name' }, { by: 'id' }])
  expect(await byId.count(2)).toEqual([{ by: 'name' }, { by: 'id' }])
  for (const end of [...subscribers, sameChannel, byId, other]) end.close()
})

describe('the Durable Object is unloaded', () => {
  test('while it hibernates, subscriptions stay open, and a publish wakes it', async () => {
    const channel = 'hibernating'
    const subscriber = await publisher.subscribed('PUBLISHED', channel)
    const iterator = await client(channel)
    const subscription = await iterator.subscribe()
    for (let n = 1; n <= 4; n++) {
      await journals.hibernate('PUBLISHED', channel)
      await publisher.publish('PUBLISHED', channel, n % 2 === 0 ? { n } : [n])
    }
    expect(await subscriber.count(4)).toEqual([[1], { n: 2 }, [3], { n: 4 }])
    expect(await subscription.count(4)).toEqual([[1], { n: 2 }, [3], { n: 4 }])
    expect(subscriber.errors).toEqual([])
    for (const end of [subscriber, iterator]) end.close()
  })

  test('without its sockets, the application is told and resumes', async () => {
    const channel = 'evicted'
    const [first, iterator] = [await publisher.subscribed('PUBLISHED', channel), publisher.subscribe('PUBLISHED', channel, { form: 'iterator', lastEventId: '1' })]
    await publisher.publish('PUBLISHED', channel, { n: 1 })
    await Promise.all([first.count(1), iterator.count(1)])
    await journals.evict({ worker: 'objects', className: 'PublishedJournal', name: channel }, 'close')
    for (const subscriber of [first, iterator]) await subscriber.until(({ errors }) => errors.length > 0)
    await publisher.publish('PUBLISHED', channel, { n: 2 })
    const resumed = publisher.subscribe('PUBLISHED', channel, { lastEventId: first.ids[0]! })
    expect(await resumed.count(1)).toEqual([{ n: 2 }])
    for (const end of [first, iterator, resumed]) end.close()
  })

  test('killed, it has kept what was published', async () => {
    const persistence = await mkdtemp(join(tmpdir(), 'publisher-'))
    const killed = await startJournals({ workers: [publisherWorker()], persistence })
    try {
      const own = await Publisher.of(killed)
      const before = await own.subscribed('PUBLISHED', 'killed')
      const published: number[] = []
      const publishing = (async () => {
        for (let n = 1; ; n++) {
          if ((await own.publish('PUBLISHED', 'killed', { n })).error !== undefined) break
          published.push(n)
        }
      })().catch(() => {})
      await before.count(20)
      await killed.kill()
      await Promise.all([publishing, before.end()])
      const after = (await Publisher.of(killed)).subscribe('PUBLISHED', 'killed', { lastEventId: before.ids[9]! })
      await after.until(({ received }) => received.at(-1)?.payload.n >= published.at(-1)!)
      const numbers = after.payloads.map(({ n }) => n)
      expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, n) => 11 + n))
      after.close()
    } finally {
      await killed.dispose()
      await rm(persistence, { recursive: true, force: true })
    }
  })
})

test('a replay of many steps arrives completely, in order with the events that are published meanwhile', async () => {
  const channel = 'long'
  const first = await publisher.subscribed('PUBLISHED', channel)
  await publisher.publish('PUBLISHED', channel, { n: 0 })
  await first.count(1)
  await journals.stub('PUBLISHED', channel, 'publishMany', 3_000, 1_000)
  const resumed = Array.from({ length: 3 }, () => publisher.subscribe('PUBLISHED', channel, { lastEventId: first.ids[0]! }))
  await publisher.publishMany('PUBLISHED', channel, 50, { from: 3_001, size: 10 })
  for (const subscriber of [first, ...resumed]) {
    const count = subscriber === first ? 3_051 : 3_050
    const numbers = (await subscriber.count(count)).map(({ n }) => n)
    expect(numbers).toEqual(Array.from({ length: count }, (_, n) => 3_051 - count + n))
    subscriber.close()
  }
})

test('a gap is stated in the response of the Durable Object and in the log', async () => {
  const first = await publisher.subscribed('FEW_PUBLISHED', 'gap')
  await publisher.publishMany('FEW_PUBLISHED', 'gap', 30)
  await first.count(30)
  const { status, headers } = await publisher.open('FEW_PUBLISHED', 'gap', { lastEventId: first.ids[0]! })
  expect(status).toBe(101)
  const gap = headers['x-durable-event-gap']!
  const lines = () => log.filter((line) => line.includes(`a publisher's subscriber has missed events that are no longer retained; it resumes from event ${gap}`))
  await expect.poll(() => lines().length).toBe(1)
  // The retained events follow.
  const resumed = publisher.subscribe('FEW_PUBLISHED', 'gap', { lastEventId: first.ids[0]! })
  const retained = first.ids.filter((id) => Number(id) >= Number(gap))
  expect(retained.length).toBeGreaterThan(0)
  expect(retained.length).toBeLessThanOrEqual(8)
  await resumed.count(retained.length)
  expect(resumed.ids).toEqual(retained)
  for (const end of [first, resumed]) end.close()
  // A cursor of another publisher, and none.
  expect((await publisher.open('FEW_PUBLISHED', 'gap', { lastEventId: '17' })).headers).toHaveProperty('x-durable-event-gap')
  expect((await publisher.open('FEW_PUBLISHED', 'gap')).headers).not.toHaveProperty('x-durable-event-gap')
})

describe('a request of the publisher is rejected', () => {
  test('beyond the maximum number of sockets', async () => {
    const kept = await Promise.all([1, 2, 3].map(() => publisher.subscribed('FEW_PUBLISHED', 'full')))
    expect(await publisher.open('FEW_PUBLISHED', 'full')).toMatchObject({
      status: 503,
      text: 'Too many connections to this channel',
      headers: { 'retry-after': '10' },
    })
    const rejected = publisher.subscribe('FEW_PUBLISHED', 'full')
    await rejected.until(({ errors }) => errors.length > 0)
    expect(rejected.errors[0]!.error).toBe('Failed to open subscription websocket to publisher durable object')
    for (const end of kept) end.close()
  })

  test.each([
    ['is no JSON', '{', 400],
    ['is empty', '', 400],
    ['has no data', '{"meta":{}}', 400],
    ['has another form', '[]', 400],
    ['has an invalid path in its meta', '{"data":{"json":{},"meta":[[1,"a"]]}}', 400],
    ['has a URL that clients cannot read', '{"data":{"json":{"a":"foo://@/"},"meta":[[4,"a"]]}}', 400],
    ['has an invalid retry delay', '{"data":{"json":{},"meta":[]},"meta":{"retry":2147483648}}', 400],
    ['is nested too deeply', `{"data":{"json":${'['.repeat(200)}${']'.repeat(200)}}}`, 400],
    ['is an event that is too large', JSON.stringify({ data: { json: { text: 'x'.repeat(1_999_500) } } }), 413],
    ['is larger than any event', JSON.stringify({ data: { json: { text: 'x'.repeat(3_000_000) } } }), 413],
  ])('if its body %s', async (_, body, status) => {
    const subscriber = await publisher.subscribed('PUBLISHED', 'rejected')
    const response = await publisher.publishText('PUBLISHED', 'rejected', body)
    expect(response.status).toBe(status)
    expect(JSON.parse(response.text).json.status).toBe(status)
    await publisher.publish('PUBLISHED', 'rejected', { n: 1 })
    expect(await subscriber.count(1)).toEqual([{ n: 1 }])
    subscriber.close()
  })

  test('and the publisher throws', async () => {
    const { error, status, body } = await publisher.publish('PUBLISHED', 'rejected', { text: 'x'.repeat(2_500_000) })
    expect(error).toBe('Failed to publish event: 413 Payload Too Large')
    expect(status).toBe(413)
    expect(JSON.parse(body!).json).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', message: 'event must be at most 2097152 bytes, got more' })
  })
})

test('a body with invalid UTF-8 is rejected', async () => {
  const body = Buffer.concat([Buffer.from('{"data":{"json":["'), Buffer.from([0xff]), Buffer.from('"]}}')])
  expect((await publisher.publishText('PUBLISHED', 'rejected', new Uint8Array(body))).status).toBe(400)
})

test('a subscriber that sends a message is disconnected, except for a ping', async () => {
  for (const send of ['{"i":"1","p":{"u":"/subscribe","m":"GET"}}', '{"i":"1","p":{"u":"/call","b":{"json":{"path":["publish"],"input":{}}}}}']) {
    const { closed } = await publisher.open('PUBLISHED', 'sender', { send })
    expect(closed).toMatchObject({ code: 1008 })
  }
})

test('the application does not see the sockets of subscribers', async () => {
  const channel = 'seen'
  const subscriber = await publisher.subscribed('PUBLISHED', channel)
  const iterator = await client(channel)
  const subscription = await iterator.subscribe()
  expect(await journals.stub('PUBLISHED', channel, 'kept')).toEqual([null])
  // An event for all sockets that the application sees is for everyone.
  const event = { n: 1 }
  await journals.stub('PUBLISHED', channel, 'publishFor', event, { except: ['nobody'] })
  expect(await subscription.count(1)).toEqual([event])
  expect(await subscriber.count(1)).toEqual([event])
  for (const end of [subscriber, iterator]) end.close()
})

test('without the option, the requests are those of any Worker', async () => {
  expect(await publisher.open('USUAL', 'off')).toMatchObject({ status: 401, text: 'Token is required' })
  expect(await publisher.publishText('USUAL', 'off', '{"data":{"json":{}}}')).toEqual({ status: 426, text: 'Expected WebSocket upgrade' })
  expect(await publisher.publish('USUAL', 'off', {})).toMatchObject({ error: 'Failed to publish event: 426 Upgrade Required' })
})

describe('a request of a client is never one of the publisher', () => {
  /** Sends a request of any form to the forwarding Worker, which is at its own address. Returns the response's status and body. */
  const send = (lines: string[], body = ''): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      const socket = connect(Number(forwarder.port), forwarder.hostname, () => {
        socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`)
      })
      let text = ''
      socket.setTimeout(10_000, () => reject(new Error(`no response: ${text}`)))
      socket.on('error', reject)
      socket.on('data', (data) => {
        text += data.toString('latin1')
        const end = text.indexOf('\r\n\r\n')
        if (end < 0) return
        socket.destroy()
        resolve({ status: Number(text.split(' ')[1]), text: text.slice(end + 4) })
      })
    })

  /** Sets how the forwarding Worker forwards all requests. */
  const forwardTo = async (how: string, to: string): Promise<void> => {
    const body = JSON.stringify({ how, binding: 'PUBLISHED', event: 'guarded', to })
    expect((await journals.fetch(new URL('/forward', forwarder), { method: 'POST', body })).status).toBe(200)
  }

  const HOWS = ['asItIs', 'cloned', 'copied', 'withNewUrl', 'withNewUrlAsInit', 'withUrlAndInit', 'withHeaders', 'withoutHost', 'withMutableUrl']
  const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']
  /** A Worker that removes `Host` has removed the only header that every client sends; but no client sends no other. */
  const more = (how: string): string[] => (how === 'withoutHost' ? ['User-Agent: any'] : [])
  const FORGED = ['X-Forwarded-Host: localhost', 'X-Forwarded-Proto: http', 'Forwarded: host=localhost;proto=http', 'X-Original-URL: http://localhost/publish']

  let witness: Subscriber
  let forwarder: URL
  beforeAll(async () => {
    forwarder = await journals.urlOf('forwarder')
    witness = await publisher.subscribed('PUBLISHED', 'guarded')
  })

  for (const how of HOWS) {
    test(`forwarded: ${how}`, async () => {
      const body = JSON.stringify({ data: { json: { forged: how }, meta: [] } })
      const statuses = new Set<number>()
      const hosts = ['localhost', 'localhost:80', `localhost:${forwarder.port}`, 'example.com']
      await forwardTo(how, 'http://localhost/publish')
      const length = `Content-Length: ${body.length}`
      for (const host of hosts) {
        for (const target of ['/publish', 'http://localhost/publish']) {
          for (const forged of [[], FORGED, ['Content-Type: text/plain;charset=UTF-8', 'traceparent: 00-1-1-01']]) {
            statuses.add((await send([`POST ${target} HTTP/1.1`, `Host: ${host}`, ...more(how), ...forged, length], body)).status)
          }
        }
      }
      expect([...statuses]).toEqual([426])
      await send(['POST /publish HTTP/1.0', ...more(how), length], body)
      await forwardTo(how, 'http://localhost/subscribe')
      for (const host of hosts) {
        for (const target of ['/subscribe', 'http://localhost/subscribe']) {
          const head = [`GET ${target} HTTP/1.1`, `Host: ${host}`, ...more(how), 'Last-Event-ID: 1', ...UPGRADE]
          for (const forged of [[], FORGED]) statuses.add((await send([...head, ...forged])).status)
        }
      }
      expect([...statuses]).toEqual([426, 401])
      await publisher.publish('PUBLISHED', 'guarded', { genuine: how })
      await witness.until(({ received }) => received.at(-1)?.payload.genuine === how)
      expect(witness.payloads.filter(({ forged }) => forged !== undefined)).toEqual([])
    })
  }

  test('through the upgrade function, with a valid token', async () => {
    const signed = await token({ chn: 'guarded' })
    for (const path of ['/publish', '/subscribe', '/upgrade/PUBLISHED']) {
      for (const method of ['GET', 'POST']) {
        const response = await fetch(new URL(`${path}?token=${signed}`, journals.url), { method, ...(method === 'POST' && { body: '{"data":{"json":{"forged":1}}}' }) })
        expect([401, 404, 426]).toContain(response.status)
      }
    }
    await publisher.publish('PUBLISHED', 'guarded', { genuine: 'last' })
    await witness.until(({ received }) => received.at(-1)?.payload.genuine === 'last')
    expect(witness.payloads.filter(({ forged }) => forged !== undefined)).toEqual([])
  })

  test('unless a Worker makes it its own request, without any header of the client', async () => {
    await forwardTo('asItsOwn', 'http://localhost/publish')
    const body = '{"data":{"json":{"forged":1},"meta":[]}}'
    expect((await send(['POST / HTTP/1.1', 'Host: localhost', `Content-Length: ${body.length}`], body)).status).toBe(204)
    await witness.until(({ received }) => received.at(-1)?.payload.forged === 1)
  })
})

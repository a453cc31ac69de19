// The fallback to HTTP, with the Durable Objects on workerd, over networks without WebSockets.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import WebSocket from 'ws'

import { getEventMeta, subscribe } from '../../../npm/durable-event-iterator/src/client/index.ts'
import type { SubscribeOptions, Subscription, SubscriptionGap, Transport } from '../../../npm/durable-event-iterator/src/client/index.ts'
import { httpFallback } from '../../../npm/durable-event-iterator/src/http/index.ts'
import type { HttpFallbackOptions } from '../../../npm/durable-event-iterator/src/http/index.ts'
import { signDurableIteratorToken } from '../../../npm/durable-event-iterator/src/index.ts'
import { shareBetweenTabs } from '../../../npm/durable-event-iterator/src/tabs/index.ts'
import { SIGNING_KEY, token } from '../../support/client.ts'
import type { Claims } from '../../support/client.ts'
import { PUBLISH, startJournals } from '../../support/journals.ts'
import type { Binding, Journals } from '../../support/journals.ts'
import { Reader } from '../support/app.ts'
import { RestrictedNetwork } from '../support/restricted-network.ts'

interface Event {
  n: number
}

let journals: Journals
let network: RestrictedNetwork
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals?.dispose())
const opened: Subscription<unknown>[] = []
beforeEach(async () => {
  network = await RestrictedNetwork.start(journals.url)
})
afterEach(async () => {
  for (const events of opened.splice(0)) events.close()
  await network.dispose()
})

/** The states of a subscription, and how events arrived in each. */
class Changes {
  readonly seen: string[] = []
  readonly onStateChange: NonNullable<SubscribeOptions['onStateChange']> = (state, { transport }) => {
    const change = transport === undefined ? state : `${state} ${transport}`
    if (change !== this.seen.at(-1)) this.seen.push(change)
  }
  async until(change: string, times = 1): Promise<void> {
    await expect.poll(() => this.seen.filter((seen) => seen === change).length, { timeout: 20_000 }).toBeGreaterThanOrEqual(times)
  }
}

type Options = Partial<SubscribeOptions> & { binding?: Binding; claims?: Partial<Claims>; http?: Partial<HttpFallbackOptions> }

function open<T = Event>(chn: string, { binding = 'USUAL', claims = {}, http = {}, ...options }: Options = {}): Subscription<T> & { changes: Changes } {
  const changes = new Changes()
  const events = subscribe<T>({
    url: new URL(`/upgrade/${binding}`, network.url),
    token: () => token({ chn, rpc: [PUBLISH, 'keep', 'kept', 'whoAmI', 'hold', 'extra', 'anything'], att: binding === 'CALLS' ? { userId: 'me' } : 'me', ...claims }),
    fallback: httpFallback({ url: new URL(`/http/${binding}`, network.url), ...http }),
    minReconnectionDelay: 20,
    maxReconnectionDelay: 200,
    onStateChange: changes.onStateChange,
    ...options,
  })
  opened.push(events as Subscription<unknown>)
  return Object.assign(events, { changes }) as never
}

let channels = 0
const newChannel = (): string => `fallback-${++channels}`
const publish = (channel: string, n: number, options: object = {}, binding: Binding = 'USUAL'): Promise<string> =>
  journals.publish(binding, channel, { n }, options).then(({ id }) => id)
const numbers = (events: Event[]): number[] => events.map(({ n }) => n)
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index)

/** Publishes numbers without a pause until it is stopped. */
class Publisher {
  #isStopped = false
  readonly #done: Promise<number>

  constructor(channel: string) {
    this.#done = (async () => {
      let n = 0
      while (!this.#isStopped) await publish(channel, ++n)
      return n
    })()
  }

  /** Resolves with the last number. */
  stop(): Promise<number> {
    this.#isStopped = true
    return this.#done
  }
}

const errorOf = (promise: Promise<unknown>): Promise<any> => promise.then(() => undefined, (error: unknown) => error)

describe('events', () => {
  test('arrive as server-sent events, with the ids, audiences and connection id of a WebSocket', async () => {
    const channel = newChannel()
    const first = await publish(channel, 1, { retry: 3, comments: ['a comment'] })
    const events = open(channel, { createId: () => 'my-id', lastEventId: '0' })
    const reader = new Reader(events)
    await reader.count(1)
    expect(getEventMeta(reader.events[0])).toEqual({ id: first, retry: 3, comments: ['a comment'] })
    await publish(channel, 2, { to: ['my-id'] })
    await publish(channel, 3, { to: ['other'] })
    await publish(channel, 4, { except: ['my-id'] })
    await publish(channel, 5)
    expect(numbers(await reader.count(3))).toEqual([1, 2, 5])
    expect([events.transport, events.changes.seen]).toEqual(['sse' satisfies Transport, ['connecting', 'open sse']])
    events.close()
    await expect.poll(() => network.openResponses).toEqual([])
    expect(events.transport).toBeUndefined()
  })

  test('arrive by long polling if a proxy collects streams', async () => {
    network.collectsStreams = true
    const channel = newChannel()
    const first = await publish(channel, 1, { retry: 3, comments: ['a comment'] })
    const events = open(channel, { createId: () => 'my-id', lastEventId: '0', http: { streamTimeout: 1_000 } })
    const reader = new Reader(events)
    await reader.count(1)
    expect(getEventMeta(reader.events[0])).toEqual({ id: first, retry: 3, comments: ['a comment'] })
    await publish(channel, 2, { to: ['my-id'] })
    await publish(channel, 3, { to: ['other'] })
    await publish(channel, 4, { except: ['my-id'] })
    await publish(channel, 5)
    expect(numbers(await reader.count(3))).toEqual([1, 2, 5])
    expect([events.transport, events.changes.seen]).toEqual(['long-polling', ['connecting', 'open long-polling']])
    // A later connection does not try a stream again.
    const streams = (): number => network.requests.filter(({ headers }) => headers.accept === 'text/event-stream').length
    expect(streams()).toBe(1)
    network.cut()
    await publish(channel, 6)
    expect(numbers(await reader.count(4))).toEqual([1, 2, 5, 6])
    expect(streams()).toBe(1)
    events.close()
    await expect.poll(() => network.openResponses).toEqual([])
  })

  test('that are published before the first one was received arrive on each transport', async () => {
    for (const collects of [false, true]) {
      network.collectsStreams = collects
      const channel = newChannel()
      const events = open(channel, { http: { streamTimeout: 1_000 } })
      const reader = new Reader(events)
      await events.opened()
      await publish(channel, 1)
      await reader.count(1)
      expect(numbers(reader.events)).toEqual([1])
      events.close()
    }
  })

  test('arrive in order and once while streams are cut, without a change of the state', async () => {
    const channel = newChannel()
    const events = open(channel)
    const reader = new Reader(events)
    await events.opened()
    const publisher = new Publisher(channel)
    for (const count of [20, 40]) {
      await reader.count(count)
      network.cutResponses()
    }
    await reader.count(60)
    const last = await publisher.stop()
    expect(numbers(await reader.count(last))).toEqual(range(1, last))
    expect(events.changes.seen).toEqual(['connecting', 'open sse'])
  })

  test('arrive in order and once over every change: WebSocket, stream, long polling, and back', { timeout: 90_000 }, async () => {
    network.webSockets = 'pass'
    const channel = newChannel()
    const events = open(channel, { http: { streamTimeout: 1_000, webSocketRetryDelay: 500 } })
    const { changes } = events
    const reader = new Reader(events)
    await changes.until('open websocket')
    const publisher = new Publisher(channel)
    const more = (): Promise<unknown> => reader.count(reader.events.length + 20)
    await more()
    network.webSockets = 'reject'
    network.cut()
    await changes.until('open sse')
    await more()
    network.webSockets = 'pass'
    await changes.until('open websocket', 2)
    await more()
    network.webSockets = 'reject'
    network.collectsStreams = true
    network.cut()
    await changes.until('open long-polling')
    await more()
    network.webSockets = 'pass'
    await changes.until('open websocket', 3)
    await more()
    const last = await publisher.stop()
    expect(numbers(await reader.count(last))).toEqual(range(1, last))
  })

  test('arrive after a stream has become silent', { timeout: 90_000 }, async () => {
    const channel = newChannel()
    const events = open(channel, { heartbeatInterval: 1_000 })
    const reader = new Reader(events)
    await events.opened()
    await publish(channel, 1)
    await reader.count(1)
    network.stallsStreams = true
    await publish(channel, 2)
    // The endpoint sends a comment every 15 s, so that a stream without one for 25 s is lost.
    await expect.poll(() => events.changes.seen.at(-1), { timeout: 60_000 }).toBe('recovering')
    network.stallsStreams = false
    await publish(channel, 3)
    expect(numbers(await reader.count(3))).toEqual([1, 2, 3])
    // A proxy may have collected the stream.
    expect(events.transport).toBe('long-polling')
  })

  test('that are no longer available are reported as a gap on each transport', async () => {
    for (const collects of [false, true]) {
      network.collectsStreams = collects
      const channel = newChannel()
      const gaps: SubscriptionGap[] = []
      const events = open(channel, { binding: 'FEW', http: { streamTimeout: 1_000 }, onGap: (gap) => gaps.push(gap) })
      await events.opened()
      const first = await publish(channel, 0, {}, 'FEW')
      expect((await events.next()).value).toEqual({ n: 0 })
      network.isDown = true
      network.cut()
      const ids: string[] = []
      for (let n = 1; n <= 40; n += 1) ids.push(await publish(channel, n, {}, 'FEW'))
      network.isDown = false
      const { value } = await events.next()
      expect(gaps).toEqual([{ lastEventId: first, nextEventId: expect.any(String) }])
      expect(ids.indexOf(getEventMeta(value)!.id!) + 1).toBe((value as Event).n)
      expect((value as Event).n).toBeGreaterThan(1)
      events.close()
    }
  })

  test('are awaited on a channel without events, also with an old cursor', async () => {
    for (const collects of [false, true]) {
      network.collectsStreams = collects
      const channel = newChannel()
      const gaps: SubscriptionGap[] = []
      const events = open(channel, { lastEventId: '0', http: { streamTimeout: 1_000 }, onGap: (gap) => gaps.push(gap) })
      const reader = new Reader(events)
      await events.opened()
      const path = `/http/USUAL/${channel}/events`
      const requests = (): number => network.requests.filter((request) => request.path === path).length
      await expect.poll(() => network.openResponses).toEqual([path])
      const before = requests()
      await publish(channel, 1)
      await reader.count(1)
      expect([requests() - before <= 1, gaps.length <= 1, events.changes.seen.length]).toEqual([true, true, 2])
      events.close()
      await expect.poll(() => network.openResponses).toEqual([])
    }
  })

  test('stop at the limit of the buffer, and continue without loss', async () => {
    for (const collects of [false, true]) {
      network.collectsStreams = collects
      const channel = newChannel()
      const events = open(channel, { maxBufferedEvents: 3, http: { streamTimeout: 1_000 } })
      await events.opened()
      for (let n = 1; n <= 10; n += 1) await publish(channel, n)
      await events.changes.until(`paused ${collects ? 'long-polling' : 'sse'}`)
      await expect.poll(() => network.openResponses).toEqual([])
      expect(await events.call(['whoAmI'])).toBe('me')
      const seen: number[] = []
      for await (const { n } of events) {
        seen.push(n)
        if (n === 10) break
      }
      expect(seen).toEqual(range(1, 10))
    }
  })
})

describe('the transport', () => {
  test('is a WebSocket where one works, and HTTP is not used', async () => {
    network.webSockets = 'pass'
    const channel = newChannel()
    const events = open(channel)
    const reader = new Reader(events)
    await events.opened()
    await publish(channel, 1)
    await reader.count(1)
    expect([events.transport, events.changes.seen, network.requests]).toEqual(['websocket', ['connecting', 'open websocket'], []])
  })

  test('is HTTP after `webSocketTimeout` if the network never responds to a WebSocket', async () => {
    network.webSockets = 'hang'
    const events = open(newChannel(), { http: { webSocketTimeout: 200 } })
    await events.opened()
    expect([events.transport, events.changes.seen]).toEqual(['sse', ['connecting', 'open sse']])
  })

  test('is HTTP if no message arrives over a WebSocket', { timeout: 30_000 }, async () => {
    network.webSockets = 'swallow'
    const channel = newChannel()
    const events = open(channel)
    const reader = new Reader(events)
    await events.opened()
    await publish(channel, 1)
    await reader.count(1)
    expect(events.transport).toBe('sse')
  })

  test('is HTTP if WebSockets are cut after a short time, and no event is lost', async () => {
    network.webSockets = 'pass'
    const channel = newChannel()
    const events = open(channel)
    const reader = new Reader(events)
    await events.changes.until('open websocket')
    const publisher = new Publisher(channel)
    for (let cuts = 1; cuts <= 2; cuts += 1) {
      await events.changes.until('open websocket', cuts)
      await reader.count(reader.events.length + 5)
      network.cut()
    }
    await events.changes.until('open sse')
    const last = await publisher.stop()
    expect(numbers(await reader.count(last))).toEqual(range(1, last))
    expect(network.upgrades).toHaveLength(2)
  })

  test('is shared by subscriptions with the same fallback: the second one does not try a WebSocket', async () => {
    const fallback = httpFallback({ url: new URL('/http/USUAL', network.url) })
    await open(newChannel(), { fallback }).opened()
    expect(network.upgrades).toHaveLength(1)
    const second = open(newChannel(), { fallback })
    await second.opened()
    expect([second.transport, network.upgrades.length]).toEqual(['sse', 1])
  })

  test('returns to a WebSocket that is already open, with one handshake', async () => {
    const channel = newChannel()
    const events = open(channel, { http: { webSocketRetryDelay: 200 } })
    const reader = new Reader(events)
    await events.opened()
    network.webSockets = 'pass'
    const before = network.upgrades.length
    await events.changes.until('open websocket')
    expect(network.openWebSockets).toBe(1)
    expect(network.upgrades.length - before).toBeLessThanOrEqual(2)
    expect(events.changes.seen).toEqual(['connecting', 'open sse', 'recovering', 'open websocket'])
    await publish(channel, 1)
    await reader.count(1)
    await expect.poll(() => network.openResponses).toEqual([])
    events.close()
    await expect.poll(() => network.openWebSockets).toBe(0)
  })

  test('does not change while a call is in flight', async () => {
    const channel = newChannel()
    const events = open(channel, { binding: 'CALLS', http: { webSocketRetryDelay: 100 } })
    await events.opened()
    const call = events.call(['extra', 'wait', 'value'], 'it')
    await journals.stub('CALLS', channel, 'until', 'it began')
    network.webSockets = 'pass'
    // A WebSocket is open, and waits for the end of the call.
    await expect.poll(() => network.openWebSockets, { timeout: 20_000 }).toBe(1)
    for (let calls = 0; calls < 10; calls += 1) await events.call(['extra', 'types'])
    expect([events.transport, network.openWebSockets]).toEqual(['sse', 1])
    await journals.stub('CALLS', channel, 'write', 'go it')
    expect(await call).toBe('it')
    await events.changes.until('open websocket')
  })

  test('stays HTTP after a lost connection over HTTP', async () => {
    const channel = newChannel()
    const events = open(channel)
    const reader = new Reader(events)
    await events.opened()
    network.intercept = (_, response) => {
      response.writeHead(502).end()
      return true
    }
    network.cut()
    await events.changes.until('recovering')
    network.intercept = undefined
    await publish(channel, 1)
    await reader.count(1)
    expect(events.transport).toBe('sse')
  })

  test('recovers from a network that is down: calls wait, and events arrive', async () => {
    const channel = newChannel()
    const events = open(channel, { callTimeout: 300 })
    const reader = new Reader(events)
    await events.opened()
    network.isDown = true
    network.cut()
    await events.changes.until('recovering')
    expect(await errorOf(events.call(['whoAmI']))).toMatchObject({ reason: 'unavailable' })
    await publish(channel, 1)
    network.isDown = false
    await reader.count(1)
    expect(await events.call(['whoAmI'])).toBe('me')
  })

  test('that is invalid is an error', () => {
    expect(() => httpFallback({ url: 'nonsense' })).toThrow(TypeError)
    expect(() => httpFallback({ url: network.url, webSocketTimeout: 0 })).toThrow('webSocketTimeout must be greater than 0, got 0')
    expect(() => httpFallback({ url: network.url, streamTimeout: Number.NaN })).toThrow('streamTimeout must be greater than 0, got NaN')
  })
})

/** Opens a subscription with a transport. */
async function openWith<T = Event>(transport: Transport, channel: string, options: Options = {}): Promise<Subscription<T> & { changes: Changes }> {
  network.webSockets = transport === 'websocket' ? 'pass' : 'reject'
  network.collectsStreams = transport === 'long-polling'
  const events = open<T>(channel, { http: transport === 'long-polling' ? { streamTimeout: 200 } : {}, ...options })
  await events.opened()
  expect(events.transport).toBe(transport)
  network.collectsStreams = false
  return events
}

const TRANSPORTS: Transport[] = ['websocket', 'sse', 'long-polling']

describe.each(TRANSPORTS)('calls with the transport %s', (transport) => {
  const calls = (channel: string): Promise<Subscription<Event>> => openWith(transport, channel, { binding: 'CALLS' })

  test('pass values of all types, and have the connection of the client', async () => {
    const types = { big: 12n, date: new Date(0), set: new Set([1]), map: new Map([['a', undefined]]), url: new URL('https://a.example/'), text: '\u2028"\\' }
    const events = await calls(newChannel())
    expect(await events.call(['anything'], types)).toEqual(types)
    expect(await events.call(['anything'])).toBeUndefined()
    expect(await events.call(['whoAmI'])).toEqual(['me', null])
  })

  test('that fail throw the error of the procedure', async () => {
    const events = await calls(newChannel())
    expect(await errorOf(events.call(['extra', 'throwOrpc']))).toMatchObject({ name: 'ProcedureError', code: expect.any(String), data: expect.anything() })
    expect(await errorOf(events.call(['extra', 'throwPlain']))).toMatchObject({ code: 'INTERNAL_SERVER_ERROR', status: 500 })
    expect(await errorOf(events.call(['extra', 'needsNumber'], { n: 1 }))).toMatchObject({ code: 'BAD_REQUEST', data: { issues: [expect.anything()] } })
    expect(await errorOf(events.call(['other']))).toMatchObject({ code: 'FORBIDDEN', message: 'Method "other" is not allowed.' })
  })

  test('pass files in both directions', async () => {
    const events = await calls(newChannel())
    expect(await events.call(['extra', 'file'], new File(['four'], 'a.txt', { type: 'text/plain' }))).toMatchObject({ text: 'four' })
    const files = (await events.call(['extra', 'files'], [new File(['1'], 'one'), new File(['22'], 'two')])) as File[]
    expect(await Promise.all(files.map(async (file) => [file.name, await file.text()]))).toEqual([['two', '22'], ['one', '1']])
    const file = (await events.call(['extra', 'getFile'])) as File
    expect([file.name, file.type, [...new Uint8Array(await file.arrayBuffer())]]).toEqual(['näme "q".bin', 'application/x-test', [0, 1, 254, 255, 123, 34]])
  })

  test('return streams with meta, errors and a resume position', async () => {
    const events = await calls(newChannel())
    const items = async (path: string[], options?: object, input?: unknown): Promise<unknown[]> => {
      const seen: unknown[] = []
      try {
        for await (const item of (await events.call(['extra', ...path], input, options)) as AsyncIterable<unknown>) seen.push([item, getEventMeta(item)])
      } catch (error) {
        seen.push((error as { code: string }).code)
      }
      return seen
    }
    expect(await items(['stream'])).toEqual([
      [{ n: 1 }, undefined],
      [{ n: 2, when: new Date(0) }, { id: 'ev-2', retry: 1_234, comments: ['hello', 'world'] }],
      [3, undefined],
    ])
    expect(await items(['failing'], {}, 'HALF_WAY')).toEqual([[1, undefined], 'HALF_WAY'])
    expect(await items(['failing'])).toEqual([[1, undefined], 'INTERNAL_SERVER_ERROR'])
    expect(await items(['resumed'], { lastEventId: '1' })).toEqual([[{ n: 2 }, { id: '2' }], [{ n: 3 }, { id: '3' }]])
    expect(await errorOf(events.call(['extra', 'refusedStream']))).toMatchObject({ code: 'FORBIDDEN' })
  })

  test('are aborted before their response', async () => {
    const channel = newChannel()
    const events = await calls(channel)
    const controller = new AbortController()
    const call = errorOf(events.call(['extra', 'wait', 'value'], 'a value', { signal: controller.signal }))
    await journals.stub('CALLS', channel, 'until', 'a value began')
    controller.abort(new Error('too slow'))
    expect(await call).toEqual(new Error('too slow'))
    // workerd does not detect that a client disconnects before the response.
    if (transport === 'websocket') await journals.stub('CALLS', channel, 'until', 'a value dropped')
    expect(await events.call(['anything'], 1)).toBe(1)
  })

  test('that return a stream are aborted at the Durable Object', async () => {
    const channel = newChannel()
    const events = await calls(channel)
    const stream = (await events.call(['extra', 'wait', 'stream'], 'a stream')) as AsyncGenerator<unknown>
    expect(await stream.next()).toEqual({ done: false, value: 'first' })
    await stream.return(undefined)
    await journals.stub('CALLS', channel, 'until', 'a stream dropped')
    expect(await events.call(['extra', 'wait', 'stream'], 'another stream')).toBeDefined()
    events.close()
    await journals.stub('CALLS', channel, 'until', 'another stream dropped')
  })

  test('that are lost are executed at most once, and repeated only with `retry`', async () => {
    const channel = newChannel()
    const events = await openWith(transport, channel)
    const reader = new Reader(events)
    const other = open(channel, { url: new URL('/upgrade/USUAL', journals.url), fallback: undefined })
    const received = new Reader(other)
    await other.opened()
    network.holdsAnswers = true
    const call = errorOf(events.call([PUBLISH], { n: 1 }))
    const repeated = events.call([PUBLISH], { n: 2 }, { retry: 1 })
    await published(channel, 2)
    network.holdsAnswers = false
    network.cut()
    expect(await call).toMatchObject({ name: 'DurableEventIteratorConnectionError', reason: 'lost' })
    await repeated
    await publish(channel, 3)
    // Both were executed before their connection was lost, and the second one once more.
    const seen = numbers(await received.count(4))
    expect([seen.toSorted(), seen.slice(2)]).toEqual([[1, 2, 2, 3], [2, 3]])
    // The procedure excludes its caller, whose connection id is the same on each transport.
    expect(numbers(await reader.count(1))).toEqual([3])
  })
})

/** Resolves when this number of events is stored. */
async function published(channel: string, count: number): Promise<void> {
  const events = async (): Promise<number> => JSON.parse((await journals.stub('USUAL', channel, '~settle', '~read', [{}])).value).events.length
  await expect.poll(events, { timeout: 10_000 }).toBe(count)
}

/** The claims of a short-lived token. */
const shortLived = (chn: string, seconds: number): { chn: string; rpc: string[]; iat: number; exp: number } => {
  const iat = Math.floor(Date.now() / 1_000)
  return { chn, rpc: ['whoAmI'], iat, exp: iat + seconds }
}

describe.each(['sse', 'long-polling'] as const)('tokens with the transport %s', (transport) => {
  test('of a `DurableIterator` are refreshed without a new connection, and nothing is lost', { timeout: 40_000 }, async () => {
    const channel = newChannel()
    const issued: string[] = []
    const events = await openWith(transport, channel, {
      token: async () => {
        issued.push(await signDurableIteratorToken(SIGNING_KEY, shortLived(channel, 4)))
        return issued.at(-1)!
      },
    })
    const reader = new Reader(events)
    let n = 0
    // Also events between the expiry of the first token and the next event.
    while (issued.length < 4) {
      await publish(channel, ++n)
      await reader.count(n)
      expect(await events.call(['whoAmI'])).toBeNull()
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    expect(numbers(reader.events)).toEqual(range(1, n))
    expect(events.changes.seen).toEqual(['connecting', `open ${transport}`])
    const used = new Set(network.requests.map(({ headers }) => headers.authorization))
    expect(used.size).toBeGreaterThanOrEqual(3)
    expect(network.requests.some(({ path, query }) => path.startsWith('/http/') && query.has('token'))).toBe(false)
  })

  test('of a `DurableEventIterator` are refreshed, and nothing is lost', { timeout: 40_000 }, async () => {
    const channel = newChannel()
    let issued = 0
    const events = await openWith(transport, channel, {
      token: () => {
        issued += 1
        return token(shortLived(channel, 3))
      },
    })
    const reader = new Reader(events)
    let n = 0
    while (issued < 3) {
      await publish(channel, ++n)
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    expect(numbers(await reader.count(n))).toEqual(range(1, n))
  })

  test('that expire without a refresh end the subscription', { timeout: 20_000 }, async () => {
    const channel = newChannel()
    const events = await openWith(transport, channel, { token: await token(shortLived(channel, 3)) })
    expect(await errorOf(events.next())).toMatchObject({ name: 'TokenError' })
  })

  test('may contain characters beyond ASCII', async () => {
    const channel = `${newChannel()} ☃`
    const issue = async (): Promise<string> => signDurableIteratorToken(SIGNING_KEY, { ...shortLived(channel, 60), tags: ['é', '😀'] })
    const events = open(channel, { token: issue, openTimeout: 5_000 })
    await events.opened()
    expect(events.transport).toBe('sse')
    await publish(channel, 1, { tags: ['😀'] })
    expect(await events.next()).toMatchObject({ value: { n: 1 } })
    expect(await events.call(['whoAmI'])).toBeNull()
  })

  test('that the server rejects end the subscription', async () => {
    const events = open(newChannel(), { token: async () => signDurableIteratorToken('another key', shortLived('x', 60)), openTimeout: 5_000 })
    expect(await errorOf(events.next())).toMatchObject({ status: 401 })
  })
})

test('subscriptions that share a socket share its transport, and change it together', async () => {
  const channel = newChannel()
  const fallback = httpFallback({ url: new URL('/http/USUAL', network.url), webSocketRetryDelay: 500 })
  const two: (Subscription<Event> & { changes: Changes })[] = []
  for (let count = 0; count < 2; count += 1) {
    two.push(open(channel, { fallback, share: shareBetweenTabs(channel), lastEventId: '0' }))
    await two.at(-1)!.opened()
  }
  const readers = two.map((events) => new Reader(events))
  await publish(channel, 1)
  for (const reader of readers) expect(numbers(await reader.count(1))).toEqual([1])
  await expect.poll(() => network.openResponses).toEqual([`/http/USUAL/${channel}/events`])
  expect(two.map(({ transport }) => transport)).toEqual(['sse', 'sse'])
  expect(await Promise.all(two.map((events) => events.call(['whoAmI'])))).toEqual(['me', 'me'])
  for (let n = 2; n <= 4; n += 1) {
    network.cut()
    await publish(channel, n)
  }
  for (const reader of readers) expect(numbers(await reader.count(4))).toEqual([1, 2, 3, 4])
  network.webSockets = 'pass'
  for (const { changes } of two) await changes.until('open websocket')
  await publish(channel, 5)
  for (const reader of readers) expect(numbers(await reader.count(5))).toEqual([1, 2, 3, 4, 5])
  await expect.poll(() => network.openWebSockets, { timeout: 10_000 }).toBe(1)
  expect(await Promise.all(two.map((events) => events.call(['whoAmI'])))).toEqual(['me', 'me'])
})

describe('a call whose token the server rejects', () => {
  test('is repeated once with a new token, since it was not executed', async () => {
    const channel = newChannel()
    const tokens = [await token({ chn: channel, rpc: ['whoAmI'], att: 'me' }), await token({ chn: channel, rpc: ['whoAmI'], att: 'me' }, 'another key')]
    const order = [tokens[0]!, tokens[1]!, tokens[0]!]
    let issued = 0
    const events = open(channel, { token: () => order[Math.min(issued++, 2)]! })
    await events.opened()
    // As if the key of the server had changed.
    network.intercept = (request) => {
      if (request.url!.includes('/call') && network.requests.filter(({ path }) => path.endsWith('/call')).length === 1) request.headers.authorization = `Bearer ${tokens[1]}`
      return false
    }
    expect(await events.call(['whoAmI'])).toBe('me')
    expect(network.requests.filter(({ path }) => path.endsWith('/call'))).toHaveLength(2)
  })
})

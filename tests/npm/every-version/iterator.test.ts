// The iterator in an application: with the Rust Durable Object on workerd, over a network that can fail.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { httpFallback } from '../../../npm/durable-event-iterator/src/http/index.ts'
import WebSocket from 'ws'

import { DurableEventIteratorConnectionError, getClientDurableEventIteratorToken } from '../../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import type { DurableEventIteratorGap } from '../../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import { token } from '../../support/client.ts'
import { startJournals } from '../../support/journals.ts'
import type { Binding, Journals } from '../../support/journals.ts'
import { forbidden, Reader, startApplication, States, unavailable } from '../support/app.ts'
import type { Application, Iterator } from '../support/app.ts'
import { asyncIteratorClass, beforeRequests } from '../support/orpc.ts'
import { Proxy } from '../support/proxy.ts'
import { RestrictedNetwork } from '../support/restricted-network.ts'

let journals: Journals
let app: Application
let proxy: Proxy
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())
beforeEach(async () => {
  app = await startApplication()
  proxy = await Proxy.start(journals.url)
})
const opened: Iterator[] = []
afterEach(async () => {
  for (const iterator of opened.splice(0)) await iterator.return()
  await proxy.dispose()
  await app.dispose()
})

const url = (binding: Binding = 'USUAL'): URL => new URL(`/upgrade/${binding}`, proxy.url)
type ClientOptions = Partial<Parameters<Application['client']>[0]> & { binding?: Binding }

async function open(
  channel: string,
  { binding, ...options }: ClientOptions = {},
  call: { signal?: AbortSignal; lastEventId?: string } = {},
): Promise<Iterator> {
  const iterator = await app.client({ url: url(binding), ...options }).onEvent(channel, call)
  opened.push(iterator)
  return iterator
}

/** Returns a new channel for each test and version, since Durable Objects outlive tests. */
let channels = 0
const newChannel = (): string => `channel-${++channels}`

const publish = (channel: string, n: number, binding: Binding = 'USUAL'): Promise<string> =>
  journals.stub(binding, channel, 'publish', { n })

const numbers = (events: { n: number }[]): number[] => events.map(({ n }) => n)
const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** A token that expires in some seconds, although its client assumes a long lifetime. */
const endingIn = (seconds: number) => (chn: string) =>
  carry({ chn, rpc: ['whoAmI'], iat: now() - 3_600, exp: Date.now() / 1_000 + seconds })
const now = (): number => Math.floor(Date.now() / 1_000)
const carry = async (claims: Parameters<typeof token>[0]): Promise<unknown> => ({
  [Symbol.for('durable-event-iterator/token')]: await token(claims),
})

describe('an iterator', () => {
  test('yields unchanged events in order, and calls procedures', async () => {
    const channel = newChannel()
    const iterator = await open(channel)
    const reader = new Reader(iterator)
    const other = await open(channel)
    for (const n of [1, 2, 3]) await other.publish({ n })
    expect(numbers(await reader.count(3))).toEqual([1, 2, 3])
    await iterator.keep({ seat: 4 })
    expect(await iterator.kept()).toEqual({ seat: 4 })
    expect(await iterator.whoAmI()).toBe('me')
  })

  test('receives events published between its token and its connection', async () => {
    const channel = newChannel()
    app.policy.issue = async (chn) => {
      const carrier = await carry({ chn })
      await publish(channel, 1)
      return carrier
    }
    expect(numbers(await new Reader(await open(channel)).count(1))).toEqual([1])
  })

  test('has the procedures that the token allows, and no others', async () => {
    const channel = newChannel()
    app.policy.issue = (chn) => carry({ chn, rpc: ['kept', 'next', 'then'] })
    const iterator = await open(channel)
    expect('kept' in iterator).toBe(true)
    expect('publish' in iterator).toBe(false)
    expect((iterator as Partial<Iterator>).publish).toBeUndefined()
    // Without `iterator.then`, and `next` is the method of the iterator.
    expect(await iterator).toBe(iterator)
    await publish(channel, 1)
    expect(await iterator.next()).toMatchObject({ done: false, value: { n: 1 } })
  })

  test("is an instance of oRPC's AsyncIteratorClass, like the iterators of oRPC's plugins", async () => {
    expect(asyncIteratorClass().name).toBe('AsyncIteratorClass')
    expect(await open(newChannel())).toBeInstanceOf(asyncIteratorClass())
  })

  test('has a readable token', async () => {
    const iterator = await open(newChannel())
    expect(getClientDurableEventIteratorToken(iterator)).toBe(proxy.upgrades[0]?.searchParams.get('token'))
    expect(getClientDurableEventIteratorToken({})).toBeUndefined()
  })

  test('an error of the Durable Object reaches the caller', async () => {
    const iterator = await open(newChannel())
    await expect(iterator.publish('no event' as never)).rejects.toMatchObject({ code: expect.any(String), status: expect.any(Number) })
  })

  test('other calls are not affected', async () => {
    expect(await app.client({ url: url() }).plain()).toBe('no token')
    expect(proxy.attempts).toEqual([])
  })

  test.each([
    ['a string', () => url().href],
    ['a URL', () => url()],
    ['of http', () => url().href.replace('ws:', 'http:')],
    ['a promise', () => Promise.resolve(url())],
    ['a function', () => () => url().href],
    ['a function that returns a promise', () => async () => url()],
  ])('opens at %s', async (_, make) => {
    const iterator = await app.client({ url: make() }).onEvent(newChannel())
    opened.push(iterator)
    expect(await iterator.kept()).toBeUndefined()
  })

  test('an invalid URL is rejected at once', async () => {
    await expect(app.client({ url: '/relative' }).onEvent(newChannel())).rejects.toThrow(TypeError)
  })

  test('opens with another WebSocket implementation', async () => {
    let made = 0
    class Counted extends WebSocket {
      constructor(address: string, protocols?: string | string[]) {
        super(address, protocols)
        made += 1
      }
    }
    const iterator = await open(newChannel(), { WebSocket: Counted })
    expect(await iterator.kept()).toBeUndefined()
    expect(made).toBe(1)
  })

  test('a response that is not a token, with the header of one, is rejected', async () => {
    app.policy.issue = async () => ({ [Symbol.for('durable-event-iterator/token')]: 'garbage' })
    await expect(open(newChannel())).rejects.toThrow('did not respond with a valid token')
  })
})

test('continues over HTTP in a network without WebSockets, and returns to a WebSocket', async () => {
  const network = await RestrictedNetwork.start(journals.url)
  try {
    const channel = newChannel()
    const states: string[] = []
    const iterator = await open(channel, {
      url: new URL('/upgrade/USUAL', network.url),
      fallback: httpFallback({ url: new URL('/http/USUAL', network.url), webSocketRetryDelay: 500 }),
      onStateChange: (state, { transport }) => states.push([state, transport].join(' ').trim()),
    })
    const reader = new Reader(iterator)
    const other = await open(channel)
    await other.publish({ n: 1 })
    expect(numbers(await reader.count(1))).toEqual([1])
    expect(await iterator.whoAmI()).toBe('me')
    // Its own events do not return to the caller, whose connection id is that of the subscription.
    await iterator.publish({ n: 2 })
    network.webSockets = 'pass'
    await expect.poll(() => states.at(-1), { timeout: 20_000 }).toBe('open websocket')
    await other.publish({ n: 3 })
    expect(numbers(await reader.count(2))).toEqual([1, 3])
    expect(states).toEqual(['connecting', 'open sse', 'recovering', 'open websocket'])
    expect(await iterator.whoAmI()).toBe('me')
  } finally {
    for (const iterator of opened.splice(0)) await iterator.return()
    await network.dispose()
  }
})

describe('the connection id', () => {
  test('is random, different for each iterator, and the same after a reconnect', async () => {
    const channel = newChannel()
    const states = new States()
    await open(channel, states)
    await open(channel)
    proxy.cut()
    await states.reach('open', 2)
    const ids = proxy.upgrades.map(({ searchParams }) => searchParams.get('id'))
    expect(ids[0]).toMatch(/^[0-9a-f]{32}$/)
    expect(new Set(ids).size).toBe(2)
    expect(ids.filter((id) => id === ids[0]).length).toBeGreaterThan(1)
  })
})

describe('the connection id of createId', () => {
  test('is created once, and sent with every connection', async () => {
    let made = 0
    const states = new States()
    await open(newChannel(), { onStateChange: states.onStateChange, createId: async () => `seat-${(made += 1)}` })
    proxy.cut()
    await states.reach('open', 2)
    expect(proxy.upgrades.map(({ searchParams }) => searchParams.get('id'))).toEqual(['seat-1', 'seat-1'])
  })

  test('is checked at once', async () => {
    await expect(open(newChannel(), { createId: () => 'with space' })).rejects.toThrow(RangeError)
    expect(proxy.attempts).toEqual([])
  })
})

describe('after a lost connection', () => {
  test('missed events arrive once and in order, before new ones', async () => {
    const channel = newChannel()
    const states = new States()
    const reader = new Reader(await open(channel, states))
    await publish(channel, 1)
    await reader.count(1)
    proxy.refuses = true
    proxy.cut()
    await states.reach('recovering')
    for (let n = 2; n <= 21; n += 1) await publish(channel, n)
    proxy.refuses = false
    await states.reach('open', 2)
    await publish(channel, 22)
    await reader.count(22)
    await pause(50)
    expect(numbers(reader.events)).toEqual(Array.from({ length: 22 }, (_, index) => index + 1))
    expect(states.seen).toEqual(['connecting', 'open', 'recovering', 'open'])
    expect(states.errors[2]).toBeInstanceOf(DurableEventIteratorConnectionError)
  })

  test('a client without an event receives missed events too', async () => {
    const channel = newChannel()
    const states = new States()
    const reader = new Reader(await open(channel, states))
    proxy.refuses = true
    proxy.cut()
    await states.reach('recovering')
    await publish(channel, 1)
    proxy.refuses = false
    expect(numbers(await reader.count(1))).toEqual([1])
  })

  test('events are buffered for an application that does not read them', async () => {
    const channel = newChannel()
    const states = new States()
    const iterator = await open(channel, states)
    await publish(channel, 1)
    await pause(50)
    proxy.cut()
    await states.reach('open', 2)
    await publish(channel, 2)
    expect(numbers(await new Reader(iterator).count(2))).toEqual([1, 2])
  })

  test('procedures can be called', async () => {
    const states = new States()
    const iterator = await open(newChannel(), states)
    proxy.cut()
    await states.reach('recovering')
    expect(await iterator.whoAmI()).toBe('me')
  })

  test('a connection lost without a close is detected', async () => {
    const channel = newChannel()
    const states = new States()
    const reader = new Reader(await open(channel, { ...states, onStateChange: states.onStateChange, heartbeatInterval: 100 }))
    proxy.silence()
    await publish(channel, 1)
    expect(numbers(await reader.count(1))).toEqual([1])
    expect(states.seen).toEqual(['connecting', 'open', 'recovering', 'open'])
  })

  test('a silent connection that responds to pings is kept', async () => {
    const states = new States()
    await open(newChannel(), { onStateChange: states.onStateChange, heartbeatInterval: 200 })
    await pause(900)
    expect(states.seen).toEqual(['connecting', 'open'])
  })

  test('when the browser is online again, the delay before the next attempt is shortened', async () => {
    const network = new EventTarget()
    Object.assign(globalThis, { addEventListener: network.addEventListener.bind(network) })
    try {
      const states = new States()
      await open(newChannel(), { onStateChange: states.onStateChange, minReconnectionDelay: 60_000, maxReconnectionDelay: 60_000 })
      proxy.cut()
      await states.reach('recovering')
      network.dispatchEvent(new Event('online'))
      await states.reach('open', 2)
    } finally {
      Reflect.deleteProperty(globalThis, 'addEventListener')
    }
  })

  test('when the browser is offline, a ping is sent, and the connection is kept if it responds', async () => {
    const network = new EventTarget()
    Object.assign(globalThis, { addEventListener: network.addEventListener.bind(network) })
    try {
      const states = new States()
      await open(newChannel(), { onStateChange: states.onStateChange, heartbeatInterval: 300 })
      network.dispatchEvent(new Event('offline'))
      await pause(400)
      expect(states.seen).toEqual(['connecting', 'open'])
      proxy.silence()
      network.dispatchEvent(new Event('offline'))
      await states.reach('open', 2)
    } finally {
      Reflect.deleteProperty(globalThis, 'addEventListener')
    }
  })

  test('a token with which no connection opens is refreshed', async () => {
    const states = new States()
    await open(newChannel(), { onStateChange: states.onStateChange, minReconnectionDelay: 50, maxReconnectionDelay: 10_000 })
    proxy.refuses = true
    proxy.cut()
    await states.reach('recovering')
    await expect.poll(() => app.issued.length, { timeout: 20_000 }).toBe(2)
    // The first connection, and two failed ones.
    expect(proxy.attempts.length).toBeGreaterThanOrEqual(3)
  })
})

describe('a gap', () => {
  test('is reported between the event before it and the event after it', async () => {
    const channel = newChannel()
    const states = new States()
    const story: unknown[] = []
    const onGap = (gap: DurableEventIteratorGap): void => void story.push(gap)
    const iterator = await open(channel, { binding: 'SHORT', onGap, onStateChange: states.onStateChange })
    const first = await publish(channel, 1, 'SHORT')
    story.push((await iterator.next()).value)
    proxy.refuses = true
    proxy.cut()
    await states.reach('recovering')
    await publish(channel, 2, 'SHORT')
    await pause(1_200)
    await publish(channel, 3, 'SHORT')
    proxy.refuses = false
    await states.reach('open', 2)
    expect(story).toHaveLength(1)
    story.push((await iterator.next()).value)
    expect(story).toMatchObject([
      { n: 1 },
      { path: ['onEvent'], input: channel, lastEventId: first, nextEventId: expect.stringMatching(/^\d+$/) },
      { n: 3 },
    ])
  })

  test('is reported for a cursor of the caller', async () => {
    const gaps: DurableEventIteratorGap[] = []
    const channel = newChannel()
    await publish(channel, 1)
    const reader = new Reader(await open(channel, { onGap: (gap) => gaps.push(gap) }, { lastEventId: '1' }))
    await reader.count(1)
    expect(gaps).toMatchObject([{ lastEventId: '1' }])
  })

  test('is not reported if no event is missing', async () => {
    const gaps: DurableEventIteratorGap[] = []
    const channel = newChannel()
    const states = new States()
    const reader = new Reader(await open(channel, { onGap: (gap) => gaps.push(gap), onStateChange: states.onStateChange }))
    await publish(channel, 1)
    await reader.count(1)
    proxy.cut()
    await states.reach('open', 2)
    await publish(channel, 2)
    await reader.count(2)
    expect(gaps).toEqual([])
  })
})

describe('lastEventId', () => {
  test('starts after that event', async () => {
    const channel = newChannel()
    const ids = [await publish(channel, 1), await publish(channel, 2), await publish(channel, 3)]
    const reader = new Reader(await open(channel, {}, { lastEventId: ids[0]! }))
    expect(numbers(await reader.count(2))).toEqual([2, 3])
  })
})

describe('ending an iterator', () => {
  test('with return closes the socket', async () => {
    const states = new States()
    const iterator = await open(newChannel(), states)
    const waiting = iterator.next()
    expect(await iterator.return()).toEqual({ done: true, value: undefined })
    expect(await waiting).toEqual({ done: true, value: undefined })
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
    await proxy.closed()
    expect(states.seen).toEqual(['connecting', 'open', 'closed'])
    expect(states.errors).toEqual([undefined, undefined, undefined])
    await pause(300)
    expect(proxy.attempts).toHaveLength(1)
  })

  test('with break closes the socket', async () => {
    const channel = newChannel()
    const iterator = await open(channel)
    await publish(channel, 1)
    for await (const { n } of iterator) {
      expect(n).toBe(1)
      break
    }
    await proxy.closed()
  })

  test('in other ways closes the socket', async () => {
    const disposed = await open(newChannel())
    await disposed[Symbol.asyncDispose]()
    expect(await disposed.next()).toEqual({ done: true, value: undefined })
    const thrown = await open(newChannel())
    const waiting = thrown.next()
    await expect(thrown.throw(new Error('Enough.'))).rejects.toThrow('Enough.')
    expect(await waiting).toEqual({ done: true, value: undefined })
    await proxy.closed()
  })

  test('resolves concurrent calls of next in order', async () => {
    const channel = newChannel()
    const iterator = await open(channel)
    const both = Promise.all([iterator.next(), iterator.next()])
    await publish(channel, 1)
    await publish(channel, 2)
    expect((await both).map(({ value }) => value)).toEqual([{ n: 1 }, { n: 2 }])
  })

  test('with an aborted signal rejects with its reason and closes the socket', async () => {
    const abort = new AbortController()
    const states = new States()
    const reader = new Reader(await open(newChannel(), states, { signal: abort.signal }))
    abort.abort(new Error('Enough.'))
    expect(await reader.end()).toEqual({ error: new Error('Enough.') })
    await proxy.closed()
    expect(states.seen).toEqual(['connecting', 'open', 'closed'])
  })

  test('with an aborted signal stops the wait for a connection', async () => {
    const abort = new AbortController()
    proxy.refuses = true
    const iterator = open(newChannel(), {}, { signal: abort.signal })
    await pause(100)
    abort.abort(new Error('Enough.'))
    await expect(iterator).rejects.toThrow('Enough.')
    const { length } = proxy.attempts
    await pause(400)
    // One attempt may have been started before.
    expect(proxy.attempts.length).toBeLessThanOrEqual(length + 1)
  })

  test('with return in the state recovering stops reconnecting', async () => {
    const states = new States()
    const iterator = await open(newChannel(), states)
    proxy.refuses = true
    proxy.cut()
    await states.reach('recovering')
    await iterator.return()
    // Started connections have arrived.
    await pause(100)
    const { length } = proxy.attempts
    await pause(400)
    expect(proxy.attempts).toHaveLength(length)
    expect(states.seen.at(-1)).toBe('closed')
  })

  test('rejects later calls', async () => {
    const iterator = await open(newChannel())
    const { kept } = iterator
    await iterator.return()
    await expect(kept()).rejects.toMatchObject({ name: 'DurableEventIteratorConnectionError', reason: 'closed' })
  })
})

describe('a token', () => {
  test('that has expired is refreshed before a reconnect', async () => {
    const channel = newChannel()
    app.policy.tokenTTLSeconds = 2
    const states = new States()
    const reader = new Reader(await open(channel, states))
    proxy.refuses = true
    proxy.cut()
    await pause(2_200)
    await publish(channel, 1)
    proxy.refuses = false
    expect(numbers(await reader.count(1))).toEqual([1])
    const tokens = proxy.upgrades.map(({ searchParams }) => searchParams.get('token'))
    expect(new Set(tokens).size).toBe(tokens.length)
  })

  test('is refreshed before it expires, and no event is missed', async () => {
    const channel = newChannel()
    app.policy.tokenTTLSeconds = 2
    const states = new States()
    const reader = new Reader(await open(channel, states))
    const published: number[] = []
    const startedAt = Date.now()
    for (let n = 1; n <= 50; n += 1) {
      await publish(channel, n)
      published.push(n)
      await pause(80)
    }
    await reader.count(50)
    expect(numbers(reader.events)).toEqual(published)
    expect(app.issued.length).toBeGreaterThan(2)
    expect(app.issued.length).toBeLessThan((Date.now() - startedAt) / 1_000 + 2)
    expect(states.seen.filter((state) => state === 'closed')).toEqual([])
  })

  test('whose expiry the Durable Object reports first is refreshed, and no event is missed', async () => {
    const channel = newChannel()
    app.policy.issue = endingIn(1)
    const states = new States()
    const reader = new Reader(await open(channel, states))
    await publish(channel, 1)
    await reader.count(1)
    await pause(1_300)
    app.policy.issue = undefined
    await publish(channel, 2)
    await publish(channel, 3)
    expect(numbers(await reader.count(3))).toEqual([1, 2, 3])
    expect(states.seen).toEqual(['connecting', 'open', 'recovering', 'open'])
    expect(app.issued).toHaveLength(2)
  })

  test('that is refreshed before the first event keeps the start of the first token', async () => {
    const frames: string[] = []
    class Recorded extends WebSocket {
      override send(data: Parameters<WebSocket['send']>[0]): void {
        frames.push(String(data))
        super.send(data)
      }
    }
    const channel = newChannel()
    app.policy.issue = endingIn(1)
    const since = now() - 3_600
    const reader = new Reader(await open(channel, { WebSocket: Recorded }))
    await pause(1_300)
    app.policy.issue = undefined
    await publish(channel, 1)
    expect(numbers(await reader.count(1))).toEqual([1])
    const headers = frames.map((frame) => JSON.parse(frame).p.h)
    expect(headers).toHaveLength(2)
    expect(headers[0]['x-durable-event-since']).toBeUndefined()
    expect(Number(headers[1]['x-durable-event-since']) - since).toBeLessThanOrEqual(1)
  })

  test('whose refresh the server rejects ends the iteration with the error of the server', async () => {
    const channel = newChannel()
    app.policy.issue = endingIn(1)
    const states = new States()
    const reader = new Reader(await open(channel, states))
    await pause(1_300)
    app.policy.check = forbidden
    await publish(channel, 1)
    expect(await reader.end()).toMatchObject({ error: { code: 'FORBIDDEN', message: 'Not any more.' } })
    expect(states.seen).toEqual(['connecting', 'open', 'recovering', 'closed'])
    expect(states.errors.at(-1)).toMatchObject({ code: 'FORBIDDEN' })
    await proxy.closed()
  })

  test('whose refresh fails temporarily is requested again', async () => {
    const channel = newChannel()
    app.policy.issue = endingIn(1)
    const reader = new Reader(await open(channel))
    await pause(1_300)
    let failures = 0
    app.policy.check = () => {
      failures += 1
      if (failures < 3) unavailable()
    }
    app.policy.issue = undefined
    await publish(channel, 1)
    expect(numbers(await reader.count(1))).toEqual([1])
    expect(failures).toBe(3)
  })

  test('with which no connection opens is not refreshed in a tight loop', async () => {
    app.policy.issue = endingIn(-1)
    // The WebSocket of Node.js sends a second request after a rejection.
    await expect(open(newChannel(), { WebSocket })).rejects.toMatchObject({ reason: 'unavailable', status: 401 })
    // Four failed attempts, and maybe the next one, which starts during the diagnosis.
    expect([4, 5]).toContain(proxy.upgrades.length)
    expect(app.issued.length).toBeLessThanOrEqual(3)
  })

  test('that the server rejects at first rejects the call', async () => {
    app.policy.check = forbidden
    await expect(open(newChannel())).rejects.toMatchObject({ code: 'FORBIDDEN' })
  })
})

describe('a call', () => {
  test('that loses its connection fails with a connection error', async () => {
    const iterator = await open(newChannel())
    proxy.holdAnswers()
    const answer = iterator.kept()
    await pause(50)
    proxy.cut()
    await expect(answer).rejects.toMatchObject({ name: 'DurableEventIteratorConnectionError', reason: 'lost' })
  })

  test('that loses its connection is retried with `retry`', async () => {
    const iterator = await open(newChannel())
    proxy.holdAnswers()
    const answer = iterator.whoAmI(undefined, { context: { retry: 1 } })
    await pause(50)
    proxy.cut()
    expect(await answer).toBe('me')
  })

  test('that the Durable Object rejects is not retried', async () => {
    app.policy.issue = (chn) => carry({ chn, rpc: ['nothing'] })
    const iterator = (await open(newChannel())) as unknown as { nothing(input?: unknown, options?: object): Promise<unknown> }
    let retries = 0
    const context = { retry: 3, onRetry: () => void (retries += 1) }
    await expect(iterator.nothing(undefined, { context })).rejects.toMatchObject({ status: 404 })
    expect(retries).toBe(0)
  })

  test('without a connection fails after `callTimeout`', async () => {
    const states = new States()
    const iterator = await open(newChannel(), { onStateChange: states.onStateChange, callTimeout: 200 })
    proxy.refuses = true
    proxy.cut()
    await states.reach('recovering')
    await expect(iterator.kept()).rejects.toMatchObject({ reason: 'unavailable' })
  })

  test('that an interceptor of a plugin holds back while the connection is lost is sent over the next one', async () => {
    let calls = 0
    let arrived = (): void => {}
    let release = (): void => {}
    const waiting = new Promise<void>((resolve) => (arrived = resolve))
    const released = new Promise<void>((resolve) => (release = resolve))
    const plugin = beforeRequests(async () => {
      calls += 1
      arrived()
      await released
    })
    const states = new States()
    const iterator = await open(newChannel(), { onStateChange: states.onStateChange, plugins: [plugin] })
    const answer = iterator.whoAmI()
    await waiting
    proxy.refuses = true
    proxy.cut()
    await states.reach('recovering')
    release()
    proxy.refuses = false
    expect(await answer).toBe('me')
    expect(calls).toBe(1)
  })

  test('ends when its signal is aborted', async () => {
    const iterator = await open(newChannel())
    proxy.holdAnswers()
    const abort = new AbortController()
    const answer = iterator.kept(undefined, { signal: abort.signal })
    await pause(50)
    abort.abort(new Error('Enough.'))
    await expect(answer).rejects.toThrow('Enough.')
  })

  test('with an expired token waits for a new one', async () => {
    app.policy.tokenTTLSeconds = 1
    const iterator = await open(newChannel())
    app.policy.check = unavailable
    await pause(1_200)
    const answer = iterator.whoAmI()
    await pause(50)
    app.policy.check = () => {}
    expect(await answer).toBe('me')
  })

  test('that the Durable Object rejects because its token has expired is sent again with a new one', async () => {
    app.policy.issue = endingIn(1)
    const iterator = await open(newChannel())
    await pause(1_300)
    app.policy.issue = undefined
    expect(await iterator.whoAmI()).toBe('me')
    expect(app.issued).toHaveLength(2)
  })

  test('that the Durable Object rejects because its token has expired fails if no new one arrives in time', async () => {
    app.policy.issue = endingIn(1)
    const iterator = await open(newChannel(), { callTimeout: 300 })
    await pause(1_300)
    app.policy.check = unavailable
    await expect(iterator.whoAmI()).rejects.toMatchObject({ reason: 'unavailable' })
  })

  test('that needs a token that the server does not issue fails, and the iteration ends with the error of the server', async () => {
    app.policy.issue = endingIn(1)
    const iterator = await open(newChannel())
    const reader = new Reader(iterator)
    await pause(1_300)
    app.policy.check = forbidden
    await expect(iterator.whoAmI()).rejects.toMatchObject({ reason: 'closed', cause: { code: 'FORBIDDEN' } })
    expect(await reader.end()).toMatchObject({ error: { code: 'FORBIDDEN' } })
  })

  test('in flight during a token refresh receives its response', async () => {
    app.policy.tokenTTLSeconds = 3
    const iterator = await open(newChannel())
    const until = Date.now() + 4_500
    while (Date.now() < until) expect(await iterator.whoAmI()).toBe('me')
    expect(app.issued.length).toBeGreaterThan(2)
  })
})

test('a hook that throws has no effect, and its error is reported as uncaught', async () => {
  const uncaught: unknown[] = []
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException').on('uncaughtException', (error) => uncaught.push(error))
  try {
    const fail = (): never => {
      throw new Error('A bug.')
    }
    const iterator = await open(newChannel(), { onStateChange: fail })
    expect(await iterator.whoAmI()).toBe('me')
    await iterator.return()
    expect(uncaught).toEqual([1, 2, 3].map(() => new Error('A bug.')))
  } finally {
    process.removeAllListeners('uncaughtException')
    for (const listener of listeners) process.on('uncaughtException', listener)
  }
})

test('the hooks of a call are called in addition to those of the plugin', async () => {
  const [plugin, call] = [new States(), new States()]
  const iterator = await app
    .client({ url: url(), onStateChange: plugin.onStateChange })
    .onEvent(newChannel(), { context: { durableEventIterator: { onStateChange: call.onStateChange } } })
  await iterator.return()
  expect(plugin.seen).toEqual(['connecting', 'open', 'closed'])
  expect(call.seen).toEqual(plugin.seen)
})

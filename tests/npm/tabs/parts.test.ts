// The parts of tab sharing that need no browser, and tabs that are subscriptions of this process.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'

import { subscribe } from '../../../npm/durable-event-iterator/src/client/index.ts'
import type { Subscription } from '../../../npm/durable-event-iterator/src/client/index.ts'
import { EventRing } from '../../../npm/durable-event-iterator/src/tabs/event-ring.ts'
import { eventIdOf, frameOf, isLast, withId } from '../../../npm/durable-event-iterator/src/client/wire/envelope.ts'
import type { SocketMessage } from '../../../npm/durable-event-iterator/src/client/wire/envelope.ts'
import { FollowingLink } from '../../../npm/durable-event-iterator/src/tabs/following-link.ts'
import { Hub } from '../../../npm/durable-event-iterator/src/tabs/hub.ts'
import { shareBetweenTabs } from '../../../npm/durable-event-iterator/src/tabs/index.ts'
import { isMessage } from '../../../npm/durable-event-iterator/src/tabs/message.ts'
import type { Content } from '../../../npm/durable-event-iterator/src/tabs/message.ts'
import { Silence } from '../../../npm/durable-event-iterator/src/tabs/silence.ts'
import { token } from '../../support/client.ts'
import { startJournals } from '../../support/journals.ts'
import type { Journals } from '../../support/journals.ts'
import { startApplication } from '../support/app.ts'
import { Proxy } from '../support/proxy.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

/** The tail of an event, as a Durable Object writes it. */
const tailOf = (n: number): string => `,"t":3,"p":{"e":"message","d":{"json":{"n":${n}}},"m":{"id":"${n}"}}}`
const LIVE_ONLY = ',"t":3,"p":{"e":"message","d":{"json":{"id":"9"}}}}'

const bytes = (text: string, ...binary: number[]): ArrayBuffer => {
  const json = new TextEncoder().encode(text)
  return new Uint8Array([...json, 0xff, ...binary]).buffer
}

describe('a frame', () => {
  test('has the id of its event only if the event is stored', () => {
    expect(eventIdOf(tailOf(7))).toBe('7')
    expect(eventIdOf(',"t":3,"p":{"e":"message","d":{"json":[],"meta":[]},"m":{"retry":5,"id":"18446744073709551615"}}}')).toBe('18446744073709551615')
    expect(eventIdOf(LIVE_ONLY)).toBeUndefined()
    expect(eventIdOf(',"t":3,"p":{"e":"message","d":{"json":{"m":{"id":"9"}}}}}')).toBeUndefined()
  })

  test('receives another call id, also before binary data', () => {
    expect(withId('{"i":"1","p":{"i":"1"}}', '1', 'a:1')).toBe('{"i":"a:1","p":{"i":"1"}}')
    expect(withId('{"i":"12","p":{}}', '1', '2')).toBeUndefined()
    const replaced = withId(bytes('{"i":"1","p":{}}', 0, 0xff, 1), '1', 'a:1') as ArrayBuffer
    expect(new Uint8Array(replaced)).toEqual(new Uint8Array(bytes('{"i":"a:1","p":{}}', 0, 0xff, 1)))
    expect(withId(bytes('{"i":"1","p":{}}'), '2', '3')).toBeUndefined()
    expect(frameOf(replaced)?.i).toBe('a:1')
    expect(frameOf('pong')).toBeUndefined()
    expect(frameOf('null')).toBeUndefined()
  })

  test.each([
    ['a response', '{"i":"1","p":{"b":{}}}', true],
    ['the response of a stream', '{"i":"1","p":{"h":{"content-type":"text/event-stream"}}}', false],
    ['an item', '{"i":"1","t":3,"p":{"e":"message","d":{}}}', false],
    ['the end of a stream', '{"i":"1","t":3,"p":{"e":"done","d":{}}}', true],
    ['an error of a stream', '{"i":"1","t":3,"p":{"e":"error"}}', true],
    ['the end of an upload', '{"i":"1","t":4}', false],
  ])('%s is the last one of its call or not', (_, text, expected) => {
    expect(isLast(frameOf(text)!)).toBe(expected)
  })
})

describe('the ring of recent events', () => {
  const tails = (events: readonly (readonly [string, number])[] | undefined) => events?.map(([tail]) => Number(eventIdOf(tail)))
  const ringOf = (start: { cursor?: string; since?: number; isGap?: boolean }, events: number[], limits = { maxEvents: 3, maxSize: 10_000 }) => {
    const ring = new EventRing(limits)
    ring.start({ cursor: start.cursor, since: start.since ?? 0 }, start.isGap ?? false, 10_000)
    for (const n of events) ring.push(tailOf(n), 10_000 + 1_000 * n)
    return ring
  }

  test('returns the events after each of its cursors, and after the one before', () => {
    const ring = ringOf({ cursor: '4' }, [5, 6])
    expect(['3', '4', '5', '6', '7'].map((cursor) => tails(ring.missedSince({ cursor, since: 0 })))).toEqual([undefined, [5, 6], [6], [], undefined])
  })

  test('has limits, and keeps the cursor before its first event', () => {
    const ring = ringOf({ cursor: '0' }, [1, 2, 3, 4, 5])
    expect(tails(ring.missedSince({ cursor: '1', since: 0 }))).toBeUndefined()
    expect(tails(ring.missedSince({ cursor: '2', since: 0 }))).toEqual([3, 4, 5])
    const small = ringOf({ cursor: '0' }, [1, 2], { maxEvents: 3, maxSize: 10 })
    expect(tails(small.missedSince({ cursor: '2', since: 0 }))).toEqual([])
    expect(tails(small.missedSince({ cursor: '1', since: 0 }))).toBeUndefined()
  })

  test('does not know cursors from before a gap', () => {
    const ring = ringOf({ cursor: '4', isGap: true }, [9])
    expect(tails(ring.missedSince({ cursor: '4', since: 0 }))).toBeUndefined()
    expect(tails(ring.missedSince({ cursor: '9', since: 0 }))).toEqual([])
  })

  test('without a cursor, returns the events since a time, if it has all of them', () => {
    const ring = ringOf({ since: 10_000 }, [1, 2, 3])
    expect(tails(ring.missedSince({ cursor: undefined, since: 13_000 }))).toEqual([2, 3])
    // The tolerance is a second.
    expect(tails(ring.missedSince({ cursor: undefined, since: 9_000 }))).toEqual([1, 2, 3])
    expect(tails(ring.missedSince({ cursor: undefined, since: 8_999 }))).toBeUndefined()
    ring.push(tailOf(4), 14_000)
    expect(tails(ring.missedSince({ cursor: undefined, since: 12_999 }))).toBeUndefined()
    expect(tails(ring.missedSince({ cursor: undefined, since: 13_000 }))).toEqual([2, 3, 4])
  })

  test('continues with a subscription after its last event, and starts again otherwise', () => {
    const ring = ringOf({ cursor: '0' }, [1, 2])
    ring.start({ cursor: '2', since: 0 }, false, 50_000)
    ring.push(tailOf(3), 50_000)
    expect(tails(ring.missedSince({ cursor: '1', since: 0 }))).toEqual([2, 3])
    ring.start({ cursor: '2', since: 0 }, false, 50_000)
    expect(tails(ring.missedSince({ cursor: '1', since: 0 }))).toBeUndefined()
    expect(tails(ring.missedSince({ cursor: '2', since: 0 }))).toEqual([])
  })

  test('contains neither live-only events nor a snapshot', () => {
    const ring = ringOf({ cursor: '0' }, [1])
    ring.push(LIVE_ONLY, 0)
    ring.push(',"t":3,"p":{"e":"message","d":{"json":{"snapshot":[]}},"m":{"id":"1"}}}', 0)
    expect(tails(ring.missedSince({ cursor: '0', since: 0 }))).toEqual([1])
  })
})

describe('a hub', () => {
  let posted: Content[]
  /** The number of messages of each tab to the hub. */
  let numbers: Map<string, number>
  let sent: SocketMessage[]
  let gone: Map<string, () => void>
  let ring: EventRing
  let hub: Hub
  beforeEach(() => {
    vi.useFakeTimers()
    posted = []
    sent = []
    gone = new Map()
    numbers = new Map()
    ring = new EventRing()
    hub = new Hub({
      id: 'hub',
      ring,
      maxAge: 5_000,
      transport: () => 'sse',
      post: (message) => posted.push(message),
      send: (message) => sent.push(message),
      onceGone: (tab, listener) => {
        gone.set(tab, listener)
        return () => gone.delete(tab)
      },
    })
  })
  afterEach(() => void vi.useRealTimers())

  const call = (i: string): string => `{"i":"${i}","p":{"u":"/call","b":{}}}`
  const receive = (message: Content): void => {
    const number = (numbers.get(message.from) ?? 0) + 1
    if (message.to === 'hub') numbers.set(message.from, number)
    hub.receive({ ...message, number })
  }
  const relay = (data: SocketMessage, from = 'a'): void => receive({ type: 'data', from, to: 'hub', data, at: Date.now() })
  const subscribeTab = (cursor: string | undefined, from = 'a'): void =>
    receive({ type: 'subscribe', from, to: 'hub', call: '1', cursor, since: Date.now() })
  const answer = (text: string): void => hub.relayBack(frameOf(text)!, text)

  test('introduces itself when it starts, when it is ready, and to each tab that asks', () => {
    receive({ type: 'hello', from: 'a' })
    hub.ready()
    expect(posted).toEqual([
      { type: 'here', from: 'hub', isReady: false },
      { type: 'here', from: 'hub', isReady: false, to: 'a' },
      { type: 'here', from: 'hub', isReady: true },
    ])
  })

  test('relays calls with the id of their tab, and the responses', () => {
    relay(call('1'))
    relay(call('1'), 'b')
    expect(sent).toEqual([call('a:1'), call('b:1')])
    answer('{"i":"b:1","p":{"b":{"json":2}}}')
    expect(posted.at(-1)).toMatchObject({ type: 'data', from: 'hub', to: 'b', data: '{"i":"1","p":{"b":{"json":2}}}' })
  })

  test('responds to a ping', () => {
    relay('ping')
    expect(posted.at(-1)).toMatchObject({ type: 'data', to: 'a', data: 'pong' })
    expect(sent).toEqual([])
  })

  test.each([
    ['for another hub', () => receive({ type: 'data', from: 'a', to: 'other', data: call('1'), at: Date.now() })],
    ['with a subscription', () => relay('{"i":"1","p":{"u":"/subscribe"}}')],
    ['that is no frame', () => relay('{}')],
    ['of an unknown call', () => relay('{"i":"1","t":3,"p":{"e":"message"}}')],
  ])('does not relay a message %s', (_, send) => {
    send()
    expect(sent).toEqual([])
  })

  test('does not relay an old message, and ends the socket of its tab', () => {
    const at = Date.now()
    vi.advanceTimersByTime(5_001)
    receive({ type: 'data', from: 'a', to: 'hub', data: call('1'), at })
    expect(sent).toEqual([])
    expect(posted.at(-1)).toEqual({ type: 'bye', from: 'hub', to: 'a' })
  })

  test('ends the socket of a tab from which a message is missing, and aborts its calls', () => {
    relay(call('1'))
    relay(call('1'), 'b')
    sent.length = 0
    // The browser has dropped the second message.
    numbers.set('a', 2)
    relay(call('3'))
    expect(sent).toEqual(['{"i":"a:1","t":4}'])
    expect(posted.at(-1)).toEqual({ type: 'bye', from: 'hub', to: 'a' })
    relay(call('2'), 'b')
    expect(sent.at(-1)).toBe(call('b:2'))
  })

  test('detects that the first message of a tab is missing', () => {
    receive({ type: 'hello', from: 'a' })
    numbers.set('a', 1)
    relay(call('2'))
    expect(sent).toEqual([])
    expect(posted.at(-1)).toEqual({ type: 'bye', from: 'hub', to: 'a' })
  })

  test('aborts the calls in flight of a tab that is gone', () => {
    for (const i of ['1', '2', '3', '4']) relay(call(i))
    answer('{"i":"a:1","p":{"b":{}}}')
    answer('{"i":"a:2","p":{"h":{"content-type":"text/event-stream"}}}')
    relay('{"i":"3","t":4}')
    sent.length = 0
    gone.get('a')!()
    expect(sent).toEqual(['{"i":"a:2","t":4}', '{"i":"a:4","t":4}'])
    const count = posted.length
    answer('{"i":"a:2","t":3,"p":{"e":"message","d":{}}}')
    expect(posted).toHaveLength(count)
  })

  test('aborts all calls in flight when it ends', () => {
    relay(call('1'))
    relay(call('1'), 'b')
    sent.length = 0
    hub.close()
    expect(sent).toEqual(['{"i":"a:1","t":4}', '{"i":"b:1","t":4}'])
    expect(posted.at(-1)).toEqual({ type: 'bye', from: 'hub' })
    expect(gone.size).toBe(0)
  })

  test('answers a subscription when its own is open', () => {
    subscribeTab('4')
    expect(posted.filter(({ type }) => type === 'subscribed')).toEqual([])
    ring.start({ cursor: '4', since: 0 }, false, Date.now())
    hub.subscribed()
    expect(posted.at(-1)).toEqual({ type: 'subscribed', from: 'hub', to: 'a', call: '1', missed: [], transport: 'sse' })
  })

  test('answers a subscription when it has received the event of its cursor', () => {
    ring.start({ cursor: '4', since: 0 }, false, Date.now())
    hub.subscribed()
    subscribeTab('5')
    for (const n of [5, 6]) {
      ring.push(tailOf(n), Date.now())
      hub.event(tailOf(n))
    }
    expect(posted.slice(-3)).toEqual([
      { type: 'event', from: 'hub', tail: tailOf(5) },
      { type: 'subscribed', from: 'hub', to: 'a', call: '1', missed: [], transport: 'sse' },
      { type: 'event', from: 'hub', tail: tailOf(6) },
    ])
    vi.advanceTimersByTime(60_000)
    expect(posted.filter(({ type }) => type === 'subscribed')).toHaveLength(1)
  })

  test('rejects a subscription after a second', () => {
    hub.subscribed()
    subscribeTab('5')
    vi.advanceTimersByTime(1_000)
    expect(posted.at(-1)).toEqual({ type: 'subscribed', from: 'hub', to: 'a', call: '1', missed: undefined })
  })
})

describe('a tab that follows', () => {
  const follow = () => {
    const [posted, delivered, handedOver]: [Content[], SocketMessage[], boolean[]] = [[], [], []]
    const link = new FollowingLink({ type: 'here', from: 'hub', isReady: true, number: 7 }, {
      id: 'a',
      ring: new EventRing(),
      since: 0,
      post: (message) => posted.push(message),
      deliver: (message) => delivered.push(message),
      handOver: (isAlone) => handedOver.push(isAlone),
    })
    link.send('{"i":"1","p":{"u":"/subscribe","h":{"last-event-id":"4"}}}')
    return { link, posted, delivered, handedOver }
  }
  const subscribed = { type: 'subscribed', from: 'hub', to: 'a', call: '1', missed: [[tailOf(5), 0]] } as const

  test('subscribes with its cursor, and receives missed and live events with its call id', () => {
    const { link, posted, delivered } = follow()
    expect(posted).toEqual([{ type: 'subscribe', from: 'a', to: 'hub', call: '1', cursor: '4', since: 0 }])
    link.receive({ type: 'event', from: 'hub', tail: tailOf(5), number: 8 })
    link.receive({ ...subscribed, number: 9 })
    link.receive({ type: 'event', from: 'other', tail: tailOf(9), number: 1 })
    link.receive({ type: 'event', from: 'hub', tail: tailOf(6), number: 10 })
    expect(delivered).toEqual(['{"i":"1","p":{"h":{"content-type":"text/event-stream"}}}', `{"i":"1"${tailOf(5)}`, `{"i":"1"${tailOf(6)}`])
  })

  test('continues with another socket when a message of the hub is missing', () => {
    const { link, delivered, handedOver } = follow()
    link.receive({ ...subscribed, number: 8 })
    link.receive({ type: 'event', from: 'hub', tail: tailOf(7), number: 10 })
    expect(delivered).toHaveLength(2)
    expect(handedOver).toEqual([false])
  })

  test.each([
    ['when the hub ends', { type: 'bye', from: 'hub', number: 8 }, [false]],
    ['when another tab leads', { type: 'here', from: 'other', isReady: false, number: 1 }, [false]],
    ['when the hub does not have the missed events', { ...subscribed, missed: undefined, number: 8 }, [true]],
    ['but not when the hub ends the socket of another tab', { type: 'bye', from: 'hub', to: 'b', number: 8 }, []],
    ['but not when an earlier hub responds', { type: 'here', from: 'other', to: 'a', isReady: true, number: 1 }, []],
  ] as const)('continues with another socket %s', (_, message, expected) => {
    const { link, handedOver } = follow()
    link.receive(message)
    expect(handedOver).toEqual(expected)
  })

  test('opens a WebSocket of its own without a cursor', () => {
    const { link, handedOver } = follow()
    link.send('{"i":"2","p":{"u":"/subscribe"}}')
    expect(handedOver).toEqual([true])
  })

  test('accepts new tokens itself, and relays other calls', async () => {
    const { link, posted, delivered } = follow()
    link.send('{"i":"2","p":{"u":"/updateToken","b":{}}}')
    expect(delivered).toEqual([])
    await undefined
    expect(delivered).toEqual(['{"i":"2","p":{"b":{}}}'])
    link.send('{"i":"3","p":{"u":"/call","b":{}}}')
    link.send('{"i":"1","t":4}')
    expect(posted.slice(1)).toEqual([expect.objectContaining({ type: 'data', data: '{"i":"3","p":{"u":"/call","b":{}}}' })])
  })
})

describe('the detection of silence', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  test('asks several times before it reports the silence', () => {
    const [ask, onSilent] = [vi.fn(), vi.fn()]
    const silence = new Silence(4_000, ask, onSilent)
    silence.check()
    vi.advanceTimersByTime(3_900)
    expect(ask.mock.calls.length).toBeGreaterThan(2)
    expect(onSilent).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1_200)
    expect(onSilent).toHaveBeenCalledTimes(1)
    silence.stop()
  })

  test('starts again with each message', () => {
    const onSilent = vi.fn()
    const silence = new Silence(4_000, () => silence.heard(), onSilent)
    silence.check()
    vi.advanceTimersByTime(60_000)
    expect(onSilent).not.toHaveBeenCalled()
    silence.stop()
  })
})

test.each([
  [{ number: 1, type: 'hello', from: 'a' }, true],
  [{ number: 1, type: 'here', from: 'a', isReady: true }, true],
  [{ number: 1, type: 'bye', from: 'a', to: 'b' }, true],
  [{ number: 1, type: 'subscribe', from: 'a', to: 'b', call: '1', cursor: undefined, since: 0 }, true],
  [{ number: 1, type: 'subscribed', from: 'a', to: 'b', call: '1', missed: [['', 0]] }, true],
  [{ number: 1, type: 'subscribed', from: 'a', to: 'b', call: '1', missed: [], transport: 'sse' }, true],
  [{ number: 1, type: 'subscribed', from: 'a', to: 'b', call: '1', missed: [], transport: 1 }, false],
  [{ number: 1, type: 'event', from: 'a', tail: '' }, true],
  [{ number: 1, type: 'data', from: 'a', to: 'b', data: new ArrayBuffer(0), at: 0 }, true],
  [undefined, false],
  [null, false],
  ['hello', false],
  [{ type: 'hello', from: 'a' }, false],
  [{ number: 1, type: 'hello' }, false],
  [{ number: 1, type: 'toString', from: 'a' }, false],
  [{ number: 1, type: 'here', from: 'a' }, false],
  [{ number: 1, type: 'hello', from: 'a', to: 1 }, false],
  [{ number: 1, type: 'subscribe', from: 'a', to: 'b', call: '1', cursor: 1, since: 0 }, false],
  [{ number: 1, type: 'subscribe', from: 'a', to: 'b', call: '1', since: Number.NaN }, false],
  [{ number: 1, type: 'subscribed', from: 'a', to: 'b', call: '1', missed: [1] }, false],
  [{ number: 1, type: 'data', from: 'a', to: 'b', data: {}, at: 0 }, false],
])('%j is a message: %s', (value, expected) => {
  expect(isMessage(value)).toBe(expected)
})

test('an invalid key or time is rejected', () => {
  expect(() => shareBetweenTabs('')).toThrow('key must be a non-empty string, got ""')
  expect(() => shareBetweenTabs('a', { leaderTimeout: 0 })).toThrow('leaderTimeout must be greater than 0, got 0')
})

test('the iterators of a link plugin share a WebSocket, and call procedures over it', async () => {
  const [app, proxy] = [await startApplication(), await Proxy.start(journals.url)]
  const chn = 'plugin'
  const url = new URL('/upgrade/USUAL', proxy.url)
  const open = () => app.client({ url, share: shareBetweenTabs(chn) }).onEvent(chn)
  const iterators = [await open(), await open()]
  await journals.stub('USUAL', chn, 'publish', { n: 1 })
  for (const iterator of iterators) expect((await iterator.next()).value).toEqual({ n: 1 })
  await expect.poll(() => proxy.open).toBe(1)
  await journals.stub('USUAL', chn, 'publish', { n: 2 })
  for (const iterator of iterators) expect((await iterator.next()).value).toEqual({ n: 2 })
  expect(await Promise.all(iterators.map((iterator) => iterator.whoAmI()))).toEqual(['me', 'me'])
  for (const iterator of iterators) await iterator.return()
  await proxy.dispose()
  await app.dispose()
})

test('each tab receives the snapshot of the Durable Object', async () => {
  const chn = 'snapshot'
  for (let n = 0; n < 3; n += 1) await journals.stub('LEDGER', chn, 'add')
  const subscriptions: Subscription<{ type: string; items?: number[]; n?: number }>[] = []
  for (let n = 0; n < 3; n += 1) {
    const events = subscribe<{ type: string; items?: number[]; n?: number }>({
      url: new URL('/upgrade/LEDGER', journals.url),
      token: () => token({ chn }),
      share: shareBetweenTabs('snapshot'),
    })
    subscriptions.push(events)
    expect((await events.next()).value).toMatchObject({ type: 'snapshot', items: [1, 2, 3] })
  }
  await journals.stub('LEDGER', chn, 'add')
  for (const events of subscriptions) {
    expect((await events.next()).value).toMatchObject({ type: 'added', n: 4 })
    await events.return()
  }
})

describe('flow control of a shared WebSocket', () => {
  const padding = 'x'.repeat(10_000)
  const publish = async (chn: string, from: number, to: number): Promise<void> => {
    for (let n = from; n <= to; n++) await journals.stub('USUAL', chn, 'publish', { n, padding })
  }
  const read = async (events: Subscription<{ n: number }>, count: number): Promise<number[]> => {
    const numbers: number[] = []
    while (numbers.length < count) numbers.push((await events.next()).value!.n)
    return numbers
  }

  /** Opens tabs that share a WebSocket: the first one leads. */
  async function tabs(proxy: Proxy, chn: string, options: object = {}): Promise<[Subscription<{ n: number }>, Subscription<{ n: number }>, string[]]> {
    const states: string[] = []
    const open = (more: object): Subscription<{ n: number }> =>
      subscribe<{ n: number }>({
        url: new URL('/upgrade/USUAL', proxy.url),
        token: () => token({ chn }),
        share: shareBetweenTabs(chn),
        onStateChange: (state) => states.push(state),
        ...more,
      })
    const leading = open(options)
    await leading.opened()
    await publish(chn, 1, 1)
    expect(await read(leading, 1)).toEqual([1])
    const following = open({})
    expect(await read(following, 1)).toEqual([1])
    await expect.poll(() => proxy.open).toBe(1)
    return [leading, following, states]
  }

  test('when the network stalls, all tabs receive everything afterwards over the same WebSocket', async () => {
    const [chn, proxy] = ['stalled tabs', await Proxy.start(journals.url)]
    const [leading, following, states] = await tabs(proxy, chn)
    const [connections, before] = [proxy.upgrades.length, states.length]
    for (let round = 0; round < 2; round++) {
      const restart = proxy.stall()
      await publish(chn, round * 60 + 2, round * 60 + 61)
      restart()
      const expected = Array.from({ length: 60 }, (_, n) => round * 60 + n + 2)
      expect(await Promise.all([read(leading, 60), read(following, 60)])).toEqual([expected, expected])
    }
    expect([proxy.upgrades.length, states.slice(before)]).toEqual([connections, []])
    for (const events of [leading, following]) await events.return()
    await proxy.dispose()
  })

  test('a leading tab that is paused acknowledges for the others', async () => {
    const [chn, proxy] = ['paused leader', await Proxy.start(journals.url)]
    const [leading, following] = await tabs(proxy, chn, { maxBufferedBytes: 50_000 })
    const connections = proxy.upgrades.length
    for (let n = 2; n <= 91; n += 10) {
      await publish(chn, n, n + 9)
      expect(await read(following, 10)).toEqual(Array.from({ length: 10 }, (_, index) => n + index))
    }
    expect([leading.state, proxy.upgrades.length]).toEqual(['paused', connections])
    expect(await read(leading, 90)).toEqual(Array.from({ length: 90 }, (_, n) => n + 2))
    for (const events of [leading, following]) await events.return()
    await proxy.dispose()
  })
})

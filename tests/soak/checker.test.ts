// The checker must find violations: each of these histories has one, added by hand.

import { createHash } from 'node:crypto'

import { describe, expect, test } from 'vitest'

import { check, excerpt } from './checker.ts'
import type { ViolationKind } from './violation.ts'
import type {
  Attempt, ClientRecord, GapNotification, History, PresenceDelivery, PresenceEvent, PresenceMember, Publish, Revocation, StateCall, Wipe,
} from './history.ts'

/** A time like those of a run, in milliseconds. */
const START = 1_800_000_000_000
const RETENTION = 3_000
const id = (n: number): number => (START + n * 100) * 1_000

/** Event n is published every 100 ms. */
const publish = (n: number, more: Partial<Publish> = {}): Publish => ({
  n,
  channel: 'c',
  by: 'p',
  sentAt: START + n * 100,
  answeredAt: START + n * 100 + 5,
  outcome: 'stored',
  id: id(n),
  audience: {},
  ...more,
})

const frames = (...numbers: number[]): { id: number; n: number }[] => numbers.map((n) => ({ n, id: id(n) }))

/** After event n. */
const after = (n: number): number => START + n * 100 + 50

const attempt = (from: number | undefined, at: number, numbers: number[], more: Partial<Attempt> = {}): Attempt => ({
  from: from === undefined ? { issuedAt: START / 1_000 } : { lastEventId: id(from) },
  sentAt: at,
  answeredAt: at + 2,
  expires: START / 1_000 + 86_400,
  frames: frames(...numbers),
  ...more,
})

const client = (attempts: Attempt[], more: Partial<ClientRecord> = {}): ClientRecord => ({
  name: 'anna',
  kind: 'bare',
  channel: 'c',
  connection: 'anna-id',
  attempts,
  delivered: attempts.flatMap((each) => each.frames),
  stayed: false,
  ...more,
})

/** Ten events. Anna receives 1 to 4, reconnects after 6 and receives the rest. There is no violation. */
function good(): History & { clients: [ClientRecord] } {
  return {
    channels: [{ name: 'c', retention: RETENTION, bound: 1_000, last: id(10) }],
    publishes: Array.from({ length: 10 }, (_, n) => publish(n + 1)),
    wipes: [],
    revocations: [],
    states: [],
    clients: [client([attempt(undefined, START, [1, 2, 3, 4]), attempt(4, after(6), [5, 6, 7, 8, 9, 10])], { stayed: true })],
    faults: [{ at: after(4), kind: 'cut', target: 'anna' }],
  }
}

const found = (history: History): ViolationKind[] => check(history).violations.map(({ kind }) => kind)

/** Changes the events that Anna received. */
function broken(change: (frames: Attempt['frames'], client: ClientRecord) => Attempt['frames']): History {
  const history = good()
  const [anna] = history.clients
  const last = anna.attempts[1] as Attempt
  last.frames = change(last.frames, anna)
  anna.delivered = anna.attempts.flatMap((each) => each.frames)
  return history
}

test('a correct history has no violations', () => {
  expect(check(good())).toEqual({ violations: [], gapsTold: 0 })
})

describe('events', () => {
  test('one that never arrived is found', () => {
    expect(found(broken((all) => all.filter(({ n }) => n !== 7)))).toEqual(['lost'])
  })

  test('one at the start of a resume that never arrived is found', () => {
    expect(found(broken((all) => all.filter(({ n }) => n !== 5)))).toEqual(['lost'])
  })

  test('the last one of a channel that never arrived is found', () => {
    expect(found(broken((all) => all.filter(({ n }) => n !== 10)))).toEqual(['lost'])
  })

  test('one without an acknowledgement that one client received and another did not is found', () => {
    const history = good()
    Object.assign(history.publishes[6] as Publish, { outcome: 'unknown', id: undefined })
    history.clients.push(client([attempt(undefined, START, [1, 2, 3, 4, 5, 6, 8])], { name: 'bert', connection: 'bert-id' }) as never)
    expect(check(history).violations).toMatchObject([{ kind: 'lost', client: 'bert', id: id(7) }])
  })

  test('one without an acknowledgement that no client received may be missing', () => {
    const history = broken((all) => all.filter(({ n }) => n !== 7))
    Object.assign(history.publishes[6] as Publish, { outcome: 'unknown', id: undefined })
    expect(found(history)).toEqual([])
  })

  test('one that arrived twice is found', () => {
    expect(found(broken((all) => [...all.slice(0, 3), ...frames(7), ...all.slice(3)]))).toEqual(['duplicated'])
  })

  test('one that arrived again after a resume is found', () => {
    expect(found(broken((all) => [...frames(4), ...all]))).toEqual(['duplicated'])
  })

  test('two in the wrong order are found', () => {
    expect(found(broken((all) => [...all.slice(0, 2), ...frames(8, 7), ...all.slice(4)]))).toEqual(['reordered'])
  })

  test('one that a client received and its application did not is found', () => {
    const history = good()
    history.clients[0].delivered.splice(5, 1)
    expect(check(history).violations).toMatchObject([{ kind: 'lost', id: id(6) }])
  })

  test('ids that contradict the order of publishing are found', () => {
    const history = good()
    const [fifth, sixth] = [history.publishes[4] as Publish, history.publishes[5] as Publish]
    ;[fifth.id, sixth.id] = [id(6), id(5)]
    history.clients = [] as never
    expect(found(history)).toEqual(['reordered'])
  })

  test('one that was never published is found', () => {
    expect(found(broken((all) => [...all, { n: 99, id: id(11) }]))).toEqual(['invented'])
  })

  test('one whose publish was rejected is found', () => {
    const history = good()
    Object.assign(history.publishes[6] as Publish, { outcome: 'rejected', id: undefined })
    expect(found(history)).toEqual(['invented'])
  })

  test('one that arrived with another id than in the response is found', () => {
    expect(found(broken((all) => all.map((each) => (each.n === 7 ? { n: 7, id: id(7) + 1 } : each))))).toContain('invented')
  })
})

describe('events for others', () => {
  const only = (audience: Publish['audience']): History => {
    const history = good()
    ;(history.publishes[6] as Publish).audience = audience
    return history
  }

  test.each([
    ['for somebody else', { to: ['bert-id'] }],
    ['for all but this client', { except: ['anna-id'] }],
    ['for all but its caller, which is this client', { caller: 'anna' }],
  ])('an event %s is found', (_, audience) => {
    expect(check(only(audience)).violations).toMatchObject([{ kind: 'leaked', id: id(7) }])
  })

  test('an event for another client is not lost', () => {
    const history = broken((all) => all.filter(({ n }) => n !== 7))
    ;(history.publishes[6] as Publish).audience = { to: ['bert-id'] }
    expect(found(history)).toEqual([])
  })

  test('an event of another channel is found', () => {
    const history = good()
    history.channels.push({ name: 'd', retention: RETENTION, bound: 1_000 })
    ;(history.publishes[6] as Publish).channel = 'd'
    expect(found(history)).toEqual(['leaked'])
  })

  test('an event published after the token had expired is found', () => {
    const history = good()
    ;(history.clients[0].attempts[1] as Attempt).expires = (START + 850) / 1_000
    expect(check(history).violations).toMatchObject([
      { kind: 'leaked', id: id(9) },
      { kind: 'leaked', id: id(10) },
    ])
  })
})

describe('gaps', () => {
  /** Forty events in four seconds. Anna has received 1 to 4 and reconnects after 40, when 1 to 10 have expired. */
  const expired = (gap: number | undefined, numbers: number[]): History => ({
    channels: [{ name: 'c', retention: RETENTION, bound: 1_000 }],
    publishes: Array.from({ length: 40 }, (_, n) => publish(n + 1)),
    wipes: [],
    revocations: [],
    states: [],
    clients: [client([attempt(undefined, START, [1, 2, 3, 4]), attempt(4, after(40), numbers, gap === undefined ? {} : { gap })])],
    faults: [],
  })
  const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n)

  test('a reported one and the following events are correct', () => {
    expect(check(expired(id(10) + 1, range(11, 40)))).toEqual({ violations: [], gapsTold: 1 })
  })

  test('an unreported one is found', () => {
    expect(found(expired(undefined, range(11, 40)))).toContain('gap missed')
  })

  test('an unreported one is found even if no event follows', () => {
    expect(found(expired(undefined, []))).toEqual(['gap missed'])
  })

  test('an unreported one is accepted if the subscription ended at once', () => {
    const history = expired(undefined, [])
    const [anna] = history.clients as [ClientRecord]
    ;(anna.attempts[1] as Attempt).ended = true
    expect(found(history)).toEqual([])
    // But the next subscription must report it.
    anna.attempts.push(attempt(4, after(40) + 20, []))
    expect(found(history)).toEqual(['gap missed'])
    expect(found(expired(undefined, range(11, 40)))).toContain('gap missed')
  })

  test('one that is too short is found', () => {
    expect(found(expired(id(7) + 1, range(11, 40)))).toContain('gap false')
  })

  test('one that is too long is found', () => {
    expect(found(expired(id(13) + 1, range(14, 40)))).toEqual(['gap false'])
  })

  test('one that is reported to a client without missed events is found', () => {
    const history = good()
    ;(history.clients[0].attempts[1] as Attempt).gap = id(4) + 1
    expect(found(history)).toEqual(['gap false'])
  })

  test('one that includes an available event is found', () => {
    expect(found(expired(id(10) + 1, range(12, 40)))).toEqual(['lost'])
  })

  test('one for a client without a cursor counts from the issue of its token', () => {
    const history = expired(undefined, [])
    const late = (issued: number, gap?: number): History => ({
      ...history,
      clients: [client([{ ...attempt(undefined, after(40), range(11, 40), gap === undefined ? {} : { gap }), from: { issuedAt: issued / 1_000 } }])],
    })
    expect(found(late(START))).toEqual(['gap missed'])
    expect(found(late(START, id(10) + 1))).toEqual([])
    expect(found(late(START + 2_000))).toEqual([])
    expect(found(late(START + 2_000, id(10) + 1))).toEqual(['gap false'])
  })

  test('during the request an event may or may not expire', () => {
    // Events 10 and 11 expire between the request and the response, which takes 150 ms.
    for (const gone of [10, 11]) {
      const history = expired(id(gone) + 1, range(gone + 1, 40))
      const second = (history.clients[0] as ClientRecord).attempts[1] as Attempt
      second.answeredAt = second.sentAt + 150
      expect(found(history)).toEqual([])
    }
  })

  const bounded = (attempts: Attempt[]): History => ({
    channels: [{ name: 'c', retention: 1_000_000, bound: 8 }],
    publishes: Array.from({ length: 40 }, (_, n) => publish(n + 1)),
    wipes: [],
    revocations: [],
    states: [],
    clients: attempts.map((each, n) => client([each], { name: `client-${n}` })),
    faults: [],
  })

  test('one by a bound is reported between three quarters of the bound and the bound', () => {
    for (const gone of [32, 33, 34]) {
      expect(found(bounded([attempt(4, after(40), range(gone + 1, 40), { gap: id(gone) + 1 })]))).toEqual([])
    }
    expect(found(bounded([attempt(4, after(40), range(32, 40), { gap: id(31) + 1 })]))).toEqual(['gap false'])
    expect(found(bounded([attempt(4, after(40), range(36, 40), { gap: id(35) + 1 })]))).toEqual(['gap false'])
    expect(found(bounded([attempt(31, after(40), range(32, 40))]))).toEqual(['gap missed'])
    expect(found(bounded([attempt(33, after(40), range(34, 40))]))).toEqual([])
  })

  test('an event that was reported as deleted must not arrive later', () => {
    const told = attempt(4, after(40), range(35, 40), { gap: id(34) + 1 })
    const later = attempt(33, after(41), range(34, 40))
    expect(found(bounded([told, later]))).toEqual(['gap false', 'gap missed'])
  })
})

describe('wipes', () => {
  /** From 10 ms before a moment to 10 ms after it. */
  const wipe = (at: number, more: Partial<Wipe> = {}): Wipe => ({ channel: 'c', sentAt: at - 10, endedAt: at + 10, outcome: 'wiped', ...more })
  const issued = (at: number): Partial<Attempt> => ({ from: { issuedAt: Math.floor(at / 1_000) } })
  const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n)
  const gap = (n: number): Partial<Attempt> => ({ gap: id(n) + 1 })

  /** Forty events in four seconds, which do not expire, and a wipe after the twentieth. */
  const wiped = (attempts: Attempt[], wipes = [wipe(after(20))], more: Partial<ClientRecord> = {}): History => ({
    channels: [{ name: 'c', retention: 1_000_000, bound: 1_000 }],
    publishes: Array.from({ length: 40 }, (_, n) => publish(n + 1)),
    wipes,
    revocations: [],
    states: [],
    clients: [client(attempts, more)],
    faults: [],
  })

  test('a client that missed wiped events receives a gap, and everything later', () => {
    const history = wiped([attempt(undefined, START, range(1, 4)), attempt(4, after(30), range(21, 40), gap(20))])
    expect(check(history)).toEqual({ violations: [], gapsTold: 1 })
  })

  test('a gap that is not reported is found', () => {
    const found_ = (numbers: number[]): ViolationKind[] => found(wiped([attempt(4, after(30), numbers)]))
    expect(found_(range(21, 40))).toContain('gap missed')
    expect(found_([])).toEqual(['gap missed'])
  })

  test('a gap that is not reported to a token from before the wipe is found', () => {
    expect(found(wiped([attempt(undefined, after(30), range(21, 40))]))).toContain('gap missed')
    expect(found(wiped([attempt(undefined, after(30), range(21, 40), gap(20))]))).toEqual([])
  })

  test('a replay that continues after the wipe without a gap is found', () => {
    const history = wiped([attempt(undefined, START, [...range(1, 12), ...range(21, 40)])])
    expect(found(history)).toEqual(Array(8).fill('lost'))
  })

  test('a replay that the wipe ended, and a gap in the next one, are correct', () => {
    expect(found(wiped([attempt(undefined, START, range(1, 12)), attempt(12, after(21), range(21, 40), gap(20))]))).toEqual([])
  })

  test('an open subscription receives what is published after the wipe', () => {
    expect(found(wiped([attempt(undefined, START, range(1, 40))]))).toEqual([])
    expect(found(wiped([attempt(undefined, START, [...range(1, 20), ...range(22, 40)])]))).toEqual(['lost'])
  })

  test('a client with all wiped events may receive a gap or not', () => {
    expect(found(wiped([attempt(20, after(30), range(21, 40))]))).toEqual([])
    expect(found(wiped([attempt(20, after(30), range(21, 40), { gap: id(21) - 5 })]))).toEqual([])
  })

  test('a gap may end anywhere between the wipe and the next event', () => {
    for (const end of [id(20) + 1, id(20) + 60_000, id(21)]) {
      expect(found(wiped([attempt(4, after(30), range(21, 40), { gap: end })]))).toEqual([])
    }
  })

  test('a gap that leaves out a wiped event is found', () => {
    expect(found(wiped([attempt(4, after(30), range(21, 40), gap(19))]))).toContain('gap false')
  })

  test('a gap that includes an event stored after the wipe is found', () => {
    expect(found(wiped([attempt(4, after(30), range(22, 40), gap(21))]))).toEqual(['gap false'])
  })

  test('a gap to a cursor from after the wipe is found', () => {
    expect(found(wiped([attempt(22, after(30), range(23, 40), gap(22))]))).toEqual(['gap false'])
    expect(found(wiped([attempt(22, after(30), range(24, 40), gap(23))]))).toEqual(['gap false'])
  })

  test('a gap to a token from after the wipe and the next event is found', () => {
    const late = (more: Partial<Attempt>): History => {
      const history = wiped([attempt(undefined, after(30), range(31, 40), { ...issued(START + 3_000), ...more })])
      history.publishes = history.publishes.filter(({ n }) => n !== 30)
      return history
    }
    expect(found(late({}))).toEqual([])
    expect(found(late({ gap: (START + 3_040) * 1_000 }))).toEqual(['gap false'])
  })

  test('a gap to a token from between the wipe and the next event is allowed', () => {
    const history = wiped([attempt(undefined, after(30), range(31, 40), { ...issued(START + 3_000), gap: (START + 3_045) * 1_000 })], [wipe(START + 2_950)])
    // No event was published for half a second, so that the second of the token starts in it.
    history.publishes = history.publishes.filter(({ n }) => n < 27 || n > 30)
    expect(found(history)).toEqual([])
  })

  test('an event published during the wipe may be deleted or not', () => {
    const during = [wipe(START + 2_000, { sentAt: START + 1_990, endedAt: START + 2_010 })]
    expect(found(wiped([attempt(4, after(30), range(21, 40), gap(20))], during))).toEqual([])
    expect(found(wiped([attempt(4, after(30), range(20, 40), gap(19))], during))).toEqual([])
    // But an event that a client received cannot be deleted before.
    const both = wiped([attempt(4, after(25), range(21, 40), gap(20)), attempt(4, after(30), range(20, 40), gap(19))], during)
    expect(found(both)).toContain('gap false')
  })

  test('a subscription during the wipe may have its response before it', () => {
    const during = attempt(4, after(20) - 5, [])
    expect(found(wiped([during]))).toEqual([])
    expect(found(wiped([{ ...during, ...gap(20), frames: frames(...range(21, 40)) }]))).toEqual([])
    expect(found(wiped([{ ...during, frames: frames(...range(21, 40)) }]))).toEqual(Array(16).fill('lost'))
  })

  test('a wipe without a response may have happened or not', () => {
    const unknown = [wipe(after(20), { outcome: 'unknown' })]
    expect(found(wiped([attempt(4, after(30), range(5, 40))], unknown))).toEqual([])
    expect(found(wiped([attempt(4, after(30), range(21, 40), gap(20))], unknown))).toEqual([])
    expect(found(wiped([attempt(4, after(30), range(21, 40))], unknown))).toEqual(Array(16).fill('lost'))
  })

  test('a gap before the wipe, or by the wipe of another channel, is found', () => {
    expect(found(wiped([attempt(4, after(18), range(19, 40), gap(18))]))).toEqual(['gap false'])
    expect(found(wiped([attempt(4, after(30), range(21, 40), gap(20))], [wipe(after(20), { channel: 'd' })]))).toEqual(['gap false'])
  })

  test('after two wipes the gap includes both', () => {
    const twice = [wipe(after(20)), wipe(after(30))]
    expect(found(wiped([attempt(4, after(35), range(31, 40), gap(30))], twice))).toEqual([])
    expect(found(wiped([attempt(4, after(35), range(31, 40), gap(20))], twice))).toContain('gap false')
    expect(found(wiped([attempt(22, after(35), range(31, 40))], twice))).toContain('gap missed')
    expect(found(wiped([attempt(32, after(35), range(33, 40))], twice))).toEqual([])
  })

  test('a decreasing id is found', () => {
    const history = wiped([])
    ;(history.publishes[20] as Publish).id = id(20) - 1
    expect(check(history).violations).toMatchObject([{ kind: 'reordered', id: id(20) - 1 }])
  })

  test('a duplicate id is found', () => {
    const history = wiped([])
    ;(history.publishes[20] as Publish).id = id(20)
    expect(found(history)).toEqual(['invented'])
  })

  test('an id below an earlier gap is found', () => {
    const told = attempt(4, after(20) + 20, [], { gap: id(21) + 20_000 })
    expect(found(wiped([told]))).toContain('reordered')
    expect(found(wiped([{ ...told, gap: id(21) - 40_000 }]))).toEqual([])
  })
})

describe('gap notifications', () => {
  const GAP = id(4) + 60_000

  /** Like the correct history, but events 1 to 4 were wiped before Anna reconnected for the rest. */
  const notified = (...notifications: GapNotification[]): ReturnType<typeof good> => {
    const history = good()
    history.wipes = [{ channel: 'c', sentAt: after(4) - 10, endedAt: after(4) + 10, outcome: 'wiped' }]
    ;(history.clients[0].attempts[1] as Attempt).gap = GAP
    history.clients[0].notified = notifications
    return history
  }

  test('a gap between the right events is correct', () => {
    expect(found(notified({ after: 4, next: GAP }))).toEqual([])
  })

  test('a gap that only the response contains is found', () => {
    expect(found(notified())).toEqual(['gap missed'])
  })

  test('a client that has left does not have to be notified', () => {
    const history = notified()
    history.clients[0].stayed = false
    expect(found(history)).toEqual([])
  })

  test('a gap that no response contains is found', () => {
    expect(found(notified({ after: 4, next: GAP }, { after: 4, next: GAP }))).toEqual(['gap false'])
  })

  test('another gap than the one in the response is found', () => {
    expect(found(notified({ after: 4, next: GAP + 1 }))).toEqual(['gap false'])
  })

  test('a gap on the wrong side of an event is found', () => {
    expect(check(notified({ after: 3, next: GAP })).violations).toMatchObject([{ kind: 'gap false', id: id(4) }])
    expect(check(notified({ after: 5, next: GAP })).violations).toMatchObject([{ kind: 'gap false', id: id(5) }])
  })
})

describe('clients that limit their attempts', () => {
  const attempting = (...handshakes: number[]): History => {
    const history = good()
    history.clients[0].handshakes = handshakes.map((at) => START + at)
    return history
  }

  test('one attempt per second is correct, even if some arrive late', () => {
    expect(found(attempting(0, 1_000, 2_000, 3_000, 4_000, 5_000))).toEqual([])
    expect(found(attempting(0, 1_900, 2_000, 3_990, 4_000, 5_000))).toEqual([])
  })

  test('a storm of attempts is found', () => {
    expect(found(attempting(0, 50, 100, 150, 200, 250))).toEqual(['too many attempts'])
  })

  test('two attempts per second are found after a while', () => {
    expect(found(attempting(...Array.from({ length: 10 }, (_, n) => n * 500)))).toEqual(['too many attempts'])
  })

  test('an iterator that ended is found', () => {
    const history = good()
    history.clients[0].ended = ['Error: gone']
    expect(check(history).violations).toMatchObject([{ kind: 'iteration ended', text: 'its iterator ended: Error: gone' }])
  })
})

test('an excerpt shows the event, its publish, the subscription and the fault', () => {
  const history = broken((all) => all.filter(({ n }) => n !== 7))
  const [violation] = check(history).violations
  const lines = excerpt(history, violation!)
  expect(lines.length).toBeLessThan(20)
  expect(lines[0]).toContain('lost')
  expect(lines.join('\n')).toMatch(/> publish 7 by p: stored/)
  expect(lines.join('\n')).toMatch(/> subscribe 1/)
  expect(lines.join('\n')).toMatch(/fault cut/)
})

describe('a client whose requests are not recorded', () => {
  /** Anna receives these events, and is notified of these gaps. The first four events were deleted in time. */
  const unobserved = (numbers: number[], notified: GapNotification[] = []): History => {
    const history = good()
    const anna = client([], { delivered: frames(...numbers), notified, isUnobserved: true, stayed: true })
    history.channels[0]!.bound = 8
    history.clients = [anna]
    return history
  }

  test('that receives all events from its first one on has no violations', () => {
    expect(found(unobserved([3, 4, 5, 6, 7, 8, 9, 10]))).toEqual([])
  })

  test('that loses an event is found', () => {
    expect(found(unobserved([1, 2, 4, 5, 6, 7, 8, 9, 10]))).toEqual(['lost'])
  })

  test('that receives an event twice, or out of order, is found', () => {
    expect(found(unobserved([1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10]))).toEqual(['duplicated'])
    expect(found(unobserved([1, 2, 4, 3, 5, 6, 7, 8, 9, 10]))).toEqual(['reordered'])
  })

  test('may miss the events of a gap of which it was notified', () => {
    const notified = [{ after: 1, next: id(4) + 1, at: after(10) }]
    expect(found(unobserved([1, 5, 6, 7, 8, 9, 10], notified))).toEqual([])
  })

  test('that is notified of a gap of events that were retained is found', () => {
    const notified = [{ after: 1, next: id(4) + 1, at: after(5) }]
    expect(found(unobserved([1, 5, 6, 7, 8, 9, 10], notified))).toEqual(['gap false'])
  })

  test('that is notified of a gap between the wrong events is found', () => {
    const notified = [{ after: 3, next: id(4) + 1, at: after(10) }]
    expect(found(unobserved([1, 2, 5, 6, 7, 8, 9, 10], notified))).toContain('gap false')
  })
})

describe('batches', () => {
  /** Like the correct history, but events 6 to 9 are a batch. */
  const batched = (change: Parameters<typeof broken>[0] = (all) => all): ReturnType<typeof good> => {
    const history = broken(change) as ReturnType<typeof good>
    for (const [index, event] of history.publishes.slice(5, 9).entries()) event.batch = { first: 6, index, length: 4 }
    return history
  }

  test('a complete one is correct', () => {
    expect(found(batched())).toEqual([])
  })

  test('one in which a subscription starts or ends is correct', () => {
    const history = batched()
    const [anna] = history.clients
    const last = anna.attempts[1] as Attempt
    anna.attempts.push(attempt(7, after(9), [8, 9, 10]))
    last.frames = frames(5, 6, 7)
    expect(found(history)).toEqual([])
  })

  test('one of which only the first events arrived is found, even without a response', () => {
    const history = batched((all) => all.filter(({ n }) => n < 8 || n === 10))
    for (const event of history.publishes.slice(5, 9)) Object.assign(event, { outcome: 'unknown', id: undefined })
    expect(found(history)).toContain('torn')
  })

  test('one of which the last events arrived is found', () => {
    const history = batched((all) => all.filter(({ n }) => n !== 6))
    for (const event of history.publishes.slice(5, 9)) Object.assign(event, { outcome: 'unknown', id: undefined })
    expect(found(history)).toContain('torn')
  })

  test('an event between its events is found', () => {
    const history = batched()
    delete history.publishes[7]!.batch
    history.clients = [] as never
    expect(found(history)).toEqual(['torn'])
  })

  test('a wrong order is found', () => {
    const history = batched()
    history.publishes[5]!.batch!.index = 1
    history.publishes[6]!.batch!.index = 0
    history.clients = [] as never
    expect(found(history)).toEqual(['reordered'])
  })

  test('one of which a client without recorded requests received only a part is found', () => {
    const history = batched()
    for (const event of history.publishes.slice(5, 9)) Object.assign(event, { outcome: 'unknown', id: undefined })
    history.clients = [client([], { delivered: frames(5, 6, 7, 10), notified: [], isUnobserved: true })]
    expect(found(history)).toEqual(['torn'])
  })
})

describe('revocations', () => {
  /** Anna's token is of the start. She subscribes once, and receives events 1 to 10. Her token is revoked between events 4 and 5. */
  const revoked = (more: Partial<Revocation>, numbers: number[], issued = START / 1_000): History => ({
    ...good(),
    revocations: [{ channel: 'c', sentAt: after(4) - 10, endedAt: after(4), outcome: 'revoked', ...more }],
    clients: [client([attempt(undefined, START, numbers, { issued })], { subject: 'anna-subject' })],
  })
  const all = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]

  test.each([
    ['connection', { connection: 'anna-id' }],
    ['subject', { subject: 'anna-subject' }],
    ['time of issue', { issuedBefore: START + 1 }],
  ])('an event after the revocation of its %s is found', (_, of) => {
    expect(check(revoked(of, all)).violations[0]).toMatchObject({ kind: 'leaked', id: id(5) })
    expect(found(revoked(of, [1, 2, 3, 4]))).toEqual([])
  })

  test.each([
    ['connection', { connection: 'bert-id' }],
    ['subject', { subject: 'bert-subject' }],
    ['time of issue', { issuedBefore: START }],
  ])('an event after the revocation of another %s is correct', (_, of) => {
    expect(found(revoked(of, all))).toEqual([])
  })

  test('an event after a revocation without a response is correct', () => {
    expect(found(revoked({ connection: 'anna-id', outcome: 'unknown' }, all))).toEqual([])
  })

  test('a subscription with a revoked token is found, even without events', () => {
    const history = revoked({ connection: 'anna-id' }, [1, 2, 3, 4])
    const again = (more: Partial<Attempt>): ViolationKind[] => {
      history.clients = [client([attempt(10, after(10), [], { issued: START / 1_000, ...more })])]
      return found(history)
    }
    expect(again({})).toEqual(['leaked'])
    expect(again({ answeredAt: undefined as never })).toEqual([])
    expect(again({ issued: START / 1_000 + 1 })).toEqual([])
  })

  test('a subscription with a revoked token after a wipe is correct', () => {
    const history = revoked({ connection: 'anna-id' }, [1, 2, 3, 4])
    history.clients = [client([attempt(10, after(10), [], { issued: START / 1_000 })])]
    history.wipes = [{ channel: 'c', sentAt: after(9), endedAt: after(9) + 5, outcome: 'wiped' }]
    expect(found(history)).toEqual([])
    history.wipes[0]!.endedAt = after(2)
    history.wipes[0]!.sentAt = after(2)
    expect(found(history)).toEqual(['leaked'])
  })
})

describe('presence', () => {
  const GRACE = 200
  const memberOf = (connection: string): string => createHash('sha256').update(connection).digest('base64url').slice(0, 22)
  const [ANNA, BERT] = [memberOf('anna-id'), memberOf('bert-id')]
  const list = (...ids: string[]): { id: string }[] => ids.map((id) => ({ id }))
  const event = (fields: Partial<PresenceEvent>): PresenceEvent => ({ type: 'presence', ...fields })

  /** Anna and Bert receive all events in one subscription each. Bert joins after event 2. */
  function present(): History & { clients: [ClientRecord, ClientRecord] } {
    const anna: PresenceDelivery[] = [
      { event: event({ members: list(ANNA), self: ANNA }), at: START + 3, attempt: 0, after: 0 },
      { event: event({ joined: list(BERT) }), at: after(2) + 10, attempt: 0, after: id(2) },
    ]
    const bert: PresenceDelivery[] = [{ event: event({ members: list(ANNA, BERT), self: BERT }), at: after(2) + 5, attempt: 0, after: id(2) }]
    const about = { isPresent: true, members: list(ANNA, BERT), stayed: true }
    return {
      ...good(),
      channels: [{ name: 'c', retention: RETENTION, bound: 1_000, last: id(10), presence: { grace: GRACE, key: 'connection', members: list(BERT, ANNA) } }],
      clients: [
        client([attempt(undefined, START, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])], { ...about, presence: anna }),
        client([attempt(1, after(2), [2, 3, 4, 5, 6, 7, 8, 9, 10])], { ...about, name: 'bert', connection: 'bert-id', presence: bert }),
      ],
    }
  }

  /** Anna receives one more presence event after event n. */
  const received = (n: number, fields: Partial<PresenceEvent>): History => {
    const history = present()
    history.clients[0].presence!.push({ event: event(fields), at: after(n) + 10, attempt: 0, after: id(n) })
    return history
  }

  test('correct lists and changes have no violations', () => {
    expect(check(present()).violations).toEqual([])
  })

  test('a member that is listed at the end without a subscription is found', () => {
    const history = present()
    history.clients[1].isPresent = false
    expect(found(history)).toEqual(['ghost', 'ghost'])
    history.clients[0].members = list(ANNA)
    expect(found(history)).toEqual(['ghost'])
    history.channels[0]!.presence!.members = list(ANNA)
    expect(found(history)).toEqual([])
  })

  test('a member with a subscription that is not listed at the end is found', () => {
    const history = present()
    history.clients[0].members = list(ANNA)
    expect(check(history).violations).toMatchObject([{ kind: 'member missed', client: 'anna' }])
  })

  test('a member that leaves although it has a subscription is found', () => {
    expect(found(received(6, { left: [BERT] }))).toEqual(['left early'])
  })

  test('a member that leaves before the end of the grace period is found', () => {
    const left = (n: number): ViolationKind[] => {
      const history = received(n, { left: [BERT] })
      const [anna, bert] = history.clients as [ClientRecord, ClientRecord]
      bert.attempts[0]!.frames = frames(2, 3, 4)
      bert.delivered = bert.attempts[0]!.frames
      Object.assign(bert, { isPresent: false, stayed: false })
      anna.members = list(ANNA)
      history.channels[0]!.presence!.members = list(ANNA)
      return found(history)
    }
    expect(left(5)).toEqual(['left early'])
    expect(left(7)).toEqual([])
  })

  test('a list without a member that has a subscription is found', () => {
    expect(found(received(6, { members: list(ANNA) }))).toEqual(['member missed'])
  })

  test('a list without a member that was perhaps not there any more is correct', () => {
    expect(found(received(10, { members: list(ANNA) }))).toEqual([])
  })

  test('a newcomer that receives an event before the list is found', () => {
    const history = present()
    const [delivery] = history.clients[1].presence as [PresenceDelivery]
    delivery.after = id(4)
    delivery.at = after(4)
    expect(check(history).violations).toMatchObject([{ kind: 'members late', client: 'bert' }])
  })

  test('a client that never receives a list is found', () => {
    const history = present()
    history.clients[1].presence = []
    expect(found(history)).toContain('members late')
  })

  test('a newcomer whose first event is no list is found', () => {
    const history = present()
    history.clients[1].presence![0]!.event = event({ joined: list(ANNA, BERT), self: BERT })
    expect(found(history)).toContain('members invalid')
  })

  test('a newcomer with another member id than its key has is found', () => {
    const history = present()
    history.clients[1].presence![0]!.event = event({ members: list(ANNA, BERT), self: ANNA })
    expect(found(history)).toContain('members invalid')
  })

  describe('states', () => {
    const call = (n: number, fields: Partial<StateCall> = {}): StateCall => {
      const about = { channel: 'c', client: 'bert', member: BERT, attempt: 0, state: 'typing' }
      return { ...about, sentAt: after(n), endedAt: after(n) + 1, outcome: 'set', ...fields }
    }
    const typing = [{ id: ANNA }, { id: BERT, state: 'typing' }]

    /** Bert is typing. Anna and the Durable Object have these members at the end, Bert has the right ones. */
    function withStates(states: StateCall[], anna: PresenceMember[] = typing, listed = anna): History {
      const history = received(6, { changed: [{ id: BERT, state: 'typing' }] })
      history.states = states
      history.channels[0]!.presence!.members = listed
      Object.assign(history.clients[0]!, { members: anna })
      Object.assign(history.clients[1]!, { members: typing })
      return history
    }

    test('that their members have set have no violations', () => {
      expect(found(withStates([call(5)]))).toEqual([])
      expect(found(withStates([call(5, { outcome: 'unknown', endedAt: Number.POSITIVE_INFINITY })]))).toEqual([])
    })

    test('that nobody, or another member, has set are found', () => {
      expect(found(withStates([]))).toContain('members invalid')
      expect(found(withStates([call(5, { member: ANNA, client: 'anna' })]))).toContain('members invalid')
      expect(found(withStates([call(5, { outcome: 'rejected' })]))).toContain('members invalid')
      expect(found(withStates([call(8)]))).toContain('members invalid')
    })

    test('that differ between the lists at the end are found', () => {
      expect(found(withStates([call(5)], list(ANNA, BERT), typing))).toEqual(['state wrong'])
      const unknown = call(5, { outcome: 'unknown', endedAt: Number.POSITIVE_INFINITY })
      expect(found(withStates([unknown], list(ANNA, BERT), typing))).toEqual(['state wrong'])
    })

    test('that are not the last ones at the end are found', () => {
      expect(found(withStates([call(4, { state: 'reading' }), call(5)], [{ id: ANNA }, { id: BERT, state: 'reading' }]))).toContain('state wrong')
      expect(found(withStates([call(5)], list(ANNA, BERT)))).toContain('state wrong')
    })

    test('of an earlier subscription may be missing at the end', () => {
      const history = withStates([call(5, { attempt: -1 })], list(ANNA, BERT))
      Object.assign(history.clients[1]!, { members: list(ANNA, BERT) })
      expect(found(history)).toEqual([])
    })
  })

  test.each<[string, Partial<PresenceEvent>]>([
    ['a connection id', { joined: list('bert-id') }],
    ['a member twice', { joined: list(BERT, BERT) }],
    ['a member that joins and leaves', { joined: list('somebody'), left: ['somebody'] }],
    ['a list without the client itself', { members: list(BERT), self: ANNA }],
  ])('an event with %s is found', (_, fields) => {
    expect(found(received(10, fields))).toContain('members invalid')
  })
})

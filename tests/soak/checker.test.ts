// The checker must find what is wrong: each of these histories is broken in one way, by hand.

import { describe, expect, test } from 'vitest'

import { check, excerpt } from './checker.ts'
import type { ViolationKind } from './checker.ts'
import type { Attempt, ClientRecord, History, Publish } from './history.ts'

/** In milliseconds: a time like those of a run. */
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

/** Ten events; anna gets 1 to 4, comes back after 6 and gets the rest. Nothing is wrong with it. */
function good(): History & { clients: [ClientRecord] } {
  return {
    channels: [{ name: 'c', retention: RETENTION, bound: 1_000, last: id(10) }],
    publishes: Array.from({ length: 10 }, (_, n) => publish(n + 1)),
    clients: [client([attempt(undefined, START, [1, 2, 3, 4]), attempt(4, after(6), [5, 6, 7, 8, 9, 10])], { stayed: true })],
    faults: [{ at: after(4), kind: 'cut', target: 'anna' }],
  }
}

const found = (history: History): ViolationKind[] => check(history).violations.map(({ kind }) => kind)

/** Changes what anna got. */
function broken(change: (frames: Attempt['frames'], client: ClientRecord) => Attempt['frames']): History {
  const history = good()
  const [anna] = history.clients
  const last = anna.attempts[1] as Attempt
  last.frames = change(last.frames, anna)
  anna.delivered = anna.attempts.flatMap((each) => each.frames)
  return history
}

test('a good history has nothing wrong', () => {
  expect(check(good())).toEqual({ violations: [], gapsTold: 0 })
})

describe('events', () => {
  test('one that never came is found', () => {
    expect(found(broken((all) => all.filter(({ n }) => n !== 7)))).toEqual(['lost'])
  })

  test('one at the very beginning of a resume that never came is found', () => {
    expect(found(broken((all) => all.filter(({ n }) => n !== 5)))).toEqual(['lost'])
  })

  test('the channel’s last one that never came is found', () => {
    expect(found(broken((all) => all.filter(({ n }) => n !== 10)))).toEqual(['lost'])
  })

  test('one that nobody acknowledged, but somebody saw, and another did not, is found', () => {
    const history = good()
    Object.assign(history.publishes[6] as Publish, { outcome: 'unknown', id: undefined })
    history.clients.push(client([attempt(undefined, START, [1, 2, 3, 4, 5, 6, 8])], { name: 'bert', connection: 'bert-id' }) as never)
    expect(check(history).violations).toMatchObject([{ kind: 'lost', client: 'bert', id: id(7) }])
  })

  test('one that nobody acknowledged and nobody saw may be missing', () => {
    const history = broken((all) => all.filter(({ n }) => n !== 7))
    Object.assign(history.publishes[6] as Publish, { outcome: 'unknown', id: undefined })
    expect(found(history)).toEqual([])
  })

  test('one that came twice is found', () => {
    expect(found(broken((all) => [...all.slice(0, 3), ...frames(7), ...all.slice(3)]))).toEqual(['duplicated'])
  })

  test('one that came again after a resume is found', () => {
    expect(found(broken((all) => [...frames(4), ...all]))).toEqual(['duplicated'])
  })

  test('two that were swapped are found', () => {
    expect(found(broken((all) => [...all.slice(0, 2), ...frames(8, 7), ...all.slice(4)]))).toEqual(['reordered'])
  })

  test('an application that got one less than its client is found', () => {
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

  test('one that nobody published is found', () => {
    expect(found(broken((all) => [...all, { n: 99, id: id(11) }]))).toEqual(['invented'])
  })

  test('one whose publish was refused is found', () => {
    const history = good()
    Object.assign(history.publishes[6] as Publish, { outcome: 'refused', id: undefined })
    expect(found(history)).toEqual(['invented'])
  })

  test('one that came under another id than was answered is found', () => {
    expect(found(broken((all) => all.map((each) => (each.n === 7 ? { n: 7, id: id(7) + 1 } : each))))).toContain('invented')
  })
})

describe('what is meant for others', () => {
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

  test('an event for somebody else is not missed', () => {
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
  /** Forty events in four seconds; anna has seen 1 to 4 and comes back after 40, when 1 to 10 have expired. */
  const expired = (gap: number | undefined, numbers: number[]): History => ({
    channels: [{ name: 'c', retention: RETENTION, bound: 1_000 }],
    publishes: Array.from({ length: 40 }, (_, n) => publish(n + 1)),
    clients: [client([attempt(undefined, START, [1, 2, 3, 4]), attempt(4, after(40), numbers, gap === undefined ? {} : { gap })])],
    faults: [],
  })
  const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n)

  test('one that is told, and what follows, is right', () => {
    expect(check(expired(id(10) + 1, range(11, 40)))).toEqual({ violations: [], gapsTold: 1 })
  })

  test('one that is not told is found', () => {
    expect(found(expired(undefined, range(11, 40)))).toContain('gap missed')
  })

  test('one that is not told is found even if no event follows', () => {
    expect(found(expired(undefined, []))).toEqual(['gap missed'])
  })

  test('one that says less than has gone is found', () => {
    expect(found(expired(id(7) + 1, range(11, 40)))).toContain('gap false')
  })

  test('one that says more than has gone is found', () => {
    expect(found(expired(id(13) + 1, range(14, 40)))).toEqual(['gap false'])
  })

  test('one that is told to who missed nothing is found', () => {
    const history = good()
    ;(history.clients[0].attempts[1] as Attempt).gap = id(4) + 1
    expect(found(history)).toEqual(['gap false'])
  })

  test('one that hides an event which is there is found', () => {
    expect(found(expired(id(10) + 1, range(12, 40)))).toEqual(['lost'])
  })

  test('one to a first connect counts from its token’s time', () => {
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
    // Events 10 and 11 expire between the question and the answer, which takes 150 ms.
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
    clients: attempts.map((each, n) => client([each], { name: `client-${n}` })),
    faults: [],
  })

  test('one by a bound is told between three quarters of the bound and the bound', () => {
    for (const gone of [32, 33, 34]) {
      expect(found(bounded([attempt(4, after(40), range(gone + 1, 40), { gap: id(gone) + 1 })]))).toEqual([])
    }
    expect(found(bounded([attempt(4, after(40), range(32, 40), { gap: id(31) + 1 })]))).toEqual(['gap false'])
    expect(found(bounded([attempt(4, after(40), range(36, 40), { gap: id(35) + 1 })]))).toEqual(['gap false'])
    expect(found(bounded([attempt(31, after(40), range(32, 40))]))).toEqual(['gap missed'])
    expect(found(bounded([attempt(33, after(40), range(34, 40))]))).toEqual([])
  })

  test('what was said to be gone may not come again, and what comes may not have been said to be gone', () => {
    const told = attempt(4, after(40), range(35, 40), { gap: id(34) + 1 })
    const later = attempt(33, after(41), range(34, 40))
    expect(found(bounded([told, later]))).toEqual(['gap false', 'gap missed'])
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

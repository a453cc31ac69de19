// Gaps: the response to `/subscribe` has a header if missed events are no longer available.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { startJournals } from './support/journals.ts'
import type { Binding, Journals } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

interface Answer {
  /** The id from which all events are available; missing if there is no gap. */
  gap: string | undefined
  ids: string[]
}

/** Subscribes with a cursor. Resolves when the replay is complete. */
async function resume(binding: Binding, chn: string, lastEventId?: string, iat?: number): Promise<Answer> {
  const claims = iat === undefined ? { chn, rpc: ['kept'] } : { chn, rpc: ['kept'], iat }
  const socket = await BareSocket.open(await journals.upgrade(binding, claims))
  const h = lastEventId === undefined ? {} : { h: { 'last-event-id': lastEventId } }
  socket.send({ i: 'a', p: { u: '/subscribe', b: {}, ...h } })
  socket.send({ i: 'b', p: { u: '/call', b: { json: { path: ['kept'] } } } })
  // A small replay has one step, so it is complete at the second response.
  let frames = await socket.frames(2)
  while (frames.at(-1).i !== 'b') frames = await socket.frames(frames.length + 1)
  socket.vanish()
  const [answer, ...events] = frames.filter(({ i }) => i === 'a')
  expect(answer.p.h['content-type']).toBe('text/event-stream')
  return { gap: answer.p.h['x-durable-event-gap'], ids: events.map(({ p }) => p.m.id) }
}

async function publish(binding: Binding, chn: string, count: number): Promise<string[]> {
  const ids: string[] = []
  for (let n = 1; n <= count; n++) ids.push(await journals.stub(binding, chn, 'publish', { n }))
  return ids
}

/** Waits, since retention depends on the clock. */
const secondsPass = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

test('a quiet channel has no gap', async () => {
  const chn = 'quiet'
  expect(await resume('USUAL', chn)).toEqual({ gap: undefined, ids: [] })
  const ids = await publish('USUAL', chn, 1)
  await journals.hibernate('USUAL', chn)
  expect(await resume('USUAL', chn, ids[0])).toEqual({ gap: undefined, ids: [] })
  // The token is older than the log.
  expect(await resume('USUAL', chn, undefined, Date.now() / 1000 - 3600)).toEqual({ gap: undefined, ids })
})

test('expired events are no gap for a client that has received all of them', async () => {
  const chn = 'quiet-short'
  const ids = await publish('SHORT', chn, 3)
  await secondsPass(1.1)
  expect(await resume('SHORT', chn, ids[2])).toEqual({ gap: undefined, ids: [] })
  await journals.stub('SHORT', chn, 'prune')
  await journals.hibernate('SHORT', chn)
  expect(await resume('SHORT', chn, ids[2])).toEqual({ gap: undefined, ids: [] })
  // A client with a later token has missed nothing either.
  expect(await resume('SHORT', chn)).toEqual({ gap: undefined, ids: [] })
})

test('an expired event is never served, even without a later publish, and is a gap', async () => {
  const chn = 'expired'
  const iat = Date.now() / 1000 - 2
  const ids = await publish('SHORT', chn, 3)
  await secondsPass(1.1)
  const gap = String(Number(ids[2]) + 1)
  expect(await resume('SHORT', chn, ids[0])).toEqual({ gap, ids: [] })
  expect(await resume('SHORT', chn, undefined, iat)).toEqual({ gap, ids: [] })
})

test('events deleted by the bounds are a gap, and all retained events follow in order', async () => {
  const chn = 'bounds'
  const ids = await publish('FEW', chn, 30)
  const { gap, ids: served } = await resume('FEW', chn, ids[0])
  expect(served.length).toBeGreaterThanOrEqual(6)
  expect(served.length).toBeLessThanOrEqual(8)
  expect(served).toEqual(ids.slice(-served.length))
  expect(Number(gap)).toBeGreaterThan(Number(ids.at(-served.length - 1)))
  expect(Number(gap)).toBeLessThanOrEqual(Number(served[0]))
  // A client that has received the last deleted event has missed nothing.
  expect(await resume('FEW', chn, ids.at(-served.length - 1))).toEqual({ gap: undefined, ids: served })
})

test('after its storage is wiped, a Durable Object reports a gap, and ids keep increasing', async () => {
  const chn = 'wiped'
  const [first] = await publish('USUAL', chn, 2)
  await journals.stub('USUAL', chn, 'wipe')
  await journals.hibernate('USUAL', chn)
  const empty = await resume('USUAL', chn, first)
  expect(empty).toMatchObject({ gap: expect.stringMatching(/^\d+$/), ids: [] })
  const ids = await publish('USUAL', chn, 2)
  expect(Number(ids[0])).toBeGreaterThan(Number(first))
  const { gap, ids: served } = await resume('USUAL', chn, first)
  expect(Number(gap)).toBeLessThanOrEqual(Number(ids[0]))
  expect(served).toEqual(ids)
})

test('a Durable Object whose storage is wiped while it is awake stores and serves later events', async () => {
  const chn = 'wiped-awake'
  const [first] = await publish('USUAL', chn, 2)
  await journals.stub('USUAL', chn, 'wipe')
  const ids = await publish('USUAL', chn, 2)
  const { gap, ids: served } = await resume('USUAL', chn, first)
  expect(gap).toBeDefined()
  expect(served).toEqual(ids)
})

test('ids keep increasing after a wipe with a clock that was ahead', async () => {
  const chn = 'wiped-ahead'
  const [, second] = await publish('USUAL', chn, 2)
  await journals.stub('USUAL', chn, 'putAhead', second)
  await journals.hibernate('USUAL', chn)
  const [ahead] = await publish('USUAL', chn, 1)
  expect(Number(ahead)).toBeGreaterThan((Date.now() + 1_800_000) * 1_000)
  await journals.stub('USUAL', chn, 'wipe')
  await journals.hibernate('USUAL', chn)
  const [next] = await publish('USUAL', chn, 1)
  expect(Number(next)).toBeGreaterThan(Number(ahead))
  expect(await resume('USUAL', chn, ahead)).toEqual({ gap: next, ids: [next] })
})

test.each(['', 'abc', '-1', '1e3', '1.5', '007', '99999999999999999999', '9007199254740991', "1' OR '1'='1", '\u0000'])(
  'an id from elsewhere (%j) is a gap, and everything retained follows',
  async (lastEventId) => {
    const chn = 'elsewhere'
    const known = await resume('USUAL', chn, undefined, Date.now() / 1000)
    const ids = known.ids.length > 0 ? known.ids : await publish('USUAL', chn, 3)
    const { gap, ids: served } = await resume('USUAL', chn, lastEventId)
    expect(Number(gap)).toBeLessThanOrEqual(Number(ids[0]))
    expect(served).toEqual(ids)
  },
)

test('a client that refreshes its token before its first event sends the time of its first token', async () => {
  const chn = 'since'
  const ids = await publish('USUAL', chn, 3)
  await secondsPass(3.1) // more than the clock skew, and tokens have whole seconds
  const waits = async (since: string): Promise<unknown> => {
    const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn, iat: Date.now() / 1000 }))
    socket.send({ i: 'a', p: { u: '/subscribe', b: {}, h: { 'x-durable-event-since': since } } })
    socket.send({ i: 'b', p: { u: '/call', b: { json: { path: [] } } } })
    let frames = await socket.frames(2)
    while (frames.at(-1).i !== 'b') frames = await socket.frames(frames.length + 1)
    socket.vanish()
    return frames.slice(1, -1).map(({ p }) => p.m.id)
  }
  expect(await waits(String(Date.now() / 1000 - 10))).toEqual(ids)
  for (const since of ['', 'NaN', 'Infinity', '1e99', 'abc', String(Date.now() / 1000 + 100)]) {
    expect(await waits(since)).toEqual([])
  }
})

test('a resume from a retained event delivers exactly the events after it', async () => {
  const chn = 'whole'
  const ids = await publish('USUAL', chn, 12)
  for (const n of [0, 5, 10, 11]) {
    expect(await resume('USUAL', chn, ids[n])).toEqual({ gap: undefined, ids: ids.slice(n + 1) })
  }
})

test('the alarm of the library deletes the events of a silent channel', async () => {
  const chn = 'swept'
  const id = await journals.stub('SWEPT', chn, 'publish', { n: 1 })
  const tables = (): Promise<unknown> => journals.stub('SWEPT', chn, 'tables')
  expect(await tables()).toEqual([[`dei_events_${Number(id) - 1}_first`, 1]])
  // An alarm cannot be awaited from outside, so the test waits for its effect.
  await expect.poll(tables, { interval: 100, timeout: 10_000 }).toEqual([[`dei_events_${id}`, 0]])
})

test('the alarm of the library is set again by the first event after it, also after hibernation', async () => {
  const chn = 'swept-twice'
  const tables = (): Promise<unknown> => journals.stub('SWEPT', chn, 'tables')
  const isSwept = async (): Promise<void> => {
    const [id] = await publish('SWEPT', chn, 1)
    await expect.poll(tables, { interval: 100, timeout: 10_000 }).toEqual([[`dei_events_${id}`, 0]])
  }
  await isSwept()
  await isSwept()
  await journals.evict({ worker: 'objects', className: 'SweptJournal', name: chn })
  await isSwept()
  // An event before the eviction and one after it: the alarm of the first remains.
  await publish('SWEPT', chn, 1)
  await journals.evict({ worker: 'objects', className: 'SweptJournal', name: chn })
  await isSwept()
})

test("the library's alarm is set again after everything was deleted", async () => {
  const chn = 'swept-again'
  await publish('SWEPT', chn, 1)
  await journals.stub('SWEPT', chn, 'wipe')
  const [id] = await publish('SWEPT', chn, 1)
  const tables = (): Promise<unknown> => journals.stub('SWEPT', chn, 'tables')
  await expect.poll(tables, { interval: 100, timeout: 10_000 }).toEqual([[`dei_events_${id}`, 0]])
})

test('the alarm of the library is set by the next publish after a rolled-back transaction', async () => {
  const chn = 'swept-later'
  await journals.stub('SWEPT', chn, 'transactSlowly', [{ publish: { n: 1 } }, { fail: 'Changed its mind.' }], '')
  await journals.stub('SWEPT', chn, 'transact', [{ publish: { n: 2 } }, { fail: 'Changed its mind.' }])
  const [[id]] = await journals.stub('SWEPT', chn, 'transact', [{ publish: { n: 3 } }])
  const tables = (): Promise<unknown> => journals.stub('SWEPT', chn, 'tables')
  await expect.poll(tables, { interval: 100, timeout: 10_000 }).toEqual([[`dei_events_${id}`, 0]])
})

// A full disk, failing statements, and damaged rows.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startFaultyJournals } from './support/faults.ts'
import type { FaultyJournals } from './support/faults.ts'
import { BareSocket } from './support/socket.ts'

let journals: FaultyJournals
beforeAll(async () => {
  journals = await startFaultyJournals()
})
afterAll(() => journals.dispose())

/** The error messages of SQLite and the Workers runtime. */
const FAILURES = [
  ['a full disk', 'database or disk is full: SQLITE_FULL'],
  ['a limit of the runtime', 'string or blob too big: SQLITE_TOOBIG'],
  ['a disk that cannot be read', 'disk I/O error: SQLITE_IOERR'],
] as const

async function subscriber(chn: string, lastEventId?: string): Promise<BareSocket> {
  const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn, rpc: ['publish'] }))
  const headers = lastEventId === undefined ? {} : { h: { 'last-event-id': lastEventId } }
  socket.send({ i: 's', p: { u: '/subscribe', b: {}, ...headers } })
  await socket.frames(1)
  return socket
}

const WHOLE = { i: 's', p: { h: { 'content-type': 'text/event-stream' } } }
const numbers = (frames: any[]): number[] => frames.slice(1).map(({ p }) => p.d.json.n)

describe.each(FAILURES)('with %s', (name, message) => {
  test.each(['CREATE', 'INSERT'])('a publish whose %s fails returns an error, is not sent, and is no gap', async (start) => {
    const chn = `${name} ${start}`
    const live = await subscriber(chn)
    let last: string | undefined
    if (start === 'INSERT') last = await journals.stub('USUAL', chn, 'publish', { n: 1 })
    await journals.set({ statement: { name: chn, start, message, times: 2 } })
    for (let n = 0; n < 2; n++) {
      const failed = await journals.stub('USUAL', chn, 'publish', { n: 99 }).catch((error) => error)
      expect(failed).toMatchObject({ code: 'INTERNAL_SERVER_ERROR', failure: 'StorageFailure' })
      expect(failed.message).not.toContain('SQLITE')
    }
    const id = await journals.stub('USUAL', chn, 'publish', { n: 2 })
    await journals.stub('USUAL', chn, 'publish', { n: 3 })
    const all = start === 'INSERT' ? [1, 2, 3] : [2, 3]
    const events = await live.frames(all.length + 1)
    expect(numbers(events)).toEqual(all)
    // Neither a client with all earlier events nor a client without a cursor receives a gap notification.
    const resumed = await subscriber(chn, last ?? id)
    const rest = last === undefined ? [3] : [2, 3]
    expect((await resumed.frames(rest.length + 1))[0]).toEqual(WHOLE)
    expect(numbers(await resumed.frames(rest.length + 1))).toEqual(rest)
    const first = await subscriber(chn)
    expect((await first.frames(all.length + 1))[0]).toEqual(WHOLE)
    for (const socket of [live, resumed, first]) socket.vanish()
  })

  test('a call that publishes returns an error, and no event is sent', async () => {
    const chn = `${name} call`
    const [live, caller] = [await subscriber(chn), await subscriber(chn)]
    await journals.stub('USUAL', chn, 'publish', { n: 1 })
    await journals.set({ statement: { name: chn, start: 'INSERT', message, times: 1 } })
    await caller.frames(2)
    const publish = (i: string, n: number): void => caller.send({ i, p: { u: '/call', b: { json: { path: ['publish'], input: { n } } } } })
    publish('1', 2)
    publish('2', 3)
    const [refused, accepted] = (await caller.frames(4)).slice(2)
    expect(refused).toEqual({
      i: '1',
      p: { s: 500, b: { json: { defined: false, code: 'INTERNAL_SERVER_ERROR', status: 500, message: 'Internal server error' } } },
    })
    expect(accepted.p.s).toBeUndefined()
    expect(numbers(await live.frames(3))).toEqual([1, 3])
    for (const socket of [live, caller]) socket.vanish()
  })

  test('a failed deletion by the bounds does not fail the publish', async () => {
    const chn = `${name} drop`
    await journals.set({ statement: { name: chn, start: 'DROP', message, times: 3 } })
    const ids = []
    for (let n = 1; n <= 30; n++) ids.push(await journals.stub('FEW', chn, 'publish', { n }))
    const socket = await BareSocket.open(await journals.upgrade('FEW', { chn }))
    socket.send({ i: 's', p: { u: '/subscribe', b: {}, h: { 'last-event-id': ids.at(-3) } } })
    expect((await socket.frames(3))[0]).toEqual(WHOLE)
    expect(numbers(await socket.frames(3))).toEqual([29, 30])
    // The deletion happens as soon as it is possible.
    const [{ tables }] = await journals.statement('FEW', chn, "SELECT count(*) AS tables FROM sqlite_master WHERE name GLOB 'dei_events_*'")
    expect(tables).toBeLessThanOrEqual(6)
    socket.vanish()
  })

  test('a subscriber whose events cannot be read is closed with 1011, and receives all events after it reconnects', async () => {
    const chn = `${name} select`
    await journals.stub('USUAL', chn, 'publish', { n: 1 })
    await journals.set({ statement: { name: chn, start: 'SELECT', message, times: 2 } })
    const unlucky = await BareSocket.open(await journals.upgrade('USUAL', { chn }))
    unlucky.send({ i: 's', p: { u: '/subscribe', b: {} } })
    expect((await unlucky.end()).code).toBe(1011)
    const again = await subscriber(chn)
    expect((await again.frames(2))[0]).toEqual(WHOLE)
    expect(numbers(await again.frames(2))).toEqual([1])
    again.vanish()
  })

  test('a subscriber is served even if the first statement of its replay fails once', async () => {
    const chn = `${name} select once`
    await journals.stub('USUAL', chn, 'publish', { n: 1 })
    await journals.set({ statement: { name: chn, start: 'SELECT', message, times: 1 } })
    const socket = await subscriber(chn)
    expect((await socket.frames(2))[0]).toEqual(WHOLE)
    expect(numbers(await socket.frames(2))).toEqual([1])
    socket.vanish()
  })

  test('a Durable Object that cannot read its tables at wake-up recovers with the next event', async () => {
    const chn = `${name} waking`
    const live = await subscriber(chn)
    await journals.stub('USUAL', chn, 'publish', { n: 1 })
    await journals.hibernate('USUAL', chn)
    await journals.set({ statement: { name: chn, start: 'SELECT', message, times: 1 } })
    await expect(journals.stub('USUAL', chn, 'publish', { n: 2 })).rejects.toMatchObject({ code: 'INTERNAL_SERVER_ERROR' })
    await journals.stub('USUAL', chn, 'publish', { n: 3 })
    expect(numbers(await live.frames(3))).toEqual([1, 3])
    const late = await subscriber(chn)
    expect(numbers(await late.frames(3))).toEqual([1, 3])
    for (const socket of [live, late]) socket.vanish()
  })
})

describe('a damaged row', () => {
  test.each([
    ['invalid json', `json = '{"n":'`],
    ['empty json', `json = ''`],
    ['json as bytes', `json = x'ff00fe80'`],
    ['json with a NUL', `json = '{"n":' || char(0) || '}'`],
    ['invalid meta', `meta = '[['`],
    ['meta as bytes', `meta = x'ff'`],
    ['an invalid extra', `extra = 'nonsense'`],
    ['an invalid audience', `audience = 'nonsense'`],
    ['an audience as bytes', `audience = x'ff00'`],
    ['a count that is not a number', `count = 'many', bytes = -5`],
  ])('with %s does not block other events, live or on replay', async (name, change) => {
    const chn = `damaged ${name}`
    const ids: string[] = []
    for (let n = 1; n <= 5; n++) ids.push(await journals.stub('USUAL', chn, 'publish', { n }))
    const [{ name: table }] = await journals.statement('USUAL', chn, "SELECT name FROM sqlite_master WHERE name GLOB 'dei_events_*'")
    await journals.statement('USUAL', chn, `UPDATE "${table}" SET ${change} WHERE id = ${ids[2]}`)
    for (const isAsleep of [false, true]) {
      if (isAsleep) await journals.hibernate('USUAL', chn)
      const socket = await subscriber(chn)
      await socket.until((messages) => messages.some((text) => text.includes(ids[4]!)))
      const others = [ids[0], ids[1], ids[3], ids[4]].map((id) => socket.messages.findIndex((text) => text.includes(`"id":"${id}"`)))
      expect(others).toEqual([...others].sort((a, b) => a - b))
      expect(others).not.toContain(-1)
      expect(JSON.parse(socket.messages[0]!)).toEqual(WHOLE)
      const id = await journals.stub('USUAL', chn, 'publish', { n: 6 })
      await socket.until((messages) => messages.some((text) => text.includes(id)))
      socket.vanish()
    }
  })
})

test('tables of the application with similar names are neither read nor written, and do not conflict with ours', async () => {
  const chn = 'neighbours in storage'
  const foreign = ['dei_events', 'dei_events_', 'dei_events_x', 'dei_events_007', 'DEI_EVENTS_5', 'my_dei_events_5', 'events_5', 'dei_keys', 'dei_keys_x']
  for (const [n, table] of foreign.entries()) {
    await journals.statement('USUAL', chn, `CREATE TABLE "${table}" (mine); INSERT INTO "${table}" VALUES (${n})`)
  }
  const live = await subscriber(chn)
  await journals.stub('USUAL', chn, 'publish', { n: 1 })
  await journals.stub('USUAL', chn, 'publish', { n: 2 }, { idempotencyKey: 'k' })
  await journals.hibernate('USUAL', chn)
  await journals.stub('USUAL', chn, 'prune')
  const late = await subscriber(chn)
  for (const socket of [live, late]) {
    expect(numbers(await socket.frames(3))).toEqual([1, 2])
    socket.vanish()
  }
  for (const [n, table] of foreign.entries()) {
    expect(await journals.statement('USUAL', chn, `SELECT * FROM "${table}"`)).toEqual([{ mine: n }])
  }
})

test('an alarm that could not be set is set later, without another publish', async () => {
  const chn = 'alarm'
  await journals.set({ thrown: { call: 'setAlarm', value: 'Error', times: 1, name: chn } })
  await journals.stub('SWEPT', chn, 'publish', { n: 1 })
  // Only the alarm can delete the event: nothing else accesses the log.
  const tables = (): Promise<unknown[]> => journals.statement('SWEPT', chn, "SELECT 1 FROM sqlite_master WHERE name GLOB 'dei_events_*_first'")
  expect(await tables()).toHaveLength(1)
  await expect.poll(tables, { interval: 100, timeout: 15_000 }).toHaveLength(0)
})

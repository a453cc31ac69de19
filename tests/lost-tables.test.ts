// Storage deleted by the application, and dropped tables: clients that may have missed events receive a gap notification, and
// other clients do not.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { startFaultyJournals } from './support/faults.ts'
import type { FaultyJournals } from './support/faults.ts'
import type { Binding } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'

let journals: FaultyJournals
beforeAll(async () => {
  journals = await startFaultyJournals()
})
afterEach(() => journals.set({ ahead: 0, isHeld: false }))
afterAll(() => journals.dispose())

interface Answer {
  /** The id from which all events are available; missing if there is no gap. */
  gap: string | undefined
  ids: string[]
}

interface Position {
  lastEventId?: string
  /** In seconds since 1970. */
  iat?: number
  since?: number
}

/** Subscribes from a cursor. Returns the gap of the response, and all replayed events. */
async function resume(chn: string, position: Position, binding: Binding = 'USUAL'): Promise<Answer> {
  const answer = await tryToResume(chn, position, binding)
  if (answer === undefined) throw new Error('closed with 1011')
  return answer
}

/** The same, or undefined if the replay reaches missing events, which closes the socket with 1011. */
async function tryToResume(chn: string, position: Position, binding: Binding): Promise<Answer | undefined> {
  const { lastEventId, iat, since } = position
  const claims = iat === undefined ? { chn, rpc: ['kept'] } : { chn, rpc: ['kept'], iat, exp: seconds() + 1_000 }
  const socket = await BareSocket.open(await journals.upgrade(binding, claims))
  const h = {
    ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
    ...(since === undefined ? {} : { 'x-durable-event-since': String(since) }),
  }
  socket.send({ i: 'a', p: { u: '/subscribe', b: {}, h } })
  socket.send({ i: 'b', p: { u: '/call', b: { json: { path: ['kept'] } } } })
  const isAnswered = (messages: string[]): boolean => messages.some((text) => JSON.parse(text).i === 'b')
  await socket.until(isAnswered).catch(() => undefined)
  if (socket.closed?.code === 1011) return undefined
  socket.vanish()
  const [answer, ...events] = socket.messages.map((text) => JSON.parse(text)).filter(({ i }) => i === 'a')
  return { gap: answer.p.h['x-durable-event-gap'], ids: events.map(({ p }) => p.m.id) }
}

const seconds = (): number => Date.now() / 1000
const publish = (chn: string, n: number, binding: Binding = 'USUAL'): Promise<string> => journals.stub(binding, chn, 'publish', { n })

/** The log's tables and views, oldest first. */
async function tables(chn: string, binding: Binding = 'USUAL'): Promise<string[]> {
  const rows = await journals.statement(binding, chn, "SELECT name FROM sqlite_master WHERE name GLOB 'dei_*' ORDER BY name")
  return rows.map(({ name }) => name)
}

async function drop(chn: string, names: string[], binding: Binding = 'USUAL'): Promise<void> {
  for (const name of names) await journals.statement(binding, chn, `DROP TABLE "${name}"`)
}

const events = (names: string[]): string[] => names.filter((name) => name.startsWith('dei_events_'))

/** All ways to lose the storage while the instance stays awake. */
const LOSSES_AWAKE = [
  ['deleteAll', (chn: string) => journals.stub('USUAL', chn, 'wipe')],
  ['dropped tables', async (chn: string) => drop(chn, (await tables(chn)).filter((name) => /\d/.test(name)))],
] as const

const LOSSES = [
  ...LOSSES_AWAKE,
  ['deleteAll by an instance that has not read the log', async (chn: string) => {
    await journals.hibernate('USUAL', chn)
    await journals.stub('USUAL', chn, 'wipe')
  }],
  ['deleteAll, and eviction', async (chn: string) => {
    await journals.stub('USUAL', chn, 'wipe')
    await journals.hibernate('USUAL', chn)
  }],
  ['dropped tables, and eviction', async (chn: string) => {
    await drop(chn, (await tables(chn)).filter((name) => /\d/.test(name)))
    await journals.hibernate('USUAL', chn)
  }],
] as const

describe.each(LOSSES)('after %s', (name, lose) => {
  test('older tokens and cursors have a gap, before and after the next event', async () => {
    const chn = `${name} gap`
    const iat = seconds() - 1
    const first = await publish(chn, 1)
    await publish(chn, 2)
    await lose(chn)
    const gap = expect.stringMatching(/^\d+$/)
    for (const position of [{ iat }, { iat: 0 }, { lastEventId: first }, { since: iat }]) {
      expect(await resume(chn, position)).toEqual({ gap, ids: [] })
    }
    const third = await publish(chn, 3)
    expect(Number(third)).toBeGreaterThan(Number(first))
    for (const isAsleep of [false, true]) {
      if (isAsleep) await journals.hibernate('USUAL', chn)
      for (const position of [{ iat }, { lastEventId: first }, { since: iat }]) {
        const answer = await resume(chn, position)
        expect(answer).toEqual({ gap, ids: [third] })
        expect(Number(answer.gap)).toBeLessThanOrEqual(Number(third))
      }
    }
  })

  test('other clients have no gap', async () => {
    const chn = `${name} no gap`
    await publish(chn, 1)
    await lose(chn)
    await resume(chn, { iat: 0 }) // detects the loss
    const iat = Math.floor(seconds()) + 1 // tokens have whole seconds
    expect(await resume(chn, { iat })).toEqual({ gap: undefined, ids: [] })
    await journals.hibernate('USUAL', chn)
    expect(await resume(chn, { iat })).toEqual({ gap: undefined, ids: [] })
    const second = await publish(chn, 2)
    const third = await publish(chn, 3)
    for (const isAsleep of [false, true]) {
      if (isAsleep) await journals.hibernate('USUAL', chn)
      expect(await resume(chn, { iat })).toEqual({ gap: undefined, ids: [second, third] })
      expect(await resume(chn, { lastEventId: second })).toEqual({ gap: undefined, ids: [third] })
    }
  })
})

test.each(LOSSES_AWAKE)('after %s a running replay is stopped, and its client receives a gap notification', async (name, lose) => {
  for (const hasNext of [false, true]) {
    const chn = `${name} half-way ${hasNext}`
    await journals.stub('USUAL', chn, 'publishMany', 8, 100_000)
    const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn, iat: seconds() - 100 }))
    await journals.set({ isHeld: true })
    socket.send({ i: 's', p: { u: '/subscribe', b: {} } })
    await socket.frames(4)
    await lose(chn)
    // Another client may make the log detect the loss before the replay does.
    if (hasNext) await publish(chn, 9)
    await journals.set({ isHeld: false })
    const { code } = await socket.end()
    if (name === 'deleteAll' || hasNext) expect(code).toBe(1012)
    else expect(code).toBe(1011)
    const last = socket.messages.map((text) => JSON.parse(text)).findLast(({ p }) => p.e === 'message').p.m.id
    expect((await resume(chn, { lastEventId: last })).gap).toBeDefined()
  }
})

test('a replay that has sent all events, and is not live yet, is stopped too', async () => {
  const chn = 'before going live'
  await journals.stub('USUAL', chn, 'publishMany', 3, 100_000)
  const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn, iat: seconds() - 100 }))
  await journals.set({ isHeld: true })
  socket.send({ i: 's', p: { u: '/subscribe', b: {} } })
  const frames = await socket.frames(4)
  await journals.stub('USUAL', chn, 'wipe')
  await journals.set({ isHeld: false })
  expect(await socket.end()).toEqual({ code: 1012, reason: 'Replay outrun' })
  const answer = await resume(chn, { lastEventId: frames[3].p.m.id })
  expect(answer.gap).toBeDefined()
})

test('deleting the storage of a channel that never had an event is no gap, and leaves nothing', async () => {
  const chn = 'never used'
  expect(await resume(chn, { iat: 0 })).toEqual({ gap: undefined, ids: [] })
  await journals.stub('USUAL', chn, 'wipe')
  expect(await tables(chn)).toEqual([])
  for (const isAsleep of [false, true]) {
    if (isAsleep) await journals.hibernate('USUAL', chn)
    expect(await resume(chn, { iat: 0 })).toEqual({ gap: undefined, ids: [] })
  }
  const id = await publish(chn, 1)
  expect(await resume(chn, { iat: 0 })).toEqual({ gap: undefined, ids: [id] })
})

test('deleting everything leaves an empty table and a view, and erasing leaves nothing', async () => {
  const chn = 'erased'
  const first = await publish(chn, 1)
  await journals.stub('USUAL', chn, 'publish', { n: 2 }, { idempotencyKey: 'k' })
  await journals.stub('USUAL', chn, 'wipe')
  expect(await tables(chn)).toEqual(['dei_epoch', expect.stringMatching(/^dei_events_\d+$/)])
  await journals.stub('USUAL', chn, 'erase')
  expect(await tables(chn)).toEqual([])
  for (const isAsleep of [false, true]) {
    if (isAsleep) await journals.hibernate('USUAL', chn)
    expect(await resume(chn, { iat: 0 })).toEqual({ gap: undefined, ids: [] })
    expect((await resume(chn, { lastEventId: first })).gap).toBeDefined()
  }
})

test('a missing segment between others is a gap for cursors before its end, and for no others', async () => {
  for (const isAsleep of [false, true]) {
    const chn = `missing ${isAsleep}`
    const ids = []
    for (let n = 1; n <= 8; n++) ids.push(await publish(chn, n, 'FEW'))
    // Each segment has two events.
    const names = events(await tables(chn, 'FEW'))
    expect(names).toHaveLength(4)
    await drop(chn, [names[1]!], 'FEW')
    if (isAsleep) await journals.hibernate('FEW', chn)
    // While awake, the first replay detects the missing segment, and its client reconnects.
    if (!isAsleep) expect(await tryToResume(chn, { lastEventId: ids[0]! }, 'FEW')).toBeUndefined()
    for (const lastEventId of [ids[0]!, ids[1]!, ids[2]!]) {
      const answer = await resume(chn, { lastEventId }, 'FEW')
      expect(answer).toEqual({ gap: String(Number(ids[3]) + 1), ids: ids.slice(4) })
    }
    expect((await resume(chn, { iat: 0 }, 'FEW')).gap).toBeDefined()
    for (const n of [3, 4, 7]) {
      expect(await resume(chn, { lastEventId: ids[n]! }, 'FEW')).toEqual({ gap: undefined, ids: ids.slice(n + 1) })
    }
  }
})

test('the newest segment that is dropped while its instance is awake is a gap', async () => {
  const chn = 'newest'
  const ids = []
  for (let n = 1; n <= 8; n++) ids.push(await publish(chn, n, 'FEW'))
  await drop(chn, [events(await tables(chn, 'FEW')).at(-1)!], 'FEW')
  const next = await publish(chn, 9, 'FEW')
  expect(Number(next)).toBeGreaterThan(Number(ids[7]))
  for (const isAsleep of [false, true]) {
    if (isAsleep) await journals.hibernate('FEW', chn)
    for (const id of [ids[5]!, ids[7]!]) expect((await resume(chn, { lastEventId: id }, 'FEW')).gap).toBeDefined()
    expect(await resume(chn, { lastEventId: next }, 'FEW')).toEqual({ gap: undefined, ids: [] })
  }
})

test('a database from before the epoch view gets one with its next segment', async () => {
  const chn = 'before the view'
  for (let n = 1; n <= 2; n++) await publish(chn, n, 'FEW')
  await journals.statement('FEW', chn, 'DROP VIEW dei_epoch')
  await journals.hibernate('FEW', chn)
  const third = await publish(chn, 3, 'FEW')
  expect(await tables(chn, 'FEW')).toContain('dei_epoch')
  await drop(chn, events(await tables(chn, 'FEW')), 'FEW')
  await journals.hibernate('FEW', chn)
  expect((await resume(chn, { lastEventId: third }, 'FEW')).gap).toBeDefined()
  expect((await resume(chn, { iat: 0 }, 'FEW')).gap).toBeDefined()
})

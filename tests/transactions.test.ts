// Transactions: state and events are stored together or not at all, and events are sent only when they are stored.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { startFaultyJournals } from './support/faults.ts'
import type { FaultyJournals } from './support/faults.ts'
import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'

let journals: FaultyJournals
beforeAll(async () => {
  journals = await startFaultyJournals()
})
afterEach(() => journals.set({ ahead: 0, isHeld: false }))
afterAll(() => journals.dispose())

const CREATE = { sql: 'CREATE TABLE IF NOT EXISTS counters (n INTEGER)' }
const count = (n: number): object => ({ sql: `INSERT INTO counters VALUES (${n})` })
const publish = (n: number): object => ({ publish: { n } })
const FAIL = { fail: 'Changed its mind.' }

async function subscriber(chn: string, lastEventId?: string): Promise<BareSocket> {
  const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn, rpc: ['kept'] }))
  const headers = lastEventId === undefined ? {} : { h: { 'last-event-id': lastEventId } }
  socket.send({ i: 's', p: { u: '/subscribe', b: {}, ...headers } })
  await socket.frames(1)
  return socket
}

/** Returns all events that a socket has received before the response to a new call. */
async function received(socket: BareSocket): Promise<{ n: number; id?: string }[]> {
  const id = `c${socket.messages.length}`
  socket.send({ i: id, p: { u: '/call', b: { json: { path: ['kept'] } } } })
  await socket.until((messages) => messages.some((text) => JSON.parse(text).i === id))
  const events = socket.messages.map((text) => JSON.parse(text)).filter(({ i, p }) => i === 's' && p.e === 'message')
  return events.map(({ p }) => ({ n: p.d.json.n, ...(p.m === undefined ? {} : { id: p.m.id }) }))
}

/** Returns the stored events, as a client without a cursor receives them. */
async function stored(chn: string): Promise<{ n: number; id?: string }[]> {
  const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn, rpc: ['kept'], iat: Date.now() / 1000 - 100 }))
  socket.send({ i: 's', p: { u: '/subscribe', b: {} } })
  const [answer] = await socket.frames(1)
  expect(answer).toEqual({ i: 's', p: { h: { 'content-type': 'text/event-stream' } } })
  const events = await received(socket)
  socket.vanish()
  return events
}

const counted = async (chn: string): Promise<number[]> =>
  (await journals.statement('USUAL', chn, 'SELECT n FROM counters')).map(({ n }) => n)

/** All ways to run a transaction in application code. */
const WAYS = [
  ['channel.transaction', (chn: string, ...steps: object[]) => journals.stub('USUAL', chn, 'transact', steps)],
  ['storage.transaction', (chn: string, ...steps: object[]) => journals.stub('USUAL', chn, 'transactSlowly', steps, '')],
  ['a transaction within another', async (chn: string, ...steps: object[]) => {
    const [ids] = await journals.stub('USUAL', chn, 'transact', [{ nested: steps }])
    return [ids, steps.some((step) => 'fail' in step) ? 'swallowed' : null]
  }],
  ['a transaction within an asynchronous one', async (chn: string, ...steps: object[]) => {
    const [ids] = await journals.stub('USUAL', chn, 'transactSlowly', [{ nested: steps }], '')
    return [ids, steps.some((step) => 'fail' in step) ? 'swallowed' : null]
  }],
] as const

describe.each(WAYS)('%s', (way, transact) => {
  test('commits state and events together, in order, with the returned ids', async () => {
    const chn = `${way} commits`
    const live = await subscriber(chn)
    const [ids, error] = await transact(chn, CREATE, count(1), publish(1), count(2), publish(2))
    expect(error).toBeNull()
    const events = ids.map((id: string, n: number) => ({ n: n + 1, id }))
    expect(await received(live)).toEqual(events)
    expect(await stored(chn)).toEqual(events)
    expect(await counted(chn)).toEqual([1, 2])
    live.vanish()
  })

  test('stores and sends nothing when it fails, and never reuses an id', async () => {
    const chn = `${way} fails`
    const live = await subscriber(chn)
    await journals.stub('USUAL', chn, 'transact', [CREATE])
    for (const first of [[], [await journals.stub('USUAL', chn, 'publish', { n: 0 })]]) {
      const [ids, error] = await transact(chn, count(1), publish(1), { live: { n: 2 } }, { once: [{ n: 3 }, 'k'] }, FAIL)
      expect(error).not.toBeNull()
      expect(ids).toHaveLength(2)
      expect(await counted(chn)).toEqual([])
      const next = await journals.stub('USUAL', chn, 'publish', { n: 4 })
      expect(Number(next)).toBeGreaterThan(Number(ids[1]))
      expect((await stored(chn)).at(-1)).toEqual({ n: 4, id: next })
      expect((await received(live)).at(-1)).toEqual({ n: 4, id: next })
      // A client with the previous event has missed nothing, also in the next instance.
      for (const isAsleep of [false, true]) {
        if (isAsleep) await journals.hibernate('USUAL', chn)
        const resumed = await subscriber(chn, first[0] ?? next)
        expect(JSON.parse(resumed.messages[0]!).p.h).toEqual({ 'content-type': 'text/event-stream' })
        resumed.vanish()
      }
    }
    expect(new Set((await received(live)).map(({ n }) => n))).toEqual(new Set([0, 4]))
    live.vanish()
  })

  test('keeps an idempotency key only when it succeeds', async () => {
    const chn = `${way} key`
    const once = { once: [{ n: 1 }, 'paid'] }
    await transact(chn, once, FAIL)
    const [[id]] = await transact(chn, once, once)
    expect(await journals.stub('USUAL', chn, 'publishOnce', { n: 1 }, 'paid')).toEqual({ id, duplicate: true })
    expect(await stored(chn)).toEqual([{ n: 1, id }])
  })

  test('rolls back deletions', async () => {
    const chn = `${way} prune`
    const ids = [await journals.stub('USUAL', chn, 'publish', { n: 1 }), await journals.stub('USUAL', chn, 'publish', { n: 2 })]
    await journals.set({ ahead: 400_000 })
    await transact(chn, { prune: null }, publish(3), FAIL)
    await journals.set({ ahead: 0 })
    expect(await stored(chn)).toEqual([{ n: 1, id: ids[0] }, { n: 2, id: ids[1] }])
  })
})

test('a transaction returns the error of its code', async () => {
  const [ids, error] = await journals.stub('USUAL', 'error', 'transact', [publish(1), FAIL])
  expect([ids.length, error]).toEqual([1, expect.stringContaining('Changed its mind.')])
  // A handled error does not fail the transaction.
  const [some, none] = await journals.stub('USUAL', 'error', 'transact', [publish(1), { nested: [publish(2), FAIL] }, publish(3)])
  expect([some.length, none]).toEqual([3, null])
  expect((await stored('error')).map(({ n }) => n)).toEqual([1, 3])
})

test('live events arrive in the order in which they were sent', async () => {
  const live = await subscriber('order')
  await journals.stub('USUAL', 'order', 'transact', [publish(1), { live: { n: 2 } }, { nested: [publish(3), { live: { n: 4 } }] }, publish(5)])
  expect((await received(live)).map(({ n }) => n)).toEqual([1, 2, 3, 4, 5])
  live.vanish()
})

test('a manual rollback of an asynchronous transaction undoes earlier changes, and not later ones', async () => {
  const chn = 'by hand'
  const live = await subscriber(chn)
  const [ids] = await journals.stub('USUAL', chn, 'transactSlowly', [publish(1), publish(2)], 'roll back')
  expect(ids).toHaveLength(3)
  const events = [{ n: 2, id: ids[2] }]
  expect(await received(live)).toEqual(events)
  expect(await stored(chn)).toEqual(events)
  live.vanish()
})

test('a publish during an asynchronous transaction waits for its end, and is stored and sent', async () => {
  const chn = 'meanwhile'
  const live = await subscriber(chn)
  await journals.stub('USUAL', chn, 'transact', [CREATE])
  const slow = journals.stub('USUAL', chn, 'transactSlowly', [publish(1), count(1), FAIL], '')
  const quick = Array.from({ length: 5 }, (_, n) => journals.stub('USUAL', chn, 'publish', { n: n + 10 }))
  const [[, error]] = await Promise.all([slow, ...quick])
  expect(error).not.toBeNull()
  expect(await counted(chn)).toEqual([])
  const all = await stored(chn)
  expect(all.map(({ n }) => n).sort()).toEqual([10, 11, 12, 13, 14])
  expect(await received(live)).toEqual(all)
  live.vanish()
})

test('a running replay contains no events of a transaction that is rolled back', async () => {
  const chn = 'replay meanwhile'
  await journals.stub('ROOMY', chn, 'publishMany', 8, 100_000)
  const socket = await BareSocket.open(await journals.upgrade('ROOMY', { chn }))
  socket.send({ i: 's', p: { u: '/subscribe', b: {} } })
  await journals.stub('ROOMY', chn, 'transactSlowly', [publish(99), FAIL], '')
  await journals.stub('ROOMY', chn, 'transactSlowly', [publish(9)], '')
  const frames = await socket.frames(10)
  expect(frames.slice(1).map(({ p }) => p.d.json.n)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
  socket.vanish()
})

/** A JavaScript class of an application that extends a built class. */
const EXTENDED = `
import * as worker from './index.js'
export * from './index.js'
export { default } from './index.js'
export class UsualJournal extends worker.UsualJournal {
  #storage
  constructor(ctx, env) {
    super(ctx, env)
    this.#storage = ctx.storage
  }
  /** Publishes in a transaction of a kind that ends in a given way. */
  async transact(kind, end) {
    const ids = []
    const work = (txn) => {
      this.#storage.sql.exec('CREATE TABLE IF NOT EXISTS counters (n)')
      this.#storage.sql.exec('INSERT INTO counters VALUES (1)')
      ids.push(this.publish({ n: 1 }).id)
      ids.push(this.publish({ n: 2 }, { idempotencyKey: 'k' }).id)
      if (end === 'inner') {
        try {
          this.#storage.transactionSync(() => {
            ids.push(this.publish({ n: 3 }).id)
            throw new Error('inner')
          })
        } catch {}
      }
      if (end === 'fails') throw new Error('outer')
      if (end === 'roll back') txn.rollback()
      return 'done'
    }
    let result
    try {
      if (kind === 'sync') result = this.#storage.transactionSync(work)
      else result = await this.#storage.transaction(async (txn) => work(txn))
    } catch (error) {
      result = error.message
    }
    ids.push(this.publish({ n: 4 }).id)
    let counted = 0
    try {
      counted = this.#storage.sql.exec('SELECT count(*) AS n FROM counters').one().n
    } catch {}
    return [result, ids, counted]
  }
  /** Deletes all storage during a transaction, which the runtime may reject. */
  async deleteWithin(kind) {
    const errors = []
    const work = () => this.#storage.deleteAll().catch((error) => void errors.push(error.message))
    try {
      if (kind === 'sync') this.#storage.transactionSync(work)
      else await this.#storage.transaction(work)
    } catch (error) {
      errors.push(error.message)
    }
    return errors
  }
}`

describe('transactions in JavaScript', () => {
  let extended: Journals
  beforeAll(async () => {
    extended = await startJournals({ front: EXTENDED })
  })
  afterAll(() => extended.dispose())

  const events = async (chn: string, headers: object): Promise<{ gap?: string; events: any[] }> => {
    const socket = await BareSocket.open(await extended.upgrade('USUAL', { chn, rpc: ['kept'], iat: Date.now() / 1000 - 100 }))
    socket.send({ i: 's', p: { u: '/subscribe', b: {}, h: headers } })
    const all = await received(socket)
    socket.vanish()
    return { gap: JSON.parse(socket.messages[0]!).p.h['x-durable-event-gap'], events: all }
  }

  test.each([
    ['sync', 'commits', 'done', [1, 2, 4]],
    ['sync', 'fails', 'outer', [4]],
    ['sync', 'inner', 'done', [1, 2, 4]],
    ['async', 'commits', 'done', [1, 2, 4]],
    ['async', 'fails', 'outer', [4]],
    ['async', 'inner', 'done', [1, 2, 4]],
    ['async', 'roll back', 'done', [4]],
  ])('one that is %s and %s sends exactly the stored events', async (kind, end, result, numbers) => {
    const chn = `${kind} ${end}`
    const live = await BareSocket.open(await extended.upgrade('USUAL', { chn, rpc: ['kept'] }))
    live.send({ i: 's', p: { u: '/subscribe', b: {} } })
    await live.frames(1)
    const [returned, ids, counted] = await extended.stub('USUAL', chn, 'transact', kind, end)
    expect(returned).toBe(result)
    expect(ids).toEqual([...ids].sort((a, b) => Number(a) - Number(b)))
    expect(new Set(ids).size).toBe(ids.length)
    expect(counted).toBe(numbers.length > 1 ? 1 : 0)
    const sent = await received(live)
    expect(sent.map(({ n }) => n)).toEqual(numbers)
    expect(await events(chn, {})).toEqual({ gap: undefined, events: sent })
    // The idempotency key is free if its event is not stored.
    const again = await extended.stub('USUAL', chn, 'publish', { n: 5 }, { idempotencyKey: 'k' })
    expect(again === ids[1]).toBe(numbers.length > 1)
    await extended.hibernate('USUAL', chn)
    expect((await events(chn, { 'last-event-id': sent[0]!.id })).gap).toBeUndefined()
    live.vanish()
  })

  test.each(['sync', 'async'])('deleting all storage in one that is %s loses no event without a gap', async (kind) => {
    const chn = `delete ${kind}`
    const first = await extended.stub('USUAL', chn, 'publish', { n: 1 })
    expect(await extended.stub('USUAL', chn, 'deleteWithin', kind)).not.toEqual([])
    const second = await extended.stub('USUAL', chn, 'publish', { n: 2 })
    for (const isAsleep of [false, true]) {
      if (isAsleep) await extended.hibernate('USUAL', chn)
      const all = await events(chn, {})
      // The runtime either keeps the events, or a gap is reported.
      if (all.gap === undefined) expect(all.events.map(({ id }) => id)).toEqual([first, second])
      else expect(all.events.map(({ id }) => id)).toEqual([second])
    }
  })
})

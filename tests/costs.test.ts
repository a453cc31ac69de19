// Billed rows, counted by the Workers runtime.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { startJournals } from './support/journals.ts'
import type { Binding, Journals } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'

/** The classes with recorded statements. A Durable Object responds to GET with its statements. */
const FRONT = `
import * as worker from './index.js'
export { default } from './index.js'
const note = (target) => new Proxy(target, {
  construct(target, [ctx, env], newTarget) {
    const { sql } = ctx.storage
    const statements = []
    const storage = new Proxy(ctx.storage, {
      get(storage, key) {
        if (key !== 'sql') {
          const value = storage[key]
          return typeof value === 'function' ? value.bind(storage) : value
        }
        return {
          get databaseSize() {
            return sql.databaseSize
          },
          exec(text, ...params) {
            const cursor = sql.exec(text, ...params)
            statements.push({ text, cursor })
            return cursor
          },
        }
      },
    })
    const noting = new Proxy(ctx, {
      get(ctx, key) {
        if (key === 'storage') return storage
        const value = ctx[key]
        return typeof value === 'function' ? value.bind(ctx) : value
      },
    })
    const object = Reflect.construct(target, [noting, env], newTarget)
    return new Proxy(object, {
      get(object, key) {
        const value = Reflect.get(object, key)
        if (key !== 'fetch') return typeof value === 'function' ? value.bind(object) : value
        return (request) => {
          if (!request.url.endsWith('/statements')) return object.fetch(request)
          return Response.json(statements.splice(0).map(({ text, cursor: { rowsRead: read, rowsWritten: written } }) =>
            ({ text, read, written })))
        }
      },
    })
  },
})
export const UsualJournal = note(worker.UsualJournal)
export const FewJournal = note(worker.FewJournal)
export const { ShortJournal, SweptJournal, RoomyJournal, TypesObject } = worker
`

/** Returns the statements that a Durable Object has run since the last call. */
const ASK = `export default {
  fetch(request, env) {
    const { searchParams } = new URL(request.url)
    return env[searchParams.get('binding')].getByName(searchParams.get('name')).fetch('https://object/statements')
  }
}`

interface Statement {
  text: string
  read: number
  written: number
}

let journals: Journals
beforeAll(async () => {
  const objects = {
    USUAL: { className: 'UsualJournal', scriptName: 'objects' },
    FEW: { className: 'FewJournal', scriptName: 'objects' },
  }
  const workers = [
    { name: 'ask', source: ASK, durableObjects: objects },
  ]
  journals = await startJournals({ front: FRONT, workers })
})
afterAll(() => journals.dispose())

async function statements(name: string, binding: Binding = 'USUAL'): Promise<Statement[]> {
  const url = new URL(await journals.urlOf('ask'))
  url.searchParams.set('binding', binding)
  url.searchParams.set('name', name)
  return (await (await journals.fetch(url)).json()) as Statement[]
}

const sum = (list: Statement[], key: 'read' | 'written'): number => list.reduce((total, statement) => total + statement[key], 0)

test('a connection and a subscription write nothing', async () => {
  const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn: 'idle' }))
  socket.send({ i: '0', p: { u: '/subscribe', b: {} } })
  await socket.frames(1)
  socket.vanish()
  const all = await statements('idle')
  expect(sum(all, 'written')).toBe(0)
})

test('a publish writes one row and reads at most one, after the first table is created', async () => {
  await journals.stub('USUAL', 'publisher', 'publish', { n: 0 })
  const [first] = [await statements('publisher')]
  expect(sum(first, 'written')).toBeLessThanOrEqual(5) // two for the table, two for the epoch view
  for (let n = 1; n <= 10; n++) await journals.stub('USUAL', 'publisher', 'publish', { n })
  const all = await statements('publisher')
  expect(all).toHaveLength(10)
  for (const { text, read, written } of all) {
    expect(text).toMatch(/^INSERT/)
    expect(written).toBe(1)
    expect(read).toBeLessThanOrEqual(1)
  }
})

test('a token from a clock that is ahead costs one row until it expires', async () => {
  const iat = Math.floor(Date.now() / 1000) + 60
  const connect = async (): Promise<Statement[]> => {
    const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn: 'early', iat, exp: iat + 300 }))
    socket.send({ i: '0', p: { u: '/subscribe', b: {} } })
    await socket.frames(1)
    socket.vanish()
    return statements('early')
  }
  expect(sum(await connect(), 'written')).toBe(2) // the view
  expect(sum(await connect(), 'written')).toBe(0)
  await journals.hibernate('USUAL', 'early')
  const waking = await connect()
  expect([waking.length, sum(waking, 'written')]).toEqual([1, 0])
})

test('an idempotency key costs one row, and a duplicate costs none', async () => {
  const publish = (n: number): Promise<string> => journals.stub('USUAL', 'keyed', 'publish', { n }, { idempotencyKey: `k${n}` })
  const id = await publish(0)
  await statements('keyed')
  for (let n = 1; n <= 10; n++) {
    await publish(n)
    const all = await statements('keyed')
    expect(all.map(({ text }) => text.split(' ')[0])).toEqual(['SELECT', 'INSERT', 'INSERT'])
    expect(sum(all, 'written')).toBe(2)
    expect(sum(all, 'read')).toBeLessThanOrEqual(2)
  }
  expect(await publish(0)).toBe(id)
  const again = await statements('keyed')
  expect([again.length, sum(again, 'written')]).toEqual([1, 0])
  expect(sum(again, 'read')).toBe(1)
  // An event without an idempotency key has no additional cost.
  await journals.stub('USUAL', 'keyed', 'publish', { n: 11 })
  expect((await statements('keyed')).map(({ written }) => written)).toEqual([1])
})

test('dropping a segment writes and reads nothing', async () => {
  for (let n = 1; n <= 20; n++) await journals.stub('FEW', 'dropper', 'publish', { n })
  const all = await statements('dropper', 'FEW')
  const dropped = all.filter(({ text }) => text.startsWith('DROP'))
  expect(dropped.length).toBeGreaterThanOrEqual(5)
  expect(sum(dropped, 'written')).toBe(0)
  const created = all.filter(({ text }) => text.startsWith('CREATE'))
  // A segment of this small class holds two events.
  expect(sum(all, 'written')).toBe(20 + 2 * created.length)
})

test('a wake-up does not scan the events', async () => {
  await journals.stub('USUAL', 'waker', 'publishMany', 200, 10)
  await statements('waker')
  await journals.hibernate('USUAL', 'waker')
  await journals.stub('USUAL', 'waker', 'publish', { n: 201 })
  const waking = await statements('waker')
  expect(sum(waking, 'read')).toBeLessThanOrEqual(8)
  expect(sum(waking, 'written')).toBe(1)
})

test('a page of 1,000 events reads at most 1,002 rows', async () => {
  await journals.stub('USUAL', 'pages', 'publishMany', 3_000, 10)
  await statements('pages')
  const page = async (query: object): Promise<number> => {
    const { value } = await journals.stub('USUAL', 'pages', '~settle', '~read', [query])
    const { events, next } = JSON.parse(value)
    expect(events).toHaveLength(1_000)
    after = next
    const all = await statements('pages')
    expect(sum(all, 'written')).toBe(0)
    return sum(all, 'read')
  }
  let after: string | undefined
  expect(await page({ limit: 1_000 })).toBeLessThanOrEqual(1_002)
  expect(await page({ after, limit: 1_000 })).toBeLessThanOrEqual(1_002)
  expect(await page({ last: 1_000 })).toBeLessThanOrEqual(1_002)
  expect(await page({ since: 0, limit: 1_000 })).toBeLessThanOrEqual(1_002)
})

test('a resume reads each event at most twice', async () => {
  await journals.stub('USUAL', 'reader', 'publishMany', 500, 10)
  await statements('reader')
  const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn: 'reader' }))
  socket.send({ i: '0', p: { u: '/subscribe', b: {} } })
  await socket.frames(501)
  const all = await statements('reader')
  expect(sum(all, 'read')).toBeLessThanOrEqual(2 * 500 + 10)
  expect(sum(all, 'written')).toBe(0)
  socket.vanish()
})

test('without revocations nothing is read for them; with revocations an upgrade runs one statement', async () => {
  const connect = async (): Promise<Statement[]> => {
    const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn: 'revocations', sub: 'anna' }))
    socket.send({ i: '0', p: { u: '/subscribe', b: {} } })
    await socket.frames(1)
    socket.vanish()
    return statements('revocations')
  }
  const wake = async (): Promise<Statement[]> => {
    await journals.hibernate('USUAL', 'revocations')
    return connect()
  }
  await connect()
  expect((await wake()).map(({ text }) => text.split(' ')[0])).toEqual(['SELECT'])
  expect(await connect()).toEqual([])
  await journals.stub('USUAL', 'revocations', 'revoke', { subject: 'bert' })
  const [created] = [await statements('revocations')]
  expect(sum(created, 'written')).toBeLessThanOrEqual(3) // the table and the row
  await journals.stub('USUAL', 'revocations', 'revoke', { subject: 'carl' })
  expect(sum(await statements('revocations'), 'written')).toBe(1)
  const checks = await connect()
  expect(checks.map(({ text }) => text.includes('dei_revoked'))).toEqual([true])
  expect(sum(checks, 'written')).toBe(0)
  expect(sum(checks, 'read')).toBeLessThanOrEqual(3)
  // A publish reads nothing for them, after waking neither.
  await journals.stub('USUAL', 'revocations', 'publish', { n: 1 })
  await statements('revocations')
  await journals.hibernate('USUAL', 'revocations')
  await journals.stub('USUAL', 'revocations', 'publish', { n: 2 })
  expect((await statements('revocations')).filter(({ text }) => text.includes('"dei_revoked"'))).toEqual([])
})

test('the numbers of a channel read one row per bucket of the timeline, however many events are stored', async () => {
  await journals.stub('USUAL', 'numbers', 'publishMany', 10_000)
  await statements('numbers')
  const all = await journals.stub('USUAL', 'numbers', 'stats', { timeline: 60 })
  expect(all.timeline.reduce((sum: number, { events }: { events: number }) => sum + events, 0)).toBe(10_000)
  const timeline = await statements('numbers')
  expect(sum(timeline, 'read')).toBeLessThanOrEqual(60 + 4)
  expect(sum(timeline, 'written')).toBe(0)
  await journals.stub('USUAL', 'numbers', 'stats')
  expect(sum(await statements('numbers'), 'read')).toBeLessThanOrEqual(2)
})

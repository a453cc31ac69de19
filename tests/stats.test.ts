// The numbers of a channel: what is stored and when, what the instance has counted, and the open sockets.

import { afterAll, beforeAll, expect, test } from 'vitest'

import type { ChannelStats, ConnectionsPage } from '../npm/durable-event-iterator/src/durable-object/channel-stub.ts'
import { FlowReader, LIVE_WINDOW } from './support/flow.ts'
import { startJournals } from './support/journals.ts'
import type { Binding, Journals } from './support/journals.ts'
import { BareSocket, upgradeAnswer } from './support/socket.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

const stats = (binding: Binding, chn: string, query?: object): Promise<ChannelStats> =>
  query === undefined ? journals.stub(binding, chn, 'stats') : journals.stub(binding, chn, 'stats', query)

const connections = (binding: Binding, chn: string, query: object = {}): Promise<ConnectionsPage> => journals.stub(binding, chn, 'connections', query)

const SUBSCRIBE = { i: '0', p: { u: '/subscribe', b: {} } }

async function subscribed(binding: Binding, claims: { chn: string; sub?: string }, id?: string): Promise<BareSocket> {
  const socket = await BareSocket.open(await journals.upgrade(binding, claims, id))
  socket.send(SUBSCRIBE)
  await socket.frames(1)
  return socket
}

test('a channel without events has only limits', async () => {
  const before = Date.now()
  const { since, databaseBytes, ...rest } = await stats('USUAL', 'empty', { timeline: 5 })
  expect(new Date(since).getTime()).toBeGreaterThanOrEqual(before - 1)
  expect(new Date(since).toISOString()).toBe(since)
  expect(databaseBytes).toBeGreaterThanOrEqual(0)
  expect(rest).toEqual({
    channel: 'empty', sockets: 0, subscriptions: 0, parked: 0, members: null,
    events: { count: 0, bytes: 0, firstId: null, lastId: null, retentionSeconds: 300, maxEvents: 100_000, maxBytes: 33_554_432 },
    segments: [], published: 0, duplicates: 0, delivered: 0, gaps: 0, parkings: 0, rejections: {}, disconnected: 0, timeline: [],
  })
})

test('the numbers are those of the history, and only the counts end with the instance', async () => {
  const chn = 'history'
  const [one, two] = await Promise.all([subscribed('USUAL', { chn }), subscribed('USUAL', { chn }, 'two')])
  const idle = await BareSocket.open(await journals.upgrade('USUAL', { chn }, 'idle'))
  const ids: string[] = []
  for (let n = 1; n <= 20; n++) ids.push(await journals.stub('USUAL', chn, 'publish', { n }))
  await journals.publish('USUAL', chn, { n: 21 }, { idempotencyKey: 'k' }).then(({ id }) => ids.push(id))
  expect(await journals.publish('USUAL', chn, { n: 21 }, { idempotencyKey: 'k' })).toEqual({ id: ids[20], duplicate: true })
  await journals.publish('USUAL', chn, { n: 22 }, { to: ['two'] }).then(({ id }) => ids.push(id))
  await two.frames(1 + 22)

  const bytes = ids.reduce((sum, _, n) => sum + JSON.stringify({ n: n + 1 }).length, 0)
  const all = await stats('USUAL', chn, { timeline: 7 })
  expect(all).toMatchObject({ sockets: 3, subscriptions: 2, parked: 0, published: 22, duplicates: 1, delivered: 21 * 2 + 1 })
  expect(all.events).toMatchObject({ count: 22, firstId: ids[0], lastId: ids[21] })
  expect(all.events.bytes).toBeGreaterThanOrEqual(bytes) // the audience counts too
  expect(all.segments).toHaveLength(1)
  expect(all.segments[0]).toMatchObject({ lastId: ids[21], events: 22, bytes: all.events.bytes })
  expect(BigInt(all.segments[0]!.after)).toBeLessThan(BigInt(ids[0]!))

  // Each event is in the bucket of its time.
  const timeline = all.timeline!
  expect(timeline).toHaveLength(7)
  const starts = timeline.map(({ from }) => new Date(from).getTime() * 1_000)
  const expected = starts.map((start, n) => ids.map(Number).filter((id) => (n === 0 || id >= start) && id < (starts[n + 1] ?? Infinity)).length)
  expect(timeline.map(({ events }) => events)).toEqual(expected)
  expect(timeline.reduce((sum, bucket) => sum + bucket.bytes, 0)).toBe(all.events.bytes)

  await journals.hibernate('USUAL', chn)
  const later = await stats('USUAL', chn)
  expect(later).toMatchObject({ sockets: 3, subscriptions: 2, published: 0, duplicates: 0, delivered: 0, events: all.events, segments: all.segments })
  expect(new Date(later.since).getTime()).toBeGreaterThanOrEqual(new Date(all.since).getTime())
  expect(later).not.toHaveProperty('timeline')
  for (const socket of [one, two, idle]) socket.vanish()
})

test('a rejected query states the limits', async () => {
  for (const [method, query, message] of [
    ['stats', { timeline: 0 }, 'timeline must be 1–240, got 0'],
    ['stats', { timeline: 241 }, 'timeline must be 1–240, got 241'],
    ['stats', { timeline: 1.5 }, 'Invalid stats query'],
    ['stats', { buckets: 1 }, 'Invalid stats query'],
    ['connections', { limit: 0 }, 'limit must be 1–1000, got 0'],
    ['connections', { after: 'x' }, 'after must be the cursor of a previous page'],
  ] as const) {
    await expect(journals.stub('USUAL', 'queries', method, query)).rejects.toThrow(message)
  }
})

test('rejected upgrades are counted by their reason', async () => {
  const chn = 'rejections'
  const url = await journals.upgrade('MEASURED', { chn, sub: 'ann' })
  const sockets = [await BareSocket.open(url), await BareSocket.open(url)]
  for (let n = 0; n < 3; n++) expect(await upgradeAnswer(url)).toMatchObject({ status: 429 })
  expect((await stats('MEASURED', chn)).rejections).toEqual({ max_sockets_per_subject: 3 })
  for (const socket of sockets) socket.vanish()
})

test('gap notifications are counted', async () => {
  const chn = 'gaps'
  const first = await journals.stub('MEASURED', chn, 'publish', { n: 0 })
  await journals.stub('MEASURED', chn, 'publishMany', 20)
  const url = await journals.upgrade('MEASURED', { chn })
  for (const [lastEventId, gaps] of [[first, 1], ['unknown', 2]] as const) {
    const socket = await BareSocket.open(url)
    socket.send({ i: '0', p: { u: '/subscribe', b: {}, h: { 'last-event-id': lastEventId } } })
    await socket.frames(1)
    expect((await stats('MEASURED', chn)).gaps).toBe(gaps)
    socket.vanish()
  }
})

test('a parked subscription is one until its client subscribes again', async () => {
  const chn = 'parked'
  const reader = await FlowReader.open(await journals.upgrade('ROOMY', { chn, sub: 'slow' }, 'reader'))
  reader.subscribe()
  await reader.until(({ responses }) => responses.length === 1)
  await journals.stub('ROOMY', chn, 'publishMany', 60, Math.ceil(LIVE_WINDOW / 20))
  await reader.untilParked()
  expect(await stats('ROOMY', chn)).toMatchObject({ sockets: 1, subscriptions: 1, parked: 1, parkings: 1 })
  expect((await connections('ROOMY', chn)).connections[0]).toMatchObject({ connection: 'reader', subject: 'slow', subscription: 'parked' })
  await journals.hibernate('ROOMY', chn)
  expect(await stats('ROOMY', chn)).toMatchObject({ subscriptions: 1, parked: 1, parkings: 0 })

  reader.subscribe()
  await reader.catchUp(60)
  expect(await stats('ROOMY', chn)).toMatchObject({ sockets: 1, subscriptions: 1, parked: 0 })
  expect((await connections('ROOMY', chn)).connections[0]).toMatchObject({ subscription: 'live' })
  reader.socket.vanish()
})

test('the open sockets are listed in pages, also after hibernation', async () => {
  const chn = 'connections'
  const iat = Math.floor(Date.now() / 1000) - 5
  const open = async (id?: string): Promise<BareSocket> => BareSocket.open(await journals.upgrade('USUAL', { chn, iat, exp: iat + 600, sub: `of ${id}` }, id))
  const sockets = [await open('c'), await open('a'), await open(), await open(), await open('b')]
  sockets[1]!.send(SUBSCRIBE)
  await sockets[1]!.frames(1)
  const { connections: all, next } = await connections('USUAL', chn)
  expect(next).toBeNull()
  expect(all.map(({ connection = '' }) => connection).sort()).toEqual(['', '', 'a', 'b', 'c'])
  expect(all.find(({ connection }) => connection === 'a')).toEqual({
    connection: 'a', subject: 'of a', tags: [], issuedAt: new Date(iat * 1_000).toISOString(), expiresAt: new Date((iat + 600) * 1_000).toISOString(),
    subscription: 'live',
  })
  expect(all.find(({ connection }) => connection === 'b')!.subscription).toBeNull()
  await journals.hibernate('USUAL', chn)
  const paged = []
  for (let after: string | undefined; ; ) {
    const page = await connections('USUAL', chn, { limit: 2, ...(after !== undefined && { after }) })
    paged.push(...page.connections)
    if (page.next === null) break
    expect(page.next, 'a digest and a number, without the connection id and the subject').toMatch(/^[\w-]{22}\.\d$/)
    after = page.next
  }
  expect(paged).toEqual(all)
  for (const socket of sockets) socket.vanish()
})

test('a Worker in Rust receives the same numbers', async () => {
  const chn = 'rust'
  const socket = await subscribed('USUAL', { chn }, 'one')
  await journals.stub('USUAL', chn, 'publish', { n: 1 })
  const relay = new URL(`/relay-stats/USUAL/${chn}`, await journals.urlOf('relay'))
  const [numbers, sockets] = (await (await journals.fetch(relay)).json()) as [ChannelStats, ConnectionsPage['connections']]
  const { timeline, ...rest } = await stats('USUAL', chn, { timeline: 10 })
  expect(numbers).toEqual({ ...rest, timeline: numbers.timeline })
  expect(numbers.timeline).toHaveLength(timeline!.length)
  expect(sockets).toEqual((await connections('USUAL', chn)).connections)
  socket.vanish()
})

test('clients cannot call the methods', async () => {
  const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn: 'clients', rpc: ['stats', '~stats', 'connections', 'disconnect'] }))
  for (const [n, path] of ['stats', '~stats', 'connections', 'disconnect'].entries()) {
    socket.send({ i: `${n}`, p: { u: '/call', b: { json: { path: [path] } } } })
  }
  const responses = await socket.frames(4)
  expect(responses.map(({ p }) => p.s)).toEqual([404, 404, 404, 404])
  socket.vanish()
})

// Slow readers: what is sent to a client that does not read is limited, and nothing is lost, repeated or reordered.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { CLIENT_VERSIONS } from './support/client.ts'
import { connect, token as durableIteratorToken, upgradeUrl } from './support/durable-iterator.ts'
import { startFaultyJournals } from './support/faults.ts'
import type { FaultyJournals } from './support/faults.ts'
import { ACKNOWLEDGED, FLOW_HEADER, FlowReader, LIVE_WINDOW, REPLAY_WINDOW, STEP, upTo } from './support/flow.ts'
import type { Binding } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'

let journals: FaultyJournals
beforeAll(async () => {
  journals = await startFaultyJournals()
})
afterAll(() => journals.dispose())

/** The size of an event, in characters. */
const SIZE = 10_000
const padding = 'x'.repeat(SIZE)
const HOUR = 3_600
const seconds = (): number => Math.floor(Date.now() / 1000)
const STREAM = { 'content-type': 'text/event-stream' }

async function reader(chn: string, binding: Binding = 'USUAL', claims: object = {}): Promise<FlowReader> {
  return FlowReader.open(await journals.upgrade(binding, { chn, rpc: ['kept', 'keep'], ...claims }))
}

/** Opens a reader with a live subscription. */
async function live(chn: string, binding?: Binding, claims?: object): Promise<FlowReader> {
  const opened = await reader(chn, binding, claims)
  opened.subscribe()
  await opened.until(({ responses }) => responses.length === 1)
  return opened
}

/** Publishes events with consecutive numbers. */
async function publish(chn: string, from: number, to: number, binding: Binding = 'USUAL', more: object = {}): Promise<void> {
  for (let n = from; n <= to; n++) await journals.stub(binding, chn, 'publish', { n, padding, ...more })
}

/** Makes a call. Its response follows all earlier messages. */
async function ping(socket: BareSocket, i: string): Promise<any> {
  socket.send({ i, p: { u: '/call', b: { json: { path: ['kept'] } } } })
  await socket.until((messages) => messages.some((text) => text.startsWith(`{"i":"${i}"`)))
  return JSON.parse(socket.messages.find((text) => text.startsWith(`{"i":"${i}"`))!).p
}

test('the response states flow control only to a client that has asked for it', async () => {
  const chn = 'headers'
  const ask = async (i: string, h: object): Promise<any> => {
    const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn }))
    socket.send({ i, p: { u: '/subscribe', b: {}, h } })
    const [{ p }] = await socket.frames(1)
    socket.vanish()
    return p.h
  }
  expect(await ask('1', { [FLOW_HEADER]: '1' })).toEqual({ ...STREAM, [FLOW_HEADER]: '1' })
  for (const h of [{}, { [FLOW_HEADER]: '2' }, { [FLOW_HEADER]: '' }]) expect(await ask('1', h)).toEqual(STREAM)
  for (const i of ['i'.repeat(33), 'a"b', 'a\\b', 'é', 'a b']) expect(await ask(i, { [FLOW_HEADER]: '1' }), i).toEqual(STREAM)
})

test('a live subscription that acknowledges nothing is parked at its window, and continues after its last event', async () => {
  const chn = 'live'
  const stopped = await live(chn)
  await publish(chn, 1, 60)
  await stopped.untilParked()
  const received = stopped.items.length
  expect(stopped.size()).toBeGreaterThanOrEqual(LIVE_WINDOW)
  expect(stopped.size() - stopped.items.at(-1)!.size).toBeLessThan(LIVE_WINDOW)
  expect(stopped.parked[0]!.id).toMatch(/^\d+$/)
  await ping(stopped.socket, 'nothing more')
  stopped.take()
  expect(stopped.items).toHaveLength(received)
  stopped.subscribe()
  await stopped.catchUp(60)
  await publish(chn, 61, 62)
  await stopped.catchUp(62)
  expect(stopped.numbers).toEqual(upTo(62))
  stopped.socket.vanish()
})

test('a subscription that acknowledges stays live', async () => {
  const chn = 'fast'
  const fast = await live(chn)
  let acknowledged = 0
  for (let n = 1; n <= 100; n++) {
    await publish(chn, n, n)
    await fast.until(({ items }) => items.length === n)
    if (fast.size() - acknowledged < ACKNOWLEDGED) continue
    fast.acknowledge(fast.size() - acknowledged)
    acknowledged = fast.size()
  }
  expect(fast.numbers).toEqual(upTo(100))
  expect([fast.parked, fast.responses.length]).toEqual([[], 1])
  fast.socket.vanish()
})

test('a replay is parked at its window, and each continuation adds to it', async () => {
  const chn = 'replay'
  await journals.stub('USUAL', chn, 'publishMany', 400, SIZE)
  const stopped = await reader(chn)
  let from = 0
  for (let n = 1; n <= 3; n++) {
    stopped.subscribe()
    await stopped.untilParked()
    expect(stopped.size(from)).toBeGreaterThanOrEqual(REPLAY_WINDOW)
    expect(stopped.size(from)).toBeLessThanOrEqual(REPLAY_WINDOW + STEP)
    from = stopped.items.length
  }
  stopped.subscribe()
  await stopped.catchUp(400)
  expect(stopped.numbers).toEqual(upTo(400))
  stopped.socket.vanish()
})

test('a client that stops reading its socket misses nothing, beside one that reads', async () => {
  const chn = 'unread'
  const [stopped, neighbour] = [await live(chn), await live(chn)]
  stopped.socket.socket.pause()
  let acknowledged = 0
  for (let batch = 1; batch <= 20; batch++) {
    await publish(chn, (batch - 1) * 20 + 1, batch * 20)
    await neighbour.until(({ items }) => items.length === batch * 20)
    neighbour.acknowledge(neighbour.size() - acknowledged)
    acknowledged = neighbour.size()
  }
  expect([neighbour.numbers, neighbour.parked]).toEqual([upTo(400), []])
  stopped.socket.socket.resume()
  await stopped.untilParked(1)
  expect(stopped.size()).toBeLessThan(LIVE_WINDOW + 2 * SIZE)
  stopped.subscribe()
  await stopped.catchUp(400)
  expect(stopped.numbers).toEqual(upTo(400))
  for (const { socket } of [stopped, neighbour]) socket.vanish()
})

test('hibernation adds no room', async () => {
  const chn = 'half full'
  const stopped = await live(chn)
  for (let n = 1; n <= 60; n++) {
    await publish(chn, n, n)
    if (n % 5 === 0) await journals.hibernate('USUAL', chn)
  }
  await stopped.untilParked()
  expect(stopped.size()).toBeLessThanOrEqual(LIVE_WINDOW + SIZE + 200)
  expect(stopped.size()).toBeGreaterThan(LIVE_WINDOW * 0.9)
  // A parked subscription stays parked.
  await publish(chn, 61, 69)
  await journals.hibernate('USUAL', chn)
  await publish(chn, 70, 70)
  await ping(stopped.socket, 'nothing more')
  stopped.take()
  expect(stopped.parked).toHaveLength(1)
  stopped.subscribe()
  await stopped.catchUp(70)
  expect(stopped.numbers).toEqual(upTo(70))
  stopped.socket.vanish()
})

test('an acknowledgement after hibernation adds room', async () => {
  const chn = 'acknowledged later'
  const slow = await live(chn)
  await publish(chn, 1, 24)
  await slow.until(({ items }) => items.length === 24)
  await journals.hibernate('USUAL', chn)
  slow.acknowledge(slow.size())
  await ping(slow.socket, 'acknowledged')
  await publish(chn, 25, 48)
  await slow.until(({ items }) => items.length === 48)
  expect(slow.parked).toEqual([])
  expect(slow.numbers).toEqual(upTo(48))
  slow.socket.vanish()
})

test('a subscription that acknowledges stays live after each hibernation', async () => {
  const chn = 'acknowledging'
  const fast = await live(chn)
  let acknowledged = 0
  for (let n = 1; n <= 120; n++) {
    await publish(chn, n, n)
    await fast.until(({ items }) => items.length === n)
    if (fast.size() - acknowledged < ACKNOWLEDGED) continue
    fast.acknowledge(fast.size() - acknowledged)
    acknowledged = fast.size()
    await ping(fast.socket, `acknowledged ${n}`)
    await journals.hibernate('USUAL', chn)
  }
  expect([fast.numbers, fast.parked]).toEqual([upTo(120), []])
  fast.socket.vanish()
})

test('a change of the custom attachment changes no room', async () => {
  const chn = 'attached'
  const stopped = await live(chn)
  for (let n = 1; n <= 40; n++) {
    await publish(chn, n, n)
    stopped.socket.send({ i: `keep ${n}`, p: { u: '/call', b: { json: { path: ['keep'], input: n } } } })
  }
  await stopped.untilParked()
  expect(stopped.size()).toBeLessThanOrEqual(LIVE_WINDOW + SIZE + 200)
  stopped.socket.vanish()
})

test('events that are deleted while a subscription is parked are a gap', async () => {
  const chn = 'gap'
  const stopped = await live(chn, 'FEW')
  await publish(chn, 1, 60, 'FEW')
  await stopped.untilParked()
  const last = stopped.numbers.at(-1)!
  await journals.stub('FEW', chn, 'publishMany', 50, 1)
  stopped.subscribe()
  await stopped.until(({ responses }) => responses.length === 2)
  expect(stopped.responses[1]).toHaveProperty('x-durable-event-gap')
  const from = stopped.items.length
  await stopped.catchUp(50)
  expect(stopped.numbers.slice(0, from)).toEqual(upTo(last))
  const rest = stopped.numbers.slice(from)
  expect(rest).toEqual(upTo(50, rest[0]))
  stopped.socket.vanish()
})

test('events for others take no room, and are not sent after a subscription was parked', async () => {
  const chn = 'audiences'
  const stopped = await live(chn)
  for (let n = 1; n <= 50; n++) await journals.publish('USUAL', chn, { n: -n, padding }, { to: ['another'] })
  await publish(chn, 1, 20)
  await stopped.until(({ items }) => items.length === 20)
  expect(stopped.parked).toEqual([])
  await publish(chn, 21, 40)
  await stopped.untilParked()
  for (let n = 1; n <= 5; n++) await journals.publish('USUAL', chn, { n: -n, padding }, { to: ['another'] })
  await publish(chn, 41, 41)
  stopped.subscribe()
  await stopped.catchUp(41)
  expect(stopped.numbers).toEqual(upTo(41))
  stopped.socket.vanish()
})

test('live-only events take room, and are dropped while there is none', async () => {
  const chn = 'live only'
  const stopped = await live(chn)
  for (let n = 1; n <= 40; n++) await journals.stub('USUAL', chn, 'sendLive', { n, padding })
  await stopped.untilParked()
  expect(stopped.parked).toEqual([undefined])
  expect(stopped.size()).toBeLessThanOrEqual(LIVE_WINDOW + SIZE + 200)
  stopped.subscribe()
  await publish(chn, 100, 100)
  await stopped.catchUp(100)
  expect(stopped.numbers).toEqual([...upTo(stopped.items.length - 1), 100])
  stopped.socket.vanish()
})

test('if the token of a DurableEventIterator client expires while its subscription is parked, its next one is rejected', async () => {
  const chn = 'expired'
  const stopped = await live(chn, 'USUAL', { exp: seconds() + HOUR })
  await publish(chn, 1, 40)
  await stopped.untilParked()
  await journals.set({ ahead: 2 * HOUR * 1_000 })
  stopped.subscribe()
  await stopped.socket.until((messages) => messages.at(-1)!.includes('UNAUTHORIZED'))
  await journals.set({ ahead: 0 })
  expect(stopped.socket.closed).toBeUndefined()
  stopped.socket.vanish()
})

test('if the token of a DurableIterator client expires while its subscription is parked, its socket is closed with 1008', async () => {
  const chn = 'expired DurableIterator'
  const signed = await durableIteratorToken({ chn, exp: seconds() + HOUR })
  const stopped = await FlowReader.open(upgradeUrl(journals, 'USUAL', signed, 'an-id'))
  stopped.subscribe()
  await stopped.until(({ responses }) => responses.length === 1)
  await publish(chn, 1, 40)
  await stopped.untilParked()
  await journals.set({ ahead: 2 * HOUR * 1_000 })
  stopped.subscribe()
  expect(await stopped.socket.end()).toEqual({ code: 1008, reason: 'Token expired' })
  await journals.set({ ahead: 0 })
})

test('hostile acknowledgements have no effect on others, and none beyond the window on their sender', async () => {
  const chn = 'hostile'
  const [hostile, neighbour] = [await reader(chn), await live(chn)]
  const stock = await BareSocket.open(await journals.upgrade('USUAL', { chn, rpc: ['kept'] }))
  // Before there is a subscription, and on one without flow control.
  hostile.acknowledge(1_000_000)
  stock.send({ i: 's1', p: { u: '/subscribe', b: {} } })
  await stock.frames(1)
  hostile.subscribe()
  await hostile.until(({ responses }) => responses.length === 1)
  for (const socket of [hostile.socket, stock]) {
    for (const payload of ['18446744073709551615', '9007199254740993', '0', '1e300', '-1', '-65536', 'NaN', '0.5', '"1"', 'null', '{}', '[]']) {
      socket.send(`{"i":"s1","t":5,"p":${payload}}`)
    }
    for (const i of ['s2', 'other', '']) socket.send(`{"i":"${i}","t":5,"p":65536}`)
  }
  // An empty id and an unreadable message close the socket; the other messages do not.
  expect((await hostile.socket.end()).code).toBeGreaterThan(1000)
  expect((await stock.end()).code).toBeGreaterThan(1000)

  const flood = await live(chn)
  for (let n = 0; n < 2_000; n++) flood.acknowledge(n % 2 === 0 ? 18446744073709551615n : 9007199254740993n)
  for (let n = 0; n < 100; n++) flood.acknowledge(65_536, 'other')
  expect(await ping(flood.socket, 'flooded')).toEqual({ b: {} })
  await publish(chn, 1, 60)
  await flood.untilParked()
  expect(flood.size(), 'there is never more room than the window').toBeLessThanOrEqual(LIVE_WINDOW + SIZE + 200)
  neighbour.acknowledge(neighbour.size())
  await neighbour.catchUp(60)
  expect(neighbour.numbers).toEqual(upTo(60))
  for (const { socket } of [flood, neighbour]) socket.vanish()
})

test('a replay to a client without flow control ends at the window with an error that asks it to continue', async () => {
  const chn = 'stock'
  await journals.stub('USUAL', chn, 'publishMany', 200, SIZE)
  const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn }))
  socket.send({ i: '1', p: { u: '/subscribe', b: {} } })
  await socket.until((messages) => messages.at(-1)?.includes('"error"') ?? false)
  const { p } = JSON.parse(socket.messages.at(-1)!)
  expect(p).toMatchObject({ e: 'error', d: { json: { code: 'SERVICE_UNAVAILABLE', status: 503 } }, m: { retry: 100 } })
  const size = socket.messages.join('').length
  expect(size).toBeGreaterThan(REPLAY_WINDOW)
  expect(size).toBeLessThan(REPLAY_WINDOW + STEP)
  const last = JSON.parse(socket.messages.at(-2)!).p.m.id
  // After its token has expired, the iteration ends without an error, as during a replay.
  await journals.set({ ahead: 48 * HOUR * 1_000 })
  const before = socket.messages.length
  socket.send({ i: '2', p: { u: '/subscribe', b: {}, h: { 'last-event-id': last } } })
  const frames = (await socket.frames(before + 2)).slice(before)
  await journals.set({ ahead: 0 })
  expect(frames).toEqual([{ i: '2', p: { h: STREAM } }, { i: '2', t: 3, p: { e: 'done', d: {} } }])
  socket.vanish()
})

test.each(CLIENT_VERSIONS)('unmodified clients of oRPC %s receive a replay of 32 MB completely', async (version) => {
  const chn = `stock of ${version}`
  const count = 320
  await journals.stub('USUAL', chn, 'publishMany', count, 100_000)
  const client = version.startsWith('1.6') || version.startsWith('1.8')
    ? await journals.client('USUAL', { chn, iat: seconds() - 60 }, { version, retryDelay: "oRPC's" })
    : await connect(journals, 'USUAL', { chn, iat: seconds() - 60 }, { id: 'stock', version, retryDelay: "oRPC's" })
  const subscription = await client.subscribe()
  await subscription.until(({ received }) => received.at(-1)?.event.n === count)
  await journals.stub('USUAL', chn, 'publish', { n: count + 1 })
  await subscription.until(({ received }) => received.at(-1)?.event.n === count + 1)
  expect(subscription.events.map(({ n }) => n)).toEqual(upTo(count + 1))
  expect(subscription.received.every(({ meta }) => meta?.retry === undefined)).toBe(true)
  expect(subscription.ended).toBeUndefined()
  client.close()
}, 60_000)

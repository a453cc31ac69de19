// Interruptions of a replay: the Durable Object is unloaded, events are deleted by the bounds, or the token expires.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'

import { token } from './support/client.ts'
import { startFaultyJournals } from './support/faults.ts'
import type { FaultyJournals } from './support/faults.ts'
import { token as durableIteratorToken, upgradeUrl } from './support/durable-iterator.ts'
import type { Binding } from './support/journals.ts'
import { Publisher, publisherWorker } from './support/publisher.ts'
import { BareSocket } from './support/socket.ts'

let journals: FaultyJournals
beforeAll(async () => {
  journals = await startFaultyJournals({ workers: [publisherWorker()] })
})
afterEach(() => journals.set({ ahead: 0, isHeld: false }))
afterAll(() => journals.dispose())

const SUBSCRIBE = { i: 's', p: { u: '/subscribe', b: {} } }
const resume = (id: string): object => ({ i: 's', p: { u: '/subscribe', b: {}, h: { 'last-event-id': id } } })
/** An hour, in seconds. */
const HOUR = 3_600
const seconds = (): number => Math.floor(Date.now() / 1000)

/** The size of each replayed event in bytes, so large that a step of the replay has few events. */
const SIZE = 100_000

/** Starts a subscription whose replay of eight events pauses after the first step. */
async function halfWay(binding: Binding, chn: string, url?: string): Promise<BareSocket> {
  await journals.stub(binding, chn, 'publishMany', 8, SIZE)
  const socket = await BareSocket.open(url ?? (await journals.upgrade(binding, { chn })))
  await journals.set({ isHeld: true })
  socket.send(SUBSCRIBE)
  await socket.frames(3)
  return socket
}

const numbers = (frames: any[]): number[] => frames.flatMap(({ p }) => (p.e === 'message' ? [p.d.json.n] : []))

test('a replay to a subscriber of oRPC\'s publisher whose instance crashes ends at once, and the subscriber resumes without missing events', async () => {
  const chn = 'interrupted publisher'
  const publisher = await Publisher.of(journals)
  for (let n = 1; n <= 8; n++) await journals.stub('FAULTY', chn, 'publish', { n, padding: 'x'.repeat(SIZE) })
  await journals.set({ isHeld: true })
  const first = await publisher.subscribed('FAULTY', chn, { lastEventId: '1' })
  await first.count(2)
  await expect(journals.stub('FAULTY', chn, 'publishAndFail', 9, 'panic')).rejects.toThrow()
  await first.until(({ errors }) => errors.length > 0)
  expect(first.errors[0]!.error).toBe('WebSocket closed unexpectedly: 1012 Subscription interrupted')
  await journals.set({ isHeld: false })
  const received = first.received.length
  const again = publisher.subscribe('FAULTY', chn, { lastEventId: first.ids.at(-1)! })
  await again.count(9 - received)
  expect([...first.payloads, ...again.payloads].map(({ n }) => n)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
  for (const end of [first, again]) end.close()
})

test.each(['its own', 'another'])('a replay whose instance crashes by %s Durable Object ends at once, and its client resumes without missing events', async (whose) => {
  const chn = `interrupted by ${whose}`
  for (let n = 1; n <= 8; n++) await journals.stub('FAULTY', chn, 'publish', { n, padding: 'x'.repeat(SIZE) })
  const socket = await BareSocket.open(await journals.upgrade('FAULTY', { chn, rpc: ['ping'] }))
  await journals.set({ isHeld: true })
  socket.send(SUBSCRIBE)
  await socket.frames(3)
  // In its own Durable Object, this is the last stored event.
  const failing = whose === 'its own' ? chn : `${chn} one`
  await expect(journals.stub('FAULTY', failing, 'publishAndFail', 9, 'panic')).rejects.toThrow()
  expect(await socket.end()).toEqual({ code: 1012, reason: 'Subscription interrupted' })
  await journals.set({ isHeld: false })
  const before = socket.messages.map((text) => JSON.parse(text))
  const again = await BareSocket.open(await journals.upgrade('FAULTY', { chn }))
  again.send(resume(before.findLast(({ p }) => p.e === 'message').p.m.id))
  const all = Array.from({ length: whose === 'its own' ? 9 : 8 }, (_, n) => n + 1)
  const after = await again.frames(1 + all.length - numbers(before).length)
  expect(after[0]).toEqual({ i: 's', p: { h: { 'content-type': 'text/event-stream' } } })
  expect([...numbers(before), ...numbers(after)]).toEqual(all)
  again.vanish()
})

test('a replay whose events are deleted by the bounds is stopped, and its client receives a gap notification', async () => {
  const chn = 'outrun'
  const socket = await halfWay('FEW', chn)
  await journals.stub('FEW', chn, 'publishMany', 8, 1)
  await journals.set({ isHeld: false })
  expect(await socket.end()).toEqual({ code: 1012, reason: 'Replay outrun' })
  const before = socket.messages.map((text) => JSON.parse(text))
  const again = await BareSocket.open(await journals.upgrade('FEW', { chn }))
  const last = before.at(-1).p.m.id
  again.send(resume(last))
  const [answer, first] = await again.frames(2)
  const gap = Number(answer.p.h['x-durable-event-gap'])
  expect(gap).toBeGreaterThan(Number(last))
  expect(gap).toBeLessThanOrEqual(Number(first.p.m.id))
  expect(first.p.d.json.n).toBeLessThanOrEqual(8)
  again.vanish()
})

test('if the token of a DurableEventIterator client expires during a replay, the iteration ends without an error and the socket stays open', async () => {
  const chn = 'expiring replay'
  const url = await journals.upgrade('ROOMY', { chn, exp: seconds() + HOUR })
  const socket = await halfWay('ROOMY', chn, url)
  await journals.set({ ahead: 2 * HOUR * 1_000, isHeld: false })
  await socket.until((messages) => messages.some((text) => text.includes('"done"')))
  socket.send({ i: '1', p: { u: '/call', b: { json: { path: ['kept'] } } } })
  await socket.until((messages) => messages.some((text) => text.includes('UNAUTHORIZED')))
  const frames = socket.messages.map((text) => JSON.parse(text))
  expect(frames.slice(-2)).toMatchObject([{ i: 's', t: 3, p: { e: 'done' } }, { i: '1', p: { s: 401 } }])
  expect(numbers(frames).length).toBeLessThan(8)
  expect(socket.closed).toBeUndefined()
  socket.vanish()
})

test('a client whose token expires while its subscription is queued receives no events', async () => {
  const chn = 'expiring before a replay'
  const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn, exp: seconds() + HOUR }))
  const again = { ...SUBSCRIBE, i: 'again' }
  socket.send(SUBSCRIBE)
  await socket.frames(1)
  await journals.stub('USUAL', chn, 'publish', { n: 1 })
  await socket.frames(2)
  // The next subscription is too early, even on a busy machine.
  await journals.set({ isHeld: true, ahead: -1_000 })
  socket.send(again)
  await socket.frames(3)
  await journals.set({ ahead: 2 * HOUR * 1_000, isHeld: false })
  const frames = await socket.frames(4)
  expect(frames.slice(2)).toMatchObject([{ i: 's', t: 3, p: { e: 'done' } }, { i: 'again', p: { s: 401 } }])
  socket.vanish()
})

test('a queued subscription is rejected when a call finds its token expired', async () => {
  const chn = 'expiring beside a call'
  const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn, exp: seconds() + HOUR, rpc: ['kept'] }))
  socket.send(SUBSCRIBE)
  await socket.frames(1)
  await journals.set({ isHeld: true, ahead: -1_000 })
  socket.send({ ...SUBSCRIBE, i: 'again' })
  await socket.frames(2)
  await journals.set({ ahead: 2 * HOUR * 1_000 })
  const call = (i: string): object => ({ i, p: { u: '/call', b: { json: { path: ['kept'] } } } })
  socket.send(call('1'))
  await socket.frames(4)
  await journals.set({ isHeld: false })
  socket.send(call('2'))
  const frames = await socket.frames(5)
  expect(frames.slice(2)).toMatchObject(['again', '1', '2'].map((i) => ({ i, p: { s: 401, b: { json: { code: 'UNAUTHORIZED' } } } })))
  socket.vanish()
})

test('if the token of a DurableIterator client expires during a replay, the socket is closed with 1008', async () => {
  const chn = 'expiring replay of a DurableIterator client'
  const url = upgradeUrl(journals, 'ROOMY', await durableIteratorToken({ chn, exp: seconds() + HOUR }), 'an-id')
  const socket = await halfWay('ROOMY', chn, url)
  await journals.set({ ahead: 2 * HOUR * 1_000, isHeld: false })
  expect(await socket.end()).toEqual({ code: 1008, reason: 'Token expired' })
  expect(numbers(socket.messages.map((text) => JSON.parse(text))).length).toBeLessThan(8)
})

test.each<[string, (chn: string) => Promise<string>]>([
  ['DurableEventIterator', (chn) => token({ chn, rpc: ['kept'], exp: seconds() + HOUR })],
  ['DurableIterator', (chn) => durableIteratorToken({ chn, rpc: ['kept'], exp: seconds() + HOUR })],
])('a %s client with an expired token receives no events and cannot make calls on its open socket, also after hibernation', async (kind, sign) => {
  for (const isAsleep of [false, true]) {
    const chn = `expired ${kind} ${isAsleep}`
    const [listening, calling] = await Promise.all(
      [0, 1].map(async () => BareSocket.open(upgradeUrl(journals, 'USUAL', await sign(chn), 'an-id'))),
    ) as [BareSocket, BareSocket]
    for (const socket of [listening, calling]) {
      socket.send(SUBSCRIBE)
      await socket.frames(1)
    }
    await journals.set({ ahead: 2 * HOUR * 1_000 })
    if (isAsleep) await journals.hibernate('USUAL', chn)
    calling.send({ i: '1', p: { u: '/call', b: { json: { path: ['kept'] } } } })
    await journals.stub('USUAL', chn, 'publish', { n: 1 })
    const expired = {
      i: '1',
      p: { s: 401, h: { 'x-durable-event-token-expired': '1' }, b: { json: expect.objectContaining({ code: 'UNAUTHORIZED' }) } },
    }
    const done = { i: 's', t: 3, p: { e: 'done', d: {} } }
    if (kind === 'DurableIterator') {
      for (const socket of [listening, calling]) expect(await socket.end()).toEqual({ code: 1008, reason: 'Token expired' })
      expect(listening.messages).toHaveLength(1)
      expect(numbers(calling.messages.map((text) => JSON.parse(text)))).toEqual([])
    } else {
      expect((await listening.frames(2)).slice(1)).toEqual([done])
      const frames = (await calling.frames(3)).slice(1)
      expect(frames).toContainEqual(done)
      expect(frames).toContainEqual(expired)
      for (const socket of [listening, calling]) expect(socket.closed).toBeUndefined()
    }
    for (const socket of [listening, calling]) socket.vanish()
    await journals.set({ ahead: 0 })
  }
})

test('if expired sockets are kept, events and calls continue after the token has expired', async () => {
  for (const [n, url] of [
    await journals.upgrade('LASTING', { chn: 'lasting 0', rpc: ['kept'], exp: seconds() + HOUR }),
    upgradeUrl(journals, 'LASTING', await durableIteratorToken({ chn: 'lasting 1', rpc: ['kept'], exp: seconds() + HOUR }), 'an-id'),
  ].entries()) {
    const chn = `lasting ${n}`
    const socket = await BareSocket.open(url)
    socket.send(SUBSCRIBE)
    await socket.frames(1)
    await journals.set({ ahead: 2 * HOUR * 1_000 })
    await journals.stub('LASTING', chn, 'publish', { n: 1 })
    await journals.hibernate('LASTING', chn)
    await journals.stub('LASTING', chn, 'publish', { n: 2 })
    expect(numbers(await socket.frames(3))).toEqual([1, 2])
    socket.send({ i: '1', p: { u: '/call', b: { json: { path: ['kept'] } } } })
    expect((await socket.frames(4))[3]).toEqual({ i: '1', p: { b: {} } })
    socket.vanish()
    await journals.set({ ahead: 0 })
  }
})

test('a ping receives a pong without our code: it neither constructs nor reaches a Durable Object', async () => {
  const chn = 'ping'
  const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn, rpc: ['kept'] }))
  socket.send(SUBSCRIBE)
  await socket.frames(1)
  await journals.hibernate('USUAL', chn)
  const before = await journals.set({})
  for (let n = 1; n <= 3; n++) {
    socket.send('ping')
    expect(await socket.message(n)).toBe('pong')
  }
  expect(await journals.set({})).toEqual(before)
  // Another message constructs one, so the count above is meaningful.
  socket.send({ i: '1', p: { u: '/call', b: { json: { path: ['kept'] } } } })
  await socket.message(4)
  expect(await journals.set({})).toEqual({ ...before, made: before.made + 1, messages: before.messages + 1 })
  socket.vanish()
})

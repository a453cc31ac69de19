// Failures of application code: no stored event is lost, sockets stay open, and callers receive an error.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { CLIENT_VERSIONS } from './support/client.ts'
import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket, upgradeAnswer } from './support/socket.ts'

let journals: Journals
const lines: string[] = []
beforeAll(async () => {
  journals = await startJournals({ onLog: (line) => lines.push(line) })
})
afterAll(() => journals.dispose())

const INTERNAL = { json: { defined: false, code: 'INTERNAL_SERVER_ERROR', status: 500, message: 'Internal server error' } }

const open = async (chn: string, att?: string): Promise<BareSocket> =>
  BareSocket.open(await journals.upgrade('FAULTY', { chn, rpc: ['ping', 'wait', 'publishAndFail', 'items'], att }))

const call = (i: string, path: string, input: unknown): object => ({ i, p: { u: '/call', b: { json: { path: [path], input } } } })

/** Starts a call that waits. Resolves when the Durable Object has received it. */
async function leaveWaiting(socket: BareSocket): Promise<void> {
  const before = socket.messages.length
  socket.send(call('w', 'wait', undefined))
  socket.send(call('p', 'ping', undefined))
  await socket.frames(before + 1)
}

/** All ways to fail, synchronously and after an await. */
const WAYS = ['panic', 'index', 'recursion', 'memory', 'exception'].flatMap((how) => [how, `${how} later`])

describe.each(WAYS)('a procedure that fails by %s', (how) => {
  test('returns an error, loses no event, and keeps sockets open', async () => {
    const chn = `faulty ${how}`
    const [neighbour, caller] = [await open(chn), await open(chn)]
    const elsewhere = await open(`${chn} elsewhere`)
    for (const socket of [neighbour, elsewhere]) {
      socket.send({ i: 's', p: { u: '/subscribe', b: {} } })
      await socket.frames(1)
    }
    caller.send(call('1', 'publishAndFail', [1, how]))
    expect((await caller.frames(1))[0]).toEqual({ i: '1', p: { s: 500, b: INTERNAL } })
    // The socket and the subscriptions continue, also in another Durable Object of the same isolate.
    caller.send(call('2', 'ping', undefined))
    expect((await caller.frames(2))[1]).toEqual({ i: '2', p: { b: { json: 'pong' } } })
    await journals.stub('FAULTY', chn, 'publish', { n: 2 })
    await journals.stub('FAULTY', `${chn} elsewhere`, 'publish', { n: 3 })
    const json = (frames: any[]): unknown[] => frames.slice(1).map(({ p }) => p.d.json)
    expect(json(await neighbour.frames(3))).toEqual([{ n: 1 }, { n: 2 }])
    expect(json(await elsewhere.frames(2))).toEqual([{ n: 3 }])
    // A later client receives the events from before the failure.
    const later = await open(chn)
    later.send({ i: 's', p: { u: '/subscribe', b: {} } })
    expect(json(await later.frames(3))).toEqual([{ n: 1 }, { n: 2 }])
    for (const socket of [neighbour, caller, elsewhere, later]) socket.vanish()
  })

  test('rejects the stub call, and the next call succeeds', async () => {
    const chn = `faulty stub ${how}`
    await expect(journals.stub('FAULTY', chn, 'publishAndFail', 1, how)).rejects.toThrow()
    expect(await journals.stub('FAULTY', chn, 'ping')).toBe('pong')
    const later = await open(chn)
    later.send({ i: 's', p: { u: '/subscribe', b: {} } })
    expect((await later.frames(2))[1]).toMatchObject({ p: { d: { json: { n: 1 } } } })
    later.vanish()
  })
})

test.each(['panic', 'index', 'recursion', 'exception'])('a transaction that fails by %s is rolled back, and the next one succeeds', async (how) => {
  for (const method of ['transactAndFail', 'transactAndFailLater']) {
    const chn = `${method} ${how}`
    const live = await open(chn)
    live.send({ i: 's', p: { u: '/subscribe', b: {} } })
    await live.frames(1)
    const before = await journals.stub('FAULTY', chn, 'publish', { n: 1 })
    await expect(journals.stub('FAULTY', chn, method, 2, how)).rejects.toThrow()
    await journals.stub('FAULTY', chn, method, 3, 'not at all')
    await live.until((messages) => messages.some((text) => text.includes('"n":3')))
    expect(live.messages.slice(1).map((text) => JSON.parse(text).p.d.json.n)).toEqual([1, 3])
    live.vanish()
    // The current instance reads the storage.
    await journals.stub('FAULTY', chn, 'wipe')
    const late = await open(chn)
    late.send({ i: 's', p: { u: '/subscribe', b: {}, h: { 'last-event-id': before } } })
    expect((await late.frames(1))[0].p.h).toHaveProperty('x-durable-event-gap')
    late.vanish()
  }
})

test('a waiting call receives an error when another call crashes its instance', async () => {
  const chn = 'faulty neighbours'
  const [waiting, caller] = [await open(chn), await open(chn)]
  await leaveWaiting(waiting)
  caller.send(call('1', 'publishAndFail', [1, 'panic']))
  expect((await caller.frames(1))[0]).toMatchObject({ i: '1', p: { s: 500 } })
  expect((await waiting.frames(2))[1]).toEqual({ i: 'w', p: { s: 500, b: INTERNAL } })
  for (const socket of [waiting, caller]) socket.vanish()
})

test.each(['panic', 'panic later'])('the reader of a stream that fails by %s receives an error', async (how) => {
  const reader = await open(`faulty stream ${how}`)
  reader.send(call('1', 'items', how))
  const frames = (await reader.frames(4)) as any[]
  expect(frames.slice(0, 3).map(({ p }) => p.e ?? p.h)).toEqual([{ 'content-type': 'text/event-stream' }, 'message', 'message'])
  expect(frames[3]).toEqual({ i: '1', t: 3, p: { e: 'error', d: INTERNAL } })
  reader.vanish()
})

test.each(CLIENT_VERSIONS)('a client of oRPC %s receives the error of the stream, and continues', async (version) => {
  const client = await journals.client('FAULTY', { chn: `faulty stream ${version}`, rpc: ['ping', 'items'] }, { version })
  const items: unknown[] = []
  const reading = (async () => {
    for await (const item of await client.call(['items'], 'panic later')) items.push(item)
  })()
  await expect(reading).rejects.toMatchObject({ code: 'INTERNAL_SERVER_ERROR' })
  expect(items).toEqual([0, 1])
  expect(await client.call(['ping'])).toBe('pong')
  client.close()
})

test('a panic in the hook on subscribing closes the socket of the subscriber and does not affect others', async () => {
  const chn = 'faulty hook'
  const [broken, sound] = [await open(chn, 'panic'), await open(chn)]
  sound.send({ i: 's', p: { u: '/subscribe', b: {} } })
  await sound.frames(1)
  broken.send({ i: 's', p: { u: '/subscribe', b: {} } })
  expect(await broken.end()).toEqual({ code: 1012, reason: 'Subscription interrupted' })
  await journals.stub('FAULTY', chn, 'publish', { n: 1 })
  expect((await sound.frames(2))[1]).toMatchObject({ p: { d: { json: { n: 1 } } } })
  sound.vanish()
})

describe.each(['panic', 'recursion', 'exception', 'panic later', 'exception later'])('an interceptor that fails by %s', (how) => {
  test('returns an error to its caller, and does not affect the next call', async () => {
    const chn = `faulty intercept ${how}`
    const caller = await open(chn)
    await journals.stub('FAULTY', chn, 'plan', 'intercept', how)
    caller.send(call('1', 'ping', undefined))
    expect((await caller.frames(1))[0]).toEqual({ i: '1', p: { s: 500, b: INTERNAL } })
    caller.send(call('2', 'ping', undefined))
    expect((await caller.frames(2))[1]).toEqual({ i: '2', p: { b: { json: 'pong' } } })
    caller.vanish()
  })

  test('of the alarm is retried by the runtime', async () => {
    const chn = `faulty alarm ${how}`
    const reader = await open(chn)
    reader.send({ i: 's', p: { u: '/subscribe', b: {} } })
    await reader.frames(1)
    await journals.stub('FAULTY', chn, 'publish', { n: 1 })
    await journals.stub('FAULTY', chn, 'plan', 'alarm', how)
    await journals.stub('FAULTY', chn, 'wake')
    const frames = await reader.frames(3)
    expect(frames.slice(1).map(({ p }) => p.d.json)).toEqual([{ n: 1 }, { n: 99 }])
    reader.vanish()
  })
})

describe.each(['panic', 'recursion', 'exception'])('synchronous code that fails by %s', (how) => {
  test('in the constructor: the caller receives an error, and the next call constructs the Durable Object', async () => {
    const chn = `faulty new ${how}`
    const [waiting, caller, reader] = [await open(`${chn} elsewhere`), await open(chn), await open(chn)]
    reader.send({ i: 's', p: { u: '/subscribe', b: {} } })
    await reader.frames(1)
    await journals.stub('FAULTY', chn, 'publish', { n: 1 })
    for (const wake of [
      async () => {
        caller.send(call('1', 'ping', undefined))
        expect((await caller.frames(1))[0]).toEqual({ i: '1', p: { s: 500, b: INTERNAL } })
      },
      async () => expect(journals.stub('FAULTY', chn, 'publish', { n: 2 })).rejects.toThrow(),
      async () => expect(await upgradeAnswer(await journals.upgrade('FAULTY', { chn }))).toMatchObject({ status: 500 }),
    ]) {
      await leaveWaiting(waiting)
      await journals.stub('FAULTY', chn, 'plan', 'new', how)
      await journals.hibernate('FAULTY', chn)
      await wake()
      // The other Durable Object had the same instance.
      await waiting.until((messages) => messages.some((message) => message.includes('500')))
      waiting.messages.length = 0
    }
    caller.send(call('2', 'ping', undefined))
    expect((await caller.frames(2))[1]).toEqual({ i: '2', p: { b: { json: 'pong' } } })
    await journals.stub('FAULTY', chn, 'publish', { n: 3 })
    expect((await reader.frames(3)).slice(1).map(({ p }) => p.d.json)).toEqual([{ n: 1 }, { n: 3 }])
    for (const socket of [waiting, caller, reader]) socket.vanish()
  })

  test('in the serializer of an event: the event is neither stored nor sent, and the next one is', async () => {
    const chn = `faulty event ${how}`
    const [waiting, reader] = [await open(chn), await open(chn)]
    reader.send({ i: 's', p: { u: '/subscribe', b: {} } })
    await reader.frames(1)
    await leaveWaiting(waiting)
    await expect(journals.stub('FAULTY', chn, 'publish', { n: 1, how })).rejects.toThrow()
    expect((await waiting.frames(2))[1]).toEqual({ i: 'w', p: { s: 500, b: INTERNAL } })
    await journals.stub('FAULTY', chn, 'publish', { n: 2 })
    expect((await reader.frames(2)).slice(1).map(({ p }) => p.d.json)).toEqual([{ n: 2 }])
    for (const socket of [waiting, reader]) socket.vanish()
  })
})

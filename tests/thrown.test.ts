// Exceptions of the Workers runtime and of the application's JavaScript fail only one call. They do not crash the WebAssembly
// instance, which all Durable Objects of the isolate share.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { startFaultyJournals, THROWN } from './support/faults.ts'
import type { FaultyJournals, Thrown } from './support/faults.ts'
import { BareSocket, upgradeAnswer } from './support/socket.ts'

let journals: FaultyJournals
const log: string[] = []
beforeAll(async () => {
  journals = await startFaultyJournals({ onLog: (line) => log.push(line) })
})
afterAll(() => journals.dispose())

const SUBSCRIBE = { i: 's', p: { u: '/subscribe', b: {} } }
const INTERNAL = { json: { defined: false, code: 'INTERNAL_SERVER_ERROR', status: 500, message: 'Internal server error' } }
const call = (i: string, path: string, input?: unknown): object => ({ i, p: { u: '/call', b: { json: { path: [path], input } } } })
const isTransient = (value: Thrown): boolean => value === 'retryable Error' || value === 'overloaded Error'

/** The number of events in the neighbour's replay, so large that a step of the replay has few events. */
const EVENTS = 8
const SIZE = 100_000

let name = 0
/** The channel of a test. */
let chn: string
/** Two neighbours: a paused replay of another Durable Object, and a running call of a third one. */
let reader: BareSocket
let caller: BareSocket

beforeEach(async () => {
  chn = `channel ${++name}`
  const elsewhere = `${chn} elsewhere`
  await journals.stub('ROOMY', elsewhere, 'publishMany', EVENTS, SIZE)
  caller = await BareSocket.open(await journals.upgrade('FAULTY', { chn: elsewhere, rpc: ['ping', 'wait'] }))
  caller.send(call('waiting', 'wait'))
  caller.send(call('1', 'ping'))
  await caller.frames(1)
  reader = await BareSocket.open(await journals.upgrade('ROOMY', { chn: elsewhere }))
  await journals.set({ isHeld: true })
  reader.send(SUBSCRIBE)
  await reader.frames(3)
  log.length = 0
})

/** Checks that the neighbours are not affected: the replay completes, and the call is still running. */
afterEach(async () => {
  await journals.set({ isHeld: false, thrown: null })
  expect((await reader.frames(1 + EVENTS)).slice(1).map(({ p }) => p.d.json.n)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  caller.send(call('2', 'ping'))
  expect((await caller.frames(2)).map(({ i }) => i)).toEqual(['1', '2'])
  expect(log.filter((line) => /Critical|Reinitializing|is lost/.test(line))).toEqual([])
  for (const socket of [reader, caller]) {
    expect(socket.closed).toBeUndefined()
    socket.vanish()
  }
})

describe.each(['acceptWebSocket', 'setWebSocketAutoResponse', 'getWebSockets', 'serializeAttachment', 'WebSocketPair', 'Response'])(
  'an upgrade whose %s throws',
  (what) => {
    test('is rejected, and the next one opens a socket', async () => {
      for (const [n, value] of THROWN.entries()) {
        // The first upgrade of a Durable Object counts its sockets.
        const channel = `${chn} ${n}`
        const url = await journals.upgrade('USUAL', { chn: channel })
        log.length = 0
        await journals.set({ thrown: { call: what, value, times: 1, name: channel } })
        const refused = isTransient(value)
          ? { status: 503, text: 'Service Unavailable', retryAfter: '2' }
          : { status: 500, text: 'Internal Server Error' }
        expect(await upgradeAnswer(url), value).toEqual(refused)
        await expect.poll(() => log.filter((line) => line.startsWith('durable-event-iterator: upgrade failed: ')), { message: value }).toHaveLength(1)
        expect(await upgradeAnswer(url), value).toEqual({ status: 101, text: '' })
      }
    })
  },
)

test('an upgrade whose response cannot be created is rejected with 500', async () => {
  const url = await journals.upgrade('USUAL', { chn })
  for (const value of THROWN) {
    await journals.set({ thrown: { call: 'Response', value, times: 2 } })
    expect(await upgradeAnswer(url), value).toMatchObject({ status: 500 })
    expect(await upgradeAnswer(url), value).toEqual({ status: 101, text: '' })
  }
})

test.each(['sql', 'transactionSync'])('a publish whose %s throws fails with a storage error, and the next one is stored', async (what) => {
  await journals.stub('USUAL', chn, 'publish', { n: 1 })
  for (const value of THROWN) {
    await journals.set({ thrown: { call: what, value, times: 1, name: chn } })
    await expect(journals.stub('USUAL', chn, 'publishOnce', { n: 2 }, value.replaceAll(' ', '-')), value).rejects.toMatchObject({
      code: 'INTERNAL_SERVER_ERROR',
      failure: 'StorageFailure',
    })
    await journals.stub('USUAL', chn, 'publishOnce', { n: 2 }, value.replaceAll(' ', '-'))
  }
})

test('an unreachable Durable Object is 503 with Retry-After if the runtime reports that a retry may succeed', async () => {
  const url = await journals.upgrade('USUAL', { chn })
  const publish = (): Promise<Response> =>
    journals.fetch('/rpc/announce', { method: 'POST', body: JSON.stringify({ json: { message: 'Hello' } }), headers: { 'content-type': 'application/json' } })
  for (const value of THROWN) {
    await journals.set({ thrown: { call: 'stub.fetch', value, times: 1 } })
    expect(await upgradeAnswer(url), value).toEqual(
      isTransient(value) ? { status: 503, text: 'Service Unavailable', retryAfter: '2' } : { status: 500, text: 'Internal Server Error' },
    )
    expect(await upgradeAnswer(url), value).toEqual({ status: 101, text: '' })
    await journals.set({ thrown: { call: 'stub.~settle', value, times: 1 } })
    const response = await publish()
    expect([response.status, response.headers.get('retry-after')], value).toEqual(isTransient(value) ? [503, '2'] : [500, null])
    expect(await response.text()).not.toContain('by a test')
    expect((await publish()).status, value).toBe(200)
  }
})

test('a publish that cannot list the sockets still stores its event', async () => {
  for (const value of THROWN) {
    await journals.set({ thrown: { call: 'getWebSockets', value, times: 1, name: chn } })
    await journals.stub('USUAL', chn, 'publish', { value })
  }
  const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn }))
  await journals.set({ isHeld: false })
  socket.send(SUBSCRIBE)
  expect((await socket.frames(1 + THROWN.length)).slice(1).map(({ p }) => p.d.json.value)).toEqual(THROWN)
  socket.vanish()
})

test.each(['serializeAttachment', 'deserializeAttachment', 'sql'])('a message whose %s throws closes at most its own socket', async (what) => {
  for (const [n, value] of THROWN.entries()) {
    const channel = `${chn} ${n}`
    const [socket, other] = [
      await BareSocket.open(await journals.upgrade('USUAL', { chn: channel })),
      await BareSocket.open(await journals.upgrade('USUAL', { chn: channel })),
    ]
    await journals.hibernate('USUAL', channel)
    await journals.set({ thrown: { call: what, value, times: 1, name: channel } })
    socket.send(SUBSCRIBE)
    await Promise.race([socket.end(), socket.frames(1)])
    other.send(SUBSCRIBE)
    await other.frames(1)
    await journals.stub('USUAL', channel, 'publish', { n })
    expect((await other.frames(2))[1], value).toMatchObject({ p: { d: { json: { n } } } })
    for (const each of [socket, other]) each.vanish()
  }
})

test.each(['send', 'close'])('a socket whose %s throws does not affect others', async (what) => {
  const other = await BareSocket.open(await journals.upgrade('USUAL', { chn }))
  other.send(SUBSCRIBE)
  await other.frames(1)
  for (const [n, value] of THROWN.entries()) {
    const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn }))
    await journals.set({ thrown: { call: what, value, times: 1 } })
    // Has a response by a message and by a close.
    socket.send({ i: '1', p: { u: '/call', b: {} } })
    socket.send('no frame')
    if (what === 'send') await socket.end()
    else await socket.frames(1)
    await journals.stub('USUAL', chn, 'publish', { n })
    expect((await other.frames(2 + n))[1 + n], value).toMatchObject({ p: { d: { json: { n } } } })
    socket.vanish()
  }
  other.vanish()
})

test('the close of a client receives a close frame even if the first attempt throws', async () => {
  for (const value of THROWN) {
    const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn }))
    await journals.set({ thrown: { call: 'close', value, times: 1 } })
    socket.socket.close(1000)
    await socket.end()
  }
})

// A call of the runtime by the application through the `worker` crate, which can convert these exceptions into errors.
test.each<Thrown>(['Error', 'undefined', 'RuntimeError'])('an alarm whose storage throws %s is retried by the runtime', async (value) => {
  const socket = await BareSocket.open(await journals.upgrade('FAULTY', { chn }))
  socket.send(SUBSCRIBE)
  await socket.frames(1)
  await journals.stub('FAULTY', chn, 'plan', 'alarm', 'nothing')
  await journals.set({ thrown: { call: 'sql', value, times: 1, name: chn } })
  await journals.stub('FAULTY', chn, 'wake')
  expect((await socket.frames(2))[1]).toMatchObject({ p: { d: { json: { n: 99 } } } })
  socket.vanish()
})

describe.each(['caught RuntimeError', 'caught RuntimeError later', 'rejection', 'rejection later'])('a handler that receives a %s', (how) => {
  test('fails alone, over a socket and through a stub', async () => {
    const socket = await BareSocket.open(await journals.upgrade('FAULTY', { chn, rpc: ['publishAndFail'] }))
    await journals.set({ isHeld: false })
    socket.send(call('1', 'publishAndFail', [1, how]))
    expect((await socket.frames(1))[0]).toEqual({ i: '1', p: { s: 500, b: INTERNAL } })
    await expect(journals.stub('FAULTY', chn, 'publishAndFail', 1, how)).rejects.toMatchObject({
      name: 'ORPCError',
      code: 'INTERNAL_SERVER_ERROR',
    })
    socket.vanish()
  })
})

test('a RuntimeError that JavaScript reports during a call from WebAssembly does not affect the instance', async () => {
  await journals.stub('FAULTY', chn, 'publishAndFail', 1, 'reported RuntimeError')
})

test('an uncaught exception of JavaScript does not affect the instance', async () => {
  for (const uncaught of THROWN) await journals.set({ uncaught })
  expect(await journals.stub('FAULTY', chn, 'ping')).toBe('pong')
})

// Failures of application code: no stored event is lost, sockets stay open, and callers receive an error.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { CLIENT_VERSIONS } from './support/client.ts'
import { isRust, startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket, upgradeAnswer } from './support/socket.ts'

let journals: Journals
const lines: string[] = []
beforeAll(async () => {
  journals = await startJournals({ onLog: (line) => lines.push(line) })
})
afterAll(() => journals.dispose())

const INTERNAL = { json: { defined: false, code: 'INTERNAL_SERVER_ERROR', status: 500, message: 'Internal server error' } }

const RPC = ['ping', 'wait', 'publishAndFail', 'items', 'brokenMethod', 'asyncMethod', 'brokenRecord', 'proxyRecord']
const open = async (chn: string, att?: string): Promise<BareSocket> =>
  BareSocket.open(await journals.upgrade('FAULTY', { chn, rpc: RPC, att }))

const call = (i: string, path: string, input: unknown): object => ({ i, p: { u: '/call', b: { json: { path: [path], input } } } })

/** Starts a call that waits. Resolves when the Durable Object has received it. */
async function leaveWaiting(socket: BareSocket): Promise<void> {
  const before = socket.messages.length
  socket.send(call('w', 'wait', undefined))
  socket.send(call('p', 'ping', undefined))
  await socket.frames(before + 1)
}

const andLater = (ways: string[]): string[] => ways.flatMap((how) => [how, `${how} later`])

/** All ways to throw in TypeScript. */
const THROWING = [
  'exception', 'a string', 'undefined', 'null', 'a proxy that throws', 'an error with throwing getters', 'an error of WebAssembly',
  'an ORPCError that cannot be serialized', 'an ORPCError that contains itself', 'recursion',
]

/** Results that cannot be sent. */
const RETURNING = [
  'a value that contains itself', 'a getter that throws', 'a promise that is rejected', 'a thenable that throws', 'a text of 40 MB',
  'a ReadableStream', 'an invalid Date',
]

/** Ways to throw, and some of them after an await. */
const THROWING_OR_LATER = [...THROWING, 'exception later', 'undefined later', 'recursion later']

/** All ways to fail, synchronously and after an await. */
const WAYS = isRust ? andLater(['panic', 'index', 'recursion', 'memory', 'exception']) : [...THROWING_OR_LATER, ...RETURNING]

describe.each(WAYS)('a procedure that fails by %s', (how) => {
  test('returns an error, loses no event, and keeps sockets open', async () => {
    const chn = `faulty ${how}`
    const [neighbour, caller] = [await open(chn), await open(chn)]
    const elsewhere = await open(`${chn} elsewhere`)
    const waiting = await open(chn)
    await leaveWaiting(waiting)
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
    if (!isRust) {
      // A failure in TypeScript affects no other call.
      waiting.send(call('p', 'ping', undefined))
      expect((await waiting.frames(2)).map(({ i, p }) => [i, p.s])).toEqual([['p', undefined], ['p', undefined]])
    }
    for (const socket of [neighbour, caller, elsewhere, later, waiting]) socket.vanish()
  })

  // The runtime can send some of the results to other Workers.
  if (RETURNING.includes(how)) return
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

test.each(isRust ? ['panic', 'index', 'recursion', 'exception'] : THROWING)('a transaction that fails by %s is rolled back, and the next one succeeds', async (how) => {
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

const STREAM_WAYS = isRust ? ['panic', 'panic later'] : [...THROWING_OR_LATER, 'a value that contains itself', 'a getter that throws', 'a text of 40 MB']
test.each(STREAM_WAYS)('the reader of a stream that fails by %s receives an error', async (how) => {
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
    for await (const item of await client.call(['items'], isRust ? 'panic later' : 'exception later')) items.push(item)
  })()
  await expect(reading).rejects.toMatchObject({ code: 'INTERNAL_SERVER_ERROR' })
  expect(items).toEqual([0, 1])
  expect(await client.call(['ping'])).toBe('pong')
  client.close()
})

describe.each(isRust ? ['panic', 'recursion', 'exception', 'panic later', 'exception later'] : THROWING_OR_LATER)('an interceptor that fails by %s', (how) => {
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

if (isRust) {
  test('a waiting call receives an error when another call crashes its instance', async () => {
    const chn = 'faulty neighbours'
    const [waiting, caller] = [await open(chn), await open(chn)]
    await leaveWaiting(waiting)
    caller.send(call('1', 'publishAndFail', [1, 'panic']))
    expect((await caller.frames(1))[0]).toMatchObject({ i: '1', p: { s: 500 } })
    expect((await waiting.frames(2))[1]).toEqual({ i: 'w', p: { s: 500, b: INTERNAL } })
    for (const socket of [waiting, caller]) socket.vanish()
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
} else {
  test.each(THROWING)('a hook on subscribing that fails by %s ends the subscription with an error, and does not affect others', async (how) => {
    const chn = `faulty hook ${how}`
    const [broken, sound, waiting] = [await open(chn, how), await open(chn), await open(chn)]
    await leaveWaiting(waiting)
    sound.send({ i: 's', p: { u: '/subscribe', b: {} } })
    await sound.frames(1)
    broken.send({ i: 's', p: { u: '/subscribe', b: {} } })
    expect((await broken.frames(2))[1]).toMatchObject({ i: 's', t: 3, p: { e: 'error', d: INTERNAL } })
    for (const socket of [broken, waiting]) socket.send(call('p', 'ping', undefined))
    expect((await broken.frames(3))[2]).toEqual({ i: 'p', p: { b: { json: 'pong' } } })
    expect((await waiting.frames(2))[1]).toEqual({ i: 'p', p: { b: { json: 'pong' } } })
    await journals.stub('FAULTY', chn, 'publish', { n: 1 })
    expect((await sound.frames(2))[1]).toMatchObject({ p: { d: { json: { n: 1 } } } })
    for (const socket of [broken, sound, waiting]) socket.vanish()
  })

  test('a hook on subscribing that is rejected later is logged, and its subscription continues', async () => {
    const chn = 'faulty hook later'
    const before = lines.length
    const reader = await open(chn, 'exception later')
    reader.send({ i: 's', p: { u: '/subscribe', b: {} } })
    await expect.poll(() => lines.slice(before).some((line) => line.includes('onSubscribed failed: Error: a secret of the inside'))).toBe(true)
    await journals.stub('FAULTY', chn, 'publish', { n: 1 })
    expect((await reader.frames(2))[1]).toMatchObject({ p: { d: { json: { n: 1 } } } })
    reader.vanish()
  })

  test.each([
    ['a method that throws', ['brokenMethod'], INTERNAL, 'brokenMethod failed: Error: a secret of the inside'],
    ['a method that returns a promise, which is rejected', ['asyncMethod'], undefined, 'asyncMethod failed: Error: a secret of the inside'],
    ['a member that is a getter', ['brokenRecord', 'member'], undefined, undefined],
    ['a member that is not a client', ['brokenRecord', 'plain'], undefined, undefined],
    ['a method that returns a Proxy', ['proxyRecord'], INTERNAL, 'proxyRecord failed: Error: a secret of the inside'],
    ['a member of a Proxy', ['proxyRecord', 'x'], INTERNAL, 'proxyRecord.x failed: Error: a secret of the inside'],
  ])('%s fails only its own call, and is logged', async (what, path, body, line) => {
    const chn = `faulty method ${what}`
    const [waiting, caller] = [await open(chn), await open(chn)]
    await leaveWaiting(waiting)
    if (path[0] === 'brokenMethod') await journals.stub('FAULTY', chn, 'plan', 'method', 'exception')
    const before = lines.length
    caller.send({ i: '1', p: { u: '/call', b: { json: { path } } } })
    const [answer] = await caller.frames(1)
    expect(answer.p).toMatchObject(body === undefined ? { s: 404 } : { s: 500, b: body })
    for (const socket of [caller, waiting]) socket.send(call('p', 'ping', undefined))
    for (const socket of [caller, waiting]) expect((await socket.frames(2))[1]).toEqual({ i: 'p', p: { b: { json: 'pong' } } })
    if (line !== undefined) await expect.poll(() => lines.slice(before).join('\n')).toContain(line)
    expect(lines.slice(before).filter((text) => /Uncaught|unhandled/i.test(text))).toEqual([])
    for (const socket of [waiting, caller]) socket.vanish()
  })

  test.each([
    ['an exception of a procedure', 'publishAndFail', [1, 'exception'], 'publishAndFail failed: Error: a secret of the inside'],
    ['an output that cannot be serialized', 'publishAndFail', [1, 'a getter that throws'], 'publishAndFail failed: Error: a secret of the inside'],
    ['an exception of a stream', 'items', 'exception', 'a stream failed: Error: a secret of the inside'],
  ])('%s is logged', async (what, path, input, line) => {
    const caller = await open(`logged ${what}`)
    const before = lines.length
    caller.send(call('1', path, input))
    await expect.poll(() => lines.slice(before).join('\n')).toContain(line)
    caller.vanish()
  })

  describe.each(['condition', 'serialize'])('a custom serializer whose `%s` fails', (member) => {
    test.each(THROWING)('by %s: the event is neither stored nor sent, and the next one is', async (how) => {
      const chn = `faulty ${member} ${how}`
      const [waiting, reader] = [await open(chn), await open(chn)]
      reader.send({ i: 's', p: { u: '/subscribe', b: {} } })
      await reader.frames(1)
      await leaveWaiting(waiting)
      const failing = journals.stub('FAULTY', chn, 'publish', { n: 1, how: `${member}: ${how}` })
      // The exception itself is only logged.
      await expect(failing).rejects.toMatchObject({ code: 'BAD_REQUEST', message: 'event cannot be serialized: reading the value has failed' })
      waiting.send(call('p', 'ping', undefined))
      expect((await waiting.frames(2))[1]).toEqual({ i: 'p', p: { b: { json: 'pong' } } })
      await journals.stub('FAULTY', chn, 'publish', { n: 2 })
      expect((await reader.frames(2)).slice(1).map(({ p }) => p.d.json)).toEqual([{ n: 2 }])
      for (const socket of [waiting, reader]) socket.vanish()
    })
  })

  test('a recursion that publishes until the stack overflows fails only its own call: ids keep increasing, and the next call succeeds', async () => {
    const chn = 'faulty publishing'
    const follower = await journals.client('FAULTY', { chn })
    const followed = await follower.subscribe()
    await expect(journals.stub('FAULTY', chn, 'publishRecursively', 1)).rejects.toThrow()
    await journals.stub('FAULTY', chn, 'publish', { n: 2 })
    const client = await journals.client('FAULTY', { chn })
    const subscription = await client.subscribe()
    await subscription.until(({ events }) => events.at(-1)?.n === 2)
    const ids = subscription.received.map(({ id }) => Number(id))
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b))
    // A subscription that was live before has received all of them, or has resumed.
    await followed.until(({ events }) => events.at(-1)?.n === 2)
    expect(followed.received.map(({ id }) => Number(id))).toEqual(ids)
    client.close()
    follower.close()
  })

  test.each(THROWING)('a constructor that fails by %s: the caller receives an error, and clients reconnect without a gap', async (how) => {
    const chn = `faulty new ${how}`
    const client = await journals.client('FAULTY', { chn, rpc: RPC })
    const subscription = await client.subscribe()
    await journals.stub('FAULTY', chn, 'publish', { n: 1 })
    await subscription.count(1)
    await journals.stub('FAULTY', chn, 'plan', 'new', how)
    await journals.hibernate('FAULTY', chn)
    await expect(journals.stub('FAULTY', chn, 'publish', { n: 2 })).rejects.toThrow()
    await journals.stub('FAULTY', chn, 'publish', { n: 3 })
    expect(await subscription.count(2)).toEqual([{ n: 1 }, { n: 3 }])
    expect(await client.call(['ping'])).toBe('pong')
    client.close()
  })
}

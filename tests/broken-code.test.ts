// What an application's own code breaks stays its own affair: nothing stored is lost, sockets go on, and callers are told.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'

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

/** Every way to fail, each at once and after waiting for something. */
const WAYS = ['panic', 'index', 'recursion', 'memory', 'exception'].flatMap((how) => [how, `${how} later`])

describe.each(WAYS)('a procedure that fails by %s', (how) => {
  test('is answered, loses no event, and leaves sockets as they were', async () => {
    const chn = `faulty ${how}`
    const [neighbour, caller] = [await open(chn), await open(chn)]
    const elsewhere = await open(`${chn} elsewhere`)
    for (const socket of [neighbour, elsewhere]) {
      socket.send({ i: 's', p: { u: '/subscribe', b: {} } })
      await socket.frames(1)
    }
    caller.send(call('1', 'publishAndFail', [1, how]))
    expect((await caller.frames(1))[0]).toEqual({ i: '1', p: { s: 500, b: INTERNAL } })
    // The same socket goes on, and so do the subscriptions, here and in another object of the same isolate.
    caller.send(call('2', 'ping', undefined))
    expect((await caller.frames(2))[1]).toEqual({ i: '2', p: { b: { json: 'pong' } } })
    await journals.stub('FAULTY', chn, 'publish', { n: 2 })
    await journals.stub('FAULTY', `${chn} elsewhere`, 'publish', { n: 3 })
    const json = (frames: any[]): unknown[] => frames.slice(1).map(({ p }) => p.d.json)
    expect(json(await neighbour.frames(3))).toEqual([{ n: 1 }, { n: 2 }])
    expect(json(await elsewhere.frames(2))).toEqual([{ n: 3 }])
    // Whoever comes later gets what was published before the failure.
    const later = await open(chn)
    later.send({ i: 's', p: { u: '/subscribe', b: {} } })
    expect(json(await later.frames(3))).toEqual([{ n: 1 }, { n: 2 }])
    for (const socket of [neighbour, caller, elsewhere, later]) socket.vanish()
  })

  test('rejects the stub that has called it, and answers the next', async () => {
    const chn = `faulty stub ${how}`
    await expect(journals.stub('FAULTY', chn, 'publishAndFail', 1, how)).rejects.toThrow()
    expect(await journals.stub('FAULTY', chn, 'ping')).toBe('pong')
    const later = await open(chn)
    later.send({ i: 's', p: { u: '/subscribe', b: {} } })
    expect((await later.frames(2))[1]).toMatchObject({ p: { d: { json: { n: 1 } } } })
    later.vanish()
  })
})

test('a call that waits is answered when another one takes its instance down', async () => {
  const chn = 'faulty neighbours'
  const [waiting, caller] = [await open(chn), await open(chn)]
  waiting.send(call('w', 'wait', undefined))
  waiting.send(call('p', 'ping', undefined))
  await waiting.frames(1)
  caller.send(call('1', 'publishAndFail', [1, 'panic']))
  expect((await caller.frames(1))[0]).toMatchObject({ i: '1', p: { s: 500 } })
  expect((await waiting.frames(2))[1]).toEqual({ i: 'w', p: { s: 500, b: INTERNAL } })
  for (const socket of [waiting, caller]) socket.vanish()
})

test.each(['panic', 'panic later'])('a stream that fails by %s in the middle is told to its reader', async (how) => {
  const reader = await open(`faulty stream ${how}`)
  reader.send(call('1', 'items', how))
  const frames = (await reader.frames(4)) as any[]
  expect(frames.slice(0, 3).map(({ p }) => p.e ?? p.h)).toEqual([{ 'content-type': 'text/event-stream' }, 'message', 'message'])
  expect(frames[3]).toMatchObject({ i: '1', p: { s: 500 } })
  reader.vanish()
})

test('a hook on subscribing that panics answers the subscriber, and keeps out nobody else', async () => {
  const chn = 'faulty hook'
  const [broken, sound] = [await open(chn, 'panic'), await open(chn)]
  sound.send({ i: 's', p: { u: '/subscribe', b: {} } })
  await sound.frames(1)
  broken.send({ i: 's', p: { u: '/subscribe', b: {} } })
  await broken.frames(2)
  await journals.stub('FAULTY', chn, 'publish', { n: 1 })
  expect((await sound.frames(2))[1]).toMatchObject({ p: { d: { json: { n: 1 } } } })
  for (const socket of [broken, sound]) socket.vanish()
})

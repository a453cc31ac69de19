// Stored events reach the subscribers, or end their subscriptions, which then resume: also if the fan-out fails, or the WebAssembly
// instance is lost in the middle of it.

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'

import type { Client, Subscription } from './support/client.ts'
import { startFaultyJournals } from './support/faults.ts'
import type { FaultyJournals } from './support/faults.ts'
import { BareSocket } from './support/socket.ts'

/** The value that a test throws. */
const THROWN = { call: 'getWebSockets', value: 'Error' } as const

let journals: FaultyJournals
beforeAll(async () => {
  journals = await startFaultyJournals()
})
afterAll(() => journals.dispose())

let number = 0
let chn: string
let clients: Client[]
let subscriptions: Subscription[]
afterEach(async () => {
  for (const client of clients) client.close()
  await journals.set({ thrown: null, unwound: null, late: null })
})

/** Three clients that reconnect by themselves have received the event 1. */
beforeEach(async () => {
  chn = `delivery ${++number}`
  clients = await Promise.all([1, 2, 3].map(() => journals.client('FAULTY', { chn })))
  subscriptions = await Promise.all(clients.map((client) => client.subscribe()))
  await publish(1)
  await Promise.all(subscriptions.map((subscription) => subscription.count(1)))
})

const publish = (n: number): Promise<unknown> => journals.stub('FAULTY', chn, 'publish', { n })

/** Expects that all clients receive exactly the events 1 to `last`, in order. */
async function expectAll(last: number): Promise<void> {
  const expected = Array.from({ length: last }, (_, index) => index + 1)
  for (const subscription of subscriptions) {
    await subscription.until(({ events }) => events.some(({ n }) => n === last))
    expect(subscription.events.map(({ n }) => n)).toEqual(expected)
  }
}

test('a fan-out that cannot list the sockets once: the subscriptions resume', async () => {
  await journals.set({ thrown: { ...THROWN, times: 1, name: chn } })
  await publish(2)
  await expectAll(2)
})

test('sockets that cannot be listed repeatedly: the subscriptions resume, without another event', async () => {
  await journals.set({ thrown: { ...THROWN, times: 2, name: chn } })
  await publish(2)
  await expectAll(2)
})

test('sockets that can be listed again when the next event is sent: it does not come before the missed one', async () => {
  await journals.set({ thrown: { ...THROWN, times: 2, name: chn } })
  await publish(2)
  await publish(3)
  await expectAll(3)
})

test('an open socket that cannot send: its subscription resumes', async () => {
  await journals.set({ thrown: { call: 'send', value: 'Error', times: 1 } })
  await publish(2)
  await expectAll(2)
})

test('an open socket that cannot send in a replay: its subscription resumes', async () => {
  await journals.stub('FAULTY', chn, 'publishBatch', [{ n: 2 }, { n: 3 }])
  const socket = await BareSocket.open(await journals.upgrade('FAULTY', { chn }))
  // Not the response.
  await journals.set({ thrown: { call: 'send', value: 'Error', after: 1, times: 1 } })
  socket.send({ i: 's', p: { u: '/subscribe', b: {}, h: { 'last-event-id': '1' } } })
  expect(await socket.end()).toMatchObject({ code: 1012 })
})

test('an instance that is lost in the middle of a fan-out: the subscriptions resume, without another event', async () => {
  await journals.set({ unwound: { name: chn, after: 0 } })
  await expect(publish(2)).rejects.toThrow()
  await expectAll(2)
  await publish(3)
  await expectAll(3)
})

test.each([0, 1, 2])('an instance that is lost in a batch after %s of its events', async (after) => {
  await journals.set({ unwound: { name: chn, after } })
  await expect(journals.stub('FAULTY', chn, 'publishBatch', [{ n: 2 }, { n: 3 }, { n: 4 }])).rejects.toThrow()
  await expectAll(4)
})

test('an instance that is lost after the commit of a transaction, before its event is sent', async () => {
  await journals.set({ unwound: { name: chn, after: 0 } })
  await expect(journals.stub('FAULTY', chn, 'transactAndFail', 2, 'not at all')).rejects.toThrow()
  await expectAll(2)
})

test('an instance that is lost by other code, while an asynchronous transaction is committed', async () => {
  await journals.set({ late: chn })
  const transaction = journals.stub('FAULTY', chn, 'transactAndFailLater', 2, 'not at all').catch(() => {})
  await expect.poll(async () => (await journals.set({})).committed).toBe(1)
  await journals.stub('FAULTY', `${chn} elsewhere`, 'publishAndFail', 1, 'panic').catch(() => {})
  await journals.set({ late: null })
  await transaction
  await expectAll(2)
})

test('a procedure that fails in its own code ends no subscription', async () => {
  const ended = clients.map((client) => new Promise((resolve) => client.socket.addEventListener('close', resolve)))
  await expect(journals.stub('FAULTY', chn, 'publishAndFail', 2, 'panic')).rejects.toThrow()
  await publish(3)
  await expectAll(3)
  expect(await Promise.race([...ended, 'open'])).toBe('open')
})

// Limits of sockets: the response above a limit, and no effect on other Durable Objects.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { startFaultyJournals } from './support/faults.ts'
import type { FaultyJournals } from './support/faults.ts'
import { token as durableIteratorToken, upgradeUrl } from './support/durable-iterator.ts'
import { BareSocket, upgradeAnswer } from './support/socket.ts'

let journals: FaultyJournals
const log: string[] = []
beforeAll(async () => {
  journals = await startFaultyJournals({ onLog: (line) => log.push(line) })
})
afterAll(() => journals.dispose())

const SUBSCRIBE = { i: 's', p: { u: '/subscribe', b: {} } }
const FULL = { status: 503, text: 'Too many connections to this channel', retryAfter: '10' }
const MANY_PER_CONNECTION = { status: 429, text: 'Too many connections with this ID', retryAfter: '10' }
const MANY_PER_SUBJECT = { status: 429, text: 'Too many connections of this subject', retryAfter: '10' }

/** Resolves when the runtime has detected that a socket has closed, and an upgrade is accepted. */
const acceptedAgain = (url: string): Promise<void> => expect.poll(() => upgradeAnswer(url)).toEqual({ status: 101, text: '' })

test.each(['before', 'after'])('a full Durable Object responds with 503 %s hibernation until a socket closes', async (when) => {
  const chn = `full ${when}`
  const url = await journals.upgrade('CAPPED', { chn })
  const sockets = await Promise.all([1, 2, 3].map(() => BareSocket.open(url)))
  if (when === 'after') await journals.hibernate('CAPPED', chn)
  expect(await upgradeAnswer(url)).toEqual(FULL)
  expect(await upgradeAnswer(url)).toEqual(FULL)
  // Open sockets are not affected.
  sockets[0]!.send(SUBSCRIBE)
  await sockets[0]!.frames(1)
  await journals.stub('CAPPED', chn, 'publish', { n: 1 })
  expect((await sockets[0]!.frames(2))[1]).toMatchObject({ p: { d: { json: { n: 1 } } } })
  sockets[2]!.socket.close()
  await sockets[2]!.end()
  await acceptedAgain(url)
  for (const socket of sockets) socket.vanish()
})

test.each(['before', 'after'])('clients that vanish %s hibernation free their places', async (when) => {
  const chn = `vanished ${when}`
  const url = await journals.upgrade('CAPPED', { chn })
  const sockets = await Promise.all([1, 2, 3].map(() => BareSocket.open(url)))
  expect(await upgradeAnswer(url)).toEqual(FULL)
  if (when === 'after') await journals.hibernate('CAPPED', chn)
  for (const socket of sockets) socket.vanish()
  await acceptedAgain(url)
})

test.each<[string, object, (chn: string, n: number) => Promise<string>]>([
  ['connection id', MANY_PER_CONNECTION, (chn, n) => journals.upgrade('CAPPED', { chn }, n === 0 ? 'same' : 'other')],
  ['subject', MANY_PER_SUBJECT, (chn, n) => journals.upgrade('CAPPED', { chn, sub: n === 0 ? '漢'.repeat(80) : 'other' }, `id-${Math.random()}`)],
  [
    'subject of a DurableIterator client',
    MANY_PER_SUBJECT,
    async (chn, n) =>
      upgradeUrl(journals, 'CAPPED', await durableIteratorToken({ chn, sub: n === 0 ? 'same' : 'other', tags: ['a tag'] }), `id-${Math.random()}`),
  ],
])('a third socket of one %s is rejected with 429, also after hibernation, and one with another value is accepted', async (what, answer, url) => {
  const chn = `capped ${what}`
  const sockets = [await BareSocket.open(await url(chn, 0)), await BareSocket.open(await url(chn, 0))]
  expect(await upgradeAnswer(await url(chn, 0))).toEqual(answer)
  await journals.hibernate('CAPPED', chn)
  expect(await upgradeAnswer(await url(chn, 0))).toEqual(answer)
  expect(await upgradeAnswer(await url(chn, 1))).toEqual({ status: 101, text: '' })
  sockets[0]!.socket.close()
  await sockets[0]!.end()
  await acceptedAgain(await url(chn, 0))
  for (const socket of sockets) socket.vanish()
})

test('sockets without a connection id or a subject count for the Durable Object alone', async () => {
  const url = await journals.upgrade('CAPPED', { chn: 'nameless' })
  const sockets = await Promise.all([1, 2, 3].map(() => BareSocket.open(url)))
  for (const socket of sockets) socket.vanish()
})

test('the limit of the runtime is 503 too', async () => {
  const url = await journals.upgrade('USUAL', { chn: 'beyond' })
  expect(await upgradeAnswer(url)).toEqual({ status: 101, text: '' })
  // Simulates 32,768 sockets: the runtime lists them, and throws.
  await journals.set({ held: { name: 'beyond', sockets: 32_768 }, thrown: { call: 'acceptWebSocket', value: 'Error', times: 1, name: 'beyond' } })
  expect(await upgradeAnswer(url)).toEqual(FULL)
  await journals.set({ held: null })
  expect(await upgradeAnswer(url)).toEqual({ status: 101, text: '' })
})

test('while one channel is full, upgrades, publishes and replays of others succeed', async () => {
  const attacked = await journals.upgrade('CAPPED', { chn: 'attacked' })
  const sockets = await Promise.all([1, 2, 3].map(() => BareSocket.open(attacked)))
  const neighbour = await journals.upgrade('ROOMY', { chn: 'neighbour' })
  await journals.stub('ROOMY', 'neighbour', 'publishMany', 8, 100_000)
  log.length = 0
  let isOver = false
  let refusals = 0
  const attack = async (): Promise<void> => {
    while (!isOver) {
      expect(await upgradeAnswer(attacked)).toEqual(FULL)
      refusals++
    }
  }
  const attackers = [attack(), attack(), attack(), attack()]
  try {
    for (let n = 9; n <= 28; n++) {
      const reader = await BareSocket.open(neighbour)
      reader.send(SUBSCRIBE)
      await reader.frames(n)
      await journals.stub('ROOMY', 'neighbour', 'publishMany', 1, 1)
      expect((await reader.frames(n + 1))[n]).toMatchObject({ p: { d: { json: { n: 1 } } } })
      reader.vanish()
    }
  } finally {
    isOver = true
    await Promise.all(attackers)
  }
  expect(refusals).toBeGreaterThan(20)
  expect(log.filter((line) => /Critical|Reinitializing|is lost/.test(line))).toEqual([])
  for (const socket of sockets) socket.vanish()
})

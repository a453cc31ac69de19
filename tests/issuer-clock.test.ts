// Tokens of an issuer whose clock is ahead of the Durable Object's.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'

import { startFaultyJournals } from './support/faults.ts'
import type { FaultyJournals } from './support/faults.ts'
import { token as durableIteratorToken, upgradeUrl } from './support/durable-iterator.ts'
import { BareSocket } from './support/socket.ts'

const lines: string[] = []
let journals: FaultyJournals
beforeAll(async () => {
  journals = await startFaultyJournals({ onLog: (line) => lines.push(line) })
})
afterEach(() => journals.set({ ahead: 0 }))
afterAll(() => journals.dispose())

const seconds = (): number => Math.floor(Date.now() / 1000)

interface Answer {
  gap: string | undefined
  events: number[]
}

/** Subscribes without a cursor. Resolves when the replay is complete. */
async function connect(url: string): Promise<Answer> {
  const socket = await BareSocket.open(url)
  socket.send({ i: 'a', p: { u: '/subscribe', b: {} } })
  socket.send({ i: 'b', p: { u: '/call', b: { json: { path: ['kept'] } } } })
  await socket.until((messages) => messages.some((text) => JSON.parse(text).i === 'b'))
  socket.vanish()
  const [answer, ...events] = socket.messages.map((text) => JSON.parse(text)).filter(({ i }) => i === 'a')
  return { gap: answer.p.h['x-durable-event-gap'], events: events.map(({ p }) => p.d.json.n) }
}

const publish = (chn: string, n: number): Promise<string> => journals.stub('USUAL', chn, 'publish', { n })

test.each([1, 5, 60, 3_600])('a client whose token is from a clock %i s ahead receives the events between its connections', async (ahead) => {
  for (const isAsleep of [false, true]) {
    const chn = `ahead ${ahead} ${isAsleep}`
    const iat = seconds() + ahead
    const url = await journals.upgrade('USUAL', { chn, rpc: ['kept'], iat, exp: iat + 86_400 })
    expect(await connect(url)).toEqual({ gap: undefined, events: [] })
    await publish(chn, 1)
    if (isAsleep) await journals.hibernate('USUAL', chn)
    expect(await connect(url)).toEqual({ gap: undefined, events: [1] })
    // The clock passes the time of issue of the token.
    for (const later of [ahead, ahead + 3, ahead + 200].filter((later) => later < 290)) {
      await journals.set({ ahead: later * 1_000 })
      if (isAsleep) await journals.hibernate('USUAL', chn)
      expect(await connect(url)).toEqual({ gap: undefined, events: [1] })
    }
    await journals.set({ ahead: 0 })
  }
})

test('one log line reports the difference when it is detected', async () => {
  const chn = 'noticed'
  const said = (): string[] => lines.filter((line) => line.includes('clock that is'))
  const before = said().length
  for (const ahead of [0, 1, 40, 41, 50, 3_000]) {
    const url = await journals.upgrade('USUAL', { chn, rpc: ['kept'], iat: seconds() + ahead })
    await connect(url)
    await connect(url)
  }
  await expect.poll(() => said().length - before).toBe(2)
  expect(said().at(-1)).toMatch(/a token was issued by a clock that is (3000|2999) s ahead/)
})

test('a lead is forgotten a day after its tokens have expired', async () => {
  const chn = 'forgotten'
  const iat = seconds() + 60
  await connect(await journals.upgrade('ROOMY', { chn, rpc: ['kept'], iat, exp: iat + 60 }))
  const day = 86_400
  await journals.set({ ahead: (2 * day) * 1_000 })
  await journals.stub('ROOMY', chn, 'publish', { n: 1 })
  await journals.set({ ahead: (2 * day + 30) * 1_000 })
  const now = seconds() + 2 * day + 30
  const url = await journals.upgrade('ROOMY', { chn, rpc: ['kept'], iat: now, exp: now + 1_000 })
  expect(await connect(url)).toEqual({ gap: undefined, events: [] })
})

test('a token refresh on the open socket is recorded too', async () => {
  const chn = 'renewed'
  const good = await durableIteratorToken({ chn, rpc: ['kept'] })
  const early = await durableIteratorToken({ chn, rpc: ['kept'], iat: seconds() + 60, exp: seconds() + 1_000 })
  const socket = await BareSocket.open(upgradeUrl(journals, 'USUAL', good, 'an-id'))
  socket.send({ i: 's', p: { u: '/subscribe', b: {} } })
  await socket.frames(1)
  socket.send({ i: 'u', p: { u: '/updateToken', b: { json: { token: early } } } })
  await socket.frames(2)
  socket.vanish()
  await publish(chn, 1)
  await journals.hibernate('USUAL', chn)
  await journals.set({ ahead: 70_000 })
  expect(await connect(upgradeUrl(journals, 'USUAL', early, 'an-id'))).toEqual({ gap: undefined, events: [1] })
})

test('a lead is kept after the storage is deleted, and deleted events are a gap', async () => {
  const chn = 'deleted'
  const iat = seconds() + 60
  const url = await journals.upgrade('USUAL', { chn, rpc: ['kept'], iat, exp: iat + 1_000 })
  await connect(url)
  await publish(chn, 1)
  await journals.stub('USUAL', chn, 'wipe')
  await journals.hibernate('USUAL', chn)
  await publish(chn, 2)
  await journals.set({ ahead: 61_000 })
  expect(await connect(url)).toEqual({ gap: expect.stringMatching(/^\d+$/), events: [2] })
})

test.each([Number.MAX_SAFE_INTEGER, Date.now(), 9e9])('a client whose token is issued at %d misses nothing and does not affect others', async (iat) => {
  const chn = `absurd ${iat}`
  const url = await journals.upgrade('USUAL', { chn, rpc: ['kept'], iat, exp: iat })
  await publish(chn, 1)
  expect(await connect(url)).toEqual({ gap: undefined, events: [1] })
  await journals.set({ ahead: 10_000 })
  const honest = await journals.upgrade('USUAL', { chn, rpc: ['kept'], iat: seconds() + 10, exp: seconds() + 1_000 })
  expect(await connect(honest)).toEqual({ gap: undefined, events: [] })
})

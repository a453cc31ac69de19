// The timer of presence: a newcomer while it is late, and changes in a transaction.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'

import { startFaultyJournals } from './support/faults.ts'
import type { FaultyJournals } from './support/faults.ts'
import { Members } from './soak/members.ts'
import { BareSocket } from './support/socket.ts'

/** The grace period, in milliseconds. */
const GRACE = 1_000

let journals: FaultyJournals
beforeAll(async () => {
  journals = await startFaultyJournals({ variables: { PRESENCE: 'subject', PRESENCE_GRACE_SECONDS: String(GRACE / 1_000) } })
})
afterEach(() => journals.set({ ahead: 0 }))
afterAll(() => journals.dispose())

async function join(chn: string, sub: string): Promise<BareSocket> {
  const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn, sub }))
  socket.send({ i: 's', p: { u: '/subscribe', b: {} } })
  // The response, and the list.
  await socket.frames(2)
  return socket
}

function membersOf(messages: string[]): string[] {
  const members = new Members()
  for (const text of messages) members.apply(JSON.parse(text).p?.d?.json)
  return members.ids.sort()
}

test('a newcomer does not keep a member whose grace period was over when it subscribed', async () => {
  const chn = 'late timer'
  const anna = await join(chn, 'anna')
  const bert = await join(chn, 'bert')
  await anna.until((messages) => membersOf(messages).includes('bert'))
  await journals.set({ isHeld: true })
  bert.vanish()
  await new Promise((resolve) => setTimeout(resolve, 2 * GRACE))
  const carl = await join(chn, 'carl')
  await journals.set({ isHeld: false })
  for (const socket of [anna, carl]) {
    await socket.until((messages) => membersOf(messages).join() === 'anna,carl')
    expect(membersOf(socket.messages)).toEqual(['anna', 'carl'])
  }
})

test.each(['commit', 'roll back', 'fail'])('changes in an asynchronous transaction set no timer without a delay, and are sent at its end: %s', async (end) => {
  const chn = `transaction: ${end}`
  const anna = await join(chn, 'anna')
  const bert = await join(chn, 'bert')
  await anna.until((messages) => membersOf(messages).includes('bert'))
  // No update was sent recently.
  const { timers } = await journals.set({ ahead: 1_000 })
  const before = anna.messages.length
  await journals.stub('USUAL', chn, 'transactSlowly', [{ setPresence: end }, ...(end === 'fail' ? [{ fail: 'by the test' }] : [])], end)
  await anna.until((messages) => messages.length > before)
  const changed = ['anna', 'bert'].map((id) => ({ id, state: end }))
  expect(JSON.parse(anna.messages[before]!).p.d.json).toEqual({ type: 'presence', changed })
  expect((await journals.set({})).timers).toBe(timers)
  for (const socket of [anna, bert]) socket.vanish()
})

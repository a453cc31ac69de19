// The construction of a Durable Object: `new` that fails, options outside their limits, and the channel's name.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket, upgradeAnswer } from './support/socket.ts'

let journals: Journals
const lines: string[] = []
beforeAll(async () => {
  journals = await startJournals({ onLog: (line) => lines.push(line) })
})
afterAll(() => journals.dispose())

test('`new` that returns an error fails one request with that error, and the next one constructs the Durable Object', async () => {
  const chn = 'failing'
  const socket = await BareSocket.open(await journals.upgrade('FAULTY', { chn, rpc: ['ping'] }))
  socket.send({ i: 's', p: { u: '/subscribe', b: {} } })
  await socket.frames(1)
  await journals.stub('FAULTY', chn, 'plan', 'new', 'error')
  await journals.hibernate('FAULTY', chn)
  await expect(journals.stub('FAULTY', chn, 'publish', { n: 1 })).rejects.toMatchObject({ code: 'CONFLICT', message: 'Not now.' })
  await journals.stub('FAULTY', chn, 'publish', { n: 2 })
  expect((await socket.frames(2))[1]).toMatchObject({ i: 's', p: { d: { json: { n: 2 } } } })
  socket.vanish()
})

test('options outside their limits reject every request, and the log states which one', async () => {
  await expect(journals.stub('INVALID', 'a', 'publish', { n: 1 })).rejects.toMatchObject({
    code: 'INTERNAL_SERVER_ERROR',
    message: 'Internal server error',
  })
  const upgrade = await upgradeAnswer(await journals.upgrade('INVALID', { chn: 'a' }))
  expect(upgrade.status).toBe(500)
  expect(JSON.stringify(upgrade)).not.toContain('max_calls')
  await expect.poll(() => lines.join('\n')).toContain('Options::max_calls must be at least 1, got 0')
})

test('a channel knows its name, after hibernation too', async () => {
  for (const chn of ['room', 'Räume/1 ?']) {
    expect(await journals.stub('USUAL', chn, 'channelName')).toBe(chn)
    await journals.hibernate('USUAL', chn)
    expect(await journals.stub('USUAL', chn, 'channelName')).toBe(chn)
  }
})

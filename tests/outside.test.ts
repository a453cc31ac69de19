// A Worker outside the workspace, which depends on the packed crates. `scripts/package.mjs` builds it.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { Client, SIGNING_KEY, token } from './support/client.ts'
import { upgradeAnswer } from './support/socket.ts'
import { startWorkers } from './support/workerd.ts'
import type { RunningWorkers } from './support/workerd.ts'

let worker: RunningWorkers
beforeAll(async () => {
  const durableObjects = { CHAT_ROOM: { className: 'ChatRoom' } }
  worker = await startWorkers({ workers: [{ name: 'outside', crate: 'tests/outside', variables: { SIGNING_KEY }, durableObjects }] })
})
afterAll(() => worker.dispose())

async function upgradeUrl(key = SIGNING_KEY): Promise<string> {
  const url = new URL(worker.url)
  url.protocol = 'ws:'
  url.searchParams.set('token', await token({ chn: 'some-room', rpc: ['say'] }, key))
  return url.href
}

test('clients receive the events that a procedure publishes, also after hibernation', async () => {
  const client = await Client.connect(await upgradeUrl())
  const subscription = await client.subscribe()
  await client.call(['say'], { message: 'Hello' })
  expect(await subscription.count(1)).toEqual([{ message: 'Hello' }])
  await worker.evict({ worker: 'outside', className: 'ChatRoom', name: 'some-room' })
  await client.call(['say'], { message: 'Hello again' })
  expect(await subscription.count(2)).toEqual([{ message: 'Hello' }, { message: 'Hello again' }])
  client.close()
})

test('an upgrade with a token of another signing key is rejected', async () => {
  const answer = await upgradeAnswer(await upgradeUrl('another key'))
  expect(answer.status).toBe(401)
})

// Runs the Worker in the Workers runtime, and connects to it with a real client.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'

import { createTestHarness } from 'wrangler'

import { createClient } from '../page/client.ts'

const server = createTestHarness({
  workers: [{ configPath: 'wrangler.jsonc', secrets: { SIGNING_KEY: 'test-signing-key' } }],
})
after(() => server.close())
const { url } = await server.listen()
const client = createClient(url.origin)

test('a client receives messages of the server and of other clients, also after hibernation', async () => {
  const [anna, bert] = [await client.onMessage(), await client.onMessage()]

  await client.sendMessage({ message: 'Hello from the server' })
  await anna.publishMessage({ message: 'Hello from Anna' })
  assert.deepEqual((await bert.next()).value, { message: 'Hello from the server' })
  assert.deepEqual((await bert.next()).value, { message: 'Hello from Anna' })

  await server.getWorker().evictDurableObject('ChatRoom', { name: 'some-room', webSockets: 'hibernate' })
  await anna.publishMessage({ message: 'Hello again' })
  assert.deepEqual((await bert.next()).value, { message: 'Hello again' })

  await Promise.all([anna.return(), bert.return()])
})

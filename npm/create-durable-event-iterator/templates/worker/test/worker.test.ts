// Runs the Worker in the Workers runtime, connects to it with a real client, and publishes over HTTP.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'

import { subscribe } from 'durable-event-iterator/client'
import { createTestHarness } from 'wrangler'

import { createToken } from '../src/token.ts'

const SIGNING_KEY = 'test-signing-key'
const PUBLISH_KEY = 'test-publish-key'

const server = createTestHarness({ workers: [{ configPath: 'wrangler.jsonc', secrets: { SIGNING_KEY, PUBLISH_KEY } }] })
after(() => server.close())
const { url } = await server.listen()

function publish(message: string, publishKey = PUBLISH_KEY): Promise<Response> {
  const headers = { authorization: `Bearer ${publishKey}` }
  return fetch(new URL('/channels/some-room/events', url), { method: 'POST', headers, body: JSON.stringify({ message }) })
}

test('a client receives events that are published over HTTP, also after hibernation', async () => {
  const messages = subscribe<{ message: string }>({ url, token: createToken('some-room', SIGNING_KEY) })
  await messages.opened()

  assert.equal((await publish('Hello')).status, 201)
  assert.deepEqual((await messages.next()).value, { message: 'Hello' })

  await server.getWorker().evictDurableObject('DurableEventIteratorObject', { name: 'some-room', webSockets: 'hibernate' })
  await publish('Hello again')
  assert.deepEqual((await messages.next()).value, { message: 'Hello again' })

  await messages.return()
})

test('a request with another publish key is rejected', async () => {
  assert.equal((await publish('Hello', 'another key')).status, 401)
})

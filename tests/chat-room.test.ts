// The example, as `npm start` serves it.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { Client, SIGNING_KEY } from './support/client.ts'
import { startWorkers } from './support/workerd.ts'
import type { RunningWorkers } from './support/workerd.ts'

let chat: RunningWorkers
beforeAll(async () => {
  chat = await startWorkers({
    workers: [
      {
        name: 'chat-room',
        crate: 'examples/chat-room',
        variables: { SIGNING_KEY },
        durableObjects: { CHAT_ROOM: { className: 'ChatRoom' } },
      },
      {
        name: 'other',
        source: `export default {
          async fetch(request, env) {
            await env.CHAT_ROOM.getByName('lobby').publishMessage(await request.text())
            return new Response('published')
          }
        }`,
        durableObjects: { CHAT_ROOM: { className: 'ChatRoom', scriptName: 'chat-room' } },
      },
    ],
  })
})
afterAll(() => chat.dispose())

const post = async (path: string, body: object): Promise<string> => {
  const response = await chat.fetch(path, { method: 'POST', body: JSON.stringify(body) })
  expect(response.status).toBe(200)
  return response.text()
}

async function enter(room: string, name: string): Promise<Client> {
  const url = new URL('/chat-room', chat.url)
  url.protocol = 'ws:'
  url.searchParams.set('token', await post('/token', { room, name }))
  url.searchParams.set('id', name)
  return Client.connect(url.href)
}

test('what one says, all others hear; what another Worker publishes, all hear', async () => {
  const [anna, bert] = await Promise.all([enter('lobby', 'anna'), enter('lobby', 'bert')])
  const [heardByAnna, heardByBert] = await Promise.all([anna.subscribe(), bert.subscribe()])
  expect(await anna.call(['publishMessage'], { message: 'Hello' })).toBeUndefined()
  await heardByBert.count(1)
  await post('/announce', { room: 'lobby', name: 'Clara' })
  const other = await chat.fetch(await chat.urlOf('other'), { method: 'POST', body: 'from a stub' })
  expect(await other.text()).toBe('published')
  await Promise.all([heardByAnna.count(2), heardByBert.count(3)])
  const others = ['Clara says hello from another Worker.', 'from a stub']
  expect(heardByAnna.events.map(({ message }) => message)).toEqual(others)
  expect(heardByBert.events.map(({ message }) => message)).toEqual(['Hello', ...others])
  expect(await anna.call(['router', 'ping'])).toBe('pong')
  expect(await bert.call(['router', 'echo'], { text: 'Hello' })).toBe('Echo: Hello')
  anna.close()
  bert.close()
})

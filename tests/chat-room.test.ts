// The Worker of the example: its Durable Object and its oRPC server, tested with clients.

import { createORPCClient } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { afterAll, beforeAll, expect, test } from 'vitest'

import type { Server } from '../examples/chat-room/web/contract.ts'
import type { ClientKind, Status } from '../examples/chat-room/web/generated.ts'
import { PresenceMembers } from '../npm/durable-event-iterator/src/client/index.ts'
import { startChatRoom } from './support/chat-room.ts'
import { Client } from './support/client.ts'
import type { Subscription } from './support/client.ts'
import type { RunningWorkers } from './support/workerd.ts'

let chat: RunningWorkers
let server: Server
beforeAll(async () => {
  chat = await startChatRoom({
    workers: [
      {
        name: 'other',
        source: `export default {
          async fetch(request, env) {
            const room = new URL(request.url).pathname.slice(1)
            await env.CHAT_ROOM.getByName(room).publishMessage(await request.text())
            return new Response('published')
          }
        }`,
        durableObjects: { CHAT_ROOM: { className: 'ChatRoom', scriptName: 'chat-room' } },
      },
    ],
  })
  server = createORPCClient(new RPCLink({ url: new URL('/rpc', chat.url) }))
})
afterAll(() => chat.dispose())

/** Without the link plugin: the output of the procedure is the token. */
async function enter(room: string, name: string, client?: ClientKind, id = name): Promise<Client> {
  const token: unknown = await server.onMessage({ room, name, ...(client === undefined ? {} : { client }) })
  const url = new URL('/chat-room', chat.url)
  url.protocol = 'ws:'
  url.searchParams.set('token', String(token))
  url.searchParams.set('id', id)
  return Client.connect(url.href)
}

const messages = ({ events }: Subscription): string[] =>
  events.filter(({ type }) => type === 'message').map(({ message }) => message)
const until = (subscription: Subscription, count: number): Promise<void> =>
  subscription.until((now) => messages(now).length >= count)

/** The clients of Anna and Bert. */
const CLIENTS: [ClientKind | undefined, ClientKind][] = [
  [undefined, 'durableEventIterator'],
  ['durableEventIterator', 'durableIterator'],
  ['durableIterator', 'durableIterator'],
]

test.each(CLIENTS)('a message of a client, of the server or of another Worker reaches all clients (%s, %s)', async (hers, his) => {
  const room = `lobby-${hers}-${his}`
  const [anna, bert] = await Promise.all([enter(room, 'anna', hers), enter(room, 'bert', his)])
  const [heardByAnna, heardByBert] = await Promise.all([anna.subscribe(), bert.subscribe()])
  expect(await anna.call(['publishMessage'], { id: '1', message: 'Hello' })).toBeUndefined()
  await until(heardByBert, 1)
  await server.sendMessage({ room, id: '2', message: 'We close at nine.' })
  const other = await chat.fetch(new URL(room, await chat.urlOf('other')), { method: 'POST', body: 'from a stub' })
  expect(await other.text()).toBe('published')
  await Promise.all([until(heardByAnna, 3), until(heardByBert, 3)])
  expect(messages(heardByAnna)).toEqual(['Hello', 'We close at nine.', 'from a stub'])
  expect(messages(heardByBert)).toEqual(['Hello', 'We close at nine.', 'from a stub'])
  expect(heardByBert.events.find(({ type }) => type === 'message')).toEqual({ type: 'message', id: '1', message: 'Hello', name: 'anna', at: expect.any(Date) })
  expect(await anna.call(['router', 'ping'])).toBe('pong')
  expect(await bert.call(['router', 'echo'], { text: 'Hello' })).toBe('Echo: Hello')
  anna.close()
  bert.close()
})

test('a message that is sent again is published once', async () => {
  const room = 'repeated'
  const [anna, bert] = await Promise.all([enter(room, 'anna'), enter(room, 'bert')])
  const [heardByAnna, heardByBert] = await Promise.all([anna.subscribe(), bert.subscribe()])
  for (let n = 0; n < 2; n += 1) {
    await anna.call(['publishMessage'], { id: 'a', message: 'Hello' })
    await server.sendMessage({ room, id: 'b', message: 'We close at nine.' })
  }
  await bert.call(['publishMessage'], { id: 'c', message: 'Hi' })
  await Promise.all([until(heardByAnna, 3), until(heardByBert, 3)])
  for (const heard of [heardByAnna, heardByBert]) expect(messages(heard)).toEqual(['Hello', 'We close at nine.', 'Hi'])
  anna.close()
  bert.close()
})

/** The people in the room, with their status, as a client knows them. */
function people({ events }: Subscription): [string, Status | undefined][] {
  const members = new PresenceMembers<Status>()
  for (const event of events) members.apply(event)
  return [...members].map(({ id, state }) => [id, state])
}

test('presence: a client knows the people in the room and their status', async () => {
  const anna = await enter('quiet', 'anna')
  const seenByAnna = await anna.subscribe()
  const bert = await enter('quiet', 'bert')
  const seenByBert = await bert.subscribe()
  const both = (status: Status) => (subscription: Subscription) => JSON.stringify(people(subscription)) === JSON.stringify([['anna', 'here'], ['bert', status]])
  await Promise.all([seenByAnna.until(both('here')), seenByBert.until(both('here'))])
  expect(await bert.call(['setPresence'], 'typing')).toBeUndefined()
  await Promise.all([seenByAnna.until(both('typing')), seenByBert.until(both('typing'))])

  // A user with two pages is one person. A user who reconnects is in the room, and not typing.
  const second = await enter('quiet', 'bert', undefined, 'another-page')
  await second.subscribe()
  await seenByAnna.until(both('here'))
  bert.close()
  second.close()
  await seenByAnna.until((now) => people(now).length === 1)
  expect(people(seenByAnna)).toEqual([['anna', 'here']])
  // They are not stored.
  expect(new Set(seenByAnna.received.map(({ id }) => id))).toEqual(new Set([undefined]))
  anna.close()
})

test('blank names and messages, and messages without a valid id are rejected', async () => {
  const refusal = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error)
  expect(await refusal(server.onMessage({ room: 'lobby', name: ' ' }))).toMatchObject({ code: 'BAD_REQUEST' })
  const client = 'raw' as ClientKind
  expect(await refusal(server.onMessage({ room: 'lobby', name: 'anna', client }))).toMatchObject({ code: 'BAD_REQUEST' })
  expect(await refusal(server.onMessage({ room: '', name: 'anna' }))).toMatchObject({ code: 'BAD_REQUEST' })
  expect(await refusal(server.sendMessage({ room: 'lobby', id: '1', message: '' }))).toMatchObject({ code: 'BAD_REQUEST' })
  expect(await refusal(server.sendMessage({ room: 'lobby', id: '', message: 'Hello' }))).toMatchObject({ code: 'BAD_REQUEST' })
  const anna = await enter('lobby', 'anna')
  for (const input of [{ id: '1', message: ' ' }, { id: 'ä', message: 'Hello' }, { message: 'Hello' }]) {
    expect(await refusal(anna.call(['publishMessage'], input))).toMatchObject({ code: 'BAD_REQUEST' })
  }
  anna.close()
})

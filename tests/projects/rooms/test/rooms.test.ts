import { createORPCClient } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import type { RouterClient } from '@orpc/server'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env, exports } from 'cloudflare:workers'
import { DurableEventIteratorLinkPlugin, DurableIteratorLinkPlugin } from 'durable-event-iterator/orpc-v1'
import { DurableIteratorObject } from 'durable-event-iterator/durable-object'
import { expect, test } from 'vitest'

import type { router } from '../src/router'

/** A WebSocket to the Worker under test, which the runtime cannot reach by an address. */
class WorkerSocket extends EventTarget {
  static readonly OPEN = 1
  readyState = 0
  #socket: WebSocket | undefined

  constructor(url: string) {
    super()
    void this.#open(url.replace('ws', 'http'))
  }

  async #open(url: string): Promise<void> {
    const { webSocket } = await exports.default.fetch(url, { headers: { upgrade: 'websocket' } })
    this.#socket = webSocket!
    this.#socket.accept()
    this.#socket.addEventListener('message', ({ data }) => void this.dispatchEvent(new MessageEvent('message', { data })))
    this.#socket.addEventListener('close', ({ code, reason }) => void this.dispatchEvent(new CloseEvent('close', { code, reason })))
    this.readyState = 1
    this.dispatchEvent(new Event('open'))
  }

  send(message: string | ArrayBuffer): void {
    this.#socket!.send(message)
  }

  close(code?: number, reason?: string): void {
    this.readyState = 3
    this.#socket?.close(code, reason)
  }
}

const options = { WebSocket: WorkerSocket as never }
const link = new RPCLink({
  url: 'http://rooms/rpc',
  fetch: (request) => exports.default.fetch(request),
  plugins: [
    new DurableEventIteratorLinkPlugin({ url: 'ws://rooms/chat-room', ...options }),
    new DurableIteratorLinkPlugin({ url: 'ws://rooms/notes', ...options }),
  ],
})
const client: RouterClient<typeof router> = createORPCClient(link)

test('clients receive what a Worker and another client publish, also after hibernation', async () => {
  const [ann, bob] = [await client.onMessage({ userId: 'ann' }), await client.onMessage({ userId: 'bob' })]
  await env.CHAT_ROOM.getByName('some-room').publish({ message: 'Hello' })
  expect((await ann.next()).value).toEqual({ message: 'Hello' })
  expect((await bob.next()).value).toEqual({ message: 'Hello' })
  await evictDurableObject(env.CHAT_ROOM.getByName('some-room'))
  await ann.publishMessage({ message: 'Hello, others' })
  expect((await bob.next()).value).toEqual({ message: 'ann: Hello, others' })
  await Promise.all([ann.return(), bob.return()])
})

test('a DurableIterator client receives what another client publishes', async () => {
  const [author, reader] = [await client.onNote(), await client.onNote()]
  await author.add({ text: 'Hello' })
  expect((await reader.next()).value).toEqual({ text: 'Hello', at: new Date(0) })
  const sockets = await runInDurableObject(env.NOTES.getByName('some-notes'), (_notes, state) => state.getWebSockets().length)
  expect(sockets).toBe(2)
  await Promise.all([author.return(), reader.return()])
})

test('a DurableIteratorObject without options throws', async () => {
  const construct = (state: DurableObjectState) => Reflect.construct(DurableIteratorObject, [state, env])
  const constructed = runInDurableObject(env.NOTES.getByName('without-options'), (_notes, state) => construct(state))
  await expect(constructed).rejects.toThrow('define a constructor that calls super(ctx, env, { signingKey })')
})

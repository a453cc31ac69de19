// Tests of the types, with those that `wrangler types` generates. This file is only compiled.

import { DurableEventIterator, DurableIterator } from 'durable-event-iterator'
import type {
  InferDurableEventIteratorObjectEvent,
  InferDurableEventIteratorObjectRPC,
  InferDurableIteratorObjectRPC,
} from 'durable-event-iterator'
import { DurableEventIteratorObject, DurableIteratorObject } from 'durable-event-iterator/durable-object'
import type { ChannelStub, DurableIteratorWebsocket, PublishEventOptions } from 'durable-event-iterator/durable-object'

import type { ChatRoom } from './chat-room'
import type { Notes } from './notes'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function check<_T extends true>(): void

// `rpc` accepts exactly the methods that return clients.
check<Equal<InferDurableEventIteratorObjectRPC<ChatRoom>, 'publishMessage' | 'router'>>()
check<Equal<InferDurableIteratorObjectRPC<Notes>, 'add'>>()
check<Equal<InferDurableEventIteratorObjectEvent<ChatRoom>, { message: string }>>()
check<Equal<InferDurableEventIteratorObjectEvent<Notes>, { text: string; at: Date }>>()

const signingKey = 'a signing key'
new DurableEventIterator<ChatRoom>('a', { signingKey, att: { userId: 'ann' } }).rpc('publishMessage', 'router')
new DurableIterator<Notes>('a', { signingKey, att: { any: ['JSON'] } }).rpc('add')
new DurableIterator<ChatRoom>('a', { signingKey, att: { userId: 'ann' } }).rpc('router')
// @ts-expect-error An RPC method is not a procedure.
new DurableEventIterator<ChatRoom>('a', { signingKey, att: { userId: 'ann' } }).rpc('count')
// @ts-expect-error
new DurableEventIterator<ChatRoom>('a', { signingKey, att: { userId: 'ann' } }).rpc('publish')
// @ts-expect-error
new DurableEventIterator<ChatRoom>('a', { signingKey, att: { userId: 1 } })
// @ts-expect-error `att` is required.
new DurableEventIterator<ChatRoom>('a', { signingKey })
// @ts-expect-error
new DurableIterator<Notes>('a', { signingKey }).rpc('fetch')

export async function stubs(env: Env): Promise<void> {
  const room = env.CHAT_ROOM.getByName('x')
  const published: Promise<{ id: string; duplicate: boolean }> = room.publish({ message: 'Hello' }, { tags: ['staff'] })
  const sockets: number = (await room.count()).sockets
  // @ts-expect-error
  await room.publish({ message: 1 })
  // @ts-expect-error
  await room.publish({ message: 'Hello' }, { tag: ['staff'] })
  // @ts-expect-error
  await room.count(1)

  const notes = env.NOTES.getByName('x')
  await notes.publish({ text: 'Hello', at: new Date(0) }, { idempotencyKey: 'a' })
  const { id }: { id: string } = await notes.publishEvent({ text: 'Hello', at: new Date(0) }, { tags: ['staff'] })
  // @ts-expect-error
  await notes.publish({ text: 'Hello' })

  // A stub of a class works as the type of a stub.
  const stub: Pick<ChannelStub<{ message: string }>, 'publish'> = room
  console.log(await published, sockets, id, stub)
}

// Classes that were written for oRPC's packages.

export class OfDurableEventIterators extends DurableEventIteratorObject<{ n: number }> {
  constructor(state: DurableObjectState, env: Record<string, unknown>) {
    super(state, env, { eventRetentionSeconds: 300 })
  }

  override fetch(request: Request): Promise<Response> {
    return super.fetch(request)
  }

  override webSocketMessage(ws: WebSocket, message: string | ArrayBuffer): Promise<void> {
    return super.webSocketMessage(ws, message)
  }

  override webSocketClose(ws: WebSocket, code: number, reason: string, wasClean: boolean): void | Promise<void> {
    return super.webSocketClose(ws, code, reason, wasClean)
  }

  async publishChange(n: number): Promise<void> {
    await this.dei.websocketManager.publishEvent(this.ctx.getWebSockets(), { n })
  }
}

export class OfDurableIterators extends DurableIteratorObject<{ n: number }> {
  constructor(ctx: DurableObjectState<{}>, env: Env) {
    super(ctx, env, {
      signingKey: env.SIGNING_KEY,
      onSubscribed: async (websocket, lastEventId) => {
        const { role } = websocket['~orpc'].deserializeTokenPayload().att as { role: string }
        if (role === 'admin' && lastEventId === undefined) this.publishEvent({ n: 0 }, { targets: [websocket] })
      },
    })
  }

  sendToOthers(ws: DurableIteratorWebsocket, n: number): string {
    const options: PublishEventOptions = { tags: ['staff'], targets: (other) => other['~orpc'].deserializeId() !== '', exclude: [ws] }
    this.publishEvent({ n }, options)
    return this.env.SIGNING_KEY
  }
}

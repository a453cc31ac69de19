// The peer: a Durable Object with oRPC's hibernation plugin, as its documentation describes it, and with stored events.

import { DurableObject } from 'cloudflare:workers'

import { onError, os, type, withEventMeta } from '@orpc/server'
import { HibernationEventIterator, HibernationPlugin, encodeHibernationRPCEvent } from '@orpc/server/hibernation'
import { RPCHandler } from '@orpc/server/websocket'

import { StoredEvents } from './stored-events.ts'

interface Env {
  ROOM: DurableObjectNamespace<Room>
  RETENTION_SECONDS?: string
}

interface Context {
  room: Room
  ws: WebSocket
}

const base = os.$context<Context>()

const router = {
  subscribe: base.handler(
    ({ context: { room, ws }, lastEventId }) =>
      new HibernationEventIterator<object>((id) => {
        ws.serializeAttachment({ id })
        if (lastEventId !== undefined) room.replay(ws, id, lastEventId)
      }),
  ),
  ping: base.handler(() => 'pong'),
  publish: base.input(type<object>()).handler(({ context: { room }, input }) => room.publish(input)),
}

export class Room extends DurableObject<Env> {
  readonly #handler = new RPCHandler(router, {
    plugins: [new HibernationPlugin()],
    interceptors: [onError((error) => console.error(error))],
  })
  readonly events: StoredEvents

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    this.events = new StoredEvents(ctx.storage.sql, Number(env.RETENTION_SECONDS ?? 3_600))
  }

  override fetch(): Response {
    const { 0: client, 1: server } = new WebSocketPair()
    this.ctx.acceptWebSocket(server)
    return new Response(null, { status: 101, webSocket: client })
  }

  publish(event: object): string {
    const id = this.events.store(JSON.stringify(event))
    for (const ws of this.ctx.getWebSockets()) {
      const attachment = ws.deserializeAttachment() as { id: string } | null
      if (attachment !== null) ws.send(encodeHibernationRPCEvent(attachment.id, withEventMeta(event, { id })))
    }
    return id
  }

  replay(ws: WebSocket, call: string, lastEventId: string): void {
    for (const { id, payload } of this.events.after(lastEventId)) {
      ws.send(encodeHibernationRPCEvent(call, withEventMeta(JSON.parse(payload) as object, { id })))
    }
  }

  rows(): { read: number; written: number } {
    return { read: this.events.rowsRead, written: this.events.rowsWritten }
  }

  override async webSocketMessage(ws: WebSocket, message: string | ArrayBuffer): Promise<void> {
    await this.#handler.message(ws, message, { context: { room: this, ws } })
  }

  override webSocketClose(ws: WebSocket, _code: number, _reason: string, wasClean: boolean): void {
    this.#handler.close(ws)
    if (wasClean) ws.close()
  }
}

export default {
  fetch: (request: Request, env: Env) => env.ROOM.getByName(new URL(request.url).searchParams.get('room') ?? '').fetch(request),
}

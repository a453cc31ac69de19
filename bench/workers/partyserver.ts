// PartyServer with broadcasts and the same storage as the peer. PartyServer has no procedures and does not resume, so this
// Worker implements both in the simplest way.

import { Server } from 'partyserver'
import type { Connection, WSMessage } from 'partyserver'

import { StoredEvents } from './stored-events.ts'

interface Env {
  ROOM: DurableObjectNamespace<Room>
  RETENTION_SECONDS?: string
}

export class Room extends Server<Env> {
  static override options = { hibernate: true }
  #events: StoredEvents | undefined

  get events(): StoredEvents {
    return (this.#events ??= new StoredEvents(this.ctx.storage.sql, Number(this.env.RETENTION_SECONDS ?? 3_600)))
  }

  publish(event: object, without: string[] = []): string {
    const id = this.events.store(JSON.stringify(event))
    this.broadcast(JSON.stringify({ id, event }), without)
    return id
  }

  rows(): { read: number; written: number } {
    return { read: this.events.rowsRead, written: this.events.rowsWritten }
  }

  override onMessage(connection: Connection, message: WSMessage): void {
    const { call, input, after } = JSON.parse(message as string) as { call: string; input?: object; after?: string }
    switch (call) {
      case 'subscribe':
        connection.send('{"subscribed":true}')
        if (after === undefined) return
        for (const { id, payload } of this.events.after(after)) connection.send(`{"id":"${id}","event":${payload}}`)
        return
      case 'publish':
        // The caller receives only the response: a broadcast would reach it too.
        connection.send(JSON.stringify({ output: this.publish(input ?? {}, [connection.id]) }))
        return
      default:
        connection.send('{"output":"pong"}')
    }
  }
}

export default {
  fetch: (request: Request, env: Env) => {
    const room = new URL(request.url).searchParams.get('room') ?? ''
    const forwarded = new Request(request)
    forwarded.headers.set('x-partykit-room', room)
    return env.ROOM.getByName(room).fetch(forwarded)
  },
}

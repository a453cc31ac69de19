// Durable Objects with presence, one class for each set of options.

import { ORPCError, os, type } from '@orpc/server'
import type { DurableEventIteratorObjectLimits } from 'durable-event-iterator/durable-object'

import { Room } from './room.ts'
import type { Env } from './room.ts'

/** The attachment of tokens. */
interface User {
  /** The member id, for the class with this key. */
  userId?: string
  /** The state that the server sets. */
  state?: string
  /** What `onSubscribed` and `onClosed` do. */
  manner?: 'failSubscribed' | 'failClosed'
}

/** Records the sockets that have closed. */
class Present extends Room<object> {
  constructor(ctx: DurableObjectState, env: Env, options: DurableEventIteratorObjectLimits) {
    super(ctx, env, {
      ...options,
      onSubscribed: (ws) => {
        const { state, manner } = this.#user(ws)
        if (state !== undefined) this.setPresence(ws, state)
        if (manner === 'failSubscribed') throw new ORPCError('CONFLICT')
      },
      onClosed: (ws) => this.#record(ws),
    })
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS closings (name TEXT, kept TEXT, sockets INTEGER)')
  }

  /** Overrides the helper. It is not a procedure: the built-in one stays. */
  override setPresence(ws: WebSocket, state: unknown): void {
    super.setPresence(ws, state)
  }

  #user(ws: WebSocket): User {
    return (this.claimsOf(ws).att ?? {}) as User
  }

  #record(ws: WebSocket): void {
    const { userId, manner } = this.#user(ws)
    const name = userId ?? this.connectionOf(ws) ?? ''
    const open = this.ctx.getWebSockets().filter((socket) => socket.readyState === WebSocket.OPEN)
    const kept = this.attachmentOf(ws)?.text ?? null
    this.ctx.storage.sql.exec('INSERT INTO closings VALUES (?, ?, ?)', name, kept, open.length)
    if (manner === 'failClosed') throw new Error('on purpose')
  }

  keep(ws: WebSocket) {
    return os
      .input(type<string>())
      .handler(({ input }) => this.keepAttachment(ws, { text: input }))
      .callable()
  }

  closings(): object[] {
    return this.ctx.storage.sql.exec('SELECT * FROM closings ORDER BY rowid').toArray()
  }

  setStates(state: unknown): void {
    for (const ws of this.ctx.getWebSockets()) this.setPresence(ws, state)
  }

  closeAll(code: number): void {
    for (const ws of this.ctx.getWebSockets()) ws.close(code, 'by the server')
  }
}

const graceSeconds = 0.5

export class PresentObject extends Present {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { presence: { key: 'subject', graceSeconds } })
  }
}

export class AttachedPresentObject extends Present {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { presence: { key: { attachment: 'userId' }, graceSeconds } })
  }
}

export class PatientPresentObject extends Present {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { presence: { graceSeconds: 60 } })
  }
}

export class PublishedPresentObject extends Present {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { presence: { key: 'subject', graceSeconds }, publisher: true })
  }
}

export class AbsentObject extends Present {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, {})
  }
}

export class OwnPresentObject extends Room<object> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { presence: { key: 'subject', graceSeconds } })
  }

  /** A procedure in place of the built-in one. The methods of the library, which it hides, are those of the base class. */
  override setPresence(ws: WebSocket): any {
    return os
      .input(type<string>())
      .handler(({ input }) => super.setPresence(ws, `own: ${input}`))
      .callable()
  }
}

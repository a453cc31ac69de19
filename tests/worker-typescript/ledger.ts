// A Durable Object whose clients start with a snapshot of its state.

import { ORPCError } from '@orpc/server'
import type { Subscribed } from 'durable-event-iterator/durable-object'

import { Room } from './room.ts'
import type { Env } from './room.ts'

/** The number of retained events, so small that a client has a gap after a long disconnection. */
const RETAINED_EVENTS = 64

/** The number of parts of a snapshot in parts. */
const PARTS = 3

type Entry =
  | { type: 'snapshot'; items: number[]; lastEventId: string | null; gap: string | null; isFirst: boolean; isLast: boolean }
  | { type: 'added'; n: number }
  | { type: 'announced'; text: string }

class Ledger extends Room<Entry> {
  constructor(ctx: DurableObjectState, env: Env, beginWithSnapshot: boolean) {
    super(ctx, env, {
      maxRetainedEvents: RETAINED_EVENTS,
      beginWithSnapshot,
      onSubscribed: (ws, lastEventId, subscribed) => this.#greet(ws, lastEventId, subscribed),
    })
  }

  /** Adds the next number, and publishes it. */
  add(): number {
    return this.ctx.storage.transactionSync(() => {
      const n = this.#get('items') + 1
      this.#set('items', n)
      this.publishInside({ type: 'added', n })
      return n
    })
  }

  /** Returns the number of items, and the cursor that belongs to it. */
  state(): { items: number; lastEventId: string | undefined } {
    return { items: this.#get('items'), lastEventId: this.lastEventId }
  }

  failNext(times: number): void {
    this.#set('failures', times)
  }

  async wipe(): Promise<void> {
    await this.ctx.storage.deleteAll()
  }

  greetings(): number {
    return this.#get('greetings')
  }

  #greet(ws: WebSocket, lastEventId: string | undefined, { gap, isResumed, sendSnapshot }: Subscribed<Entry>): void {
    this.#set('greetings', this.#get('greetings') + 1)
    const part = (items: number[], isFirst: boolean, isLast: boolean): Entry => {
      return { type: 'snapshot', items, lastEventId: lastEventId ?? null, gap: gap ?? null, isFirst, isLast }
    }
    const items = Array.from({ length: this.#get('items') }, (_, n) => n + 1)
    const snapshot = part(items, true, true)
    const manner = this.claimsOf(ws).att
    if (manner === 'never' || (manner === undefined && isResumed)) return
    if (manner === 'inParts') {
      const size = Math.max(1, Math.ceil(items.length / PARTS))
      const chunks = Array.from({ length: Math.ceil(items.length / size) }, (_, n) => items.slice(n * size, (n + 1) * size))
      return sendSnapshot([part([], true, false), ...chunks.map((chunk) => part(chunk, false, false)), part([], false, true)])
    }
    if (manner === 'announced') this.publishInside({ type: 'announced', text: 'before' })
    if (manner === 'refusing' && this.#isToFail()) throw new ORPCError('CONFLICT', { message: 'Not ready.' })
    if (manner === 'failing' && this.#isToFail()) throw new SyntaxError("not a number, and nobody's business")
    if (manner === 'closing') ws.close(4_000, 'closed by the hook')
    sendSnapshot([snapshot])
    if (manner === 'failingLate' && this.#isToFail()) throw new ORPCError('CONFLICT')
    if (manner === 'announced') this.publishInside({ type: 'announced', text: 'after' })
  }

  #isToFail(): boolean {
    const left = this.#get('failures')
    this.#set('failures', Math.max(0, left - 1))
    return left > 0
  }

  #get(name: string): number {
    const { sql } = this.ctx.storage
    sql.exec('CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER)')
    return sql.exec<{ value: number }>('SELECT value FROM numbers WHERE name = ?', name).toArray()[0]?.value ?? 0
  }

  #set(name: string, value: number): void {
    this.#get(name)
    this.ctx.storage.sql.exec('INSERT OR REPLACE INTO numbers (name, value) VALUES (?, ?)', name, value)
  }
}

export class LedgerObject extends Ledger {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, true)
  }
}

export class ReplayingLedgerObject extends Ledger {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, false)
  }
}

// Durable Objects with any JSON events, one class for each set of options.

import { eventIterator, ORPCError, os, type } from '@orpc/server'
import { withEventMeta } from 'durable-event-iterator/durable-object'
import type { Published, PublishOptions } from 'durable-event-iterator/durable-object'

import { Room } from './room.ts'
import type { Env, RoomOptions } from './room.ts'

/** The recipients of an event, by the attachments of their sockets. */
interface Who {
  to?: unknown[]
  toIds?: string[]
  tags?: string[]
  except?: unknown[]
}

/** A step of a transaction. */
type Step =
  | { publish: object }
  | { once: [event: object, key: string] }
  | { sql: string }
  | { live: object }
  | { prune: null }
  | { batch: object[] }
  | { nested: Step[] }
  | { fail: string }

class Journal extends Room<object> {
  /** Keeps streams from being collected. */
  readonly #inputs: unknown[] = []

  constructor(ctx: DurableObjectState, env: Env, options?: RoomOptions<object>) {
    super(ctx, env, options)
  }

  // Procedures.

  publishMessage(ws: WebSocket) {
    return os
      .input(type<object>())
      .handler(({ input }) => this.publishInside(input, { exclude: [ws] }).id)
      .callable()
  }

  keep(ws: WebSocket) {
    return os
      .input(type<unknown>())
      .handler(({ input }) => this.keepAttachment(ws, { value: input }))
      .callable()
  }

  /** Without a socket it is an RPC method, which returns the attachments of all sockets. */
  kept(ws?: WebSocket): unknown {
    if (ws === undefined) return this.ctx.getWebSockets().map((socket) => this.attachmentOf(socket)?.value ?? null)
    return os.handler(() => this.attachmentOf(ws)?.value).callable()
  }

  whoAmI(ws: WebSocket) {
    return os.handler(() => this.claimsOf(ws).att ?? null).callable()
  }

  publishAndFail() {
    return os
      .input(type<object>())
      .handler(({ input }): void => {
        this.publishInside(input)
        throw new ORPCError('UNAUTHORIZED', { message: 'Token expired' })
      })
      .callable()
  }

  hold() {
    return os
      .input(type<unknown>())
      .handler(() => new Promise<void>(() => {}))
      .callable()
  }

  holdItems() {
    return os
      .input(eventIterator(type<unknown>()))
      .handler(({ input }) => {
        this.#inputs.push(input)
        return new Promise<void>(() => {})
      })
      .callable()
  }

  /** Disconnects its own client in the turn in which the call begins, and never responds. */
  leave() {
    void this.disconnect({ everyone: true })
    return os
      .input(eventIterator(type<unknown>()))
      .handler(() => new Promise<void>(() => {}))
      .callable()
  }

  // RPC methods.

  publishMany(count: unknown, size: number = 0): void {
    if (typeof count !== 'number') throw new ORPCError('BAD_REQUEST')
    const padding = 'x'.repeat(size)
    for (let n = 1; n <= count; n++) this.publishInside({ n, padding })
  }

  publishOnce(event: object, idempotencyKey: string): Published {
    return this.publishInside(event, { idempotencyKey })
  }

  publishInBatch(events: object[], keys: string[]): Published[] {
    return this.publishAllInside(
      events,
      events.map((_, n) => (keys[n] === undefined ? {} : { idempotencyKey: keys[n] })),
    )
  }

  publishWithMeta(event: object, retry: number | undefined, comments: string[]): string {
    return this.publishInside(withEventMeta(event, { ...(retry !== undefined && { retry }), comments })).id
  }

  publishFor(event: object, { to, toIds, tags, except = [] }: Who): string {
    const among = (values: unknown[]): WebSocket[] =>
      this.ctx.getWebSockets().filter((ws) => values.includes(this.attachmentOf(ws)?.value))
    const options: PublishOptions = {
      ...(toIds !== undefined && { to: toIds }),
      ...(tags !== undefined && tags.length > 0 && { tags }),
    }
    const targets = to !== undefined ? among(to) : tags?.length === 0 ? [] : undefined
    return this.publishInside(event, { ...options, ...(targets !== undefined && { targets }), exclude: among(except) }).id
  }

  sendLive(event: object): void {
    this.sendLiveInside(event)
  }

  closeAll(code: number): void {
    for (const ws of this.ctx.getWebSockets()) ws.close(code, 'closed by the test')
  }

  // In the same turn of the event loop.

  async disconnectAndPublish(id: string, event: object): Promise<number> {
    const closed = this.disconnect({ to: [id], reason: 'Disconnected by the test' })
    this.publishInside(event)
    return (await closed).disconnected
  }

  async revokeAndPublish(subject: string, event: object): Promise<number> {
    const closed = this.revoke({ subject, reason: 'Revoked by the test' })
    this.publishInside(event)
    return (await closed).disconnected
  }

  transact(steps: Step[]): [ids: string[], error: string | null] {
    const ids: string[] = []
    return [ids, this.#attempt(() => this.ctx.storage.transactionSync(() => this.#run(steps, ids)))]
  }

  /** The same in a slow asynchronous transaction of the storage. */
  async transactSlowly(steps: Step[], end: string): Promise<[ids: string[], error: string | null]> {
    const ids: string[] = []
    try {
      await this.ctx.storage.transaction(async (txn) => {
        const [first, rest] = [steps.slice(0, 1), steps.slice(1)]
        this.#run(first, ids)
        await new Promise((resolve) => setTimeout(resolve, 20))
        this.#run(rest, ids)
        if (end !== 'roll back') return
        txn.rollback()
        this.#attempt(() => this.#run(rest, ids))
      })
      return [ids, null]
    } catch (error) {
      return [ids, (error as Error).message]
    }
  }

  #attempt(work: () => void): string | null {
    try {
      work()
      return null
    } catch (error) {
      return (error as Error).message
    }
  }

  #run(steps: Step[], ids: string[]): void {
    for (const step of steps) {
      if ('publish' in step) ids.push(this.publishInside(step.publish).id)
      if ('once' in step) ids.push(this.publishOnce(...step.once).id)
      if ('batch' in step) ids.push(...this.publishAllInside(step.batch).map(({ id }) => id))
      if ('sql' in step) this.ctx.storage.sql.exec(step.sql)
      if ('live' in step) this.sendLiveInside(step.live)
      if ('prune' in step) void this.alarm()
      if ('nested' in step) this.#attempt(() => this.ctx.storage.transactionSync(() => this.#run(step.nested, ids)))
      if ('fail' in step) throw new Error(step.fail)
    }
  }

  async wipe(): Promise<void> {
    await this.ctx.storage.deleteAll()
  }

  /** Simulates that the last event was stored while the clock was an hour ahead. */
  putAhead(id: string): void {
    const { sql } = this.ctx.storage
    for (const { name } of sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE name GLOB 'dei_events_*'").toArray()) {
      sql.exec(`UPDATE ${name} SET id = id + 3600000000 WHERE id = ${id}`)
    }
  }

  tables(kind: string = 'events'): [name: string, rows: number][] {
    const { sql } = this.ctx.storage
    const names = sql.exec<{ name: string }>(`SELECT name FROM sqlite_master WHERE name GLOB 'dei_${kind}_*'`).toArray()
    return names.map(({ name }) => [name, sql.exec<{ rows: number }>(`SELECT count(*) AS rows FROM ${name}`).one().rows])
  }

  channelName(): string | null {
    return this.ctx.id.name ?? null
  }

  async prune(): Promise<void> {
    await this.alarm()
  }

  refuse(): void {
    throw new ORPCError('CONFLICT', { message: 'Already there.', data: { since: new Date(0), count: 1n } })
  }

  fail(): void {
    throw new SyntaxError('invalid digit: a secret of the server')
  }
}

/** The default options. */
export class UsualJournal extends Journal {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
  }
}

/** Retains events for one second, and does not delete them by an alarm. */
export class ShortJournal extends Journal {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { retentionSeconds: 1, pruneByAlarm: false })
  }
}

/** Retains events for one second, and deletes them by an alarm. */
export class SweptJournal extends Journal {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { retentionSeconds: 1 })
  }
}

/** Retains at most eight events. */
export class FewJournal extends Journal {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { maxRetainedEvents: 8, publisher: true })
  }
}

/** Retains enough events for a replay of many steps. */
export class RoomyJournal extends Journal {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { retentionSeconds: 3_600, publisher: true })
  }
}

/** Retains events for three seconds: enough for a fast reconnect, but not for a slow one. */
export class BriefJournal extends Journal {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { retentionSeconds: 3, publisher: true })
  }
}

/** Keeps sockets open after their tokens have expired. */
export class LastingJournal extends Journal {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { keepExpiredSockets: true })
  }
}

/** `DurableIterator` clients start with events published after they subscribe. */
export class LiveJournal extends Journal {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { startDurableIteratorsLive: true })
  }
}

/** Retains at most eight events, accepts at most two sockets of a subject, and writes metrics and a line for each anomaly. */
export class MeasuredJournal extends Journal {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { maxRetainedEvents: 8, maxSocketsPerSubject: 2, metrics: 'METRICS', logAnomalies: true })
  }
}

/** Keeps idempotency keys for one second. */
export class ForgetfulJournal extends Journal {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { idempotencyWindowSeconds: 1 })
  }
}

/** Accepts at most three sockets, and two for each connection id and subject. */
export class PublishedJournal extends Journal {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { retentionSeconds: 3600, publisher: true })
  }
}

export class FewPublishedJournal extends Journal {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { maxRetainedEvents: 8, maxSockets: 3, publisher: true })
  }
}

export class CappedJournal extends Journal {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { maxSockets: 3, maxSocketsPerConnection: 2, maxSocketsPerSubject: 2 })
  }
}

/** Has an option outside its limits. */
export class InvalidJournal extends Journal {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { maxCalls: 0 })
  }
}

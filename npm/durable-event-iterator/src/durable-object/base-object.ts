import { DurableObject } from 'cloudflare:workers'

import { getEventMeta } from '@orpc/server'

import type { IteratorObject } from '../object.js'
import { Bodies } from './bodies.js'
import type {
  ChannelMembers,
  ChannelStats,
  ConnectionsPage,
  ConnectionsQuery,
  Disconnected,
  DisconnectOptions,
  Published,
  PublishOptions,
  RevokeOptions,
  StatsQuery,
} from './channel-stub.js'
import { isTrusted, ObjectCore } from './core.js'
import type { AudienceSockets } from './core.js'
import type { DurableEventIteratorObjectHandlerOptions } from './handler-options.js'
import { Hooks } from './hooks.js'
import type { OnClosed, OnSubscribed } from './hooks.js'
import { checkedStatuses } from './options.js'
import type { ClassOptions } from './options.js'
import { isORPCError, statusOf } from './orpc-error.js'
import type { AnyORPCError, ErrorStatuses } from './orpc-error.js'
import { Procedures } from './procedures.js'
import { WebSockets, wrapState } from './websockets.js'

/** The client of a new subscription, passed to `onSubscribed`. */
export interface Subscribed<TEvent extends object> {
  /**
   * The id of the first event after a gap, if missed events are no longer retained. The client has received a gap notification.
   */
  readonly gap: string | undefined
  /** Whether the client has received a snapshot and every event since. Always false without `beginWithSnapshot`. */
  readonly isResumed: boolean
  /**
   * Sends a snapshot of the state to this client only, as one event or several, which are not stored. Call it once, with all
   * events of the snapshot. The last one carries a cursor, from which the client resumes.
   *
   * @throws {ORPCError} If an event is not an object or cannot be serialized. Nothing is sent.
   */
  sendSnapshot(events: readonly TEvent[]): void
}

/** The parts of a class that its base class and the two generations share. */
export interface Parts<TEvent extends object> {
  /** The prototype of the class that the application extends. */
  readonly base: object
  readonly options: ClassOptions
  readonly handler: DurableEventIteratorObjectHandlerOptions
  readonly onSubscribed: ((ws: never, lastEventId: string | undefined, subscribed: Subscribed<TEvent>) => unknown) | undefined
  readonly onClosed: ((ws: never) => unknown) | undefined
}

/** The RPC methods of every class. */
const METHODS: ReadonlySet<string> = new Set(['publish', 'publishBatch', 'stats', 'connections', 'members', 'disconnect', 'revoke'])

/** The base of `DurableEventIteratorObject` and `DurableIteratorObject`: a Durable Object on the compiled core. */
export abstract class BaseObject<TEvent extends object, TTokenAttachment, TEnv, TProps>
  extends DurableObject<TEnv, TProps>
  implements IteratorObject<TEvent, TTokenAttachment>
{
  declare readonly '~durableEventIterator'?: { readonly eventPayload: TEvent; readonly tokenAttachment: TTokenAttachment }

  readonly #core: ObjectCore
  readonly #hooks: Hooks
  readonly #sockets: WebSockets
  readonly #statuses: ErrorStatuses | undefined

  /** @throws {TypeError | ORPCError} If an option is invalid. */
  protected constructor(ctx: DurableObjectState, env: TEnv, { base, options, handler, onSubscribed, onClosed }: Parts<TEvent>) {
    super(ctx, env)
    const { customJsonSerializers: customs = [], errorStatusMap } = handler
    this.#statuses = checkedStatuses(errorStatusMap)
    const bodies = new Bodies(customs, this.#statuses)
    this.#sockets = new WebSockets(() => this.#core, ctx, bodies, options.publisher ?? false)
    const procedures = new Procedures(this, base, (ws) => this.#sockets.wrap(ws), bodies, handler)
    const subscribed: OnSubscribed | undefined =
      onSubscribed === undefined
        ? undefined
        : (ws, lastEventId, gap, isResumed) => {
            const sendSnapshot = (events: readonly TEvent[]): void => this.#core.sendSnapshot(ws, events)
            return onSubscribed(this.#sockets.wrap(ws) as never, lastEventId, { gap, isResumed, sendSnapshot })
          }
    const closed: OnClosed | undefined = onClosed === undefined ? undefined : (ws) => onClosed(this.#sockets.wrap(ws) as never)
    const presence = options.presence && { ...options.presence, isReplaced: procedures.has('setPresence') }
    // A class that overrides the alarm sets it by itself.
    const pruneByAlarm = options.pruneByAlarm ?? this.alarm === BaseObject.prototype.alarm
    this.#hooks = new Hooks({ ...options, presence, pruneByAlarm }, procedures, subscribed, closed, bodies)
    this.#core = new ObjectCore(ctx, env, this.#hooks, customs)
    this.ctx = wrapState(this.ctx, this.#sockets)
  }

  /** Opens a WebSocket for the upgrade request of a client that `upgradeDurableEventIteratorRequest` has forwarded. */
  override async fetch(request: Request): Promise<Response> {
    return this.#core.handlers.fetch(request)
  }

  // Not async, which would take three more turns of the microtask queue.
  override webSocketMessage(ws: WebSocket, message: string | ArrayBuffer): Promise<void> {
    const result = this.#core.webSocketMessage(this.#sockets.original(ws), message)
    return this.#hooks.takeLatest() ?? Promise.resolve(result)
  }

  override webSocketClose(ws: WebSocket, code: number, reason: string, wasClean: boolean): void | Promise<void> {
    this.#core.handlers.webSocketClose(this.#sockets.original(ws), code, reason, wasClean)
  }

  override webSocketError(ws: WebSocket, _error: unknown): void | Promise<void> {
    this.#core.handlers.webSocketError(this.#sockets.original(ws))
  }

  /**
   * Deletes expired events. A class that overrides it has the alarm for itself; it may call `super.alarm()` to delete the expired
   * events of a channel without new events.
   */
  override alarm(_info?: AlarmInvocationInfo): void | Promise<void> {
    return this.#core.handlers.alarm()
  }

  /**
   * Publishes an event, as stubs call it. See {@link PublishOptions}.
   *
   * Inside the Durable Object, prefer the methods that return the id at once and accept sockets.
   */
  async publish(event: TEvent, options?: PublishOptions): Promise<Published> {
    return this.#core.publishForStub(event, this.#withMeta(event, options))
  }

  /**
   * Publishes events in order, all or none, as stubs call it. See {@link ChannelStub.publishBatch}.
   *
   * Inside the Durable Object, prefer the methods that return the ids at once and accept sockets.
   */
  async publishBatch(events: readonly TEvent[], options?: PublishOptions | readonly PublishOptions[]): Promise<Published[]> {
    return this.#core.publishBatchForStub(events, this.#withMetaOfAll(events, options))
  }

  /** Returns the numbers of the channel, as stubs call it. */
  async stats(query?: StatsQuery): Promise<ChannelStats> {
    return (await this.#core.handlers.stats(query)) as ChannelStats
  }

  /** Returns a page of the open sockets, as stubs call it. */
  async connections(query?: ConnectionsQuery): Promise<ConnectionsPage> {
    return (await this.#core.handlers.connections(query)) as ConnectionsPage
  }

  /** Returns the members of a channel with presence, as stubs call it. */
  async members(): Promise<ChannelMembers> {
    return (await this.#core.handlers.members()) as ChannelMembers
  }

  /**
   * Closes the sockets of clients, with close code 4001. Also callable through a stub.
   *
   * The effect is immediate, before the promise resolves: nothing more is sent to these clients, none of their messages is handled,
   * and their running calls are aborted. A client whose token is still valid may connect again and resume.
   *
   * Rejects with BAD_REQUEST for an empty selection, and for an unknown or invalid option.
   */
  async disconnect(options: DisconnectOptions): Promise<Disconnected> {
    return (await this.#core.handlers.disconnect(options)) as Disconnected
  }

  /**
   * Revokes tokens before they expire, and closes the sockets that use them, with close code 1008. Also callable through a stub.
   *
   * The effect is immediate, as with {@link disconnect}. The channel rejects revoked tokens from then on. A token that is issued later
   * is accepted: whether a client receives one is the decision of your server.
   *
   * Rejects with BAD_REQUEST for an unknown or invalid option.
   */
  async revoke(options: RevokeOptions): Promise<Disconnected> {
    return (await this.#core.handlers.revoke(options)) as Disconnected
  }

  /**
   * Sets the state of a client's member, in a class with the option `presence`: any value that can be serialized, with up to 1,024
   * bytes of JSON and without files. `undefined` removes it.
   *
   * The state is stored with the socket. In `onSubscribed` and before the subscription, it is the state with which the member joins.
   * A member with several sockets has the state that was set last.
   *
   * @throws {ORPCError} PAYLOAD_TOO_LARGE if the state is too large, BAD_REQUEST if it cannot be serialized, CONFLICT in a call over
   * HTTP of a client that is not a member, and an internal error if presence is off or the socket has closed. The previous state is
   * kept.
   */
  protected setPresence(ws: WebSocket, state: unknown): void {
    this.#core.setPresence(this.#sockets.original(ws), state)
  }

  /**
   * The id of the newest event; `undefined` if the channel has never had events. It is a cursor: a client that loads the state of
   * the application together with it, and subscribes with it as its `lastEventId`, receives exactly the events after that state.
   * Read the state and the id in the same turn of the event loop.
   */
  protected get lastEventId(): string | undefined {
    return this.#core.lastEventId()
  }

  /** Calls a method and returns its `ORPCError` as a value, for `callStub`. */
  async '~settle'(method: string, args: readonly unknown[]): Promise<{ value?: unknown; error?: object } | undefined> {
    if (isTrusted(method)) return this.#core.settle(method, args)
    const isCallable = METHODS.has(method) || !(method in BaseObject.prototype)
    const found: unknown = isCallable ? (this as Record<string, unknown>)[method] : undefined
    if (typeof found !== 'function' || Object.hasOwn(this, method)) return undefined
    try {
      return { value: await found.apply(this, args) }
    } catch (error) {
      if ((error as Error | undefined)?.name !== 'ORPCError' && !isORPCError(error)) throw error
      const { message, code, data, failure } = error as AnyORPCError & { failure?: string }
      return { error: { name: 'ORPCError', message, code, status: statusOf(error as AnyORPCError, this.#statuses), data, failure } }
    }
  }

  /** @internal */
  protected '~publish'(event: object, options: PublishOptions | undefined, sockets: AudienceSockets): Published {
    return this.#core.publish(event, this.#withMeta(event, options), sockets)
  }

  /** @internal */
  protected '~publishAll'(
    events: readonly object[],
    options: PublishOptions | readonly PublishOptions[] | undefined,
    sockets: readonly AudienceSockets[] | undefined,
  ): Published[] {
    return this.#core.publishBatch(events, this.#withMetaOfAll(events, options), sockets)
  }

  /** @internal */
  protected get '~sockets'(): WebSockets {
    return this.#sockets
  }

  /** @internal */
  protected '~sendLive'(sockets: readonly WebSocket[], event: object): void {
    this.#core.sendLive(
      sockets.map((ws) => this.#sockets.original(ws)),
      event,
    )
  }

  /** Adds the meta that `withEventMeta` has attached to events. Without any, it returns the options unchanged. */
  #withMetaOfAll(
    events: unknown,
    options: PublishOptions | readonly PublishOptions[] | undefined,
  ): PublishOptions | readonly PublishOptions[] | undefined {
    const hasMeta = (event: unknown) => typeof event === 'object' && event !== null && getEventMeta(event) !== undefined
    if (!Array.isArray(events) || !events.some(hasMeta)) return options
    if (isList(options)) {
      return options.length === events.length ? options.map((own, n) => this.#withMeta(events[n], own) ?? {}) : options
    }
    const key = options?.idempotencyKey
    return events.map((event, n) => {
      // The key of a whole batch, as in `channel/batch.rs` of the library.
      const own = key === undefined || n === 0 ? options : { ...options, idempotencyKey: `${key}#${n}` }
      return this.#withMeta(event, own) ?? {}
    })
  }

  /** Adds the meta that `withEventMeta` has attached to an event. */
  #withMeta(event: unknown, options: PublishOptions | undefined): PublishOptions | undefined {
    const meta = typeof event === 'object' && event !== null ? getEventMeta(event) : undefined
    if (meta === undefined) return options
    const { retry, comments } = meta
    return { ...(retry !== undefined && { retry }), ...(comments !== undefined && { comments }), ...options }
  }
}

function isList(options: PublishOptions | readonly PublishOptions[] | undefined): options is readonly PublishOptions[] {
  return Array.isArray(options)
}

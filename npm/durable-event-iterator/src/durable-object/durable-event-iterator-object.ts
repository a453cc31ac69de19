import type { TokenAttachment } from '../object.js'
import { BaseObject } from './base-object.js'
import type { Subscribed } from './base-object.js'
import type { Published, PublishOptions } from './channel-stub.js'
import type { AudienceSockets, SessionClaims } from './core.js'
import type { DurableEventIteratorObjectHandlerOptions } from './handler-options.js'
import { checkedNumber, limitsOf, tablePrefixOf } from './options.js'
import type { DurableEventIteratorObjectLimits } from './options.js'
import type { WebSockets } from './websockets.js'

/** The options of a {@link DurableEventIteratorObject}. */
export interface DurableEventIteratorObjectOptions<TEvent extends object = object>
  extends DurableEventIteratorObjectHandlerOptions,
    DurableEventIteratorObjectLimits {
  /** How long events are kept for clients that reconnect, in seconds. 0 disables replay. Default: 300. */
  eventRetentionSeconds?: number | undefined
  /** The prefix of the names of this package's tables. Characters other than `a`–`z`, `0`–`9` and `_` become `_`. Default: `dei_`. */
  eventRetentionSchemaPrefix?: string | undefined
  /**
   * Called for each new subscription, after the missed events and before the first live event. If it throws, the subscription
   * ends with the error, and the client subscribes again.
   */
  onSubscribed?: ((ws: WebSocket, lastEventId: string | undefined, subscribed: Subscribed<TEvent>) => unknown) | undefined
  /**
   * Called once for each socket that has closed, for whatever reason, also if it closed while the Durable Object hibernated. The
   * socket's attachment can be read, and it is no longer among the open ones. An exception is logged.
   */
  onClosed?: ((ws: WebSocket) => unknown) | undefined
}

/** The options of {@link DurableEventIteratorWebsocketManager.publishEvent}. */
export interface DurableEventIteratorPublishOptions extends PublishOptions {
  /**
   * Whether only the clients of these sockets receive the event, now and when they resume. By default everyone receives it except
   * the connected clients that are not listed.
   *
   * @default false
   */
  onlyToSockets?: boolean
}

/** Publishes several events: see `'~publishAll'` of the base class. */
type PublishAll = (
  events: readonly object[],
  options: PublishOptions | readonly PublishOptions[] | undefined,
  sockets: readonly AudienceSockets[],
) => Published[]

/** The sockets of a {@link DurableEventIteratorObject}: publishing to them, and their attachments. */
export class DurableEventIteratorWebsocketManager<TEvent extends object, TTokenAttachment, TSocketAttachment extends object> {
  readonly #sockets: WebSockets
  readonly #publish: (event: object, options: PublishOptions | undefined, sockets: object) => Published
  readonly #publishAll: PublishAll
  readonly #sendLive: (sockets: readonly WebSocket[], event: object) => void

  /** @internal */
  constructor(
    sockets: WebSockets,
    publish: (event: object, options: PublishOptions | undefined, sockets: object) => Published,
    publishAll: PublishAll,
    sendLive: (sockets: readonly WebSocket[], event: object) => void,
  ) {
    this.#sockets = sockets
    this.#publish = publish
    this.#publishAll = publishAll
    this.#sendLive = sendLive
  }

  /**
   * Publishes an event to everyone, except the connected clients whose sockets are not listed. Clients that are not connected
   * receive it when they resume. The exclusion is stored with the event: an excluded client with a connection id never receives
   * it. Clients without a connection id (unmodified `DurableEventIterator` clients) are excluded from the live event only.
   *
   * @throws {ORPCError} If the event was not stored.
   */
  publishEvent(sockets: readonly WebSocket[], event: TEvent, options?: DurableEventIteratorPublishOptions): Published {
    const { onlyToSockets = false, ...rest } = options ?? {}
    return this.#publish(event, options === undefined ? undefined : rest, this.#listed(sockets, onlyToSockets))
  }

  /**
   * Publishes 1–1,000 events in order, all or none, to the recipients of {@link publishEvent}. `options` apply to all events, or are
   * an array with an object for each event. See {@link ChannelStub.publishBatch}.
   *
   * @throws {ORPCError} If the events were not stored. Its message contains the index of an invalid event.
   */
  publishEvents(
    sockets: readonly WebSocket[],
    events: readonly TEvent[],
    options?: DurableEventIteratorPublishOptions | readonly DurableEventIteratorPublishOptions[],
  ): Published[] {
    const all = Array.isArray(options) ? (options as readonly DurableEventIteratorPublishOptions[]) : undefined
    const shared = all === undefined ? (options as DurableEventIteratorPublishOptions | undefined) : undefined
    const [some, others] = [this.#listed(sockets, true), this.#listed(sockets, false)]
    const audiences = events.map((_, n) => ((all?.[n] ?? shared)?.onlyToSockets ? some : others))
    return this.#publishAll(events, all?.map(withoutSockets) ?? (shared && withoutSockets(shared)), audiences)
  }

  #listed(sockets: readonly WebSocket[], onlyToSockets: boolean): AudienceSockets {
    return onlyToSockets
      ? { to: sockets.map((ws) => this.#sockets.original(ws)) }
      : { except: nonEmpty(this.#sockets.except(sockets)) }
  }

  /**
   * Sends an event to sockets without storing it: clients that are not connected never receive it.
   *
   * @throws {ORPCError} If the event is not an object or cannot be serialized.
   */
  sendLive(sockets: readonly WebSocket[], event: TEvent): void {
    this.#sendLive(sockets, event)
  }

  /**
   * Replaces the application's attachment of a socket. With the token's claims and the connection id, it may have about 15 KB.
   *
   * @throws {ORPCError} If it is too large or cannot be serialized, or if the socket has closed.
   */
  serializeAttachment(ws: WebSocket, attachment: TSocketAttachment): void {
    this.#sockets.setAttachment(ws, attachment)
  }

  /** Returns the application's attachment of a socket, and the claims of its client's token as `'dei:token:payload'`. */
  deserializeAttachment(
    ws: WebSocket,
  ): TSocketAttachment & { readonly 'dei:token:payload': SessionClaims & { readonly att: TTokenAttachment } } {
    const attachment = this.#sockets.attachment(ws) as TSocketAttachment | null
    const payload = this.#sockets.claims(ws) as SessionClaims & { readonly att: TTokenAttachment }
    return { ...(attachment as TSocketAttachment), 'dei:token:payload': payload }
  }
}

function withoutSockets({ onlyToSockets: _, ...options }: DurableEventIteratorPublishOptions): PublishOptions {
  return options
}

function nonEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list
}

/**
 * A Durable Object that publishes events to clients, as in oRPC before 1.9. A method that takes a socket and returns an oRPC client
 * is a procedure, which clients call over their socket if their token lists its name.
 *
 * @typeParam TEvent - The events: objects or arrays.
 * @typeParam TTokenAttachment - The attachment of the tokens (`att`).
 * @typeParam TSocketAttachment - The attachment that the application stores with a socket.
 * @typeParam TEnv - The bindings of the Worker.
 *
 * @example
 * ```ts
 * export class ChatRoom extends DurableEventIteratorObject<{ message: string }> {
 *   publishMessage(ws: WebSocket) {
 *     return os
 *       .input(z.object({ message: z.string() }))
 *       .handler(({ input }) => {
 *         this.dei.websocketManager.publishEvent(this.ctx.getWebSockets(), input)
 *       })
 *       .callable()
 *   }
 * }
 * ```
 */
export class DurableEventIteratorObject<
  TEvent extends object,
  TTokenAttachment extends TokenAttachment = TokenAttachment,
  TSocketAttachment extends object = object,
  TEnv = unknown,
> extends BaseObject<TEvent, TTokenAttachment, TEnv, unknown> {
  protected readonly dei: {
    readonly websocketManager: DurableEventIteratorWebsocketManager<TEvent, TTokenAttachment, TSocketAttachment>
  }

  /** @throws {TypeError | ORPCError} If an option is invalid. Each request to the Durable Object fails then. */
  constructor(ctx: DurableObjectState, env: TEnv, options: DurableEventIteratorObjectOptions<TEvent> = {}) {
    const { eventRetentionSeconds, eventRetentionSchemaPrefix, onSubscribed, onClosed, ...handler } = options
    super(ctx, env, {
      base: DurableEventIteratorObject.prototype,
      options: {
        ...limitsOf(options),
        eventRetentionSeconds:
          eventRetentionSeconds === undefined ? undefined : checkedNumber('eventRetentionSeconds', eventRetentionSeconds),
        tablePrefix: eventRetentionSchemaPrefix === undefined ? undefined : tablePrefixOf('eventRetentionSchemaPrefix', eventRetentionSchemaPrefix),
      },
      handler,
      onSubscribed,
      onClosed,
    })
    this.dei = {
      websocketManager: new DurableEventIteratorWebsocketManager(
        this['~sockets'],
        (event, publishOptions, sockets) => this['~publish'](event, publishOptions, sockets),
        (events, publishOptions, sockets) => this['~publishAll'](events, publishOptions, sockets),
        (sockets, event) => this['~sendLive'](sockets, event),
      ),
    }
  }
}

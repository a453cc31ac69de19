import { BaseObject } from './base-object.js'
import type { Subscribed } from './base-object.js'
import type { Published, PublishOptions } from './channel-stub.js'
import type { DurableEventIteratorObjectHandlerOptions } from './handler-options.js'
import { checkedNumber, limitsOf, signingKeysOf, tablePrefixOf } from './options.js'
import type { DurableEventIteratorObjectLimits } from './options.js'
import type { DurableIteratorWebsocket } from './websockets.js'

/** The options of a {@link DurableIteratorObject}. */
export interface DurableIteratorObjectOptions<TEvent extends object = object>
  extends DurableEventIteratorObjectHandlerOptions,
    DurableEventIteratorObjectLimits {
  /** The signing key with which the server signs tokens, or several during a key rotation, the current one first. */
  signingKey: string | readonly string[]
  /** How long events are kept for clients that reconnect, in seconds. 0 disables replay. Default: 300. */
  resumeRetentionSeconds?: number | undefined
  /** The prefix of the names of this package's tables. Characters other than `a`–`z`, `0`–`9` and `_` become `_`. Default: `dei_`. */
  resumeSchemaPrefix?: string | undefined
  /**
   * Called for each new subscription, after the missed events and before the first live event. If it throws, the subscription
   * ends with the error, and the client subscribes again.
   */
  onSubscribed?:
    | ((ws: DurableIteratorWebsocket, lastEventId: string | undefined, subscribed: Subscribed<TEvent>) => unknown)
    | undefined
  /**
   * Called once for each socket that has closed, for whatever reason, also if it closed while the Durable Object hibernated. The
   * socket's attachment can be read, and it is no longer among the open ones. An exception is logged.
   */
  onClosed?: ((ws: DurableIteratorWebsocket) => unknown) | undefined
}

/** Sockets: a list, or a condition on each open socket. */
export type SocketSelection = readonly WebSocket[] | ((ws: DurableIteratorWebsocket) => boolean)

/** The options of {@link DurableIteratorObject.publishEvent}. */
export interface PublishEventOptions extends PublishOptions {
  /** Only the clients of these sockets receive the event, now and when they resume. */
  targets?: SocketSelection | undefined
  /** The clients of these sockets do not receive the event. */
  exclude?: SocketSelection | undefined
}

/**
 * A Durable Object that publishes events to clients, as in oRPC since 1.9. A method that takes a socket and returns an oRPC client
 * is a procedure, which clients call over their socket if their token lists its name.
 *
 * @typeParam TEvent - The events: objects or arrays.
 * @typeParam TEnv - The bindings of the Worker. Default: those that `wrangler types` generates.
 * @typeParam TProps - The props of the Durable Object.
 *
 * @example
 * ```ts
 * export class ChatRoom extends DurableIteratorObject<{ message: string }, Env> {
 *   constructor(ctx: DurableObjectState, env: Env) {
 *     super(ctx, env, { signingKey: env.SIGNING_KEY })
 *   }
 *
 *   publishMessage(ws: DurableIteratorWebsocket) {
 *     return os
 *       .input(z.object({ message: z.string() }))
 *       .handler(({ input }) => {
 *         this.publishEvent(input, { exclude: [ws] })
 *       })
 *       .callable()
 *   }
 * }
 * ```
 */
export class DurableIteratorObject<TEvent extends object, TEnv = Cloudflare.Env, TProps = {}> extends BaseObject<
  TEvent,
  unknown,
  TEnv,
  TProps
> {
  // oRPC declares the wrapped sockets on `ctx` too.
  declare protected ctx: { getWebSockets(tag?: string): DurableIteratorWebsocket[] } & DurableObjectState<TProps>

  /** @throws {TypeError | ORPCError} If an option is invalid. Each request to the Durable Object fails then. */
  constructor(ctx: DurableObjectState, env: TEnv, options: DurableIteratorObjectOptions<TEvent>) {
    // The Workers runtime passes only `ctx` and `env` to a class without a constructor.
    if ((options as unknown) === undefined) {
      throw new TypeError('DurableIteratorObject needs options: define a constructor that calls super(ctx, env, { signingKey })')
    }
    const { signingKey, resumeRetentionSeconds, resumeSchemaPrefix, onSubscribed, onClosed, ...handler } = options
    super(ctx, env, {
      base: DurableIteratorObject.prototype,
      options: {
        ...limitsOf(options),
        signingKeys: signingKeysOf(signingKey),
        eventRetentionSeconds:
          resumeRetentionSeconds === undefined ? undefined : checkedNumber('resumeRetentionSeconds', resumeRetentionSeconds),
        tablePrefix: resumeSchemaPrefix === undefined ? undefined : tablePrefixOf('resumeSchemaPrefix', resumeSchemaPrefix),
      },
      handler,
      onSubscribed,
      onClosed,
    })
  }

  /**
   * Publishes an event to everyone, or to a part of the clients. Also callable through a stub, without `targets` and `exclude`.
   *
   * @throws {ORPCError} If the event was not stored.
   */
  publishEvent(event: TEvent, options?: PublishEventOptions): Published {
    if (options === undefined) return this['~publish'](event, undefined, {})
    const { targets, exclude, ...rest } = options
    return this['~publish'](event, rest, { to: this.#selected(targets), except: this.#selected(exclude) })
  }

  /**
   * Publishes 1–1,000 events in order, all or none. `options` apply to all events, or are an array with an object for each event. See
   * {@link ChannelStub.publishBatch}.
   *
   * @throws {ORPCError} If the events were not stored. Its message contains the index of an invalid event.
   */
  publishEvents(events: readonly TEvent[], options?: PublishEventOptions | readonly PublishEventOptions[]): Published[] {
    if (options === undefined) return this['~publishAll'](events, undefined, undefined)
    if (!Array.isArray(options)) {
      const { targets, exclude, ...rest } = options as PublishEventOptions
      const sockets = { to: this.#selected(targets), except: this.#selected(exclude) }
      return this['~publishAll'](
        events,
        rest,
        events.map(() => sockets),
      )
    }
    const all = options as readonly PublishEventOptions[]
    const sockets = all.map(({ targets, exclude }) => ({ to: this.#selected(targets), except: this.#selected(exclude) }))
    return this['~publishAll'](
      events,
      all.map(({ targets: _, exclude: __, ...rest }) => rest),
      sockets,
    )
  }

  #selected(selection: SocketSelection | undefined): WebSocket[] | undefined {
    if (selection === undefined) return undefined
    const sockets = this['~sockets']
    const list = typeof selection === 'function' ? sockets.all().filter(selection) : selection
    return list.map((ws) => sockets.original(ws))
  }
}

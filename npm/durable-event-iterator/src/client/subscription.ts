import type { AnyDurableEventIteratorObject, InferDurableEventIteratorObjectEvent } from '../object.js'
import { call } from './call.js'
import type { CallOptions } from './call.js'
import { rememberMeta } from './event-meta.js'
import type { SubscriptionState } from './hooks.js'
import { DEFAULT_REFRESH_DELAY_SECONDS, resolveNumbers } from './options.js'
import type { SubscribeOptions } from './options.js'
import { Session } from './session.js'
import { socketsOf } from './socket-source.js'
import type { Transport } from './socket-source.js'
import { checkConnectionId, newConnectionId } from './upgrade-url.js'

/**
 * The events of a channel, and the procedures of its Durable Object. It yields the events in order and each event once.
 *
 * It ends when the application calls `return()` (as `break` in `for await` does) or `close()`, or aborts the `signal`, or when the
 * server rejects the subscription or the request for a new token.
 */
export interface Subscription<TEvent, TProcedures = NoProcedures> extends AsyncGenerator<TEvent, void, void> {
  readonly state: SubscriptionState

  /** How events arrive; `undefined` while there is no connection. Always `websocket` without the option `fallback`. */
  readonly transport: Transport | undefined

  /**
   * The cursor: the id of the last event that the application has read. A subscription with this `lastEventId` continues after that
   * event. `undefined` before the first event.
   */
  readonly lastEventId: string | undefined

  /** The procedures of the Durable Object. `subscription.rpc.router.ping(input, options)` calls the procedure `router.ping`. */
  readonly rpc: TProcedures

  /**
   * Calls a procedure of the Durable Object. The token must allow it.
   *
   * @throws {ProcedureError} When the procedure responds with an error.
   * @throws {DurableEventIteratorConnectionError} When there is no connection in time, or it is lost before the response.
   */
  call(path: readonly string[], input?: unknown, options?: CallOptions): Promise<unknown>

  /** Resolves when the subscription has opened for the first time. Rejects if it has ended before. */
  opened(): Promise<void>

  /** Ends the subscription at once, and the iteration without an error. */
  close(): void
}

/** The type of the events: of a Durable Object, or the type itself. */
export type SubscriptionEvent<T> = 0 extends 1 & T ? T : '~durableEventIterator' extends keyof T
  ? T extends AnyDurableEventIteratorObject
    ? InferDurableEventIteratorObjectEvent<T>
    : never
  : T

/** The procedures of a Durable Object; none if only the type of the events is known. */
export type SubscriptionProcedures<T> = 0 extends 1 & T ? T : '~durableEventIterator' extends keyof T
  ? {
      readonly [K in keyof T as T[K] extends (...values: never[]) => infer TClient
        ? [Procedures<TClient>] extends [never]
          ? never
          : K
        : never]: T[K] extends (...values: never[]) => infer TClient ? Procedures<TClient> : never
    }
  : NoProcedures

/** If the type of the Durable Object is unknown, procedures are called by their path: see {@link Subscription.call}. */
export type NoProcedures = Readonly<Record<never, never>>

/** The client of a procedure, or of several procedures under one name. */
export type Procedures<T> = T extends (...values: infer TValues) => Promise<infer TOutput>
  ? (...values: undefined extends TValues[0] ? [input?: TValues[0], options?: CallOptions] : [input: TValues[0], options?: CallOptions]) => Promise<TOutput>
  : T extends object
    ? { readonly [K in keyof T]: Procedures<T[K]> }
    : never

/**
 * Subscribes to a channel. The client connects, resumes after a lost connection, and refreshes its token by itself.
 *
 * @typeParam T - The type of the events, or of the Durable Object, which also gives the types of its procedures.
 * @throws {RangeError} When a numeric option is out of its range.
 * @throws {TypeError} When the environment has no `WebSocket`, and the option is missing.
 *
 * @example
 * ```ts
 * import { subscribe } from 'durable-event-iterator/client'
 *
 * const events = subscribe<{ message: string }>({
 *   url: 'wss://example.com/chat-room',
 *   token: async ({ signal }) => (await fetch('/token', { signal })).text(),
 * })
 * for await (const { message } of events) console.log(message)
 * ```
 */
export function subscribe<T>(options: SubscribeOptions): Subscription<SubscriptionEvent<T>, SubscriptionProcedures<T>> {
  const { url, token, createId, refreshTokenBeforeExpireInSeconds: beforeExpiry, ...rest } = options
  const minInterval = options.refreshTokenDelayInSeconds ?? DEFAULT_REFRESH_DELAY_SECONDS
  const session = new Session({
    ...rest,
    numbers: resolveNumbers(options),
    sockets: socketsOf(options),
    url: async () => (typeof url === 'function' ? url() : url),
    createId: async () => (createId === undefined ? newConnectionId() : checkConnectionId(await createId())),
    tokens: {
      ...(typeof token === 'string'
        ? { first: { text: token, requestedAt: Date.now() } }
        : { fetch: async (signal) => token({ signal }) }),
      refreshTimes: () => ({ beforeExpiry, minInterval }),
      expected: 'the option `token` must be a valid token, or return one',
    },
    mapEvent: rememberMeta,
  })
  return subscriptionOf(session) as Subscription<SubscriptionEvent<T>, SubscriptionProcedures<T>>
}

/** Returns the subscription of a session. */
export function subscriptionOf(session: Session): Subscription<unknown> {
  const { events } = session
  const subscription: Subscription<unknown> = {
    get state() {
      return session.state
    },
    get transport() {
      return session.transport
    },
    get lastEventId() {
      return events.lastEventId
    },
    rpc: procedures(session, []) as NoProcedures,
    call: (path, input, options) => call(session, path, input, options),
    opened: () => session.opened(),
    close: () => void events.return(),
    next: () => events.next(),
    return: () => events.return(),
    throw: (error) => events.throw(error),
    [Symbol.asyncIterator]: () => subscription,
    [Symbol.asyncDispose]: () => events[Symbol.asyncDispose](),
  }
  return subscription
}

/** Returns a proxy: each property is the next segment of the path, and a call calls the procedure at the path. */
function procedures(session: Session, path: readonly string[]): unknown {
  return new Proxy(() => {}, {
    // Without `then`, so that a promise may resolve to the proxy.
    get: (_, name) => (typeof name === 'string' && name !== 'then' ? procedures(session, [...path, name]) : undefined),
    apply: (_, __, [input, options]: [unknown?, CallOptions?]) => call(session, path, input, options),
  })
}

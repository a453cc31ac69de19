import type { ClientContext } from '@orpc/client'
import type { StandardLinkInterceptorOptions, StandardLinkOptions, StandardLinkPlugin } from '@orpc/client/standard'

import type { DurableIteratorTokenPayload } from '../token/payload.js'
import { combineHooks } from './hooks.js'
import type { DurableEventIteratorHooks } from './hooks.js'
import { resolveNumbers } from './link-options.js'
import type { ConnectingNumbers, ConnectingOptions, SocketLinkOptions, UrlValue } from './link-options.js'
import type { ClientDurableIteratorRpcContext } from './rpc-context.js'
import { openIterator } from './session.js'
import { interceptTokens } from './token-calls.js'
import { checkConnectionId, newConnectionId } from './upgrade-url.js'

/**
 * The context that a call may give its iterator. Let a client's context extend it to use it.
 *
 * @example
 * ```ts
 * const link = new RPCLink<DurableIteratorLinkPluginContext>({ … })
 * const client: RouterClient<typeof router, DurableIteratorLinkPluginContext> = createORPCClient(link)
 *
 * const iterator = await client.onMessage(undefined, {
 *   context: { durableIterator: { onStateChange: (state) => setState(state) } },
 * })
 * ```
 */
export interface DurableIteratorLinkPluginContext {
  /** Called in addition to the plugin's own. */
  durableIterator?: DurableEventIteratorHooks | undefined
}

/** An option that may depend on what the token says and on the call that it answered. */
export type DurableIteratorLinkPluginValue<TValue, T extends ClientContext> =
  | TValue
  | ((tokenPayload: DurableIteratorTokenPayload, options: StandardLinkInterceptorOptions<T>) => TValue)

/**
 * Where and how the plugin connects. The rest are the options of an `RPCLink` over WebSocket: `customJsonSerializers`,
 * `interceptors`, `clientInterceptors`, `plugins`, `headers`.
 */
export interface DurableIteratorLinkPluginOptions<T extends ClientContext>
  extends SocketLinkOptions<ClientDurableIteratorRpcContext>,
    ConnectingOptions {
  /**
   * The upgrade endpoint of the Worker. `http:` and `https:` become `ws:` and `wss:`; in a browser it may be relative to
   * the page. A function is called before each connection.
   */
  url: DurableIteratorLinkPluginValue<UrlValue, T>

  /**
   * Makes the id by which the object knows this client again, also for events that are for it only. Called once for each
   * iterator; the id goes along with each of its connections. It has 1 to 128 visible ASCII characters, and nobody should
   * be able to guess it.
   *
   * @default 128 random bits
   */
  createId?: (
    tokenPayload: DurableIteratorTokenPayload,
    options: StandardLinkInterceptorOptions<T>,
  ) => string | Promise<string>

  /**
   * How long before the token expires it is renewed on the open socket, in seconds. Longer than the call and some tries at
   * it may take, so that the socket stays the same one. With `NaN` or `Infinity` it is not renewed ahead: the connection is
   * replaced then when the object says that the token has expired.
   *
   * @default 10, or a tenth of the token's lifetime if that is less
   */
  refreshTokenBeforeExpireInSeconds?: DurableIteratorLinkPluginValue<number | Promise<number>, T>

  /**
   * The shortest time between two renewals, and between two tries at one, in seconds.
   *
   * @default 2
   */
  refreshTokenDelayInSeconds?: DurableIteratorLinkPluginValue<number | Promise<number>, T>
}

/**
 * Turns the token that a procedure answers with into an iterator over the object's events, and leaves all other calls as
 * they are. This is the one for a `DurableIterator`; beside a `DurableEventIteratorLinkPlugin`, each minds its own.
 *
 * The iterator survives lost connections: it reconnects and resumes after the last event it got. Before its token expires it
 * makes the call again and hands the new token over on the open socket; only a token of another channel or with other tags
 * takes a new connection. A call with a `lastEventId` begins after that event. Its `signal` ends the iterator, too.
 *
 * @example
 * ```ts
 * const link = new RPCLink({
 *   url: 'https://example.com/rpc',
 *   plugins: [
 *     new DurableIteratorLinkPlugin({
 *       url: 'wss://example.com/chat-room',
 *       refreshTokenBeforeExpireInSeconds: 10 * 60,
 *     }),
 *   ],
 * })
 * ```
 */
export class DurableIteratorLinkPlugin<T extends ClientContext> implements StandardLinkPlugin<T> {
  /** Around all others: a batch or a retry inside it concerns the call for a token, never the iterator. */
  readonly order = Number.MIN_SAFE_INTEGER
  readonly #options: DurableIteratorLinkPluginOptions<T>
  readonly #numbers: ConnectingNumbers

  /** @throws {RangeError} When an option that is a number is out of range. */
  constructor(options: DurableIteratorLinkPluginOptions<T>) {
    this.#options = options
    this.#numbers = resolveNumbers(options)
  }

  init(options: StandardLinkOptions<T>): void {
    const { url, createId, refreshTokenBeforeExpireInSeconds, refreshTokenDelayInSeconds, ...rest } = this.#options
    interceptTokens(options, 2, ({ call, ...token }) => {
      const valueOf = <TValue extends string | URL | number | Promise<unknown>>(
        value: DurableIteratorLinkPluginValue<TValue, T>,
        payload: DurableIteratorTokenPayload,
      ): TValue => (typeof value === 'function' ? value(payload, call) : value)
      const { durableIterator } = call.context as DurableIteratorLinkPluginContext
      return openIterator({
        ...rest,
        ...token,
        numbers: this.#numbers,
        url: async (payload) => valueOf(url, payload),
        createId: async (payload) =>
          createId === undefined ? newConnectionId() : checkConnectionId(await createId(payload, call)),
        renewal: async (payload) => {
          const before = refreshTokenBeforeExpireInSeconds
          return {
            ...(before === undefined ? {} : { beforeExpiry: (await valueOf(before, payload)) * 1_000 }),
            minInterval: (await valueOf(refreshTokenDelayInSeconds ?? DEFAULT_DELAY_SECONDS, payload)) * 1_000,
          }
        },
        hooks: combineHooks([this.#options, durableIterator]),
        path: call.path,
        input: call.input,
        signal: call.signal,
        lastEventId: call.lastEventId,
      })
    })
  }
}

const DEFAULT_DELAY_SECONDS = 2

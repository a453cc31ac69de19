import type { ClientContext } from '@orpc/client'
import type { StandardLinkInterceptorOptions, StandardLinkOptions, StandardLinkPlugin } from '@orpc/client/standard'

import type { DurableIteratorTokenPayload } from '../token/payload.js'
import type { CallLinkOptions } from './call-link.js'
import type { DurableEventIteratorHooks } from './hooks.js'
import { DEFAULT_REFRESH_DELAY_SECONDS, resolveNumbers } from '../client/options.js'
import type { ConnectingOptions, SubscriptionNumbers, UrlValue } from '../client/options.js'
import type { LoadState } from '../client/session.js'
import { checkConnectionId, newConnectionId } from '../client/upgrade-url.js'
import { openIterator } from './open-iterator.js'
import { interceptTokens } from './token-calls.js'

/**
 * The context of a call, for hooks of one iterator. Use it as the context of the client, or extend it.
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
  /**
   * The hooks of this iterator. They are called in addition to the hooks of the plugin. `load` loads the state of the application
   * before the first subscription and after each gap, and returns its cursor, after which the subscription starts.
   */
  durableIterator?: (DurableEventIteratorHooks & { load?: LoadState | undefined }) | undefined
}

/**
 * A value, or a function that returns it. The function receives the claims of the token and the call that returned the
 * iterator.
 */
export type DurableIteratorLinkPluginValue<TValue, T extends ClientContext> =
  | TValue
  | ((tokenPayload: DurableIteratorTokenPayload, options: StandardLinkInterceptorOptions<T>) => TValue)

/**
 * The options of a {@link DurableIteratorLinkPlugin}. They include the options of an `RPCLink`, for calls over the socket:
 * `customJsonSerializers`, `interceptors`, `clientInterceptors`, `plugins`, `headers`.
 */
export interface DurableIteratorLinkPluginOptions<T extends ClientContext>
  extends CallLinkOptions,
    Omit<ConnectingOptions, 'customJsonSerializers'>,
    DurableEventIteratorHooks {
  /**
   * The URL of the Worker's upgrade endpoint, or a function that is called before each connection. `http:` and `https:` become
   * `ws:` and `wss:`. In a browser, a URL may be relative to the page.
   */
  url: DurableIteratorLinkPluginValue<UrlValue, T>

  /**
   * Returns the connection id, by which the Durable Object recognizes the client after a reconnect: 1–128 visible ASCII
   * characters that others cannot guess. Called once for each iterator, which uses the id for all of its connections.
   *
   * @default 128 random bits
   */
  createId?: (
    tokenPayload: DurableIteratorTokenPayload,
    options: StandardLinkInterceptorOptions<T>,
  ) => string | Promise<string>

  /**
   * How long before its expiry a token is refreshed on the open socket, in seconds. Leave enough time for the call and for
   * retries: after the expiry, the client has to reconnect. `NaN` or `Infinity` disables early refresh: the token is
   * refreshed, with a new connection, only after the Durable Object reports that it expired.
   *
   * @default 10, or a tenth of the token's lifetime if that is less
   */
  refreshTokenBeforeExpireInSeconds?: DurableIteratorLinkPluginValue<number | Promise<number>, T>

  /**
   * The minimum delay between two token refreshes, and between two attempts of a failed refresh, in seconds.
   *
   * @default 2
   */
  refreshTokenDelayInSeconds?: DurableIteratorLinkPluginValue<number | Promise<number>, T>
}

/**
 * A link plugin that opens an iterator when a procedure returns a `DurableIterator`. Other calls are not affected. A link may
 * also have a `DurableEventIteratorLinkPlugin`.
 *
 * After a lost connection the iterator reconnects and resumes after the last received event. Before its token expires, it calls
 * the procedure again and sends the new token over the open socket. It reconnects with the new token if the channel, the
 * subject or the tags differ. A call with a `lastEventId` starts after that event. The `signal` of the call also ends the
 * iterator.
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
  /**
   * Initialized first, so that it wraps all other plugins: batches and retries apply to the request for the token, not to the
   * iterator.
   */
  readonly order = Number.MIN_SAFE_INTEGER
  readonly #options: DurableIteratorLinkPluginOptions<T>
  readonly #numbers: SubscriptionNumbers

  /** @throws {RangeError} When a numeric option is out of its range. */
  constructor(options: DurableIteratorLinkPluginOptions<T>) {
    this.#options = options
    this.#numbers = resolveNumbers(options)
  }

  init(options: StandardLinkOptions<T>): void {
    const {
      url,
      createId,
      refreshTokenBeforeExpireInSeconds: before,
      refreshTokenDelayInSeconds: interval = DEFAULT_REFRESH_DELAY_SECONDS,
    } = this.#options
    interceptTokens(options, 'DurableIterator', (token) => {
      const { call } = token
      const valueOf = <TValue extends string | URL | number | Promise<unknown>>(
        value: DurableIteratorLinkPluginValue<TValue, T>,
        payload: DurableIteratorTokenPayload,
      ): TValue => (typeof value === 'function' ? value(payload, call) : value)
      return openIterator(token, {
        plugin: this.#options,
        numbers: this.#numbers,
        url: async (payload) => valueOf(url, payload),
        createId: async (payload) =>
          createId === undefined ? newConnectionId() : checkConnectionId(await createId(payload, call)),
        refreshTimes: async (payload) => ({
          ...(before === undefined ? {} : { beforeExpiry: (await valueOf(before, payload)) * 1_000 }),
          minInterval: (await valueOf(interval, payload)) * 1_000,
        }),
        hooks: (call.context as DurableIteratorLinkPluginContext).durableIterator,
      })
    })
  }
}

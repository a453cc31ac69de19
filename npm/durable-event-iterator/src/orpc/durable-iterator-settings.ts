import type { ClientContext } from '@orpc/client'
import type { StandardLinkInterceptorOptions } from '@orpc/client/standard'

import { DEFAULT_REFRESH_DELAY_SECONDS, resolveNumbers } from '../client/options.js'
import type { ConnectingOptions, LoadState, UrlValue } from '../client/options.js'
import { checkConnectionId, newConnectionId } from '../client/upgrade-url.js'
import type { DurableIteratorTokenPayload } from '../token/payload.js'
import type { DurableEventIteratorHooks } from './hooks.js'
import type { IteratorSettings } from './open-session.js'

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

/** The options of a `DurableIteratorLinkPlugin`, except those of the link over the socket. */
export interface DurableIteratorConnectingOptions<T extends ClientContext> extends ConnectingOptions, DurableEventIteratorHooks {
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
 * Returns the settings for a call.
 *
 * @throws {RangeError} When a numeric option is out of its range.
 */
export function durableIteratorSettings<T extends ClientContext>(
  options: DurableIteratorConnectingOptions<T>,
): (call: StandardLinkInterceptorOptions<T>) => IteratorSettings {
  const {
    url,
    createId,
    refreshTokenBeforeExpireInSeconds: before,
    refreshTokenDelayInSeconds: interval = DEFAULT_REFRESH_DELAY_SECONDS,
  } = options
  const numbers = resolveNumbers(options)
  return (call) => {
    const valueOf = <TValue extends string | URL | number | Promise<unknown>>(
      value: DurableIteratorLinkPluginValue<TValue, T>,
      payload: DurableIteratorTokenPayload,
    ): TValue => (typeof value === 'function' ? value(payload, call) : value)
    return {
      plugin: options,
      numbers,
      url: async (payload) => valueOf(url, payload),
      createId: async (payload) =>
        createId === undefined ? newConnectionId() : checkConnectionId(await createId(payload, call)),
      refreshTimes: async (payload) => ({
        beforeExpiry: before === undefined ? undefined : await valueOf(before, payload),
        minInterval: await valueOf(interval, payload),
      }),
      hooks: (call.context as DurableIteratorLinkPluginContext).durableIterator,
    }
  }
}

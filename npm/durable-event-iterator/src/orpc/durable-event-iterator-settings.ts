import { resolveNumbers } from '../client/options.js'
import type { ConnectingOptions, LoadState, UrlValue } from '../client/options.js'
import { checkConnectionId, newConnectionId } from '../client/upgrade-url.js'
import type { DurableEventIteratorHooks } from './hooks.js'
import type { IteratorSettings } from './open-session.js'

/**
 * The context of a call, for hooks of one iterator. Use it as the context of the client, or extend it.
 *
 * @example
 * ```ts
 * const link = new RPCLink<DurableEventIteratorLinkPluginContext>({ … })
 * const client: RouterClient<typeof router, DurableEventIteratorLinkPluginContext> = createORPCClient(link)
 *
 * const iterator = await client.onMessage(undefined, {
 *   context: { durableEventIterator: { onStateChange: (state) => setState(state) } },
 * })
 * ```
 */
export interface DurableEventIteratorLinkPluginContext {
  /**
   * The hooks of this iterator. They are called in addition to the hooks of the plugin. `load` loads the state of the application
   * before the first subscription and after each gap, and returns its cursor, after which the subscription starts.
   */
  durableEventIterator?: (DurableEventIteratorHooks & { load?: LoadState | undefined }) | undefined
}

/** The options of a `DurableEventIteratorLinkPlugin`, except those of the link over the socket. */
export interface DurableEventIteratorConnectingOptions extends ConnectingOptions, DurableEventIteratorHooks {
  /**
   * The URL of the Worker's upgrade endpoint, or a function that is called before each connection. `http:` and `https:` become
   * `ws:` and `wss:`. In a browser, a URL may be relative to the page.
   */
  url: UrlValue | (() => UrlValue)

  /**
   * Returns the connection id, by which the Durable Object recognizes the client after a reconnect: 1–128 visible ASCII
   * characters that others cannot guess. Called once for each iterator, which uses the id for all of its connections.
   *
   * @default 128 random bits
   */
  createId?: () => string | Promise<string>
}

/**
 * Returns the settings for a call with this context.
 *
 * @throws {RangeError} When a numeric option is out of its range.
 */
export function durableEventIteratorSettings(options: DurableEventIteratorConnectingOptions): (context: object) => IteratorSettings {
  const { url, createId } = options
  const numbers = resolveNumbers(options)
  return (context) => ({
    plugin: options,
    numbers,
    url: async () => (typeof url === 'function' ? url() : url),
    createId: async () => (createId === undefined ? newConnectionId() : checkConnectionId(await createId())),
    refreshTimes: () => ({}),
    hooks: (context as DurableEventIteratorLinkPluginContext).durableEventIterator,
  })
}

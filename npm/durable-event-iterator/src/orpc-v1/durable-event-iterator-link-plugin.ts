import type { ClientContext } from '@orpc/client'
import type { StandardLinkOptions, StandardLinkPlugin } from '@orpc/client/standard'

import type { CallLinkOptions } from './call-link.js'
import type { DurableEventIteratorHooks } from './hooks.js'
import { resolveNumbers } from '../client/options.js'
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

/**
 * The options of a {@link DurableEventIteratorLinkPlugin}. They include the options of an `RPCLink`, for calls over the socket:
 * `customJsonSerializers`, `interceptors`, `clientInterceptors`, `plugins`, `headers`.
 */
export interface DurableEventIteratorLinkPluginOptions
  extends CallLinkOptions,
    Omit<ConnectingOptions, 'customJsonSerializers'>,
    DurableEventIteratorHooks {
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
 * A link plugin that opens an iterator when a procedure returns a `DurableEventIterator`. Other calls are not affected.
 *
 * After a lost connection the iterator reconnects and resumes after the last received event. Before its token expires, it calls
 * the procedure again for a new token. A call with a `lastEventId` starts after that event. The `signal` of the call also ends
 * the iterator.
 *
 * @example
 * ```ts
 * const link = new RPCLink({
 *   url: 'https://example.com/rpc',
 *   plugins: [new DurableEventIteratorLinkPlugin({ url: 'wss://example.com/chat-room' })],
 * })
 * ```
 */
export class DurableEventIteratorLinkPlugin<T extends ClientContext> implements StandardLinkPlugin<T> {
  /**
   * Initialized first, so that it wraps all other plugins: batches and retries apply to the request for the token, not to the
   * iterator.
   */
  readonly order = Number.MIN_SAFE_INTEGER
  readonly #options: DurableEventIteratorLinkPluginOptions
  readonly #numbers: SubscriptionNumbers

  /** @throws {RangeError} When a numeric option is out of its range. */
  constructor(options: DurableEventIteratorLinkPluginOptions) {
    this.#options = options
    this.#numbers = resolveNumbers(options)
  }

  init(options: StandardLinkOptions<T>): void {
    const { url, createId } = this.#options
    interceptTokens(options, 'DurableEventIterator', (token) =>
      openIterator(token, {
        plugin: this.#options,
        numbers: this.#numbers,
        url: async () => (typeof url === 'function' ? url() : url),
        createId: async () => (createId === undefined ? newConnectionId() : checkConnectionId(await createId())),
        refreshTimes: () => ({}),
        hooks: (token.call.context as DurableEventIteratorLinkPluginContext).durableEventIterator,
      }),
    )
  }
}

import type { ClientContext } from '@orpc/client'
import type { StandardLinkOptions, StandardLinkPlugin } from '@orpc/client/standard'

import { combineHooks } from './hooks.js'
import type { DurableEventIteratorHooks } from './hooks.js'
import { resolveNumbers } from './link-options.js'
import type { ConnectingNumbers, ConnectingOptions, SocketLinkOptions, UrlValue } from './link-options.js'
import type { ClientDurableEventIteratorRpcContext } from './rpc-context.js'
import { openIterator } from './session.js'
import { interceptTokens } from './token-calls.js'
import { checkConnectionId, newConnectionId } from './upgrade-url.js'

/**
 * The context that a call may give its iterator. Let a client's context extend it to use it.
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
  /** Called in addition to the plugin's own. */
  durableEventIterator?: DurableEventIteratorHooks | undefined
}

/**
 * Where and how the plugin connects. The rest are the options of an `RPCLink` over WebSocket: `customJsonSerializers`,
 * `interceptors`, `clientInterceptors`, `plugins`, `headers`.
 */
export interface DurableEventIteratorLinkPluginOptions
  extends SocketLinkOptions<ClientDurableEventIteratorRpcContext>,
    ConnectingOptions {
  /**
   * The upgrade endpoint of the Worker. `http:` and `https:` become `ws:` and `wss:`; in a browser it may be relative to
   * the page. A function is called before each connection.
   */
  url: UrlValue | (() => UrlValue)

  /**
   * Makes the id by which the object knows this client again, also for events that are for it only. Called once for each
   * iterator; the id goes along with each of its connections. It has 1 to 128 visible ASCII characters, and nobody should
   * be able to guess it.
   *
   * @default 128 random bits
   */
  createId?: () => string | Promise<string>
}

/**
 * Turns the token that a procedure answers with into an iterator over the object's events, and leaves all other calls as
 * they are.
 *
 * The iterator survives lost connections: it reconnects, resumes after the last event it got, and makes the call again
 * for a new token when the old one has expired or is about to. A call with a `lastEventId` begins after that event. Its
 * `signal` ends the iterator, too.
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
  /** Around all others: a batch or a retry inside it concerns the call for a token, never the iterator. */
  readonly order = Number.MIN_SAFE_INTEGER
  readonly #options: DurableEventIteratorLinkPluginOptions
  readonly #numbers: ConnectingNumbers

  /** @throws {RangeError} When an option that is a number is out of range. */
  constructor(options: DurableEventIteratorLinkPluginOptions) {
    this.#options = options
    this.#numbers = resolveNumbers(options)
  }

  init(options: StandardLinkOptions<T>): void {
    const { url, createId, ...rest } = this.#options
    interceptTokens(options, 1, ({ call, ...token }) => {
      const { durableEventIterator } = call.context as DurableEventIteratorLinkPluginContext
      return openIterator({
        ...rest,
        ...token,
        numbers: this.#numbers,
        url: async () => (typeof url === 'function' ? url() : url),
        createId: async () => (createId === undefined ? newConnectionId() : checkConnectionId(await createId())),
        renewal: () => ({}),
        hooks: combineHooks([this.#options, durableEventIterator]),
        path: call.path,
        input: call.input,
        signal: call.signal,
        lastEventId: call.lastEventId,
      })
    })
  }
}

import type { ClientContext } from '@orpc/client'
import type { StandardLinkOptions, StandardLinkPlugin } from '@orpc/client/standard'

import { durableEventIteratorSettings } from '../orpc/durable-event-iterator-settings.js'
import type { DurableEventIteratorConnectingOptions } from '../orpc/durable-event-iterator-settings.js'
import type { ClientDurableEventIteratorRpcContext } from '../orpc/rpc-context.js'
import { INITIALIZED_BEFORE, openIterators } from './open-iterators.js'
import type { SocketLinkOptions } from './socket-link.js'

/**
 * The options of a {@link DurableEventIteratorLinkPlugin}. They include options of an `RPCLink`, for calls over the socket:
 * `interceptors`, `transportInterceptors`, `plugins`, `headers`.
 */
export interface DurableEventIteratorLinkPluginOptions
  extends SocketLinkOptions<ClientDurableEventIteratorRpcContext>,
    DurableEventIteratorConnectingOptions {}

/**
 * A link plugin that opens an iterator when a procedure returns a `DurableEventIterator`. Other calls are not affected.
 *
 * After a lost connection the iterator reconnects and resumes after the last received event. Before its token expires, it calls
 * the procedure again for a new token. A call with a `lastEventId` starts after that event. The `signal` of the call also ends
 * the iterator.
 *
 * Interceptors and plugins of the link apply to the request for the token, also when the token is refreshed. Interceptors of
 * `createORPCClient` receive the iterator.
 *
 * @example
 * ```ts
 * const link = new RPCLink({
 *   origin: 'https://example.com',
 *   url: '/rpc',
 *   plugins: [new DurableEventIteratorLinkPlugin({ url: 'wss://example.com/chat-room' })],
 * })
 * ```
 */
export class DurableEventIteratorLinkPlugin<T extends ClientContext> implements StandardLinkPlugin<T> {
  readonly name = 'durable-event-iterator/DurableEventIterator'
  readonly after = INITIALIZED_BEFORE
  readonly #options: DurableEventIteratorLinkPluginOptions
  readonly #settings: ReturnType<typeof durableEventIteratorSettings>

  /** @throws {RangeError} When a numeric option is out of its range. */
  constructor(options: DurableEventIteratorLinkPluginOptions) {
    this.#options = options
    this.#settings = durableEventIteratorSettings(options)
  }

  init(options: StandardLinkOptions<T>): StandardLinkOptions<T> {
    return openIterators(options, 'DurableEventIterator', this.#options, ({ context }) => this.#settings(context))
  }
}

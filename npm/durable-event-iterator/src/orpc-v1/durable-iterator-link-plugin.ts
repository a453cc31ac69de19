import type { ClientContext } from '@orpc/client'
import type { StandardLinkOptions, StandardLinkPlugin } from '@orpc/client/standard'

import { durableIteratorSettings } from '../orpc/durable-iterator-settings.js'
import type { DurableIteratorConnectingOptions } from '../orpc/durable-iterator-settings.js'
import type { CallLinkOptions } from './call-link.js'
import { openIterators } from './open-iterators.js'

/**
 * The options of a {@link DurableIteratorLinkPlugin}. They include the options of an `RPCLink`, for calls over the socket:
 * `customJsonSerializers`, `interceptors`, `clientInterceptors`, `plugins`, `headers`.
 */
export interface DurableIteratorLinkPluginOptions<T extends ClientContext>
  extends CallLinkOptions,
    Omit<DurableIteratorConnectingOptions<T>, 'customJsonSerializers'> {}

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
  readonly #settings: ReturnType<typeof durableIteratorSettings<T>>

  /** @throws {RangeError} When a numeric option is out of its range. */
  constructor(options: DurableIteratorLinkPluginOptions<T>) {
    this.#options = options
    this.#settings = durableIteratorSettings(options)
  }

  init(options: StandardLinkOptions<T>): void {
    openIterators(options, 'DurableIterator', this.#options, (call) => this.#settings(call))
  }
}

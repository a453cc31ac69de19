import type { ClientContext } from '@orpc/client'
import type { StandardLinkOptions, StandardLinkPlugin } from '@orpc/client/standard'

import { durableEventIteratorSettings } from '../orpc/durable-event-iterator-settings.js'
import type { DurableEventIteratorConnectingOptions } from '../orpc/durable-event-iterator-settings.js'
import type { CallLinkOptions } from './call-link.js'
import { openIterators } from './open-iterators.js'

/**
 * The options of a {@link DurableEventIteratorLinkPlugin}. They include the options of an `RPCLink`, for calls over the socket:
 * `customJsonSerializers`, `interceptors`, `clientInterceptors`, `plugins`, `headers`.
 */
export interface DurableEventIteratorLinkPluginOptions
  extends CallLinkOptions,
    Omit<DurableEventIteratorConnectingOptions, 'customJsonSerializers'> {}

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
  readonly #settings: ReturnType<typeof durableEventIteratorSettings>

  /** @throws {RangeError} When a numeric option is out of its range. */
  constructor(options: DurableEventIteratorLinkPluginOptions) {
    this.#options = options
    this.#settings = durableEventIteratorSettings(options)
  }

  init(options: StandardLinkOptions<T>): void {
    openIterators(options, 'DurableEventIterator', this.#options, ({ context }) => this.#settings(context))
  }
}

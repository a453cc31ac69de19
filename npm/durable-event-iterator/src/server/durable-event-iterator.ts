import type { ClientDurableEventIterator } from '../orpc/client-durable-event-iterator.js'
import type {
  AnyDurableEventIteratorObject,
  InferDurableEventIteratorObjectRPC,
  InferDurableEventIteratorObjectTokenAttachment,
  TokenAttachmentOption,
} from '../object.js'
import { checkIssue, issue } from './issue.js'

/** The options of a {@link DurableEventIterator}. */
export type DurableEventIteratorOptions<
  T extends AnyDurableEventIteratorObject,
  RPC extends InferDurableEventIteratorObjectRPC<T> = never,
> = {
  /** The signing key: the same as the Durable Object's `SIGNING_KEY`. */
  signingKey: string

  /**
   * The token lifetime in seconds: 1 to 10^12, rounded up to whole seconds. Before the token expires, the client calls the
   * procedure again. A permission change therefore takes effect after at most one token lifetime.
   *
   * @default 86400 (24 hours)
   */
  tokenTTLSeconds?: number | undefined

  /**
   * The subject (the JWT claim `sub`): who the client is, such as a user id, 1–256 UTF-8 bytes. The client can read it. The
   * Durable Object can limit the number of sockets per subject.
   */
  subject?: string | undefined

  /**
   * The procedures of the Durable Object that the client may call. The method `rpc` does the same and infers the names.
   *
   * @default []
   */
  rpc?: readonly RPC[] | undefined
} & TokenAttachmentOption<InferDurableEventIteratorObjectTokenAttachment<T>>

/**
 * Issues a token for a channel. Return it from a procedure: the `DurableEventIteratorHandlerPlugin` sends the token, and
 * the client's `DurableEventIteratorLinkPlugin` opens an iterator over the events of the Durable Object with it.
 *
 * @typeParam T - The type of the Durable Object: an interface that extends `DurableEventIteratorObject`.
 *
 * @example
 * ```ts
 * const onMessage = base.handler(({ context }) => {
 *   return new DurableEventIterator<ChatRoom>('some-room', {
 *     signingKey: context.env.SIGNING_KEY,
 *     att: { userId: context.user.id },
 *   }).rpc('publishMessage', 'router')
 * })
 * ```
 */
export class DurableEventIterator<
  T extends AnyDurableEventIteratorObject,
  RPC extends InferDurableEventIteratorObjectRPC<T> = never,
> implements PromiseLike<ClientDurableEventIterator<T, RPC>>
{
  readonly #channel: string
  readonly #options: DurableEventIteratorOptions<T, RPC>

  /**
   * @param channel - The channel name, 1–512 UTF-8 bytes. Each channel is one Durable Object.
   * @throws {RangeError} When the channel name or an option is out of its limits; the message names it and its limit.
   * @throws {TypeError} When an option has the wrong type or an unknown name.
   */
  constructor(channel: string, options: DurableEventIteratorOptions<T, RPC>) {
    checkIssue(channel, options, 'DurableEventIterator')
    this.#channel = channel
    this.#options = options
  }

  /**
   * Returns a copy that allows the client to call these procedures, and no others. A name allows all procedures under it:
   * `router` allows `router.ping`.
   */
  rpc<TAllowed extends InferDurableEventIteratorObjectRPC<T>>(
    ...rpc: readonly TAllowed[]
  ): Omit<DurableEventIterator<T, TAllowed>, 'rpc'> {
    const options = { ...this.#options, rpc } as unknown as DurableEventIteratorOptions<T, TAllowed>
    return new DurableEventIterator<T, TAllowed>(this.#channel, options)
  }

  /**
   * Issues the token. `await` calls this method, and oRPC awaits the result of a procedure. Each call issues a new token.
   *
   * Rejects with a `RangeError` when the attachment is nested deeper than 127 levels or contains a lone surrogate, or when the
   * token is longer than 8,192 bytes; with a `TypeError` when the signing key is empty or JSON cannot represent the attachment.
   */
  then<TFulfilled = ClientDurableEventIterator<T, RPC>, TRejected = never>(
    onfulfilled?: ((value: ClientDurableEventIterator<T, RPC>) => TFulfilled | PromiseLike<TFulfilled>) | null | undefined,
    onrejected?: ((reason: unknown) => TRejected | PromiseLike<TRejected>) | null | undefined,
  ): PromiseLike<TFulfilled | TRejected> {
    // The value is a `TokenCarrier`; the types describe the iterator that the client opens with it.
    const iterator = issue(this.#channel, this.#options, 'DurableEventIterator') as Promise<unknown> as Promise<ClientDurableEventIterator<T, RPC>>
    return iterator.then(onfulfilled, onrejected)
  }
}

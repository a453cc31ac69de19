import type { ClientDurableEventIterator } from '../client/client-durable-event-iterator.js'
import type {
  AnyDurableEventIteratorObject,
  InferDurableEventIteratorObjectRPC,
  InferDurableEventIteratorObjectTokenAttachment,
  TokenAttachmentOption,
} from '../object.js'
import { checkIssue, issue } from './issue.js'

/** How a {@link DurableEventIterator} is issued. */
export type DurableEventIteratorOptions<
  T extends AnyDurableEventIteratorObject,
  RPC extends InferDurableEventIteratorObjectRPC<T> = never,
> = {
  /** The key that signs the token: the object's `SIGNING_KEY`. */
  signingKey: string

  /**
   * How long the token is valid, in seconds: 1 to 10^12, rounded up to whole seconds. A client with a token that has expired makes its call again, so this is how
   * soon a change of rights takes effect.
   *
   * @default 86400 (24 hours)
   */
  tokenTTLSeconds?: number | undefined

  /**
   * Who the client is, such as a user id: 1–256 UTF-8 bytes (the JWT claim `sub`). The client can read it. A limit per
   * subject counts all sockets of one user together.
   */
  subject?: string | undefined

  /**
   * The procedures of the object that the client may call. `.rpc(…)` does the same and infers the names.
   *
   * @default []
   */
  rpc?: readonly RPC[] | undefined
} & TokenAttachmentOption<InferDurableEventIteratorObjectTokenAttachment<T>>

/**
 * What a procedure returns for its client to iterate over an object's events: a token for a channel, which
 * {@link DurableEventIteratorHandlerPlugin} sends and the client's link plugin turns into an open subscription.
 *
 * @typeParam T - The type of the object, as a `DurableEventIteratorObject`.
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
   * @param channel - The channel, which names the Durable Object: 1–512 UTF-8 bytes.
   * @throws {RangeError} When a Durable Object would reject the channel name, the lifetime or another option; the message
   * names it and its limit.
   * @throws {TypeError} When an option has another type or an unknown name.
   */
  constructor(channel: string, options: DurableEventIteratorOptions<T, RPC>) {
    checkIssue(channel, options, 1)
    this.#channel = channel
    this.#options = options
  }

  /**
   * The same with the procedures that the client may call, and no others. A name allows all that is below it: `router`
   * allows `router.ping`.
   */
  rpc<TAllowed extends InferDurableEventIteratorObjectRPC<T>>(
    ...rpc: readonly TAllowed[]
  ): Omit<DurableEventIterator<T, TAllowed>, 'rpc'> {
    const options = { ...this.#options, rpc } as unknown as DurableEventIteratorOptions<T, TAllowed>
    return new DurableEventIterator<T, TAllowed>(this.#channel, options)
  }

  /**
   * Issues the token: awaiting is enough, and oRPC awaits what a procedure returns. Each time issues another one.
   *
   * Rejects with a `RangeError` when the attachment is nested deeper than 127 levels or contains a lone surrogate, or the
   * token is longer than 8,192 bytes, and with a `TypeError` when the signing key is empty or JSON cannot represent the
   * attachment.
   */
  then<TFulfilled = ClientDurableEventIterator<T, RPC>, TRejected = never>(
    onfulfilled?: ((value: ClientDurableEventIterator<T, RPC>) => TFulfilled | PromiseLike<TFulfilled>) | null | undefined,
    onrejected?: ((reason: unknown) => TRejected | PromiseLike<TRejected>) | null | undefined,
  ): PromiseLike<TFulfilled | TRejected> {
    // What the client makes of it is what the types speak of.
    const iterator = issue(this.#channel, this.#options, 1) as Promise<unknown> as Promise<ClientDurableEventIterator<T, RPC>>
    return iterator.then(onfulfilled, onrejected)
  }
}

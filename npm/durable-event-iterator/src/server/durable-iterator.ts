import type { ClientDurableIterator } from '../client/client-durable-iterator.js'
import type {
  AnyDurableEventIteratorObject,
  InferDurableEventIteratorObjectTokenAttachment,
  InferDurableIteratorObjectRPC,
  TokenAttachmentOption,
} from '../object.js'
import { checkIssue, issue } from './issue.js'

/** How a {@link DurableIterator} is issued. */
export type DurableIteratorOptions<
  T extends AnyDurableEventIteratorObject,
  RPC extends InferDurableIteratorObjectRPC<T> = never,
> = {
  /** The key that signs the token: the object's `SIGNING_KEY`. */
  signingKey: string

  /**
   * How long the token is valid, in seconds: 1 to 10^12, rounded up to whole seconds. A client makes its call again before the token expires, and hands the new
   * one over on the open socket, so this is how soon a change of rights takes effect.
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
   * By these, events can be addressed to a subset of clients: at most ten, each 1–256 UTF-8 bytes.
   *
   * @default []
   */
  tags?: readonly string[] | undefined

  /**
   * The procedures of the object that the client may call. `.rpc(…)` does the same and infers the names.
   *
   * @default []
   */
  rpc?: readonly RPC[] | undefined
} & TokenAttachmentOption<InferDurableEventIteratorObjectTokenAttachment<T>>

/**
 * What a procedure returns for its client to iterate over an object's events: a token for a channel, which
 * {@link DurableIteratorHandlerPlugin} sends and the client's link plugin turns into an open subscription.
 *
 * This is the one that oRPC 1.9 and later have, with tags and with tokens that are renewed on the open socket. An object
 * serves its clients and those of a {@link DurableEventIterator} at once.
 *
 * @typeParam T - The type of the object, as a `DurableIteratorObject`.
 *
 * @example
 * ```ts
 * const onMessage = base.handler(({ context }) => {
 *   return new DurableIterator<ChatRoom>('some-room', {
 *     signingKey: context.env.SIGNING_KEY,
 *     tags: [context.user.role],
 *     att: { userId: context.user.id },
 *   }).rpc('publishMessage', 'router')
 * })
 * ```
 */
export class DurableIterator<
  T extends AnyDurableEventIteratorObject,
  RPC extends InferDurableIteratorObjectRPC<T> = never,
> implements PromiseLike<ClientDurableIterator<T, RPC>>
{
  readonly #channel: string
  readonly #options: DurableIteratorOptions<T, RPC>

  /**
   * @param channel - The channel, which names the Durable Object: 1–512 UTF-8 bytes.
   * @throws {RangeError} When a Durable Object would reject the channel name, the lifetime or another option; the message
   * names it and its limit.
   * @throws {TypeError} When an option has another type or an unknown name.
   */
  constructor(channel: string, options: DurableIteratorOptions<T, RPC>) {
    checkIssue(channel, options, 2)
    this.#channel = channel
    this.#options = options
  }

  /**
   * The same with the procedures that the client may call, and no others. A name allows all that is below it: `router`
   * allows `router.ping`.
   */
  rpc<TAllowed extends InferDurableIteratorObjectRPC<T>>(
    ...rpc: readonly TAllowed[]
  ): Omit<DurableIterator<T, TAllowed>, 'rpc'> {
    const options = { ...this.#options, rpc } as unknown as DurableIteratorOptions<T, TAllowed>
    return new DurableIterator<T, TAllowed>(this.#channel, options)
  }

  /**
   * Issues the token: awaiting is enough, and oRPC awaits what a procedure returns. Each time issues another one.
   *
   * Rejects with a `RangeError` when the attachment is nested deeper than 127 levels or contains a lone surrogate, or the
   * token is longer than 8,192 bytes, and with a `TypeError` when the signing key is empty or JSON cannot represent the
   * attachment.
   */
  then<TFulfilled = ClientDurableIterator<T, RPC>, TRejected = never>(
    onfulfilled?: ((value: ClientDurableIterator<T, RPC>) => TFulfilled | PromiseLike<TFulfilled>) | null | undefined,
    onrejected?: ((reason: unknown) => TRejected | PromiseLike<TRejected>) | null | undefined,
  ): PromiseLike<TFulfilled | TRejected> {
    // What the client makes of it is what the types speak of.
    const iterator = issue(this.#channel, this.#options, 2) as Promise<unknown> as Promise<ClientDurableIterator<T, RPC>>
    return iterator.then(onfulfilled, onrejected)
  }
}

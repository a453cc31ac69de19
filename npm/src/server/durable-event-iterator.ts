import type { ClientDurableEventIterator } from '../client/client-durable-event-iterator.js'
import type {
  AnyDurableEventIteratorObject,
  InferDurableEventIteratorObjectRPC,
  InferDurableEventIteratorObjectTokenAttachment,
} from '../object.js'
import { TokenCarrier } from '../token-carrier.js'
import { signToken } from '../token.js'

/** How a {@link DurableEventIterator} is issued. */
export type DurableEventIteratorOptions<
  T extends AnyDurableEventIteratorObject,
  RPC extends InferDurableEventIteratorObjectRPC<T> = never,
> = {
  /** The key that signs the token: the object's `SIGNING_KEY`. */
  signingKey: string

  /**
   * How long the token is valid, in seconds. A client with a token that has expired makes its call again, so this is how
   * soon a change of rights takes effect.
   *
   * @default 86400 (24 hours)
   */
  tokenTTLSeconds?: number | undefined

  /**
   * The procedures of the object that the client may call. `.rpc(…)` does the same and infers the names.
   *
   * @default []
   */
  rpc?: readonly RPC[] | undefined
} & TokenAttachmentOption<InferDurableEventIteratorObjectTokenAttachment<T>>

/** `att` is required unless the object's type says that it may be missing. */
type TokenAttachmentOption<TTokenAttachment> = undefined extends TTokenAttachment
  ? {
      /** What the object gets to know of this client. The client can read it: nothing secret belongs here. */
      att?: TTokenAttachment
    }
  : {
      /** What the object gets to know of this client. The client can read it: nothing secret belongs here. */
      att: TTokenAttachment
    }

const DEFAULT_TOKEN_TTL_SECONDS = 24 * 60 * 60

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
   * @param channel - The channel, which names the object: 1 to 512 bytes of any text.
   * @throws {RangeError} When the channel's name has another length, or `tokenTTLSeconds` is no positive number.
   */
  constructor(channel: string, options: DurableEventIteratorOptions<T, RPC>) {
    const bytes = new TextEncoder().encode(channel).length
    if (bytes < 1 || bytes > MAX_CHANNEL_BYTES) {
      throw new RangeError(`A channel's name has 1 to ${MAX_CHANNEL_BYTES} bytes, not ${bytes}.`)
    }
    const { tokenTTLSeconds = DEFAULT_TOKEN_TTL_SECONDS } = options
    if (!Number.isFinite(tokenTTLSeconds) || tokenTTLSeconds <= 0) {
      throw new RangeError(`tokenTTLSeconds is a positive number of seconds, not ${tokenTTLSeconds}.`)
    }
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
   * Rejects with a `RangeError` when the token gets longer than the 8,192 bytes that objects accept, and with a
   * `TypeError` when the signing key is empty.
   */
  then<TFulfilled = ClientDurableEventIterator<T, RPC>, TRejected = never>(
    onfulfilled?: ((value: ClientDurableEventIterator<T, RPC>) => TFulfilled | PromiseLike<TFulfilled>) | null | undefined,
    onrejected?: ((reason: unknown) => TRejected | PromiseLike<TRejected>) | null | undefined,
  ): PromiseLike<TFulfilled | TRejected> {
    return this.#issue().then(onfulfilled, onrejected)
  }

  async #issue(): Promise<ClientDurableEventIterator<T, RPC>> {
    const { signingKey, tokenTTLSeconds = DEFAULT_TOKEN_TTL_SECONDS, rpc = [], att } = this.#options
    const iat = Math.floor(Date.now() / 1_000)
    const token = await signToken({ chn: this.#channel, rpc, att, iat, exp: iat + tokenTTLSeconds }, signingKey)
    // What the client makes of it is what the types speak of.
    return new TokenCarrier(token) as unknown as ClientDurableEventIterator<T, RPC>
  }
}

/** The longest name of a channel: what an object accepts. */
const MAX_CHANNEL_BYTES = 512

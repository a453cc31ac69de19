/** The options of {@link ChannelStub.publish}. All are optional and can be combined. */
export interface PublishOptions {
  /** Connection ids: only these clients receive the event. Not empty. */
  to?: readonly string[]
  /** Tags of 1–256 UTF-8 bytes: only clients whose token has one of these tags receive the event. Not empty. */
  tags?: readonly string[]
  /** Connection ids: these clients do not receive the event. */
  except?: readonly string[]
  /** Event meta: the delay before a client retries, in milliseconds. An integer from 0 to 2,147,483,647. */
  retry?: number | undefined
  /** Event meta: comments. A text of several lines arrives as several comments. */
  comments?: readonly string[] | undefined
  /**
   * The idempotency key, 1–255 visible ASCII characters: calls with the same key within the idempotency window (300 s by
   * default) publish once and return the same id. Each channel has its own keys.
   */
  idempotencyKey?: string
}

/** A published event. */
export interface Published {
  /** The event id. For a duplicate, the id of the event that was published first. */
  readonly id: string
  /** Whether an event with the same idempotency key was published before. A duplicate is neither stored nor sent. */
  readonly duplicate: boolean
}

/**
 * The type of a stub of a Durable Object written in Rust, for bindings: `DurableObjectNamespace<ChannelStub<Message>>`. Extend
 * it with the RPC methods of your own Durable Object.
 *
 * @typeParam Event - The events: objects or arrays.
 *
 * @example
 * ```ts
 * interface Env {
 *   CHAT_ROOM: DurableObjectNamespace<ChannelStub<{ message: string }>>
 * }
 *
 * const { id } = await env.CHAT_ROOM.getByName('some-room').publish({ message: 'Hello' }, { tags: ['staff'] })
 * ```
 */
export interface ChannelStub<Event extends object> {
  /**
   * Exists only in types: the property of `Rpc.DurableObjectBranded`, which `DurableObjectNamespace` requires. It is repeated
   * here so that this package does not depend on `@cloudflare/workers-types`.
   */
  __DURABLE_OBJECT_BRAND: never

  /**
   * Publishes an event. Resolves when it is stored.
   *
   * Rejects with an error that has the properties `code`, `status`, `data` and `failure` if both Workers have a compatibility
   * date of 2026-04-21 or later; `callStub` throws such an error at every compatibility date. An unknown option, and `null` or
   * `undefined` for `to`, `tags`, `except` or `idempotencyKey`, are rejected with BAD_REQUEST.
   */
  publish(event: Event, options?: PublishOptions): Promise<Published>
}

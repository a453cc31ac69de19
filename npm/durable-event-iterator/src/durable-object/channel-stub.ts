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

/** The query of {@link ChannelStub.stats}. */
export interface StatsQuery {
  /** The number of buckets of the timeline, 1 to 240. Without it, there is no timeline. */
  timeline?: number | undefined
}

/** The numbers of a channel. Counters begin when this instance of the Durable Object was constructed, at `since`. */
export interface ChannelStats {
  /** The channel name; `null` if the Durable Object does not know its name. */
  readonly channel: string | null
  /** The open sockets of clients. */
  readonly sockets: number
  /** The sockets with a subscription, of which `parked` wait until their client has read what was sent. */
  readonly subscriptions: number
  /** The subscriptions that wait until their client has read what was sent. */
  readonly parked: number
  /** The members; `null` without presence. */
  readonly members: number | null
  /** The retained events. */
  readonly events: RetainedEvents
  /** The tables of the retained events, oldest first. */
  readonly segments: readonly SegmentStats[]
  /** When this instance was constructed: ISO 8601. */
  readonly since: string
  /** The stored events. */
  readonly published: number
  /** The publishes whose idempotency key was used before. */
  readonly duplicates: number
  /** The messages of events that were sent live. A replayed event is not counted. */
  readonly delivered: number
  /** The gap notifications. */
  readonly gaps: number
  /** How often a subscription was parked. */
  readonly parkings: number
  /** The rejected upgrades by reason. */
  readonly rejections: Readonly<Record<string, number>>
  /** The sockets that `disconnect` and `revoke` have closed. */
  readonly disconnected: number
  /** The size of the Durable Object's database in bytes. */
  readonly databaseBytes: number
  /** The buckets of the timeline, oldest first, if the query requests it. */
  readonly timeline?: readonly TimelineBucket[]
}

/** The retained events of a channel, and the limits of retention. */
export interface RetainedEvents {
  readonly count: number
  /** The size in bytes, as the limit counts it. */
  readonly bytes: number
  /** The id of the oldest retained event. */
  readonly firstId: string | null
  /** The id of the newest event, also if it is no longer retained. */
  readonly lastId: string | null
  readonly retentionSeconds: number
  readonly maxEvents: number
  readonly maxBytes: number
}

/** A table of retained events. Retention deletes whole tables. */
export interface SegmentStats {
  /** The id after which the table begins. */
  readonly after: string
  readonly lastId: string | null
  readonly events: number
  readonly bytes: number
}

/** The retained events of a period. */
export interface TimelineBucket {
  /** The start of the period: ISO 8601. It ends with the start of the next one. */
  readonly from: string
  readonly events: number
  readonly bytes: number
}

/** The query of {@link ChannelStub.connections}. */
export interface ConnectionsQuery {
  /** The maximum number of sockets, 1 to 1,000. Default: 100. */
  limit?: number | undefined
  /** The cursor: `next` of the previous page. */
  after?: string | undefined
}

/** A page of open sockets. */
export interface ConnectionsPage {
  readonly connections: readonly Connection[]
  /** The cursor of the next page; `null` on the last one. */
  readonly next: string | null
}

/** An open socket. */
export interface Connection {
  /** The connection id, if the client has sent one. */
  readonly connection?: string
  /** The subject of the token. */
  readonly subject?: string
  /** The tags of the token. */
  readonly tags: readonly string[]
  /** The time of issue of the token: ISO 8601. */
  readonly issuedAt: string
  /** When the token expires: ISO 8601. */
  readonly expiresAt: string
  /** The state of the subscription; `null` without one. */
  readonly subscription: 'live' | 'replaying' | 'parked' | null
  /** The member id, with presence. */
  readonly member?: string
}

/** The members of a channel with presence. */
export interface ChannelMembers {
  readonly members: readonly ChannelMember[]
}

/** A member of a channel. */
export interface ChannelMember {
  readonly id: string
  /** The state that the member has set. */
  readonly state?: unknown
  /** The number of sockets. */
  readonly connections: number
}

/**
 * The options of {@link ChannelStub.disconnect}: which clients are disconnected. `to`, `tags` or `everyone` is required; with `to` and
 * `tags`, a client must match both.
 */
export interface DisconnectOptions {
  /** Connection ids. Not empty. */
  to?: readonly string[]
  /** Tags of 1–256 UTF-8 bytes: clients whose token has one of these tags. Not empty. */
  tags?: readonly string[]
  /** Connection ids of clients that stay connected. */
  except?: readonly string[]
  /** All clients. */
  everyone?: true
  /** The reason in the close frame, truncated to 123 UTF-8 bytes. Default: `Disconnected`. */
  reason?: string | undefined
}

/** The options of {@link ChannelStub.revoke}: exactly one of `connection`, `subject` and `issuedBefore`. */
export interface RevokeOptions {
  /**
   * A connection id: the tokens that were issued until now and are used with it. A client chooses its connection id; against a user,
   * revoke the subject.
   */
  connection?: string
  /** A subject, the claim `sub` of tokens: its tokens that were issued until now. */
  subject?: string
  /**
   * All tokens that were issued before this time: a `Date`, its ISO 8601 form, or a number of seconds since 1970. At most a day in the
   * future.
   */
  issuedBefore?: Date | string | number
  /** The reason in the close frame, truncated to 123 UTF-8 bytes. Default: `Token revoked`. */
  reason?: string | undefined
}

/** The result of {@link ChannelStub.disconnect} and {@link ChannelStub.revoke}. */
export interface Disconnected {
  /** The number of closed sockets. */
  readonly disconnected: number
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

  /**
   * Publishes 1–1,000 events of at most 8 MiB together, in order. Either all of them are stored, or none. Resolves with the result of
   * each event when they are stored.
   *
   * `options` apply to all events, or are an array with an object for each event. One `idempotencyKey` for all makes the whole batch
   * idempotent: the key of the first event is the key itself, that of event `n` is `<key>#<n>`; it may have up to 251 characters. An
   * event whose key was used before is a duplicate; the others are published.
   *
   * Rejects as {@link publish} does; the message contains the index of the invalid event, such as `events[3]`.
   */
  publishBatch(events: readonly Event[], options?: PublishOptions | readonly PublishOptions[]): Promise<Published[]>

  /** Returns the numbers of the channel. */
  stats(query?: StatsQuery): Promise<ChannelStats>

  /** Returns a page of the open sockets. */
  connections(query?: ConnectionsQuery): Promise<ConnectionsPage>

  /** Returns the members of a channel with presence. */
  members(): Promise<ChannelMembers>

  /**
   * Closes the sockets of clients, with close code 4001. A client whose token is still valid may connect again and resume.
   *
   * Rejects with BAD_REQUEST for an empty selection and an unknown or invalid option. See {@link publish} for the properties of errors.
   */
  disconnect(options: DisconnectOptions): Promise<Disconnected>

  /**
   * Revokes tokens before they expire, and closes the sockets that use them, with close code 1008. The channel rejects revoked tokens
   * from then on. A token that is issued later is accepted.
   *
   * Rejects with BAD_REQUEST for an unknown or invalid option. See {@link publish} for the properties of errors.
   */
  revoke(options: RevokeOptions): Promise<Disconnected>
}

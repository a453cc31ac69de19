import { rememberMeta } from '../client/event-meta.js'
import type { SubscriptionEvent } from '../client/subscription.js'
import { Serializer } from '../client/wire/serializer.js'
import type { CustomSerializer } from '../client/wire/serializer.js'
import { callStub } from '../durable-object/call-stub.js'
import type { StubAudience } from './subscribe-to-stub.js'

/** The query of {@link readStub}. At most one of `after`, `since` and `last`; without them, the page starts with the oldest event. */
export interface ReadQuery extends StubAudience {
  /** The cursor: the page starts after the event with this id. */
  after?: string | undefined
  /** The page starts with the first event at or after this time: a `Date`, or seconds since 1970. */
  since?: Date | number | undefined
  /** The page has the last events: 0 to 1,000. */
  last?: number | undefined
  /**
   * The maximum number of events: 1 to 1,000. Not together with `last`.
   *
   * @default 100
   */
  limit?: number | undefined
  /** Serializers of custom types, as those of the Durable Object. */
  customJsonSerializers?: readonly CustomSerializer[] | undefined
}

/** Retained events of a channel, in order. */
export interface Page<TEvent> {
  /** The events. `getEventMeta` returns their ids. */
  readonly events: readonly TEvent[]
  /** The cursor of the next page, for `after`; `undefined` if the channel has never had events. */
  readonly next: string | undefined
  /** The id from which on all events are available, if events after the cursor are no longer available. */
  readonly gap: string | undefined
  /** Whether there are events after this page. */
  readonly more: boolean
}

/**
 * Reads a page of retained events of a channel through a stub. A page has up to about 4 MiB of text, and at least one event if there is
 * one.
 *
 * @typeParam T - The type of the events, or of the Durable Object.
 * @param stub - A stub of a Durable Object class of this project, in TypeScript or Rust.
 * @throws {StubError} When the query is invalid (code `BAD_REQUEST`). Other errors are those of the Workers runtime.
 *
 * @example
 * ```ts
 * const { events, next } = await readStub<{ message: string }>(env.CHAT_ROOM.getByName('lobby'), { last: 50 })
 * ```
 */
export async function readStub<T>(
  stub: object,
  { after, since, last, limit, tags, everyAudience, customJsonSerializers }: ReadQuery = {},
): Promise<Page<SubscriptionEvent<T>>> {
  const reader = { ...(tags !== undefined && { tags }), ...(everyAudience !== undefined && { everyAudience }) }
  const seconds = since instanceof Date ? since.getTime() / 1_000 : since
  const query = {
    ...(after !== undefined && { after }),
    ...(seconds !== undefined && { since: seconds }),
    ...(last !== undefined && { last }),
    ...(limit !== undefined && { limit }),
    reader,
  }
  const page: RawPage = JSON.parse(await callStub<string>(stub, '~read', query))
  const serializer = new Serializer(customJsonSerializers)
  return {
    events: page.events.map(({ json, meta, ...eventMeta }) => rememberMeta(serializer.deserialize({ json, meta }), eventMeta) as SubscriptionEvent<T>),
    next: page.next ?? undefined,
    gap: page.gap ?? undefined,
    more: page.more,
  }
}

/** A page as the Durable Object returns it. */
interface RawPage {
  readonly events: readonly {
    readonly id: string
    readonly json: unknown
    readonly meta?: unknown
    readonly retry?: number
    readonly comments?: readonly string[]
  }[]
  readonly next: string | null
  readonly gap: string | null
  readonly more: boolean
}

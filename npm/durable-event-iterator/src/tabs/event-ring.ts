import { eventIdOf } from '../client/wire/envelope.js'

/** An event: the tail of its frame, and the time at which it arrived, in milliseconds since 1970. */
export type RecentEvent = readonly [tail: string, at: number]

/** The limits of an {@link EventRing}. */
export interface RingLimits {
  readonly maxEvents: number
  /** In characters. */
  readonly maxSize: number
}

/** The start of a subscription. */
export interface Start {
  readonly cursor: string | undefined
  /** The time at which the token was requested, in milliseconds since 1970. */
  readonly since: number
}

/**
 * The most recent events of a subscription, from which other tabs receive missed events. It never has a gap.
 *
 * Events that the server does not replay are not included: live-only events have no id, and a snapshot is for one client.
 */
export class EventRing {
  readonly #limits: RingLimits
  #events: (readonly [...RecentEvent, id: string])[] = []
  #size = 0
  /** The cursor before the first event, if it is known. */
  #base: string | undefined
  /** A client without a cursor that started at this time or later has missed no other events. In milliseconds since 1970. */
  #completeSince = Number.POSITIVE_INFINITY

  constructor(limits = LIMITS) {
    this.#limits = limits
  }

  /** Starts with a new subscription. The events are kept if it continues after the last one. */
  start({ cursor, since }: Start, isGap: boolean, now: number): void {
    if (cursor !== undefined && !isGap && cursor === this.#last) return
    this.#events = []
    this.#size = 0
    this.#base = isGap ? undefined : cursor
    // The server replays events that are older than their arrival if the subscription starts with a cursor.
    this.#completeSince = cursor === undefined ? since - MARGIN_MS : now + 2 * MARGIN_MS
  }

  push(tail: string, at: number): void {
    const id = eventIdOf(tail)
    // A snapshot ends with the id of the newest event.
    if (id === undefined || id === this.#last) return
    this.#events.push([tail, at, id])
    this.#size += tail.length
    while (this.#events.length > this.#limits.maxEvents || this.#size > this.#limits.maxSize) {
      const [tail, at, id] = this.#events.shift()!
      this.#size -= tail.length
      this.#base = id
      this.#completeSince = Math.max(this.#completeSince, at + 2 * MARGIN_MS)
    }
  }

  /** The cursor after the last event, if it is known. */
  get #last(): string | undefined {
    return this.#events.at(-1)?.[2] ?? this.#base
  }

  /** Returns the events that a client has missed, or `undefined` if it may have missed others. */
  missedSince({ cursor, since }: Start): RecentEvent[] | undefined {
    let events
    if (cursor === undefined) {
      if (since >= this.#completeSince) events = this.#events.filter(([, at]) => at >= since - MARGIN_MS)
    } else {
      const index = this.#events.map(([, , id]) => id).lastIndexOf(cursor)
      if (index >= 0 || cursor === this.#base) events = this.#events.slice(index + 1)
    }
    return events?.map(([tail, at]) => [tail, at])
  }
}

/** About a second of a very busy channel, and an hour of a quiet one, in little memory. */
const LIMITS: RingLimits = { maxEvents: 1_000, maxSize: 2 ** 20 }

/**
 * The tolerance when times of two tabs are compared, in milliseconds: browsers coarsen their clocks, and the tabs of a restored
 * window request their tokens at almost the same time. The server replays events from up to two seconds before a token.
 */
const MARGIN_MS = 1_000

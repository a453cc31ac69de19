import { backoff } from './backoff.js'
import type { BackoffBounds } from './backoff.js'
import { monotonicNow } from './clock.js'

/**
 * The pace of the attempts to connect: counts failures, and plans the next attempt. All times are in milliseconds.
 *
 * Each delay is random (see {@link backoff}). A change of the network can only shorten a delay.
 */
export class Pace {
  /** The number of failures since the last stable connection. */
  failures = 0
  readonly #bounds: BackoffBounds
  #startedAt = -Infinity
  #dueAt = -Infinity
  /** The server requested no attempt before this time. */
  #notBefore = -Infinity
  /** Multiplies the bounds of the delays. */
  #spread = 1
  /** Whether the delay before the next attempt has been shortened. */
  #isShortened = false
  /** The time at which the network became available. */
  #hurriedAt = -Infinity

  constructor(bounds: BackoffBounds) {
    this.#bounds = bounds
  }

  /** The time until the next attempt. */
  get timeLeft(): number {
    return Math.max(this.#dueAt, this.#notBefore) - monotonicNow()
  }

  /** Records the start of an attempt. */
  start(): void {
    this.#startedAt = monotonicNow()
  }

  /**
   * Plans the next attempt after a failed attempt or a lost connection.
   *
   * @param delay - `backoff`: a random delay that grows with each failure. `alone`: the same after an open
   * connection was closed for a reason that probably concerns only this client. `soon`: a short random delay. `now`: none, and the
   * connection counts as no failure. All of them keep the minimum interval between the starts of two attempts.
   * @param lasted - For how long the connection was open, if an open connection was lost. A stable connection is no failure.
   */
  plan(delay: Delay, lasted?: number): void {
    // All clients of the Durable Object may have lost their connections at this moment.
    if (lasted !== undefined) this.#spread = delay === 'backoff' ? SPREAD : 1
    if (lasted !== undefined && lasted >= STABLE_MS) this.failures = 0
    else if (delay !== 'now') this.failures += 1
    const { minReconnectionDelay: min, maxReconnectionDelay } = this.#bounds
    const growing = backoff(this.failures, { minReconnectionDelay: min * this.#spread, maxReconnectionDelay })
    const delays = { now: 0, soon: shortDelay(), alone: growing, backoff: growing }
    this.#dueAt = this.#earliest(Math.min(min, MIN_INTERVAL_MS)) + delays[delay]
    this.#isShortened = false
    // A page that was frozen learns only afterwards that its connection was lost.
    if (lasted !== undefined && monotonicNow() - this.#hurriedAt < HURRY_MS) this.#shorten()
  }

  /** Delays the next attempt by at least this time. */
  holdOff(milliseconds: number): void {
    this.#notBefore = monotonicNow() + milliseconds
  }

  /** Shortens the current delay once, because the network is available again. */
  hurry(): void {
    this.#hurriedAt = monotonicNow()
    this.#shorten()
  }

  #shorten(): void {
    if (!this.#isShortened) this.#dueAt = Math.min(this.#dueAt, this.#earliest(MIN_INTERVAL_MS) + shortDelay())
    this.#isShortened = true
  }

  #earliest(interval: number): number {
    return Math.max(monotonicNow(), this.#startedAt + interval)
  }
}

export type Delay = 'backoff' | 'alone' | 'soon' | 'now'

/** A connection or subscription that lasted this long is stable: it resets the delays. In milliseconds. */
export const STABLE_MS = 5_000

/**
 * The minimum interval between the starts of two attempts, in milliseconds. It also applies to shortened delays: a browser can
 * report several times a second that it is online again.
 */
const MIN_INTERVAL_MS = 1_000

/**
 * Multiplies the bounds of the delays after the other side has closed a connection. With the default of 9 s, a ninth of the
 * clients that lose their connections at the same time reconnects in one second.
 */
const SPREAD = 9

/** How long after the network became available a lost connection is replaced with a short delay, in milliseconds. */
const HURRY_MS = 5_000

/** Returns a random delay of up to 250 ms, so that the subscriptions of a page do not all reconnect at once. */
function shortDelay(): number {
  return Math.random() * 250
}

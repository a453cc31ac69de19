import { backoff, MAX_TIMER_MS } from './backoff.js'
import { monotonicNow } from './clock.js'

export interface AttemptsOptions {
  /** The upper bounds of the first and of every delay, in milliseconds. */
  readonly minReconnectionDelay: number
  readonly maxReconnectionDelay: number
}

/**
 * The pace of the attempts to connect: counts failures, and waits between attempts.
 *
 * Each delay is random (see {@link backoff}). A change of the network can only shorten a delay.
 */
export class Attempts {
  readonly #options: AttemptsOptions
  /** The number of failures since the last stable connection. */
  #failures = 0
  #lastStart = Number.NEGATIVE_INFINITY
  /** The server requested no attempt before this time. */
  #notBefore = Number.NEGATIVE_INFINITY
  #wait: Wait | undefined
  /** The time at which the network became available, unless an attempt has failed since then. */
  #hurriedAt = Number.NEGATIVE_INFINITY

  constructor(options: AttemptsOptions) {
    this.#options = options
  }

  start(): void {
    this.#lastStart = monotonicNow()
  }

  fail(): void {
    this.#failures += 1
    this.#hurriedAt = Number.NEGATIVE_INFINITY
  }

  /** Counts a lost connection: as a failure, unless it was stable. */
  lose(lasted: number): void {
    this.#failures = lasted >= LASTING_MS ? 0 : this.#failures + 1
  }

  /**
   * Waits until the next attempt may start.
   *
   * @param pace - `backoff` for a random delay that grows with each failure, `soon` for a short random delay, `now` for none. All
   * of them keep the minimum interval between the starts of two attempts.
   */
  wait(pace: 'backoff' | 'soon' | 'now', signal: AbortSignal): Promise<void> {
    const { minReconnectionDelay: first, maxReconnectionDelay: longest } = this.#options
    const interval = Math.min(first, MIN_ATTEMPT_INTERVAL_MS)
    const isBackoff = pace === 'backoff' || (pace === 'soon' && this.#failures > 0)
    const delay = isBackoff ? backoff(this.#failures, { first, longest }) : pace === 'soon' ? shortDelay() : 0
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(this.#wait?.timer)
        this.#wait = undefined
        signal.removeEventListener('abort', finish)
        resolve()
      }
      signal.addEventListener('abort', finish)
      this.#wait = { dueAt: this.#earliest(interval) + delay, isShortened: false, timer: undefined, finish }
      if (signal.aborted) finish()
      // A page that was frozen learns only afterwards that its connection was lost.
      else if (monotonicNow() - this.#hurriedAt < HURRY_MS) this.hurry()
      else this.#schedule(this.#wait)
    })
  }

  /** Delays the next attempt by at least this time, in milliseconds. */
  holdOff(milliseconds: number): void {
    this.#notBefore = monotonicNow() + milliseconds
    const wait = this.#wait
    if (wait === undefined) return
    wait.dueAt = Math.max(wait.dueAt, this.#notBefore)
    this.#schedule(wait)
  }

  /** Shortens the current delay once, because the network is available again. */
  hurry(): void {
    const wait = this.#wait
    this.#hurriedAt = monotonicNow()
    if (wait === undefined || wait.isShortened) return
    wait.isShortened = true
    wait.dueAt = Math.min(wait.dueAt, this.#earliest(MIN_ATTEMPT_INTERVAL_MS) + shortDelay())
    this.#schedule(wait)
  }

  #earliest(interval: number): number {
    return Math.max(monotonicNow(), this.#lastStart + interval, this.#notBefore)
  }

  #schedule(wait: Wait): void {
    clearTimeout(wait.timer)
    wait.timer = setTimeout(wait.finish, Math.min(Math.max(wait.dueAt - monotonicNow(), 0), MAX_TIMER_MS))
  }
}

interface Wait {
  dueAt: number
  isShortened: boolean
  timer: ReturnType<typeof setTimeout> | undefined
  finish(): void
}

/** A connection or subscription that lasted this long is stable: it resets the delays. In milliseconds. */
export const LASTING_MS = 5_000

/**
 * The minimum interval between the starts of two attempts, in milliseconds. It also applies to shortened delays: a browser can
 * report several times a second that it is online again.
 */
const MIN_ATTEMPT_INTERVAL_MS = 1_000

/** How long after the network became available a lost connection is replaced with a short delay, in milliseconds. */
const HURRY_MS = 5_000

/** Returns a random delay of up to 250 ms, so that the subscriptions of a page do not all reconnect at once. */
function shortDelay(): number {
  return Math.random() * 250
}

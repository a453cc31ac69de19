/** The bounds of the random delays between attempts, in milliseconds. */
export interface BackoffBounds {
  /** The upper bound of the first delay. */
  readonly minReconnectionDelay: number
  /** The upper bound of every delay. */
  readonly maxReconnectionDelay: number
}

/**
 * Returns the delay before the next attempt, in milliseconds: exponential backoff with full jitter. The delay is random from 0
 * to a bound that doubles with each failure, so that clients that lost their connections at the same time do not reconnect at
 * the same time.
 */
export function backoff(failures: number, { minReconnectionDelay, maxReconnectionDelay }: BackoffBounds): number {
  return Math.random() * Math.min(minReconnectionDelay * 2 ** failures, maxReconnectionDelay, MAX_TIMER_MS)
}

/** The maximum delay of a timer, in milliseconds: delays are 32-bit integers, and with a longer delay a timer fires at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1

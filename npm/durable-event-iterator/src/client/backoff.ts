/** The bounds of the random delays between attempts, in milliseconds. */
export interface BackoffBounds {
  /** The upper bound of the first delay. */
  readonly first: number
  /** The upper bound of every delay. */
  readonly longest: number
}

/**
 * Returns the delay before the next attempt, in milliseconds: exponential backoff with full jitter. The delay is random
 * from 0 to a bound that doubles with each failure, so that clients that failed together do not return together.
 */
export function backoff(failures: number, { first, longest }: BackoffBounds): number {
  return Math.random() * Math.min(first * 2 ** failures, longest, MAX_TIMER_MS)
}

/** The longest time that a timer can wait, in milliseconds: timers count in 32 bits, and longer ones fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1

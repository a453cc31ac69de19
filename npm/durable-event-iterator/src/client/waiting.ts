import { MAX_TIMER_MS } from './backoff.js'
import { monotonicNow } from './clock.js'

/** Lets loops wait for conditions. `notify` is called after each change, and makes all of them check their condition again. */
export class Changes {
  readonly #waiting = new Set<() => void>()

  readonly notify = (): void => {
    for (const wake of this.#waiting) wake()
  }

  /** Resolves when the condition is true, or no time is left. */
  async until(condition: () => boolean, timeLeft: TimeLeft = () => Infinity): Promise<void> {
    for (let left; !condition() && (left = timeLeft()) > 0; ) {
      let wake = (): void => {}
      const changed = new Promise<void>((resolve) => (wake = resolve))
      const timer = left < Infinity ? setTimeout(wake, Math.min(left, MAX_TIMER_MS)) : undefined
      this.#waiting.add(wake)
      await changed
      this.#waiting.delete(wake)
      if (timer !== undefined) clearTimeout(timer)
    }
  }
}

/** Returns the time for which a loop still waits, in milliseconds. It may change with each `notify`. */
export type TimeLeft = () => number

/** Returns the time left of a number of milliseconds that start now. */
export function countdown(milliseconds: number): TimeLeft {
  const end = monotonicNow() + milliseconds
  return () => end - monotonicNow()
}

/**
 * Calls a function with a signal that is aborted after a time limit. Rejects at the limit, also if the function ignores the signal.
 */
export function withTimeout<T>(milliseconds: number, message: string, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const error = new Error(message)
      reject(error)
      controller.abort(error)
    }, milliseconds)
    run(controller.signal)
      .then(resolve, reject)
      .finally(() => clearTimeout(timer))
  })
}

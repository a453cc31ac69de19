import type { SubscriptionGap } from '../client/hooks.js'
import type { Transport } from '../client/socket-source.js'
import type { EventOf, SourceState } from './source.js'

/** Replaces a value, or the result of a function of the previous value. */
export type Replace<T> = (next: T | ((previous: T) => T)) => void

interface CommonResult<TSource, T> {
  /**
   * The state of the subscription: `idle` without a factory, `connecting` on the server and before the first connection. See
   * the states of `onStateChange`.
   */
  readonly state: SourceState
  /** The error that ended the subscription or prevented it from opening; `undefined` if there is none. */
  readonly error: unknown
  /** The reason of `connecting` or `recovering`, if it is known. The subscription continues to reconnect. */
  readonly failureReason: unknown
  /** How events arrive; `undefined` while there is no connection. */
  readonly transport: Transport | undefined
  /**
   * The latest gap: missed events that are no longer available. It is cleared when `load` has loaded the value again, when
   * `replace` is called, and when a dependency changes.
   */
  readonly gap: SubscriptionGap | undefined
  /**
   * The source, for procedure calls; `undefined` until the factory has returned it. The hook reads its events: do not iterate
   * over it.
   */
  readonly subscription: TSource | undefined
  /**
   * Replaces the events or the data, and clears the gap. Accepts a function of the previous value, like `useState`. The
   * function is the same until a dependency changes.
   */
  readonly replace: Replace<T>
}

/** The result of a hook that keeps the last events. The object is immutable, and the same until something changes. */
export interface EventsResult<TSource> extends CommonResult<TSource, readonly EventOf<TSource>[]> {
  /** The last events in order, at most `maxEvents`. */
  readonly events: readonly EventOf<TSource>[]
}

/** The result of a hook that reduces the events. The object is immutable, and the same until something changes. */
export interface ReducedResult<TSource, TData> extends CommonResult<TSource, TData> {
  /** The reduced data. */
  readonly data: TData
}

import type { SubscriptionHooks, SubscriptionState } from '../client/hooks.js'
import type { LoadState } from '../client/options.js'

/** The state of a subscription; `idle` while there is no factory. */
export type SourceState = SubscriptionState | 'idle'

/**
 * Connects a source to the hook. `subscribe` accepts these options as they are. For a call of an oRPC client, pass `signal` as the
 * signal of the call, and the object itself in the context of the call, as `durableIterator` or `durableEventIterator`.
 */
export interface SourceHooks {
  /** Aborted when the component unmounts, a dependency changes, or the factory is removed. */
  readonly signal: AbortSignal
  readonly onStateChange: NonNullable<SubscriptionHooks['onStateChange']>
  readonly onGap: NonNullable<SubscriptionHooks['onGap']>
  /** Loads the initial value, if the hook has the option `load`. */
  readonly load: LoadState | undefined
}

/** A function that opens a source, or a falsy value for no subscription. */
export type SourceFactory<TSource> = ((hooks: SourceHooks) => TSource | PromiseLike<TSource>) | null | undefined | false

/** The type of the events of a source. */
export type EventOf<TSource> = TSource extends AsyncIterable<infer TEvent> ? TEvent : never

/** The members of a source that the hook uses. */
export interface Source extends AsyncIterable<unknown> {
  return?(): Promise<unknown> | undefined
}

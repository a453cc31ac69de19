/** The state of a source of events: the states of a subscription, and `idle` while no source is requested. */
export type SourceState = 'idle' | 'connecting' | 'open' | 'recovering' | 'paused' | 'closed'

/** A gap: missed events that are no longer available. */
export interface SourceGap {
  /** The cursor before the gap; `undefined` if there is none. */
  readonly lastEventId: string | undefined
  /** All events from this id on are available. */
  readonly nextEventId: string
}

/**
 * The options that connect a source to the hook. `subscribe` accepts them as they are; for an oRPC call, pass the signal as
 * `signal` and the object itself as the context of the link plugin.
 */
export interface SourceHooks {
  /** Aborted when the component unmounts, a dependency changes, or the factory becomes `null`. */
  readonly signal: AbortSignal
  readonly onStateChange: (state: Exclude<SourceState, 'idle'>, details?: { readonly error?: unknown }) => void
  readonly onGap: (gap: SourceGap) => void
}

/** A function that opens a source, or a falsy value for none. */
export type SourceFactory<TSource> = ((hooks: SourceHooks) => TSource | PromiseLike<TSource>) | null | undefined | false

/** The type of the events of a source. */
export type EventOf<TSource> = TSource extends AsyncIterable<infer TEvent> ? TEvent : never

/** The members of a source that the hook uses. */
export interface Source extends AsyncIterable<unknown> {
  return?(): Promise<unknown> | undefined
}

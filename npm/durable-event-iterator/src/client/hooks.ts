/**
 * The connection state of an iterator:
 * - `connecting`: the iterator is not open yet.
 * - `open`: the iterator is subscribed; events arrive as they are published.
 * - `recovering`: the connection was lost or the token has expired, and the iterator reconnects. Events that are published
 *   meanwhile arrive when it is open again, or `onGap` reports that they are no longer available.
 * - `paused`: the application reads events more slowly than they arrive, and the buffer is full (`maxBufferedEvents`,
 *   `maxBufferedBytes`). The iterator subscribes again when the application has read the buffered events.
 * - `closed`: the iterator has ended.
 */
export type DurableEventIteratorState = 'connecting' | 'open' | 'recovering' | 'paused' | 'closed'

/** The details of a state: the call that returned the iterator, and the cause of the state. */
export interface DurableEventIteratorStateDetails {
  /** The path of the call that returned the iterator, such as `['onMessage']`. */
  readonly path: readonly string[]
  /** The input of that call. */
  readonly input: unknown
  /**
   * The cause of `recovering` and `closed`; missing if the application closed the iterator. While attempts to connect fail, it
   * is a `DurableEventIteratorConnectionError` that states the reason if it is known.
   */
  readonly error?: unknown
}

/** A gap: missed events that are no longer available, because the Durable Object retains events for a limited time. */
export interface DurableEventIteratorGap {
  /** The path of the call that returned the iterator, such as `['onMessage']`. */
  readonly path: readonly string[]
  /** The input of that call. */
  readonly input: unknown
  /** The cursor before the gap: the id of the last event, or the `lastEventId` of the call; `undefined` if there is none. */
  readonly lastEventId: string | undefined
  /** All events from this id on are available. */
  readonly nextEventId: string
}

/** Callbacks for gaps and for the connection state of iterators. An error thrown by a callback is reported as uncaught. */
export interface DurableEventIteratorHooks {
  /**
   * Called when missed events are no longer available, between the event before the gap and the event after it. Reload the
   * state of the application in this callback.
   */
  onGap?: ((gap: DurableEventIteratorGap) => void) | undefined

  /**
   * Called with each new state, first with `connecting`. While attempts to connect fail, it is called again with `connecting`
   * or `recovering` whenever the reason becomes known or changes.
   */
  onStateChange?: ((state: DurableEventIteratorState, details: DurableEventIteratorStateDetails) => void) | undefined
}

export interface CombinedHooks {
  onGap(gap: DurableEventIteratorGap): void
  onStateChange(state: DurableEventIteratorState, details: DurableEventIteratorStateDetails): void
}

/** Combines the hooks of the plugin and of the call. */
export function combineHooks(all: readonly (DurableEventIteratorHooks | undefined)[]): CombinedHooks {
  return {
    onGap: (gap) => {
      for (const hooks of all) run(() => hooks?.onGap?.(gap))
    },
    onStateChange: (state, details) => {
      for (const hooks of all) run(() => hooks?.onStateChange?.(state, details))
    },
  }
}

/** Runs a hook. As with event listeners, an error does not affect the caller, and is reported as uncaught. */
function run(hook: () => void): void {
  try {
    hook()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

/**
 * What an iterator is doing:
 * - `connecting`: it has not been open yet.
 * - `open`: it is subscribed; events arrive as they are published.
 * - `recovering`: the connection broke or its token expired, and it reconnects. Events that are published meanwhile arrive
 *   when it is open again, or `onGap` reports that they cannot.
 * - `paused`: the application reads events more slowly than they arrive, and the buffer is full (`maxBufferedEvents`,
 *   `maxBufferedBytes`). It subscribes again when the application has read what is buffered.
 * - `closed`: the iterator has ended.
 */
export type DurableEventIteratorState = 'connecting' | 'open' | 'recovering' | 'paused' | 'closed'

/** The call that the iterator is for, and the reason of a state. */
export interface DurableEventIteratorStateDetails {
  /** The call that returned the iterator, such as `['onMessage']`: one plugin serves many. */
  readonly path: readonly string[]
  /** The input of that call. */
  readonly input: unknown
  /**
   * Why it is recovering or closed; missing if the application closed it. While attempts to connect fail, a
   * `DurableEventIteratorConnectionError` that says why, as far as it is known.
   */
  readonly error?: unknown
}

/** Missed events that are no longer available: a Durable Object keeps them for a limited time. */
export interface DurableEventIteratorGap {
  /** The call that returned the iterator, such as `['onMessage']`: one plugin serves many. */
  readonly path: readonly string[]
  /** The input of that call. */
  readonly input: unknown
  /** The id of the last event before the gap; `undefined` when there was none yet. */
  readonly lastEventId: string | undefined
  /** From this id on every event is there. */
  readonly nextEventId: string
}

/** How an application follows what its iterators go through. An error thrown by a hook is reported as uncaught. */
export interface DurableEventIteratorHooks {
  /**
   * Called when events were missed that are gone, between the event before the gap and the one after it, so that the
   * application can fetch its state anew.
   */
  onGap?: ((gap: DurableEventIteratorGap) => void) | undefined

  /**
   * Called with each new state, first with `connecting`. It is called again with `connecting` or `recovering` when attempts
   * to connect fail and the reason becomes known or changes.
   */
  onStateChange?: ((state: DurableEventIteratorState, details: DurableEventIteratorStateDetails) => void) | undefined
}

export interface CombinedHooks {
  onGap(gap: DurableEventIteratorGap): void
  onStateChange(state: DurableEventIteratorState, details: DurableEventIteratorStateDetails): void
}

/** The hooks of the plugin and of the call as one. */
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

/** As with event listeners: what one throws stops nothing here, and still shows up. */
function run(hook: () => void): void {
  try {
    hook()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

/**
 * What an iterator's connection is doing:
 * - `connecting`: not open yet, for the first time.
 * - `open`: subscribed; events come as they are published.
 * - `recovering`: the connection broke or its token ran out, and a new one is on its way. Nothing is lost: what is
 *   published meanwhile comes when it is open again, or `onGap` tells that it cannot.
 * - `closed`: the iterator has ended, for good.
 */
export type DurableEventIteratorState = 'connecting' | 'open' | 'recovering' | 'closed'

/** What comes with a state. */
export interface DurableEventIteratorStateDetails {
  /** The call that made the iterator, such as `['onMessage']`: one plugin serves many. */
  readonly path: readonly string[]
  /** The input of that call. */
  readonly input: unknown
  /** Why it is recovering or closed; missing when it was closed on request. */
  readonly error?: unknown
}

/** Events that were missed and are gone: the object keeps them for a limited time. */
export interface DurableEventIteratorGap {
  /** The call that made the iterator, such as `['onMessage']`: one plugin serves many. */
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

  /** Called with each new state, first with `connecting`. */
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

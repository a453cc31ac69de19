import { callHook } from '../client/hooks.js'
import type { SubscriptionGap, SubscriptionHooks, SubscriptionState, SubscriptionStateDetails } from '../client/hooks.js'

/** The state of an iterator: the state of its subscription. */
export type DurableEventIteratorState = SubscriptionState

/** The call that returned the iterator. */
export interface DurableEventIteratorCall {
  /** The path of the call, such as `['onMessage']`. */
  readonly path: readonly string[]
  readonly input: unknown
}

/** The details of a state: the call that returned the iterator, and the cause of the state. */
export interface DurableEventIteratorStateDetails extends DurableEventIteratorCall, SubscriptionStateDetails {}

/** A gap: missed events that are no longer available, because the Durable Object retains events for a limited time. */
export interface DurableEventIteratorGap extends DurableEventIteratorCall, SubscriptionGap {}

/** Callbacks for gaps and for the connection state of iterators. An error thrown by a callback is reported as uncaught. */
export interface DurableEventIteratorHooks {
  /**
   * Called when missed events are no longer available, between the event before the gap and the event after it. Reload the
   * state of the application in this callback, or set `load` in the context of the call.
   */
  onGap?: ((gap: DurableEventIteratorGap) => void) | undefined

  /**
   * Called with each new state, first with `connecting`. While attempts to connect fail, it is called again with `connecting`
   * or `recovering` whenever the reason becomes known or changes.
   */
  onStateChange?: ((state: DurableEventIteratorState, details: DurableEventIteratorStateDetails) => void) | undefined
}

/** Combines the hooks of the plugin and of the call. */
export function combineHooks(
  all: readonly (DurableEventIteratorHooks | undefined)[],
  call: DurableEventIteratorCall,
): SubscriptionHooks {
  return {
    onGap: (gap) => {
      for (const hooks of all) callHook(hooks?.onGap, { ...call, ...gap })
    },
    onStateChange: (state, details) => {
      for (const hooks of all) callHook(hooks?.onStateChange, state, { ...call, ...details })
    },
  }
}

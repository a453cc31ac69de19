import type { Transport } from './socket-source.js'

/**
 * The state of a subscription:
 * - `connecting`: the subscription is not open yet.
 * - `open`: events arrive as they are published.
 * - `recovering`: the connection was lost or the token has expired, and the client reconnects. Events that are published
 *   meanwhile arrive when the subscription is open again, or `onGap` reports that they are no longer available.
 * - `paused`: the application reads events more slowly than they arrive, and the buffer is full (`maxBufferedEvents`,
 *   `maxBufferedBytes`). The client subscribes again when the application has read the buffered events and asks for
 *   the next one.
 * - `closed`: the subscription has ended.
 */
export type SubscriptionState = 'connecting' | 'open' | 'recovering' | 'paused' | 'closed'

/** The details of a state. */
export interface SubscriptionStateDetails {
  /**
   * The cause of `recovering` and `closed`; missing if the application closed the subscription. While attempts to connect fail, it
   * is a `DurableEventIteratorConnectionError` that states the reason if it is known.
   */
  readonly error?: unknown
  /** How events arrive; `undefined` while there is no connection. */
  readonly transport?: Transport | undefined
}

/** A gap: missed events that are no longer available, because the Durable Object retains events for a limited time. */
export interface SubscriptionGap {
  /** The cursor before the gap: the id of the last event, or the initial `lastEventId`; `undefined` if there is none. */
  readonly lastEventId: string | undefined
  /** All events from this id on are available. */
  readonly nextEventId: string
}

/** Callbacks for gaps and states. An error thrown by a callback is reported as uncaught. */
export interface SubscriptionHooks {
  /**
   * Called when missed events are no longer available, between the event before the gap and the event after it. Reload the
   * state of the application in this callback, or set `load`.
   */
  onGap?: ((gap: SubscriptionGap) => void) | undefined

  /**
   * Called with each new state, first with `connecting`. While attempts to connect fail, it is called again with `connecting`
   * or `recovering` whenever the reason becomes known or changes.
   */
  onStateChange?: ((state: SubscriptionState, details: SubscriptionStateDetails) => void) | undefined
}

/** Calls a hook. As with event listeners, an error does not affect the caller, and is reported as uncaught. */
export function callHook<TArguments extends readonly unknown[]>(
  hook: ((...values: TArguments) => void) | undefined,
  ...values: TArguments
): void {
  try {
    hook?.(...values)
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

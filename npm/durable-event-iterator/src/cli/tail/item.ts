import type { SubscriptionGap } from '../../client/hooks.js'

/** An event in oRPC's serialized form, as in a page of the HTTP endpoint. */
export interface SerializedEvent {
  readonly id?: string
  readonly json?: unknown
  readonly meta?: unknown
  readonly retry?: number
  readonly comments?: readonly string[]
}

/** Receives what happens on a channel. */
export interface Listener {
  /** Resolves when the listener accepts the next event. */
  onEvent(event: SerializedEvent): Promise<void>
  onGap(gap: SubscriptionGap): void
  /** A state of the connection, in words. */
  onState(state: string): void
}

/** Where a reader begins. Default: with the next event. */
export type Position = { readonly last: number } | { readonly since: number } | undefined

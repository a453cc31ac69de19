'use client'

/**
 * For React: a hook that subscribes to a source of events.
 *
 * @module
 */

export type { EventsOptions, ReduceOptions } from './options.js'
export type { EventsResult, ReducedResult, Replace } from './result.js'
export type { EventOf, SourceFactory, SourceHooks, SourceState } from './source.js'
export { useSubscription } from './use-subscription.js'

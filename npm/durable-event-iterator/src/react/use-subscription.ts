import { useEffect, useMemo, useSyncExternalStore } from 'react'
import type { DependencyList } from 'react'

import type { EventsOptions, ReduceOptions } from './options.js'
import type { EventsResult, ReducedResult } from './result.js'
import type { EventOf, Source, SourceFactory } from './source.js'
import { createStore } from './subscription-store.js'
import type { StoreInput } from './subscription-store.js'

/**
 * Subscribes to a source of events while the component is mounted.
 *
 * The factory opens the source: a `Subscription`, an oRPC iterator or any other async iterable, or a promise of one. It
 * receives hooks for the source. It is called after the component is mounted and whenever a dependency changes, never during
 * rendering or on the server. With `null` instead of a factory there is no subscription.
 *
 * When a dependency changes, the component renders without events of the old source, and the old source ends before the new
 * one opens. When the component unmounts, the source ends.
 *
 * Events that arrive within a frame cause one render.
 *
 * @param open - Opens the source. Its dependencies are the second argument, as for `useEffect`.
 * @param dependencies - The values that the factory uses.
 *
 * @example
 * ```tsx
 * const { events, state, error, subscription } = useSubscription(
 *   (hooks) => subscribe<ChatRoom>({ ...hooks, url, token: () => fetchToken(roomId) }),
 *   [roomId],
 *   { maxEvents: 100 },
 * )
 * ```
 *
 * @example An oRPC client with the `DurableIteratorLinkPlugin`.
 * ```tsx
 * const { events } = useSubscription(
 *   (hooks) => client.onMessage({ roomId }, { signal: hooks.signal, context: { durableIterator: hooks } }),
 *   [roomId],
 * )
 * ```
 */
export function useSubscription<TSource extends AsyncIterable<unknown>>(
  open: SourceFactory<TSource>,
  dependencies: DependencyList,
  options?: EventsOptions<EventOf<TSource>>,
): EventsResult<TSource>
/**
 * Reduces the events to data instead of keeping them.
 *
 * @example
 * ```tsx
 * const { data: online } = useSubscription(
 *   (hooks) => subscribe<Presence>({ ...hooks, url, token }),
 *   [],
 *   { initial: new Set<string>(), reduce: (online, { user, isOnline }) => … },
 * )
 * ```
 */
export function useSubscription<TSource extends AsyncIterable<unknown>, TData>(
  open: SourceFactory<TSource>,
  dependencies: DependencyList,
  options: ReduceOptions<EventOf<TSource>, TData>,
): ReducedResult<TSource, TData>
export function useSubscription(
  open: SourceFactory<Source>,
  dependencies: DependencyList,
  options: StoreInput['options'] = {},
): unknown {
  const input = { open, options }
  const store = useMemo(() => createStore(input), [!open, ...dependencies])
  // Before the effect of `useSyncExternalStore`, which opens the source.
  useEffect(() => store.update(input))
  return useSyncExternalStore(store.subscribe, store.snapshot, store.initialSnapshot)
}

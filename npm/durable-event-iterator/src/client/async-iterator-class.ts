import type { mapEventIterator } from '@orpc/client'

/**
 * oRPC's `AsyncIteratorClass`, of the application's own version of oRPC. `@orpc/client` exports it by name since 1.8 only;
 * every version has a function that returns it.
 */
export type AsyncIteratorClass<TEvent> = ReturnType<typeof mapEventIterator<TEvent, unknown, unknown, TEvent>>

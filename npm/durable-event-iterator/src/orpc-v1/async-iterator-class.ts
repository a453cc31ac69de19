import type { mapEventIterator } from '@orpc/client'

/**
 * oRPC's `AsyncIteratorClass` in the application's version of oRPC. `@orpc/client` exports it by name only since 1.8; every
 * version has a function that returns it.
 */
export type AsyncIteratorClass<TEvent> = ReturnType<typeof mapEventIterator<TEvent, unknown, unknown, TEvent>>

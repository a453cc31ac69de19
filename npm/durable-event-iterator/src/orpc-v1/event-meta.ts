import { mapEventIterator } from '@orpc/client'

import type { EventMeta } from '../client/wire/peer.js'

/** Attaches the meta of events, such as their ids, so that the `getEventMeta` of the application's oRPC finds it. */
export interface EventMetaAccess {
  /** Returns the value. Primitive values and frozen objects have no meta. */
  attach(value: unknown, meta: EventMeta | undefined): unknown
}

let access: Promise<EventMetaAccess> | undefined

/** Returns the access to the meta of events of the application's version of oRPC. */
export function eventMetaAccess(): Promise<EventMetaAccess> {
  access ??= findSymbol().then((symbol) => ({
    attach: (value, meta) => {
      if (meta !== undefined && symbol !== undefined && isObject(value) && Object.isExtensible(value)) {
        // A property that is neither enumerable nor copied. oRPC's own proxy breaks the methods of a `Map` or `Date`.
        Object.defineProperty(value, symbol, { value: meta })
      }
      return value
    },
  }))
  return access
}

/**
 * Finds the symbol under which oRPC reads the meta of an event. `@orpc/client` exports `getEventMeta` only since 1.10, and the symbol
 * never, but the function `mapEventIterator` of every version reads the property of an event.
 */
async function findSymbol(): Promise<symbol | undefined> {
  let found: symbol | undefined
  const event = new Proxy(
    {},
    {
      get: (_, name) => {
        if (typeof name === 'symbol' && name.description === 'ORPC_EVENT_SOURCE_META') found = name
      },
    },
  )
  const source: AsyncIterator<unknown, unknown, unknown> = { next: async () => ({ done: false, value: event }) }
  await mapEventIterator(source, { value: async () => undefined, error: async (error) => error }).next()
  return found
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

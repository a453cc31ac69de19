// Depends on oRPC 2.x: `getEventMeta` reads a property of the event.

import { getEventMeta, withEventMeta } from '@orpc/client'

import type { EventMeta } from '../client/wire/peer.js'

/** Returns the value with event meta that oRPC's `getEventMeta` reads. Only objects can have event meta. */
export function attachMeta<TValue>(value: TValue, meta: EventMeta | undefined): TValue {
  if (meta === undefined || typeof value !== 'object' || value === null) return value
  if (property === undefined || !Object.isExtensible(value)) {
    const { id, retry, comments } = meta
    return withEventMeta(value, { id, retry, comments: comments === undefined ? undefined : [...comments] })
  }
  // Neither enumerable nor copied. oRPC's `withEventMeta` returns a proxy, which breaks the methods of a `Map` or `Date`.
  return Object.defineProperty(value, property, { value: meta })
}

/** The property from which `getEventMeta` reads, or undefined if it reads none. */
const property = /* @__PURE__ */ findProperty()

function findProperty(): PropertyKey | undefined {
  let found: PropertyKey | undefined
  getEventMeta(new Proxy({}, { get: (_, name) => void (found = name) }))
  return found
}

import type { EventMeta } from './wire/peer.js'

/** Not a property of the event, so that an event is exactly what was published. */
const metas = new WeakMap<object, EventMeta>()

/** Keeps the meta of an event, if the event is an object, and returns the event. */
export function rememberMeta(event: unknown, meta: EventMeta | undefined): unknown {
  if (meta !== undefined && typeof event === 'object' && event !== null) metas.set(event, meta)
  return event
}

/**
 * Returns the meta of an event or of an item of a stream: its id, and the retry delay and comments that were published with it.
 * Returns `undefined` for primitive values.
 */
export function getEventMeta(event: unknown): EventMeta | undefined {
  return typeof event === 'object' && event !== null ? metas.get(event) : undefined
}

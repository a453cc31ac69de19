/**
 * For the oRPC server: the iterators that procedures return, the handler plugins that send their tokens, and the types of
 * Durable Objects.
 *
 * @module
 */

export { getEventMeta, withEventMeta } from '@orpc/server'

export type { ClientDurableEventIterator } from './orpc/client-durable-event-iterator.js'
export type { ClientDurableIterator } from './orpc/client-durable-iterator.js'
export { DurableIteratorError } from './error.js'
export type {
  AnyDurableEventIteratorObject,
  DurableEventIteratorObject,
  DurableIteratorObject,
  InferDurableEventIteratorObjectEvent,
  InferDurableEventIteratorObjectRPC,
  InferDurableEventIteratorObjectTokenAttachment,
  InferDurableIteratorObjectRPC,
  JsonValue,
  TokenAttachment,
} from './object.js'
export { DurableEventIterator } from './server/durable-event-iterator.js'
export type { DurableEventIteratorOptions } from './server/durable-event-iterator.js'
export { DurableIterator } from './server/durable-iterator.js'
export type { DurableIteratorOptions } from './server/durable-iterator.js'
export { DurableEventIteratorHandlerPlugin, DurableIteratorHandlerPlugin } from './server/handler-plugin.js'
export { getClientDurableEventIteratorToken, getClientDurableIteratorToken } from './token-carrier.js'
export {
  parseDurableIteratorToken,
  signDurableIteratorToken,
  verifyDurableIteratorToken,
} from './token/durable-iterator-token.js'
export type { DurableEventIteratorTokenPayload, DurableIteratorTokenPayload } from './token/payload.js'

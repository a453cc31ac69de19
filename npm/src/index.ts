/**
 * For the oRPC server: what procedures return, the plugin that sends it, and the types of objects.
 *
 * @module
 */

export type { ClientDurableEventIterator } from './client/client-durable-event-iterator.js'
export type {
  AnyDurableEventIteratorObject,
  DurableEventIteratorObject,
  InferDurableEventIteratorObjectEvent,
  InferDurableEventIteratorObjectRPC,
  InferDurableEventIteratorObjectTokenAttachment,
  JsonValue,
  TokenAttachment,
} from './object.js'
export { DurableEventIterator } from './server/durable-event-iterator.js'
export type { DurableEventIteratorOptions } from './server/durable-event-iterator.js'
export { DurableEventIteratorHandlerPlugin } from './server/handler-plugin.js'
export { getClientDurableEventIteratorToken } from './token-carrier.js'
export type { DurableEventIteratorTokenPayload } from './token.js'

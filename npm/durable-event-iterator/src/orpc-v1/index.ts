/**
 * For clients with oRPC 1.x: the link plugins that open an iterator with the token that a procedure responds with.
 *
 * @module
 */

export { DurableEventIteratorConnectionError } from '../client/connection-error.js'
export type {
  DurableEventIteratorConnectionErrorOptions,
  DurableEventIteratorConnectionErrorReason,
} from '../client/connection-error.js'
export type { LoadState } from '../client/session.js'
export { DurableIteratorError } from '../error.js'
export { getClientDurableEventIteratorToken, getClientDurableIteratorToken } from '../token-carrier.js'
export { createClientDurableEventIterator } from './client-durable-event-iterator.js'
export type {
  ClientDurableEventIterator,
  ClientDurableEventIteratorRpc,
  CreateClientDurableEventIteratorOptions,
  EventIterator,
} from './client-durable-event-iterator.js'
export { createClientDurableIterator } from './client-durable-iterator.js'
export type {
  ClientDurableIterator,
  ClientDurableIteratorRpc,
  CreateClientDurableIteratorOptions,
} from './client-durable-iterator.js'
export { DurableEventIteratorLinkPlugin } from './durable-event-iterator-link-plugin.js'
export type {
  DurableEventIteratorLinkPluginContext,
  DurableEventIteratorLinkPluginOptions,
} from './durable-event-iterator-link-plugin.js'
export { DurableIteratorLinkPlugin } from './durable-iterator-link-plugin.js'
export type {
  DurableIteratorLinkPluginContext,
  DurableIteratorLinkPluginOptions,
  DurableIteratorLinkPluginValue,
} from './durable-iterator-link-plugin.js'
export type {
  DurableEventIteratorCall,
  DurableEventIteratorGap,
  DurableEventIteratorHooks,
  DurableEventIteratorState,
  DurableEventIteratorStateDetails,
} from './hooks.js'
// With `*`, since an application can extend an interface of a module only then.
export type * from './rpc-context.js'

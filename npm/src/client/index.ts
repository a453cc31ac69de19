/**
 * For browsers and other clients: the link plugin that turns a token into an open subscription.
 *
 * @module
 */

export { getClientDurableEventIteratorToken } from '../token-carrier.js'
export type {
  ClientDurableEventIterator,
  ClientDurableEventIteratorRpc,
  ClientDurableEventIteratorRpcContext,
} from './client-durable-event-iterator.js'
export { DurableEventIteratorConnectionError } from './connection-error.js'
export type { DurableEventIteratorConnectionErrorReason } from './connection-error.js'
export type {
  DurableEventIteratorGap,
  DurableEventIteratorHooks,
  DurableEventIteratorState,
  DurableEventIteratorStateDetails,
} from './hooks.js'
export { DurableEventIteratorLinkPlugin } from './link-plugin.js'
export type { DurableEventIteratorLinkPluginContext, DurableEventIteratorLinkPluginOptions } from './link-plugin.js'

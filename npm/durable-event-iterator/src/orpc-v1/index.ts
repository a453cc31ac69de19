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
export type { LoadState } from '../client/options.js'
export { DurableIteratorError } from '../error.js'
export type {
  ClientDurableEventIterator,
  ClientDurableEventIteratorRpc,
  EventIterator,
} from '../orpc/client-durable-event-iterator.js'
export type { ClientDurableIterator, ClientDurableIteratorRpc } from '../orpc/client-durable-iterator.js'
export type { DurableEventIteratorLinkPluginContext } from '../orpc/durable-event-iterator-settings.js'
export type { DurableIteratorLinkPluginContext, DurableIteratorLinkPluginValue } from '../orpc/durable-iterator-settings.js'
export type {
  DurableEventIteratorCall,
  DurableEventIteratorGap,
  DurableEventIteratorHooks,
  DurableEventIteratorState,
  DurableEventIteratorStateDetails,
} from '../orpc/hooks.js'
// With `*`, since an application can extend an interface of a module only then.
export type * from '../orpc/rpc-context.js'
export { getClientDurableEventIteratorToken, getClientDurableIteratorToken } from '../token-carrier.js'
export { createClientDurableEventIterator, createClientDurableIterator } from './create-client-iterator.js'
export type { CreateClientDurableEventIteratorOptions, CreateClientDurableIteratorOptions } from './create-client-iterator.js'
export { DurableEventIteratorLinkPlugin } from './durable-event-iterator-link-plugin.js'
export type { DurableEventIteratorLinkPluginOptions } from './durable-event-iterator-link-plugin.js'
export { DurableIteratorLinkPlugin } from './durable-iterator-link-plugin.js'
export type { DurableIteratorLinkPluginOptions } from './durable-iterator-link-plugin.js'

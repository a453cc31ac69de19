import type { ClientRetryPluginContext } from '@orpc/client/plugins'

/**
 * The context of a call to an object: that of oRPC's `ClientRetryPlugin`.
 *
 * A call is made once, unless `retry` says otherwise: `iterator.publishMessage(input, { context: { retry: 3 } })` makes it
 * up to three times more when the connection was lost or the object could not answer, at once when it is open again.
 * Since a lost connection leaves open whether the call took effect, ask for it where doing it twice does no harm.
 */
export interface ClientDurableEventIteratorRpcContext extends ClientRetryPluginContext {}

/**
 * The same for a {@link ClientDurableIterator}. An application may add to it what its own plugins and interceptors take:
 * `declare module 'durable-event-iterator/client' { interface ClientDurableIteratorRpcContext { … } }`.
 */
export interface ClientDurableIteratorRpcContext extends ClientRetryPluginContext {}

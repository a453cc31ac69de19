import type { ClientRetryPluginContext } from '@orpc/client/plugins'

/**
 * The context of a procedure call: the context of oRPC's `ClientRetryPlugin`.
 *
 * `iterator.publishMessage(input, { context: { retry: 3 } })` retries the call up to three times if the connection is lost or
 * the Durable Object cannot respond. Without `retry`, a call is sent once. After a lost connection it is unknown whether the
 * call took effect: use `retry` only for calls that may be executed twice.
 */
export interface ClientDurableEventIteratorRpcContext extends ClientRetryPluginContext {}

/**
 * The context of a procedure call on a `ClientDurableIterator`. See {@link ClientDurableEventIteratorRpcContext}.
 *
 * To add properties for your own plugins and interceptors, extend the interface:
 * `declare module 'durable-event-iterator/client' { interface ClientDurableIteratorRpcContext { … } }`.
 */
export interface ClientDurableIteratorRpcContext extends ClientRetryPluginContext {}

import type { Client, ClientContext, NestedClient, ThrowableError } from '@orpc/client'

import type {
  AnyDurableEventIteratorObject,
  InferDurableEventIteratorObjectEvent,
  InferDurableEventIteratorObjectRPC,
} from '../object.js'
import type { AsyncIteratorClass } from './async-iterator-class.js'
import type { ClientDurableEventIteratorRpcContext } from './rpc-context.js'

/**
 * A client for a procedure of the Durable Object, or for several procedures under one name. Calls use the socket of the
 * iterator.
 */
export type ClientDurableEventIteratorRpc<T> = IteratorRpc<T, ClientDurableEventIteratorRpcContext>

/** The procedures with `TContext` as the context of their calls. */
export type IteratorRpc<T, TContext extends ClientContext> =
  T extends Client<Record<never, never>, infer TInput, infer TOutput, infer _TError>
    ? Client<TContext, TInput, TOutput, ThrowableError>
    : { readonly [K in keyof T]: IteratorRpc<T[K], TContext> }

/**
 * An iterator of events: an `AsyncGenerator`, and an instance of oRPC's `AsyncIteratorClass` like the iterators of oRPC's
 * implementations.
 */
export type EventIterator<TEvent> = AsyncGenerator<TEvent, void, void> & AsyncIteratorClass<TEvent>

/**
 * The iterator that a client receives when the procedure returns a `DurableEventIterator`. It yields the events of the Durable
 * Object in order and each event once, and has the procedures that the token allows.
 *
 * It ends when the application calls `return()` (as `break` in `for await` does) or aborts the `signal`, or when the server
 * rejects the call for a new token.
 *
 * @typeParam T - The type of the Durable Object.
 * @typeParam RPC - The procedures that the token allows.
 *
 * @example
 * ```ts
 * const iterator = await client.onMessage()
 * await iterator.publishMessage({ message: 'Hello' })
 * for await (const { message } of iterator) console.log(message)
 * ```
 */
export type ClientDurableEventIterator<
  T extends AnyDurableEventIteratorObject,
  RPC extends InferDurableEventIteratorObjectRPC<T> = never,
> = EventIterator<InferDurableEventIteratorObjectEvent<T>> & {
  readonly [K in RPC]: T[K] extends (...args: never[]) => (infer TClient extends NestedClient<Record<never, never>>)
    ? ClientDurableEventIteratorRpc<TClient>
    : never
}

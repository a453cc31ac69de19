import type { Client, ClientContext, NestedClient, ThrowableError } from '@orpc/client'

import type {
  AnyDurableEventIteratorObject,
  InferDurableEventIteratorObjectEvent,
  InferDurableEventIteratorObjectRPC,
} from '../object.js'
import type { ClientDurableEventIteratorRpcContext } from './rpc-context.js'

/** A client of an object's procedures, over the iterator's socket. */
export type ClientDurableEventIteratorRpc<T> = IteratorRpc<T, ClientDurableEventIteratorRpcContext>

/** The procedures with a context of the iterator's own. */
export type IteratorRpc<T, TContext extends ClientContext> =
  T extends Client<Record<never, never>, infer TInput, infer TOutput, infer _TError>
    ? Client<TContext, TInput, TOutput, ThrowableError>
    : { readonly [K in keyof T]: IteratorRpc<T[K], TContext> }

/**
 * What a client gets where the procedure returned a `DurableEventIterator`: the object's events, in order, each once, and
 * the procedures that the token allows.
 *
 * It goes on until `return()` (which `break` in a `for await` calls), an aborted `signal`, or the server's refusal to
 * issue a new token.
 *
 * @typeParam T - The type of the object.
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
> = AsyncGenerator<InferDurableEventIteratorObjectEvent<T>, void, void> & {
  readonly [K in RPC]: T[K] extends (...args: never[]) => (infer TClient extends NestedClient<Record<never, never>>)
    ? ClientDurableEventIteratorRpc<TClient>
    : never
}

import type { NestedClient } from '@orpc/client'

import type {
  AnyDurableEventIteratorObject,
  InferDurableEventIteratorObjectEvent,
  InferDurableIteratorObjectRPC,
} from '../object.js'
import type { EventIterator, IteratorRpc } from './client-durable-event-iterator.js'
import type { ClientDurableIteratorRpcContext } from './rpc-context.js'

/**
 * A client for a procedure of the Durable Object, or for several procedures under one name. Calls use the socket of the
 * iterator.
 */
export type ClientDurableIteratorRpc<T> = IteratorRpc<T, ClientDurableIteratorRpcContext>

/**
 * The iterator that a client receives when the procedure returns a `DurableIterator`. It yields the events of the Durable
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
export type ClientDurableIterator<
  T extends AnyDurableEventIteratorObject,
  RPC extends InferDurableIteratorObjectRPC<T> = never,
> = EventIterator<InferDurableEventIteratorObjectEvent<T>> & {
  readonly [K in RPC]: T[K] extends (...args: never[]) => (infer TClient extends NestedClient<Record<never, never>>)
    ? ClientDurableIteratorRpc<TClient>
    : never
}

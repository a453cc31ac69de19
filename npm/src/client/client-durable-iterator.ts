import type { ClientLink, NestedClient } from '@orpc/client'

import type {
  AnyDurableEventIteratorObject,
  InferDurableEventIteratorObjectEvent,
  InferDurableIteratorObjectRPC,
} from '../object.js'
import type { IteratorRpc } from './client-durable-event-iterator.js'
import { createIteratorProxy } from './iterator-proxy.js'
import type { ClientDurableIteratorRpcContext } from './rpc-context.js'

/** A client of an object's procedures, over the iterator's socket. */
export type ClientDurableIteratorRpc<T> = IteratorRpc<T, ClientDurableIteratorRpcContext>

/**
 * What a client gets where the procedure returned a `DurableIterator`: the object's events, in order, each once, and the
 * procedures that the token allows.
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
export type ClientDurableIterator<
  T extends AnyDurableEventIteratorObject,
  RPC extends InferDurableIteratorObjectRPC<T> = never,
> = AsyncGenerator<InferDurableEventIteratorObjectEvent<T>, void, void> & {
  readonly [K in RPC]: T[K] extends (...args: never[]) => (infer TClient extends NestedClient<Record<never, never>>)
    ? ClientDurableIteratorRpc<TClient>
    : never
}

/** What {@link createClientDurableIterator} needs besides. */
export interface CreateClientDurableIteratorOptions {
  /** The token of now, which says what may be called. */
  getToken: () => string
}

/**
 * Makes one of an iterator over events and a link to the object's procedures. The link plugin does this; it is here for
 * those who bring a connection of their own.
 */
export function createClientDurableIterator<
  T extends AnyDurableEventIteratorObject,
  RPC extends InferDurableIteratorObjectRPC<T> = never,
>(
  iterator: AsyncGenerator<InferDurableEventIteratorObjectEvent<T>, unknown, never>,
  link: ClientLink<ClientDurableIteratorRpcContext>,
  options: CreateClientDurableIteratorOptions,
): ClientDurableIterator<T, RPC> {
  return createIteratorProxy(iterator, link, options.getToken) as unknown as ClientDurableIterator<T, RPC>
}

import type { ClientLink, NestedClient } from '@orpc/client'

import type {
  AnyDurableEventIteratorObject,
  InferDurableEventIteratorObjectEvent,
  InferDurableIteratorObjectRPC,
} from '../object.js'
import type { EventIterator, IteratorRpc } from './client-durable-event-iterator.js'
import { makeIterator } from './make-iterator.js'
import type { ClientDurableIteratorRpcContext } from './rpc-context.js'

/** A client of a Durable Object's procedures, over the iterator's socket. */
export type ClientDurableIteratorRpc<T> = IteratorRpc<T, ClientDurableIteratorRpcContext>

/**
 * What a client gets where the procedure returned a `DurableIterator`: the Durable Object's events, in order, each once, and
 * the procedures that the token allows.
 *
 * It continues until `return()` (which `break` in a `for await` calls), an aborted `signal`, or a server that refuses to
 * issue a new token.
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

/** The options of {@link createClientDurableIterator}. */
export interface CreateClientDurableIteratorOptions {
  /** Returns the present token, which says what may be called. */
  getToken: () => string
}

/**
 * Combines an iterator over events with a link to the Durable Object's procedures. The link plugin does this; the function
 * is for applications with a connection of their own.
 *
 * @throws {DurableIteratorError} When `iterator` is not an async iterator, or the token is invalid.
 */
export function createClientDurableIterator<
  T extends AnyDurableEventIteratorObject,
  RPC extends InferDurableIteratorObjectRPC<T> = never,
>(
  iterator: AsyncGenerator<InferDurableEventIteratorObjectEvent<T>, unknown, never>,
  link: ClientLink<ClientDurableIteratorRpcContext>,
  options: CreateClientDurableIteratorOptions,
): ClientDurableIterator<T, RPC> {
  return makeIterator(iterator, link, options.getToken) as unknown as ClientDurableIterator<T, RPC>
}

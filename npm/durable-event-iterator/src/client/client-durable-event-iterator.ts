import type { Client, ClientContext, ClientLink, NestedClient, ThrowableError } from '@orpc/client'

import type {
  AnyDurableEventIteratorObject,
  InferDurableEventIteratorObjectEvent,
  InferDurableEventIteratorObjectRPC,
} from '../object.js'
import type { AsyncIteratorClass } from './async-iterator-class.js'
import { makeIterator } from './make-iterator.js'
import type { ClientDurableEventIteratorRpcContext } from './rpc-context.js'

/** A client of a Durable Object's procedures, over the iterator's socket. */
export type ClientDurableEventIteratorRpc<T> = IteratorRpc<T, ClientDurableEventIteratorRpcContext>

/** The procedures with a context of the iterator's own. */
export type IteratorRpc<T, TContext extends ClientContext> =
  T extends Client<Record<never, never>, infer TInput, infer TOutput, infer _TError>
    ? Client<TContext, TInput, TOutput, ThrowableError>
    : { readonly [K in keyof T]: IteratorRpc<T[K], TContext> }

/**
 * An iterator of events: an `AsyncGenerator`, and an instance of oRPC's `AsyncIteratorClass`, as the iterators of oRPC's own
 * plugins are.
 */
export type EventIterator<TEvent> = AsyncGenerator<TEvent, void, void> & AsyncIteratorClass<TEvent>

/**
 * What a client gets where the procedure returned a `DurableEventIterator`: the Durable Object's events, in order, each once,
 * and the procedures that the token allows.
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
export type ClientDurableEventIterator<
  T extends AnyDurableEventIteratorObject,
  RPC extends InferDurableEventIteratorObjectRPC<T> = never,
> = EventIterator<InferDurableEventIteratorObjectEvent<T>> & {
  readonly [K in RPC]: T[K] extends (...args: never[]) => (infer TClient extends NestedClient<Record<never, never>>)
    ? ClientDurableEventIteratorRpc<TClient>
    : never
}

/** The options of {@link createClientDurableEventIterator}. */
export interface CreateClientDurableEventIteratorOptions {
  /** The token, which says what may be called. A function if it changes. */
  token: string | (() => string)
}

/**
 * Combines an iterator over events with a link to the Durable Object's procedures. The link plugin does this; the function
 * is for applications with a connection of their own.
 *
 * @throws {DurableIteratorError} When `iterator` is not an async iterator, or the token is invalid.
 */
export function createClientDurableEventIterator<
  T extends AnyDurableEventIteratorObject,
  RPC extends InferDurableEventIteratorObjectRPC<T> = never,
>(
  iterator: AsyncGenerator<InferDurableEventIteratorObjectEvent<T>, unknown, never>,
  link: ClientLink<ClientDurableEventIteratorRpcContext>,
  { token }: CreateClientDurableEventIteratorOptions,
): ClientDurableEventIterator<T, RPC> {
  const getToken = typeof token === 'function' ? token : () => token
  return makeIterator(iterator, link, getToken) as unknown as ClientDurableEventIterator<T, RPC>
}

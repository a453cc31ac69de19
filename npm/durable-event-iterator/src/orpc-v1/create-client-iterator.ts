import type { ClientLink } from '@orpc/client'

import { DurableIteratorError } from '../error.js'
import type {
  AnyDurableEventIteratorObject,
  InferDurableEventIteratorObjectEvent,
  InferDurableEventIteratorObjectRPC,
  InferDurableIteratorObjectRPC,
} from '../object.js'
import type { AsyncIteratorClass } from '../orpc/async-iterator-class.js'
import type { ClientDurableEventIterator } from '../orpc/client-durable-event-iterator.js'
import type { ClientDurableIterator } from '../orpc/client-durable-iterator.js'
import type {
  ClientDurableEventIteratorRpcContext,
  ClientDurableIteratorRpcContext,
  ProcedureRetryContext,
} from '../orpc/rpc-context.js'
import { readClaims } from '../client/claims.js'
import { createIterator } from './create-iterator.js'

/** The options of {@link createClientDurableEventIterator}. */
export interface CreateClientDurableEventIteratorOptions {
  /** The token, which lists the allowed procedures, or a function that returns the current token. */
  token: string | (() => string)
}

/**
 * Combines an iterator of events and a link to the procedures of the Durable Object. The link plugin does this itself: use this
 * function only with a custom connection.
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

/** The options of {@link createClientDurableIterator}. */
export interface CreateClientDurableIteratorOptions {
  /** Returns the current token, which lists the allowed procedures. */
  getToken: () => string
}

/**
 * Combines an iterator of events and a link to the procedures of the Durable Object. The link plugin does this itself: use this
 * function only with a custom connection.
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

/**
 * Calls {@link createIterator} after a check of the arguments, which come from an application.
 *
 * @throws {DurableIteratorError} When `iterator` is not an async iterator, such as the token of a link without the plugin, or
 * the token is invalid.
 */
function makeIterator(
  iterator: AsyncIterator<unknown>,
  link: ClientLink<ProcedureRetryContext>,
  getToken: () => string,
): AsyncIteratorClass<unknown> {
  if (typeof (iterator as Partial<AsyncIterator<unknown>> | null | undefined)?.next !== 'function') {
    throw new DurableIteratorError(`expected an async iterator, got ${describe(iterator)}`)
  }
  if (readClaims(getToken()) === undefined) throw new DurableIteratorError('the token is invalid')
  return createIterator(iterator, link, getToken)
}

function describe(value: unknown): string {
  if (typeof value === 'string') {
    return 'a string; without the link plugin, the call of a procedure resolves to the token'
  }
  return value === null ? 'null' : typeof value
}

import type { ClientLink } from '@orpc/client'
import type { ClientRetryPluginContext } from '@orpc/client/plugins'

import { DurableIteratorError } from '../error.js'
import { readToken } from '../token/token.js'
import type { AsyncIteratorClass } from './async-iterator-class.js'
import { createIteratorProxy } from './iterator-proxy.js'

/**
 * Calls {@link createIteratorProxy} after a check of the arguments, which come from an application.
 *
 * @throws {DurableIteratorError} When `iterator` is not an async iterator, such as the token of a link without the plugin, or
 * the token is invalid.
 */
export function makeIterator(
  iterator: AsyncIterator<unknown>,
  link: ClientLink<ClientRetryPluginContext>,
  getToken: () => string,
): AsyncIteratorClass<unknown> {
  if (typeof (iterator as Partial<AsyncIterator<unknown>> | null | undefined)?.next !== 'function') {
    throw new DurableIteratorError(`expected an async iterator, got ${describe(iterator)}`)
  }
  if (readToken(getToken()) === undefined) throw new DurableIteratorError('the token is invalid')
  return createIteratorProxy(iterator, link, getToken)
}

function describe(value: unknown): string {
  if (typeof value === 'string') {
    return 'a string; without the link plugin, the call of a procedure resolves to the token'
  }
  return value === null ? 'null' : typeof value
}

import type { ClientLink } from '@orpc/client'
import type { ClientRetryPluginContext } from '@orpc/client/plugins'

import { DurableIteratorError } from '../error.js'
import { readToken } from '../token/token.js'
import type { AsyncIteratorClass } from './async-iterator-class.js'
import { createIteratorProxy } from './iterator-proxy.js'

/**
 * The same as {@link createIteratorProxy}, with what an application passes.
 *
 * @throws {DurableIteratorError} When it is something else than the types say, such as the token of a link without the plugin.
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
    return 'a string; a procedure that returns an iterator responds with a token if the link has no plugin for it'
  }
  return value === null ? 'null' : typeof value
}

import { createORPCClient, mapEventIterator } from '@orpc/client'
import type { ClientLink } from '@orpc/client'

import type { AsyncIteratorClass } from '../orpc/async-iterator-class.js'
import { withProcedures } from '../orpc/iterator-proxy.js'
import type { ProcedureRetryContext } from '../orpc/rpc-context.js'

/**
 * Combines events and procedures into one iterator, an instance of oRPC's `AsyncIteratorClass`. It has the procedures that the
 * current token allows.
 */
export function createIterator<TEvent>(
  events: AsyncIterator<TEvent>,
  link: ClientLink<ProcedureRetryContext>,
  getToken: () => string,
): AsyncIteratorClass<TEvent> {
  const iterator = mapEventIterator<TEvent, unknown, unknown, TEvent>(events as AsyncIterator<TEvent, unknown, unknown>, {
    value: async (event) => event as TEvent,
    error: async (error) => error,
  })
  return withProcedures(iterator, getToken, (name) => createORPCClient(link, { path: [name] }))
}

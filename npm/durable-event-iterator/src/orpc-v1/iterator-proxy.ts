import { createORPCClient, mapEventIterator } from '@orpc/client'
import type { ClientLink } from '@orpc/client'
import type { ClientRetryPluginContext } from '@orpc/client/plugins'

import { TOKEN } from '../token-carrier.js'
import { readToken } from '../token/token.js'
import type { AsyncIteratorClass } from './async-iterator-class.js'

/**
 * Combines events and procedures into one iterator, an instance of oRPC's `AsyncIteratorClass`. It has the procedures that the
 * current token allows.
 */
export function createIteratorProxy<TEvent>(
  iterator: AsyncIterator<TEvent>,
  link: ClientLink<ClientRetryPluginContext>,
  getToken: () => string,
): AsyncIteratorClass<TEvent> {
  const events: AsyncIteratorClass<TEvent> = mapEventIterator<TEvent, unknown, unknown, TEvent>(iterator as AsyncIterator<TEvent, unknown, unknown>, {
    value: async (event) => event as TEvent,
    error: async (error) => error,
  })
  let read: { token: string; procedures: readonly string[] } | undefined
  const isAllowed = (name: string): boolean => {
    const token = getToken()
    if (read?.token !== token) read = { token, procedures: readToken(token)?.rpc ?? [] }
    return read.procedures.includes(name)
  }
  const isProcedure = (name: PropertyKey): name is string =>
    typeof name === 'string' && name !== 'then' && !(name in events) && isAllowed(name)
  return new Proxy(events, {
    get(_, name) {
      if (name === TOKEN) return getToken()
      if (isProcedure(name)) return createORPCClient(link, { path: [name] })
      const value: unknown = Reflect.get(events, name, events)
      return typeof value === 'function' ? value.bind(events) : value
    },
    has: (_, name) => name === TOKEN || isProcedure(name) || name in events,
  })
}

// Depends on oRPC 2.x: `AsyncIteratorClass` and `createORPCClient`.

import { AsyncIteratorClass, createORPCClient } from '@orpc/client'
import type { ClientContext } from '@orpc/client'

import { Session } from '../client/session.js'
import type { SessionOptions } from '../client/session.js'
import { TOKEN } from '../token-carrier.js'
import { readToken } from '../token/token.js'
import { attachMeta } from './event-meta.js'
import { toORPCError } from './orpc-error.js'
import { createSocketLink } from './socket-link.js'
import type { SocketLinkOptions } from './socket-link.js'

/**
 * Opens an iterator with a token. Resolves when the subscription is open.
 *
 * The iterator is an instance of oRPC's `AsyncIteratorClass`, and has the procedures that the current token allows.
 *
 * @throws When the signal is aborted, the URL or the connection id is invalid, a plugin of the link cannot be initialized, the
 * Durable Object rejects the subscription, or the iterator does not open within the time limit.
 */
export async function openIterator<T extends ClientContext>(
  options: Omit<SessionOptions, 'mapEvent'>,
  linkOptions: SocketLinkOptions<T>,
): Promise<AsyncIteratorClass<unknown, void, void>> {
  options.signal?.throwIfAborted()
  const session = new Session({ ...options, mapEvent: attachMeta })
  const { events } = session
  try {
    const link = createSocketLink(session, linkOptions)
    await session.opened()
    const iterator = new AsyncIteratorClass<unknown, void, void>(
      () => events.next().catch(rethrow),
      async ({ kind }) => {
        if (kind === 'cancelled') await events.return()
      },
    )
    return withProcedures(iterator, () => session.token, (name) => createORPCClient(link, { path: [name] }))
  } catch (error) {
    session.close()
    return rethrow(error)
  }
}

function rethrow(error: unknown): never {
  throw toORPCError(error)
}

/** Adds the procedures that the current token allows to an iterator. */
function withProcedures<TIterator extends object>(
  iterator: TIterator,
  getToken: () => string,
  createClient: (name: string) => unknown,
): TIterator {
  let read: { token: string; procedures: readonly string[] } | undefined
  const isAllowed = (name: string): boolean => {
    const token = getToken()
    if (read?.token !== token) read = { token, procedures: readToken(token)?.rpc ?? [] }
    return read.procedures.includes(name)
  }
  const isProcedure = (name: PropertyKey): name is string =>
    typeof name === 'string' && name !== 'then' && !(name in iterator) && isAllowed(name)
  return new Proxy(iterator, {
    get(_, name) {
      if (name === TOKEN) return getToken()
      if (isProcedure(name)) return createClient(name)
      const value: unknown = Reflect.get(iterator, name, iterator)
      return typeof value === 'function' ? value.bind(iterator) : value
    },
    has: (_, name) => name === TOKEN || isProcedure(name) || name in iterator,
  })
}

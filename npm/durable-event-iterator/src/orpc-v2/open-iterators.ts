// Depends on oRPC 2.x: the options of a `StandardLink`, `AsyncIteratorClass` and `createORPCClient`.

import { AsyncIteratorClass, createORPCClient } from '@orpc/client'
import type { ClientContext } from '@orpc/client'
import type { RetryLinkPluginContext } from '@orpc/client/plugins'
import type { StandardLinkInterceptorOptions, StandardLinkOptions } from '@orpc/client/standard'

import { Serializer } from '../client/wire/serializer.js'
import { withProcedures } from '../orpc/iterator-proxy.js'
import { openSession } from '../orpc/open-session.js'
import type { IteratorSettings } from '../orpc/open-session.js'
import { tokenInterceptors } from '../orpc/token-calls.js'
import type { TokenCall } from '../orpc/token-calls.js'
import type { ClientKind } from '../token/payload.js'
import { attachMeta } from './event-meta.js'
import { fromProcedureError, withStatus } from './orpc-error.js'
import { createSocketLink } from './socket-link.js'
import type { SocketLinkOptions } from './socket-link.js'

/**
 * The names of the plugins that oRPC initializes before ours. oRPC's retry plugin puts its interceptor in front of the others.
 * Ours has to be in front of it: retries apply to the request for the token, not to the iterator.
 */
export const INITIALIZED_BEFORE = ['~retry']

/** Returns link options with which each token of one kind in a response is replaced by an iterator. */
export function openIterators<T extends ClientContext, TProcedureContext extends RetryLinkPluginContext>(
  options: StandardLinkOptions<T>,
  ownKind: ClientKind,
  linkOptions: SocketLinkOptions<TProcedureContext>,
  settingsOf: (call: StandardLinkInterceptorOptions<T>) => IteratorSettings,
): StandardLinkOptions<T> {
  const open = (token: TokenCall<T>) => openIterator(token as TokenCall, settingsOf(token.call), linkOptions)
  const { call, request } = tokenInterceptors<T>({ ownKind, open, explain: withStatus })
  return {
    ...options,
    interceptors: [call, ...(options.interceptors ?? [])],
    transportInterceptors: [request, ...(options.transportInterceptors ?? [])],
  }
}

/**
 * Opens an iterator with the token that a call has responded with. Resolves when the subscription is open.
 *
 * @throws When the signal is aborted, the URL or the connection id is invalid, a plugin of the link cannot be initialized, the
 * Durable Object rejects the subscription, or the iterator does not open within the time limit.
 */
async function openIterator<T extends RetryLinkPluginContext>(
  token: TokenCall,
  settings: IteratorSettings,
  linkOptions: SocketLinkOptions<T>,
): Promise<AsyncIteratorClass<unknown, void, void>> {
  // Before the session starts, so that nothing is started if a plugin of the link fails.
  const link = createSocketLink(
    (request, signal) => session.request(request, signal),
    new Serializer(settings.plugin.customJsonSerializers),
    linkOptions,
  )
  const session = openSession(token, settings, { mapEvent: attachMeta, mapError: fromProcedureError })
  await session.opened()
  const iterator = new AsyncIteratorClass<unknown, void, void>(
    () => session.events.next(),
    async ({ kind }) => {
      if (kind === 'cancelled') await session.events.return()
    },
  )
  return withProcedures(iterator, () => session.token, (name) => createORPCClient(link, { path: [name] }))
}

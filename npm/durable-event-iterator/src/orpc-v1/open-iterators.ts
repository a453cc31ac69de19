import { ORPCError } from '@orpc/client'
import type { ClientContext } from '@orpc/client'
import type { StandardLinkInterceptorOptions, StandardLinkOptions } from '@orpc/client/standard'

import type { ProcedureError } from '../client/procedure-error.js'
import type { AsyncIteratorClass } from '../orpc/async-iterator-class.js'
import { openSession } from '../orpc/open-session.js'
import type { IteratorSettings } from '../orpc/open-session.js'
import { tokenInterceptors } from '../orpc/token-calls.js'
import type { TokenCall } from '../orpc/token-calls.js'
import type { ClientKind } from '../token/payload.js'
import { callLink } from './call-link.js'
import type { CallLinkOptions } from './call-link.js'
import { createIterator } from './create-iterator.js'
import { eventMetaAccess } from './event-meta.js'

/** Changes the options of a link so that each token of one kind in a response is replaced by an iterator. */
export function openIterators<T extends ClientContext>(
  options: StandardLinkOptions<T>,
  ownKind: ClientKind,
  linkOptions: CallLinkOptions,
  settingsOf: (call: StandardLinkInterceptorOptions<T>) => IteratorSettings,
): void {
  const open = (token: TokenCall<T>) => openIterator(token as TokenCall, settingsOf(token.call), linkOptions)
  const { call, request } = tokenInterceptors<T>({ ownKind, open })
  // New arrays: the application may use its own arrays for several links.
  options.interceptors = [...(options.interceptors ?? []), call]
  options.clientInterceptors = [...(options.clientInterceptors ?? []), request]
}

/**
 * Opens an iterator with the token that a call has responded with. Resolves when the subscription is open.
 *
 * @throws When the signal is aborted, the URL or the connection id is invalid, a plugin of the link cannot be initialized, the
 * Durable Object rejects the subscription, or the iterator does not open within the time limit.
 */
async function openIterator(
  token: TokenCall,
  settings: IteratorSettings,
  linkOptions: CallLinkOptions,
): Promise<AsyncIteratorClass<unknown>> {
  const metas = await eventMetaAccess()
  // Before the session starts, so that nothing is started if a plugin of the link fails.
  const link = callLink((request, signal) => session.request(request, signal), metas, linkOptions)
  const session = openSession(token, settings, { mapEvent: metas.attach, mapError: toORPCError })
  await session.opened()
  return createIterator(session.events, link, () => session.token)
}

function toORPCError({ code, status, message, data, defined }: ProcedureError): Error {
  return new ORPCError(code, { status, message, data, defined })
}

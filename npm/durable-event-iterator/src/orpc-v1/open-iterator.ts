import type { ConnectingOptions, SubscriptionNumbers } from '../client/options.js'
import type { SubscriptionHooks } from '../client/hooks.js'
import { Session } from '../client/session.js'
import type { LoadState, SessionOptions } from '../client/session.js'
import { webSockets } from '../client/socket-source.js'
import type { AsyncIteratorClass } from './async-iterator-class.js'
import { callLink } from './call-link.js'
import type { CallLinkOptions } from './call-link.js'
import { eventMetaAccess } from './event-meta.js'
import { combineHooks } from './hooks.js'
import type { DurableEventIteratorHooks } from './hooks.js'
import { createIteratorProxy } from './iterator-proxy.js'
import type { TokenCall } from './token-calls.js'

export interface OpenIteratorOptions extends Pick<SessionOptions, 'url' | 'createId'> {
  /** The options of the plugin. */
  readonly plugin: CallLinkOptions & Pick<ConnectingOptions, 'WebSocket' | 'share'> & DurableEventIteratorHooks
  readonly numbers: SubscriptionNumbers
  readonly refreshTimes: SessionOptions['tokens']['refreshTimes']
  /** The hooks of the call. */
  readonly hooks: (DurableEventIteratorHooks & { load?: LoadState | undefined }) | undefined
}

/**
 * Opens an iterator with the token that a call has responded with. Resolves when the subscription is open.
 *
 * @throws When the signal is aborted, the URL or the connection id is invalid, a plugin of the link cannot be initialized, the
 * Durable Object rejects the subscription, or the iterator does not open within the time limit.
 */
export async function openIterator(
  { call, firstToken, requestedAt, fetchToken }: TokenCall,
  { plugin, numbers, refreshTimes, hooks, url, createId }: OpenIteratorOptions,
): Promise<AsyncIteratorClass<unknown>> {
  const metas = await eventMetaAccess()
  const { path, input, signal, lastEventId } = call
  const combined: SubscriptionHooks = combineHooks([plugin, hooks], { path, input })
  const session = new Session({
    ...combined,
    tokens: {
      first: { text: firstToken, requestedAt },
      fetch: fetchToken,
      refreshTimes,
      expected: 'the procedure did not respond with a valid token; it must return the same kind of iterator on each call',
    },
    sockets: plugin.share ?? webSockets(plugin.WebSocket),
    url,
    createId,
    numbers,
    customJsonSerializers: plugin.customJsonSerializers,
    lastEventId,
    load: hooks?.load,
    signal,
    mapEvent: metas.attach,
  })
  try {
    const link = callLink(session, metas, plugin)
    await session.opened()
    return createIteratorProxy(session.events, link, () => session.token)
  } catch (error) {
    session.close()
    throw error
  }
}

import type { ConnectingOptions, LoadState, SubscriptionNumbers } from '../client/options.js'
import { Session } from '../client/session.js'
import type { SessionOptions } from '../client/session.js'
import { socketsOf } from '../client/socket-source.js'
import { combineHooks } from './hooks.js'
import type { DurableEventIteratorHooks } from './hooks.js'
import type { TokenCall } from './token-calls.js'

/** What a link plugin and a call determine about the session of an iterator. */
export interface IteratorSettings extends Pick<SessionOptions, 'url' | 'createId'> {
  /** The options of the plugin. */
  readonly plugin: Pick<ConnectingOptions, 'WebSocket' | 'fallback' | 'share' | 'customJsonSerializers'> & DurableEventIteratorHooks
  readonly numbers: SubscriptionNumbers
  readonly refreshTimes: SessionOptions['tokens']['refreshTimes']
  /** The hooks of the call. */
  readonly hooks: (DurableEventIteratorHooks & { load?: LoadState | undefined }) | undefined
}

/**
 * Starts a session with the token that a call has responded with.
 *
 * @throws When the environment has no `WebSocket`, or the custom serializers are invalid.
 */
export function openSession(
  { call: { path, input, signal, lastEventId }, firstToken, requestedAt, fetchToken }: TokenCall,
  { plugin, numbers, refreshTimes, hooks, url, createId }: IteratorSettings,
  maps: Pick<SessionOptions, 'mapEvent' | 'mapError'>,
): Session {
  return new Session({
    ...combineHooks([plugin, hooks], { path, input }),
    tokens: {
      first: { text: firstToken, requestedAt },
      fetch: fetchToken,
      refreshTimes,
      expected: 'the procedure did not respond with a valid token; it must return the same kind of iterator on each call',
    },
    sockets: socketsOf(plugin),
    url,
    createId,
    numbers,
    customJsonSerializers: plugin.customJsonSerializers,
    lastEventId,
    load: hooks?.load,
    signal,
    ...maps,
  })
}

import { newConnectionId } from '../../client/upgrade-url.js'
import type { SubscriptionState, SubscriptionStateDetails } from '../../client/hooks.js'
import { resolveNumbers } from '../../client/options.js'
import { Session } from '../../client/session.js'
import { socketsOf } from '../../client/socket-source.js'
import type { EventMeta } from '../../client/wire/peer.js'
import { httpFallback } from '../../http/http-fallback.js'
import { messageOf } from '../../client/errors.js'
import { ChannelApi } from '../api.js'
import type { Credential } from '../credentials.js'
import { Failure } from '../errors.js'
import type { Settings } from '../settings.js'
import { webSocketClass } from '../upgrade.js'
import { readBacklog } from './backlog.js'
import type { Listener, Position } from './item.js'

export interface SocketFeedOptions {
  readonly settings: Settings
  readonly channel: string
  readonly upgradeUrl: string
  /** A token, or a function that issues one. */
  readonly token: string | (() => Promise<string>)
  /** The token or the signing key, for messages. */
  readonly credential: Credential
  readonly position: Position
  readonly lastEventId: string | undefined
  readonly signal: AbortSignal
}

/** Reads a channel with a token: over a WebSocket, or over HTTP where WebSockets are blocked. Ends when the signal is aborted. */
export async function readSocket(options: SocketFeedOptions, listener: Listener): Promise<void> {
  const { settings, channel, token, credential, position, signal } = options
  const id = newConnectionId()
  let { lastEventId } = options
  if (position !== undefined) {
    const text = typeof token === 'string' ? token : await token()
    const api = new ChannelApi(settings, channel, { ...credential, text })
    lastEventId = await readBacklog(api, position, listener, { signal, query: { id } })
  }
  let problem: unknown
  const session = new Session({
    tokens: {
      ...(typeof token === 'string' ? { first: { text: token, requestedAt: Date.now() } } : { fetch: token }),
      refreshTimes: () => ({}),
      expected: 'the token is invalid: expected the token of a DurableEventIterator or a DurableIterator',
      advice: 'pass a new token, or a signing key',
    },
    sockets: socketsOf({ WebSocket: await webSocketClass(), fallback: httpFallback({ url: settings.channels }) }),
    numbers: resolveNumbers(DELAYS),
    url: () => options.upgradeUrl,
    createId: () => id,
    lastEventId,
    signal,
    mapEvent: (event, meta): Received => ({ event, meta }),
    onGap: (gap) => listener.onGap(gap),
    onStateChange: (state, details) => {
      problem = details.error ?? problem
      const text = describe(state, details, settings.url)
      if (text !== undefined) listener.onState(text)
    },
  })
  try {
    for await (const received of session.events) {
      const { event, meta } = received as Received
      // The form without the classes of JavaScript. Events of the wire can always be serialized again.
      const serialized = session.serializer.serialize(event, true) as { json?: unknown; meta?: unknown }
      await listener.onEvent({ ...definedMeta(meta), ...serialized })
    }
  } catch (error) {
    if (signal.aborted) return
    throw new Failure(messageOf(error))
  } finally {
    session.close()
  }
  if (!signal.aborted) throw new Failure(problem === undefined ? 'the subscription has ended' : messageOf(problem))
}

/** Shorter than those of pages, of which thousands may reconnect at once. */
const DELAYS = { minReconnectionDelay: 250, maxReconnectionDelay: 10_000 }

interface Received {
  readonly event: unknown
  readonly meta: EventMeta | undefined
}

function definedMeta(meta: EventMeta | undefined): { id?: string; retry?: number; comments?: readonly string[] } {
  const { id, retry, comments = [] } = meta ?? {}
  return {
    ...(id === undefined ? {} : { id }),
    ...(retry === undefined ? {} : { retry }),
    ...(comments.length === 0 ? {} : { comments }),
  }
}

function describe(state: SubscriptionState, { error, transport }: SubscriptionStateDetails, url: string): string | undefined {
  const reason = error === undefined ? '' : `: ${messageOf(error)}`
  switch (state) {
    case 'connecting':
      return error === undefined ? `connecting to ${url}` : `connecting${reason}`
    case 'open':
      return `connected (${TRANSPORTS[transport ?? 'websocket']})`
    case 'recovering':
      return `reconnecting${reason}`
    case 'paused':
    case 'closed':
      // A pause is not visible: it ends when the output accepts more. The end is an error or the user's wish.
      return undefined
  }
}

const TRANSPORTS = { websocket: 'WebSocket', sse: 'server-sent events', 'long-polling': 'long polling' } as const

import { readClaims } from '../client/claims.js'
import { DurableEventIteratorConnectionError } from '../client/connection-error.js'
import { isRejectedStatus, messageOf } from '../client/errors.js'
import type { SocketLayer, SocketLike, SocketSource } from '../client/socket-source.js'
import { diagnoseUpgrade } from '../client/upgrade-diagnosis.js'
import type { UpgradeDiagnosis } from '../client/upgrade-diagnosis.js'
import { parametersOf } from '../client/upgrade-url.js'
import { Door } from './door.js'
import type { Fetch } from './door.js'
import { FallbackSocket } from './fallback-socket.js'
import { HttpSocket } from './http-socket.js'
import { Network } from './network.js'

/** The options of {@link httpFallback}. */
export interface HttpFallbackOptions {
  /**
   * The URL of the Worker's HTTP endpoint without the channel, such as `https://example.com/channels`. In a browser, it may be relative
   * to the page.
   */
  url: string | URL

  /**
   * How long the first WebSocket may take to open before the client uses HTTP, in milliseconds. If the WebSocket opens later, the client
   * changes to it.
   *
   * @default 3000
   */
  webSocketTimeout?: number | undefined

  /**
   * The time after which the client tries a WebSocket again while it uses HTTP, in milliseconds. It doubles with each attempt, up to
   * 16 times this value.
   *
   * @default 60000
   */
  webSocketRetryDelay?: number | undefined

  /**
   * How long a response with server-sent events may take to begin before the client uses long polling, in milliseconds.
   *
   * @default 5000
   */
  streamTimeout?: number | undefined

  /**
   * The function that sends HTTP requests.
   *
   * @default globalThis.fetch
   */
  fetch?: Fetch | undefined
}

/**
 * Continues over HTTP in networks without WebSockets, for the option `fallback` of a subscription: with server-sent events, or, where
 * proxies collect them, with requests that wait for events (long polling). The subscription keeps its cursor, and each procedure call is a
 * request. The client returns to a WebSocket as soon as one works.
 *
 * Subscriptions with the same fallback share what they know about the network.
 *
 * @throws {TypeError} When the URL is invalid.
 * @throws {RangeError} When a time is not positive.
 *
 * @example
 * ```ts
 * import { subscribe } from 'durable-event-iterator/client'
 * import { httpFallback } from 'durable-event-iterator/http'
 *
 * const fallback = httpFallback({ url: 'https://example.com/channels' })
 * const events = subscribe({ url: 'wss://example.com/chat-room', token, fallback })
 * ```
 */
export function httpFallback({ url, fetch, ...times }: HttpFallbackOptions): SocketLayer {
  const { webSocketTimeout = 3_000, webSocketRetryDelay = 60_000, streamTimeout = 5_000 } = times
  for (const [name, value] of Object.entries({ webSocketTimeout, webSocketRetryDelay, streamTimeout })) {
    if (!(value > 0)) throw new RangeError(`${name} must be greater than 0, got ${value}`)
  }
  const page = (globalThis as { location?: { href?: string } }).location?.href
  const base = new URL(url, page).href.replace(/^ws/, 'http').replace(/[?#].*$/s, '').replace(/\/+$/, '')
  const network = new Network(webSocketRetryDelay)
  // Without `this`, with which browsers reject the call.
  const send: Fetch = fetch ?? ((...values) => globalThis.fetch(...values))

  const openHttp = (target: string): HttpSocket => {
    const parameters = parametersOf(target)
    const channel = readClaims(parameters.token)!.payload.chn
    return new HttpSocket(new Door({ url: base, channel, ...parameters, fetch: send }), network, streamTimeout)
  }

  return {
    over: (sockets) => {
      let ready: { readonly url: string; readonly socket: SocketLike; readonly timer: ReturnType<typeof setTimeout> } | undefined
      const takeReady = (url: string): SocketLike | undefined => {
        const found = ready
        ready = undefined
        clearTimeout(found?.timer)
        if (found?.url === url && (found.socket as Partial<WebSocket>).readyState === OPEN) return found.socket
        found?.socket.close()
        return undefined
      }
      return {
        open: (url, info) =>
          new FallbackSocket({
            url,
            network,
            webSocketTimeout,
            ready: takeReady(url),
            openWebSocket: (url) => sockets.open(url, info),
            openHttp: () => openHttp(url),
            leave: (url, socket) => (ready = { url, socket, timer: setTimeout(() => takeReady(''), READY_MS) }),
          }),
        diagnose: (url, cause) => diagnose(sockets, url, cause),
      }
    },
  }
}

/** Determines why neither a WebSocket nor HTTP works. */
async function diagnose(sockets: SocketSource, url: string, cause: unknown): Promise<UpgradeDiagnosis> {
  const { error, isRejection, retryAfter } = await (sockets.diagnose ?? diagnoseUpgrade)(url, cause)
  // Without HTTP, the cause is that of the WebSocket.
  if (!(cause instanceof DurableEventIteratorConnectionError)) return { error, isRejection, retryAfter }
  const options = { message: `${error.message}; ${messageOf(cause)}`, status: cause.status ?? error.status, cause }
  const combined = new DurableEventIteratorConnectionError('unavailable', options)
  return { error: combined, isRejection: isRejection || isRejectedStatus(cause.status), retryAfter }
}

/** The `readyState` of an open WebSocket. */
const OPEN = 1

/** The time within which the client uses a WebSocket that is ready, in milliseconds. */
const READY_MS = 5_000

import type { SubscriptionHooks } from './hooks.js'
import type { SocketLayer, WebSocketClass } from './socket-source.js'
import type { CustomSerializer } from './wire/serializer.js'

/** A WebSocket URL, or a promise of one. */
export type UrlValue = string | URL | Promise<string | URL>

/** Loads the state of the application and returns its cursor: the id of the last event that the state includes. */
export type LoadState = (options: { readonly signal: AbortSignal }) => string | undefined | Promise<string | undefined>

/** The options that `subscribe` and all link plugins share. */
export interface ConnectingOptions {
  /**
   * Serializers of custom types, in events and in calls. The Durable Object needs serializers with the same numbers.
   *
   * @default []
   */
  customJsonSerializers?: readonly CustomSerializer[] | undefined

  /**
   * The WebSocket implementation, for environments without `WebSocket`.
   *
   * @default globalThis.WebSocket
   */
  WebSocket?: WebSocketClass | undefined

  /**
   * Continues over HTTP in networks without WebSockets: the result of `httpFallback` of `durable-event-iterator/http`.
   */
  fallback?: SocketLayer | undefined

  /**
   * Shares one socket between the tabs of a browser: the result of `shareBetweenTabs` of `durable-event-iterator/tabs`.
   */
  share?: SocketLayer | undefined

  /**
   * The time limit for the first connection, in milliseconds. `Infinity` disables it. The time starts when `subscribe` is called,
   * or, with a link plugin, when the token arrives.
   *
   * At this limit the subscription ends with a `DurableEventIteratorConnectionError`. Its message and `status` state the reason if
   * it is known, such as a wrong `url`, a wrong signing key, or a network without WebSockets. It ends earlier if the server rejects
   * the connection repeatedly. Once the subscription has been open, the client reconnects without a time limit.
   *
   * @default 30000
   */
  openTimeout?: number | undefined

  /**
   * Determines the delays before attempts to connect, in milliseconds. Each delay is random from 0 to a bound, which doubles with
   * each failed attempt. A connection that lasts for five seconds resets the bound.
   *
   * After the other side has closed an open connection, the first bound is nine times this value: all clients of a Durable Object
   * may have lost their connections at the same moment, as after a deployment, and should not all reconnect within a second. For
   * channels with few clients, a lower value is appropriate. In other cases the first bound is twice this value.
   *
   * The starts of two attempts are at least this time apart, or one second if this is more than a second.
   *
   * @default 1000
   */
  minReconnectionDelay?: number | undefined

  /**
   * The upper bound of all delays before an attempt to reconnect, in milliseconds. A delay is shortened when the browser is
   * online again or the page becomes visible, but the starts of two attempts stay at least a second apart.
   *
   * @default 30000
   */
  maxReconnectionDelay?: number | undefined

  /**
   * The time limit for a WebSocket to open, in milliseconds.
   *
   * @default 10000
   */
  connectionTimeout?: number | undefined

  /**
   * The time that a procedure call waits for a connection, in milliseconds. After this time the call fails with a
   * `DurableEventIteratorConnectionError`, and is not sent.
   *
   * @default 10000
   */
  callTimeout?: number | undefined

  /**
   * The silence after which a ping is sent, in milliseconds. The connection is replaced if no message arrives within the same
   * time after the ping, or within ten seconds if that is less. 0 disables pings.
   *
   * @default 30000
   */
  heartbeatInterval?: number | undefined

  /**
   * The maximum number of events that the application has not read. At this limit the client unsubscribes, and its state is
   * `paused`. When the application has read all buffered events and asks for the next one, the client subscribes again. Missed
   * events then arrive, or `onGap` reports that they are no longer available. Procedure calls work during a pause.
   *
   * @default 10000
   */
  maxBufferedEvents?: number | undefined

  /**
   * The maximum size of the events that the application has not read, in bytes as received. The event that exceeds the limit is
   * still buffered. At this limit the state is `paused`, as with `maxBufferedEvents`.
   *
   * @default 16777216 (16 MiB)
   */
  maxBufferedBytes?: number | undefined
}

/** The defaults of the numeric options. */
const DEFAULTS = {
  openTimeout: 30_000,
  minReconnectionDelay: 1_000,
  maxReconnectionDelay: 30_000,
  connectionTimeout: 10_000,
  callTimeout: 10_000,
  heartbeatInterval: 30_000,
  maxBufferedEvents: 10_000,
  maxBufferedBytes: 16 * 1_024 * 1_024,
}

export type SubscriptionNumbers = Readonly<typeof DEFAULTS>

/**
 * Returns the numeric options, with their defaults.
 *
 * @throws {RangeError} When an option is out of its range.
 */
export function resolveNumbers(options: ConnectingOptions): SubscriptionNumbers {
  const numbers = { ...DEFAULTS }
  for (const name of Object.keys(DEFAULTS) as (keyof SubscriptionNumbers)[]) {
    const value = options[name] ?? DEFAULTS[name]
    const [isValid, range] = name === 'heartbeatInterval' ? [value >= 0, 'of at least 0'] : [value > 0, 'greater than 0']
    if (!isValid) throw new RangeError(`${name} must be a number ${range}, got ${value}`)
    numbers[name] = value
  }
  return numbers
}

/** The times of token refreshes. */
export interface RefreshOptions {
  /**
   * How long before its expiry a token is refreshed, in seconds. Leave enough time for the call and for retries. `NaN` or `Infinity`
   * disables early refresh: the token is refreshed, with a new connection, only after the Durable Object reports that it expired.
   *
   * @default 10, or a tenth of the token's lifetime if that is less
   */
  refreshTokenBeforeExpireInSeconds?: number | undefined

  /**
   * The minimum delay between two token refreshes, and between two attempts of a failed refresh, in seconds.
   *
   * @default 2
   */
  refreshTokenDelayInSeconds?: number | undefined
}

/** The default of `refreshTokenDelayInSeconds`. */
export const DEFAULT_REFRESH_DELAY_SECONDS = 2

/** The options of {@link subscribe}. */
export interface SubscribeOptions extends ConnectingOptions, RefreshOptions, SubscriptionHooks {
  /**
   * The URL of the Worker's upgrade endpoint, or a function that is called before each connection. `http:` and `https:` become
   * `ws:` and `wss:`. In a browser, a URL may be relative to the page.
   */
  url: UrlValue | (() => UrlValue)

  /**
   * A function that fetches a token from your server, or a token. The function is called for the first token, and again before a
   * token expires. If it throws an error with a `status` from 400 to 499 (except 408, 425 and 429), the subscription ends with this
   * error. After any other error it is called again, with growing delays.
   *
   * A token that is not a function cannot be refreshed: the subscription ends when it expires.
   */
  token: string | ((options: { readonly signal: AbortSignal }) => string | Promise<string>)

  /** The cursor: the subscription starts after the event with this id. */
  lastEventId?: string | undefined

  /**
   * Loads the state of the application, and returns its cursor: the id of the last event that the state includes. The subscription
   * starts after that event.
   *
   * It is called before the first subscription, and after each gap, when the application has read all events before the gap and
   * asks for the next one. Errors are handled as those of `token`.
   */
  load?: LoadState | undefined

  /** Ends the subscription, and the iteration with the signal's reason. */
  signal?: AbortSignal | undefined

  /**
   * Returns the connection id, by which the Durable Object recognizes the client after a reconnect: 1–128 visible ASCII
   * characters that others cannot guess. Called once.
   *
   * @default 128 random bits
   */
  createId?: (() => string | Promise<string>) | undefined
}

import type { ClientContext } from '@orpc/client'
import type { StandardRPCLinkOptions } from '@orpc/client/standard'

import type { WebSocketClass } from './connection.js'
import type { DurableEventIteratorHooks } from './hooks.js'

/** The options of an `RPCLink` over WebSocket that an application can set. */
export type SocketLinkOptions<TContext extends ClientContext> = Omit<
  StandardRPCLinkOptions<TContext>,
  'url' | 'method' | 'fallbackMethod' | 'maxUrlLength'
>

/** A WebSocket URL, or a promise of one. */
export type UrlValue = string | URL | Promise<string | URL>

/** The options that the link plugins of both kinds share. */
export interface ConnectingOptions extends DurableEventIteratorHooks {
  /**
   * The WebSocket implementation, for environments without `WebSocket`.
   *
   * @default globalThis.WebSocket
   */
  WebSocket?: WebSocketClass | undefined

  /**
   * The time limit for the first connection, in milliseconds, from the arrival of the token. `Infinity` disables it.
   *
   * At this limit the call that returns the iterator rejects with a `DurableEventIteratorConnectionError`. Its message and
   * `status` state the reason if it is known, such as a wrong `url`, a wrong signing key, or a network without WebSockets. The
   * call rejects earlier if the server rejects the connection repeatedly. Once the iterator has been open, it reconnects
   * without a time limit.
   *
   * @default 30000
   */
  openTimeout?: number | undefined

  /**
   * The upper bound of the delay before the first attempt to reconnect, in milliseconds. Each delay is random from 0 to its
   * bound, which doubles with each failed attempt. A connection that lasts for five seconds resets the bound.
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
   * The maximum number of events that the application has not read. At this limit the iterator unsubscribes, and its state is
   * `paused`. When the application has read all buffered events, the iterator subscribes again. Missed events then arrive, or
   * `onGap` reports that they are no longer available. Procedure calls work during a pause.
   *
   * @default 10000
   */
  maxBufferedEvents?: number | undefined

  /**
   * The maximum size of the events that the application has not read, in bytes as received. The event that exceeds the limit is
   * still buffered. At this limit the iterator is `paused`, as with `maxBufferedEvents`.
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

export type ConnectingNumbers = Readonly<typeof DEFAULTS>

/**
 * Returns the numeric options, with their defaults.
 *
 * @throws {RangeError} When an option is out of its range.
 */
export function resolveNumbers(options: ConnectingOptions): ConnectingNumbers {
  const numbers = { ...DEFAULTS }
  for (const name of Object.keys(DEFAULTS) as (keyof ConnectingNumbers)[]) {
    const value = options[name] ?? DEFAULTS[name]
    const isValid = name === 'heartbeatInterval' ? value >= 0 : value > 0
    if (!isValid) {
      throw new RangeError(`${name} must be a number ${name === 'heartbeatInterval' ? 'of at least 0' : 'greater than 0'}, got ${value}`)
    }
    numbers[name] = value
  }
  return numbers
}

import type { ClientContext } from '@orpc/client'
import type { StandardRPCLinkOptions } from '@orpc/client/standard'

import type { WebSocketClass } from './connection.js'
import type { DurableEventIteratorHooks } from './hooks.js'

/** The options of an `RPCLink` over WebSocket that are the application's. */
export type SocketLinkOptions<TContext extends ClientContext> = Omit<
  StandardRPCLinkOptions<TContext>,
  'url' | 'method' | 'fallbackMethod' | 'maxUrlLength'
>

/** A WebSocket's URL, now or later. */
export type UrlValue = string | URL | Promise<string | URL>

/** How a link plugin of either kind connects. */
export interface ConnectingOptions extends DurableEventIteratorHooks {
  /**
   * Creates WebSockets where the environment has no `WebSocket`.
   *
   * @default globalThis.WebSocket
   */
  WebSocket?: WebSocketClass | undefined

  /**
   * How long the call that returns the iterator waits for it to open, in milliseconds, from the time at which its token
   * has arrived. Then the call rejects with a `DurableEventIteratorConnectionError`, whose message and `status` say why, as
   * far as it is known: a wrong `url`, a wrong signing key, a network without WebSockets. A server that rejects the
   * connection repeatedly is not waited for that long. `Infinity` waits without a limit. Once the iterator was open, it
   * reconnects without a limit.
   *
   * @default 30000
   */
  openTimeout?: number | undefined

  /**
   * The upper bound of the delay before the first attempt to reconnect, in milliseconds. Each delay is random from 0 to its
   * bound, which doubles with each failed attempt. Two attempts start at least this far apart, or a second if that is less.
   *
   * The bound is reset by a connection that lasts for five seconds.
   *
   * @default 1000
   */
  minReconnectionDelay?: number | undefined

  /**
   * The upper bound of every delay before an attempt to reconnect, in milliseconds. A delay is shortened when the browser is
   * online again or the page is shown again, to no less than a second between two attempts.
   *
   * @default 30000
   */
  maxReconnectionDelay?: number | undefined

  /**
   * How long a WebSocket may take to open, in milliseconds.
   *
   * @default 10000
   */
  connectionTimeout?: number | undefined

  /**
   * How long a procedure call waits for a connection, in milliseconds. Then it fails with a
   * `DurableEventIteratorConnectionError` and has not been sent.
   *
   * @default 10000
   */
  callTimeout?: number | undefined

  /**
   * After how many milliseconds without a message a ping is sent. If it is not answered in ten seconds, or in as many
   * milliseconds again if that is less, the connection is replaced. 0 sends no pings.
   *
   * @default 30000
   */
  heartbeatInterval?: number | undefined

  /**
   * How many events an iterator buffers for an application that does not read them. When there are as many, it
   * unsubscribes, and its state is `paused`; when the application has read them all, it subscribes again and receives the
   * events that it missed, or `onGap` reports that the Durable Object no longer has them. Procedures can be called all the
   * time.
   *
   * @default 10000
   */
  maxBufferedEvents?: number | undefined

  /**
   * The same for the size of these events, in bytes as they were received. The event that exceeds it is still buffered.
   *
   * @default 16777216 (16 MiB)
   */
  maxBufferedBytes?: number | undefined
}

/** The options that are numbers, with their defaults. */
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
 * The options that are numbers, with their defaults.
 *
 * @throws {RangeError} When one of them is out of range.
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

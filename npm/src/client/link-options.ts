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

/** How a link plugin of either generation connects. */
export interface ConnectingOptions extends DurableEventIteratorHooks {
  /**
   * Makes WebSockets where the platform has none.
   *
   * @default globalThis.WebSocket
   */
  WebSocket?: WebSocketClass | undefined

  /**
   * How long to wait before the second try to reconnect, in milliseconds; each further wait is half as long again. The
   * first try is made after this, too, once a connection was open.
   *
   * @default A random time from 500 to 1500, so that not all clients of an object come back at once
   */
  minReconnectionDelay?: number | undefined

  /**
   * The longest wait before a try to reconnect, in milliseconds. It is cut short when the browser says that it is online
   * again.
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
   * How long a call to the object waits for a connection, in milliseconds. It fails then, with a
   * `DurableEventIteratorConnectionError`, and has not been sent.
   *
   * @default 10000
   */
  callTimeout?: number | undefined

  /**
   * After how many milliseconds without a message the object is asked for a sign of life. Without one in
   * ten seconds (or as many milliseconds again, if that is less) the connection is given up and a new one made. 0 turns it
   * off.
   *
   * @default 30000
   */
  heartbeatInterval?: number | undefined
}

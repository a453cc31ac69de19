/** Opens the WebSockets of a subscription. `shareBetweenTabs` returns one that shares a socket between tabs. */
export interface SocketSource {
  /** @param url - The URL with the token. */
  open(url: string, info: SocketInfo): SocketLike
}

export interface SocketInfo {
  /** The time at which the first token was requested, in milliseconds since 1970: earlier events are not expected. */
  readonly tokenRequestedAt: number
  /** Whether the subscription will certainly have no cursor, so that the server may begin it with a snapshot. */
  readonly isStart: boolean
}

/** The members of a WebSocket that the client uses. */
export interface SocketLike {
  binaryType: string
  send(message: string | Uint8Array<ArrayBuffer>): void
  close(): void
  addEventListener(type: 'open' | 'message' | 'close' | 'error', listener: (event: SocketEvent) => void): void
}

/** The properties of an event of a WebSocket that the client uses. */
export interface SocketEvent {
  readonly data?: unknown
  readonly code?: number
  readonly reason?: string
  /** Some implementations set these on an error event. */
  readonly error?: unknown
  readonly message?: unknown
}

/** A WebSocket implementation, such as `globalThis.WebSocket`. */
export type WebSocketClass = new (url: string, protocols?: string | string[]) => object

/**
 * Returns a source of WebSockets of the given class.
 *
 * @throws {TypeError} When there is no class, and none in the environment.
 */
export function webSockets(WebSocket = (globalThis as { WebSocket?: WebSocketClass }).WebSocket): SocketSource {
  if (WebSocket === undefined) throw new TypeError('WebSocket is missing in this environment; set the option `WebSocket`')
  return { open: (url) => new WebSocket(url) as SocketLike }
}

/** The close code and reason of a shared socket whose leading tab has ended: another tab leads now. */
export const HAND_OVER_CLOSE = { code: 4900, reason: 'tab hand-over' }

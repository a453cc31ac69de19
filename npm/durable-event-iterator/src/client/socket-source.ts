import type { UpgradeDiagnosis } from './upgrade-diagnosis.js'

/** Opens the sockets of a subscription. */
export interface SocketSource {
  /** @param url - The URL with the token. */
  open(url: string, info: SocketInfo): SocketLike
  /**
   * Determines why a socket did not open.
   *
   * @param cause - The error that the socket reported.
   * @default A GET request to the URL.
   */
  readonly diagnose?: ((url: string, cause: unknown) => Promise<UpgradeDiagnosis>) | undefined
}

/** Returns a source of sockets that uses another one. `httpFallback` and `shareBetweenTabs` return layers. */
export interface SocketLayer {
  /** Called once for each subscription. */
  over(sockets: SocketSource): SocketSource
}

/**
 * How the events of a subscription arrive: over a WebSocket, as server-sent events, or as the responses to HTTP requests that wait for
 * the next event.
 */
export type Transport = 'websocket' | 'sse' | 'long-polling'

export interface SocketInfo {
  /** The time at which the first token was requested, in milliseconds since 1970: earlier events are not expected. */
  readonly tokenRequestedAt: number
  /** Whether the subscription will certainly have no cursor, so that the server may begin it with a snapshot. */
  readonly isStart: boolean
}

/** The members of a WebSocket that the client uses. */
export interface SocketLike {
  /** @default 'websocket' */
  readonly transport?: Transport | undefined
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

/** The options that determine how the sockets of a subscription open. */
export interface SocketOptions {
  readonly WebSocket?: WebSocketClass | undefined
  readonly fallback?: SocketLayer | undefined
  readonly share?: SocketLayer | undefined
}

/**
 * Returns the source of sockets for the options of a subscription.
 *
 * @throws {TypeError} See {@link webSockets}.
 */
export function socketsOf({ WebSocket, fallback, share }: SocketOptions): SocketSource {
  return [fallback, share].reduce((sockets, layer) => layer?.over(sockets) ?? sockets, webSockets(WebSocket))
}

/** The close code and reason of a socket that is replaced at once: another tab leads now, or another transport is used. */
export const HAND_OVER_CLOSE = { code: 4900, reason: 'hand-over' }

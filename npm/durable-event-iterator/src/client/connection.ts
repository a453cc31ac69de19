import { MAX_TIMER_MS } from './backoff.js'
import { monotonicNow } from './clock.js'
import { DurableEventIteratorConnectionError } from './connection-error.js'
import { Heartbeat, PONG } from './heartbeat.js'
import { HAND_OVER_CLOSE } from './socket-source.js'
import type { SocketInfo, SocketLike, SocketSource } from './socket-source.js'
import { Peer } from './wire/peer.js'

export interface ConnectionOptions {
  readonly sockets: SocketSource
  readonly url: string
  readonly info: SocketInfo
  /** The time limit of the handshake, in milliseconds. */
  readonly timeout: number
  /** In milliseconds; 0 disables pings. */
  readonly heartbeatInterval: number
  /** Aborts the handshake. */
  readonly signal: AbortSignal
  /** Called at once when an open connection is lost or closed. */
  onLost(loss: Loss): void
}

/**
 * The reason why a connection has ended:
 * - `closed`: by the other side, or by the network.
 * - `silent`: no message arrived in time after a ping.
 * - `handed over`: another tab has taken over the shared socket.
 * - `replaced`: by this client, which connects again.
 */
export type LossReason = 'closed' | 'silent' | 'handed over' | 'replaced'

/** The end of a connection. */
export interface Loss {
  readonly reason: LossReason
  /** The close code and reason that the other side sent, if any. */
  readonly close?: { readonly code: number; readonly reason: string }
  /** The time for which the connection was open, in milliseconds. */
  readonly lasted: number
}

/** One open WebSocket: its calls, its heartbeat, and its end. */
export class Connection {
  /**
   * Opens a WebSocket.
   *
   * @throws The error of the handshake.
   */
  static open(options: ConnectionOptions): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const { sockets, url, info, timeout, signal } = options
      const socket = sockets.open(url, info)
      // Blobs are read asynchronously, which would change the order of messages.
      socket.binaryType = 'arraybuffer'
      let connection: Connection | undefined
      let cause: unknown
      const settle = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', abort)
      }
      const fail = (error: unknown): void => {
        settle()
        socket.close()
        reject(error)
      }
      const abort = (): void => fail(signal.reason)
      const timer = setTimeout(
        () => fail(new Error(`the WebSocket did not open within ${timeout} ms`)),
        Math.min(timeout, MAX_TIMER_MS),
      )
      signal.addEventListener('abort', abort)
      socket.addEventListener('open', () => {
        settle()
        // An implementation may report the opening of a socket that has been closed meanwhile.
        if (!signal.aborted) resolve((connection ??= new Connection(socket, options)))
      })
      socket.addEventListener('message', ({ data }) => connection?.receive(data))
      socket.addEventListener('error', ({ error, message }) => {
        cause = error ?? (typeof message === 'string' && message !== '' ? new Error(message) : undefined)
      })
      socket.addEventListener('close', ({ code = 0, reason = '' }) => {
        if (connection === undefined) fail(cause ?? new Error(`the WebSocket did not open: close code ${code}`))
        else connection.end(code === HAND_OVER_CLOSE.code ? 'handed over' : 'closed', { code, reason })
      })
    })
  }

  readonly peer: Peer
  /** Resolves when the connection has ended. */
  readonly ended: Promise<void>
  readonly #socket: SocketLike
  readonly #heartbeat: Heartbeat
  readonly #onLost: (loss: Loss) => void
  readonly #openedAt = monotonicNow()
  #isOpen = true
  #resolveEnded = (): void => {}

  private constructor(socket: SocketLike, { heartbeatInterval, onLost }: ConnectionOptions) {
    this.#socket = socket
    this.#onLost = onLost
    this.peer = new Peer((message) => socket.send(message))
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
    this.#heartbeat = new Heartbeat({
      interval: heartbeatInterval,
      send: (message) => socket.send(message),
      onSilence: () => this.end('silent'),
    })
    this.#heartbeat.start()
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Checks whether the connection still works, since the network may have changed. */
  check(isUrgent: boolean): void {
    this.#heartbeat.ask(isUrgent)
  }

  /** Closes the socket and fails all calls in flight. */
  end(reason: LossReason, close?: Loss['close'], error: Error = new DurableEventIteratorConnectionError('lost')): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#heartbeat.stop()
    this.#socket.close()
    const lasted = monotonicNow() - this.#openedAt
    this.#onLost({ reason, ...(close === undefined ? {} : { close }), lasted })
    this.peer.lose(error)
    this.#resolveEnded()
  }

  /** Called with each message of the socket. */
  receive(data: unknown): void {
    if (!this.#isOpen) return
    this.#heartbeat.heard()
    if (data !== PONG && (typeof data === 'string' || data instanceof ArrayBuffer)) this.peer.receive(data)
  }
}

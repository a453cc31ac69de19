import { monotonicNow } from './clock.js'
import { DurableEventIteratorConnectionError } from './connection-error.js'
import { Heartbeat, PONG } from './heartbeat.js'
import { HAND_OVER_CLOSE } from './socket-source.js'
import type { SocketLike, Transport } from './socket-source.js'
import type { HeldToken } from './token-holder.js'
import { Peer } from './wire/peer.js'

export interface ConnectionOptions {
  readonly token: HeldToken
  /** In milliseconds; 0 disables pings. */
  readonly heartbeatInterval: number
  /** Called when the socket has opened or ended. */
  onChange(): void
}

/**
 * The reason why a connection has ended:
 * - `closed`: by the other side, or by the network. Also if it did not open.
 * - `silent`: no message arrived in time after a ping.
 * - `handed over`: another tab has taken over the shared socket, or another transport is used.
 * - `replaced`: by this client, which connects again.
 */
export type EndReason = 'closed' | 'silent' | 'handed over' | 'replaced'

/** One WebSocket: its calls, its heartbeat, and its end. */
export class Connection {
  readonly peer: Peer
  /** The token that the Durable Object uses for this connection. */
  token: HeldToken
  /** Undefined until the connection has ended. */
  endReason: EndReason | undefined
  /** The close code and reason that the other side sent, if any. */
  close: { readonly code: number; readonly reason: string } | undefined
  /** The error that the socket reported, if any. */
  error: unknown
  readonly #socket: SocketLike
  readonly #onChange: () => void
  #heartbeat: Heartbeat | undefined
  #openedAt: number | undefined

  constructor(socket: SocketLike, { token, heartbeatInterval, onChange }: ConnectionOptions) {
    this.#socket = socket
    this.#onChange = onChange
    this.token = token
    const send = (message: Parameters<SocketLike['send']>[0]): void => socket.send(message)
    this.peer = new Peer(send)
    // Blobs are read asynchronously, which would change the order of messages.
    socket.binaryType = 'arraybuffer'
    socket.addEventListener('open', () => {
      // An implementation may report the opening of a socket that has been closed meanwhile.
      if (this.endReason !== undefined) return
      this.#openedAt = monotonicNow()
      this.#heartbeat = new Heartbeat({ interval: heartbeatInterval, send, onSilence: () => this.end('silent') })
      onChange()
    })
    socket.addEventListener('message', ({ data }) => {
      if (!this.isOpen) return
      this.#heartbeat?.heard()
      if (data !== PONG && (typeof data === 'string' || data instanceof ArrayBuffer)) this.peer.receive(data)
    })
    socket.addEventListener('error', ({ error, message }) => {
      this.error = error ?? (message || undefined)
    })
    socket.addEventListener('close', ({ code = 0, reason = '' }) => {
      this.close ??= { code, reason }
      this.end(code === HAND_OVER_CLOSE.code ? 'handed over' : 'closed')
    })
  }

  get isOpen(): boolean {
    return this.#openedAt !== undefined && this.endReason === undefined
  }

  /** Undefined unless the connection is open. */
  get transport(): Transport | undefined {
    return this.isOpen ? (this.#socket.transport ?? 'websocket') : undefined
  }

  /** The time for which the connection has been open, in milliseconds. */
  get age(): number {
    return this.#openedAt === undefined ? 0 : monotonicNow() - this.#openedAt
  }

  /** Checks whether the connection still works, since the network may have changed. */
  check(isUrgent: boolean): void {
    if (this.isOpen) this.#heartbeat?.ask(isUrgent)
  }

  /** Closes the socket and fails all calls in flight. */
  end(reason: EndReason, error: Error = new DurableEventIteratorConnectionError('lost')): void {
    if (this.endReason !== undefined) return
    this.endReason = reason
    this.#heartbeat?.stop()
    this.#socket.close()
    this.peer.lose(error)
    this.#onChange()
  }
}

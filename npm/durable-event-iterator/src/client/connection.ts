import { backoff, MAX_TIMER_MS } from './backoff.js'
import { monotonicNow } from './clock.js'
import { DurableEventIteratorConnectionError } from './connection-error.js'
import { Heartbeat, PONG } from './heartbeat.js'
import { LinkSocket } from './link-socket.js'
import type { SocketData } from './link-socket.js'
import { onNetworkChange } from './network-changes.js'

export interface ConnectionOptions {
  /** Called before each attempt. If it rejects, the attempt has failed. */
  url: () => Promise<string>
  WebSocket: WebSocketClass
  /** In milliseconds, like the other times. */
  minReconnectionDelay: number
  maxReconnectionDelay: number
  connectionTimeout: number
  heartbeatInterval: number
  onOpen(): void
  /** Called when an open connection is lost, with the close of the other side if there was one. */
  onLost(close: ConnectionClose | undefined): void
  /** Called when an attempt has failed. The next attempt follows. */
  onFailedAttempt(failure: FailedAttempt): void
}

/** The close code and reason of a close event. */
export interface ConnectionClose {
  readonly code: number
  readonly reason: string
}

/** A failed attempt to connect. */
export interface FailedAttempt {
  /** Whether the WebSocket failed to open. Otherwise there was no URL. */
  readonly isHandshake: boolean
  readonly error: unknown
  /** The URL of the WebSocket. */
  readonly url: string | undefined
}

/** A WebSocket implementation, such as `globalThis.WebSocket`. */
export type WebSocketClass = new (url: string, protocols?: string | string[]) => object

/** The members that every WebSocket implementation has. */
interface Socket {
  binaryType: string
  send(data: SocketData): void
  close(): void
  addEventListener(type: string, listener: (event: SocketEvent) => void): void
}

interface SocketEvent {
  readonly data?: unknown
  readonly code?: number
  readonly reason?: string
  /** Some implementations set these on an error event. */
  readonly error?: unknown
  readonly message?: unknown
}

/** The phase of the connection. `closed` is final. */
type Phase =
  | { readonly name: 'idle' | 'closed' }
  | { readonly name: 'waiting'; readonly timer: ReturnType<typeof setTimeout>; readonly dueAt: number; readonly isShortened: boolean }
  | { readonly name: 'connecting' }
  | { readonly name: 'open'; readonly since: number }

/**
 * A connection that reconnects until it is closed. It opens one WebSocket after another, and reports each loss.
 *
 * There is at most one attempt at a time. Each delay between attempts is random (see {@link backoff}). A change of the network
 * can only shorten a delay.
 *
 * Data is not buffered: data that is sent while the connection is not open is dropped. `onLost` has reported the loss before.
 */
export class Connection {
  /** The socket for an oRPC link. It exists as long as the connection; each loss fails all calls in flight. */
  readonly socket = new LinkSocket((data) => {
    if (this.isOpen) this.#socket?.send(data)
  })

  /** The number of losses, by which a caller detects that the connection was replaced. */
  losses = 0

  readonly #options: ConnectionOptions
  readonly #heartbeat: Heartbeat
  #ignoreNetwork = (): void => {}
  #phase: Phase = { name: 'idle' }
  /** Identifies the current attempt and its connection. */
  #attempt: object | undefined
  #socket: Socket | undefined
  /** The number of failures since the last stable connection. */
  #failures = 0
  #lastStart = Number.NEGATIVE_INFINITY
  /** The server requested no attempt before this time. */
  #notBefore = Number.NEGATIVE_INFINITY
  readonly #waiting = new Set<{ resolve(): void; reject(error: unknown): void }>()

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#heartbeat = new Heartbeat({
      interval: options.heartbeatInterval,
      send: (message) => this.socket.send(message),
      onSilence: () => this.#onLost(),
    })
  }

  get isOpen(): boolean {
    return this.#phase.name === 'open'
  }

  /** Starts the first attempt. */
  start(): void {
    if (this.#phase.name !== 'idle') return
    this.#ignoreNetwork = onNetworkChange((change) => {
      if (this.isOpen) this.#heartbeat.ask()
      else if (change === 'better') this.#shortenDelay()
    })
    this.#begin()
  }

  /**
   * Resolves when the connection is open.
   *
   * @throws {DurableEventIteratorConnectionError} When the connection is closed.
   */
  opened(): Promise<void> {
    if (this.isOpen) return Promise.resolve()
    if (this.#phase.name === 'closed') return Promise.reject(new DurableEventIteratorConnectionError('closed'))
    return new Promise((resolve, reject) => this.#waiting.add({ resolve, reject }))
  }

  /** Replaces the current connection or attempt by a new one with a new URL. */
  replace(): void {
    if (this.#phase.name === 'open') this.#lose(undefined)
    else if (this.#phase.name !== 'connecting') return
    this.#abandon()
    this.#schedule(0)
  }

  /** Delays the next attempt by at least this time, in milliseconds. */
  holdOff(milliseconds: number): void {
    this.#notBefore = monotonicNow() + milliseconds
    if (this.#phase.name === 'waiting') this.#wait(Math.max(this.#phase.dueAt, this.#notBefore), this.#phase.isShortened)
  }

  close(): void {
    if (this.#phase.name === 'closed') return
    this.#ignoreNetwork()
    if (this.#phase.name === 'waiting') clearTimeout(this.#phase.timer)
    if (this.isOpen) this.#lose(undefined)
    this.#phase = { name: 'closed' }
    this.#abandon()
    for (const { reject } of this.#waiting) reject(new DurableEventIteratorConnectionError('closed'))
    this.#waiting.clear()
  }

  // Attempts

  #begin(): void {
    const attempt = {}
    this.#attempt = attempt
    this.#phase = { name: 'connecting' }
    this.#lastStart = monotonicNow()
    void this.#connect(attempt)
  }

  async #connect(attempt: object): Promise<void> {
    let url: string | undefined
    try {
      url = await this.#options.url()
      if (this.#attempt === attempt) this.#open(attempt, url)
    } catch (error) {
      this.#onFailed(attempt, { isHandshake: url !== undefined, error, url })
    }
  }

  #open(attempt: object, url: string): void {
    const { WebSocket, connectionTimeout } = this.#options
    // The minimum interval is between handshakes, and the URL may have taken a long time.
    this.#lastStart = monotonicNow()
    const socket = new WebSocket(url) as Socket
    this.#socket = socket
    // Blobs are read asynchronously, which would change the order of messages.
    socket.binaryType = 'arraybuffer'
    let reason: unknown
    const fail = (error: unknown): void => this.#onFailed(attempt, { isHandshake: true, error, url })
    const timer = setTimeout(
      () => fail(new Error(`the WebSocket did not open within ${connectionTimeout} ms`)),
      Math.min(connectionTimeout, MAX_TIMER_MS),
    )
    socket.addEventListener('open', () => {
      clearTimeout(timer)
      if (this.#attempt === attempt) this.#onOpen()
    })
    socket.addEventListener('message', ({ data }) => {
      if (this.#attempt === attempt && this.isOpen) this.#onMessage(data)
    })
    socket.addEventListener('error', ({ error, message }) => {
      reason = error ?? (typeof message === 'string' && message !== '' ? new Error(message) : undefined)
    })
    socket.addEventListener('close', ({ code = 0, reason: text = '' }) => {
      clearTimeout(timer)
      if (this.#attempt !== attempt) return
      if (this.isOpen) this.#onLost({ code, reason: text })
      else fail(reason ?? new Error(`the WebSocket did not open: close code ${code}`))
    })
  }

  #onFailed(attempt: object, failure: FailedAttempt): void {
    if (this.#attempt !== attempt) return
    this.#abandon()
    this.#failures += 1
    this.#schedule(this.#backoff())
    this.#options.onFailedAttempt(failure)
  }

  #onOpen(): void {
    this.#phase = { name: 'open', since: monotonicNow() }
    this.#heartbeat.start()
    this.#options.onOpen()
    for (const { resolve } of this.#waiting) resolve()
    this.#waiting.clear()
  }

  #onMessage(data: unknown): void {
    this.#heartbeat.heard()
    if (data === PONG) return
    // Other texts are not frames: an oRPC peer would throw an error that cannot be caught.
    if (typeof data === 'string' && !data.startsWith('{')) return
    this.socket.receive(data)
  }

  #onLost(close?: ConnectionClose): void {
    this.#lose(close)
    if (this.#phase.name === 'closed') return
    this.#abandon()
    this.#schedule(this.#backoff())
  }

  /** Fails all calls in flight. */
  #lose(close: ConnectionClose | undefined): void {
    if (this.#phase.name !== 'open') return
    // A connection that is lost at once counts as a failure.
    this.#failures = monotonicNow() - this.#phase.since >= LASTING_MS ? 0 : this.#failures + 1
    this.#phase = { name: 'idle' }
    this.losses += 1
    this.#heartbeat.stop()
    this.socket.lose()
    this.#options.onLost(close)
  }

  #abandon(): void {
    this.#attempt = undefined
    this.#socket?.close()
    this.#socket = undefined
  }

  // Delays between attempts

  #backoff(): number {
    const { minReconnectionDelay: first, maxReconnectionDelay: longest } = this.#options
    return backoff(this.#failures, { first, longest })
  }

  /** Schedules the next attempt after a delay, in addition to the minimum interval between attempts. */
  #schedule(delay: number): void {
    const apart = Math.min(this.#options.minReconnectionDelay, MIN_ATTEMPT_INTERVAL_MS)
    this.#wait(Math.max(monotonicNow(), this.#lastStart + apart, this.#notBefore) + delay, false)
  }

  /** Shortens the current delay, because the network is available again. */
  #shortenDelay(): void {
    if (this.#phase.name !== 'waiting' || this.#phase.isShortened) return
    const earliest = Math.max(monotonicNow(), this.#lastStart + MIN_ATTEMPT_INTERVAL_MS, this.#notBefore)
    this.#wait(Math.min(this.#phase.dueAt, earliest + Math.random() * MAX_SHORTENED_DELAY_MS), true)
  }

  #wait(dueAt: number, isShortened: boolean): void {
    if (this.#phase.name === 'waiting') clearTimeout(this.#phase.timer)
    const timer = setTimeout(() => this.#begin(), Math.min(Math.max(dueAt - monotonicNow(), 0), MAX_TIMER_MS))
    this.#phase = { name: 'waiting', timer, dueAt, isShortened }
  }
}

/** A connection that was open for this long is stable: it resets the number of failures. In milliseconds. */
const LASTING_MS = 5_000

/**
 * The minimum interval between the starts of two attempts, in milliseconds. It also applies to shortened delays: a browser can
 * report several times a second that it is online again.
 */
const MIN_ATTEMPT_INTERVAL_MS = 1_000

/**
 * The upper bound of a shortened delay, in milliseconds. It is random, so that the iterators of a page do not all reconnect at
 * once.
 */
const MAX_SHORTENED_DELAY_MS = 250

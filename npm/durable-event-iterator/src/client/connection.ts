import { backoff, MAX_TIMER_MS } from './backoff.js'
import { monotonicNow } from './clock.js'
import { DurableEventIteratorConnectionError } from './connection-error.js'
import { Heartbeat, PONG } from './heartbeat.js'
import { LinkSocket } from './link-socket.js'
import type { SocketData } from './link-socket.js'
import { onNetworkChange } from './network-changes.js'

export interface ConnectionOptions {
  /** Called before each attempt; a rejection is a failed attempt. */
  url: () => Promise<string>
  WebSocket: WebSocketClass
  /** In milliseconds, as the rest. */
  minReconnectionDelay: number
  maxReconnectionDelay: number
  connectionTimeout: number
  heartbeatInterval: number
  onOpen(): void
  /** An open connection broke; how the other side closed it, if it did. */
  onLost(close: ConnectionClose | undefined): void
  /** An attempt failed, and the next one follows. */
  onFailedAttempt(failure: FailedAttempt): void
}

/** The end of a WebSocket, as its close event reports it. */
export interface ConnectionClose {
  readonly code: number
  readonly reason: string
}

/** Why an attempt to connect failed. */
export interface FailedAttempt {
  /** Whether there was a URL, and the WebSocket did not open. */
  readonly isHandshake: boolean
  readonly error: unknown
  /** What the WebSocket should have opened with. */
  readonly url: string | undefined
}

/** Creates WebSockets: `WebSocket` of the environment or another implementation of it. */
export type WebSocketClass = new (url: string, protocols?: string | string[]) => object

/** What every implementation of a WebSocket has. */
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
  /** Of an error event, in some implementations. */
  readonly error?: unknown
  readonly message?: unknown
}

/** What the connection is doing, until it is closed for good. */
type Phase =
  | { readonly name: 'idle' | 'closed' }
  | { readonly name: 'waiting'; readonly timer: ReturnType<typeof setTimeout>; readonly dueAt: number; readonly isShortened: boolean }
  | { readonly name: 'connecting' }
  | { readonly name: 'open'; readonly since: number }

/**
 * One WebSocket after another, as one: reconnects until it is closed, and reports when what was sent is lost.
 *
 * There is at most one attempt at a time, and nothing but its failure or success ends it. Each delay between attempts is
 * random (see {@link backoff}). News about the network only shorten a delay.
 *
 * Nothing is kept for later: data sent while it is not open is dropped, and `onLost` has told its sender.
 */
export class Connection {
  /** The socket that an oRPC link uses: it is always there, and now and then loses all calls in flight. */
  readonly socket = new LinkSocket((data) => {
    if (this.isOpen) this.#socket?.send(data)
  })

  /** How often it has been lost: tells whether the connection is still the same one. */
  losses = 0

  readonly #options: ConnectionOptions
  readonly #heartbeat: Heartbeat
  #ignoreNetwork = (): void => {}
  #phase: Phase = { name: 'idle' }
  /** Identifies the present attempt and the connection that it led to. */
  #attempt: object | undefined
  #socket: Socket | undefined
  /** Failures since the last connection that lasted. */
  #failures = 0
  #lastStart = Number.NEGATIVE_INFINITY
  /** The server has asked for no attempt before then. */
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

  /** Begins the first attempt. */
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
   * @throws {DurableEventIteratorConnectionError} When it is closed for good.
   */
  opened(): Promise<void> {
    if (this.isOpen) return Promise.resolve()
    if (this.#phase.name === 'closed') return Promise.reject(new DurableEventIteratorConnectionError('closed'))
    return new Promise((resolve, reject) => this.#waiting.add({ resolve, reject }))
  }

  /** Replaces the present connection or attempt by a new one with a new URL. */
  replace(): void {
    if (this.#phase.name === 'open') this.#lose(undefined)
    else if (this.#phase.name !== 'connecting') return
    this.#abandon()
    this.#schedule(0)
  }

  /** Makes no attempt for so many milliseconds. */
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
    // Attempts are told apart by their handshakes, and getting the URL may have taken any time.
    this.#lastStart = monotonicNow()
    const socket = new WebSocket(url) as Socket
    this.#socket = socket
    // Blobs are read asynchronously, and frames would overtake each other.
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
    // What is no JSON object is no frame, and an oRPC peer would fail on it where nobody can catch that.
    if (typeof data === 'string' && !data.startsWith('{')) return
    this.socket.receive(data)
  }

  #onLost(close?: ConnectionClose): void {
    this.#lose(close)
    if (this.#phase.name === 'closed') return
    this.#abandon()
    this.#schedule(this.#backoff())
  }

  /** All calls in flight fail. */
  #lose(close: ConnectionClose | undefined): void {
    if (this.#phase.name !== 'open') return
    // A connection that breaks at once is no better than one that does not open.
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

  /** Waits for a delay, after the time that two attempts have to be apart. */
  #schedule(delay: number): void {
    const apart = Math.min(this.#options.minReconnectionDelay, MIN_ATTEMPT_INTERVAL_MS)
    this.#wait(Math.max(monotonicNow(), this.#lastStart + apart, this.#notBefore) + delay, false)
  }

  /** The network is back: the present delay, if there is one, ends as soon as an attempt may be made. */
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

/** A connection that was open for this long was none of a row of failures, in milliseconds. */
const LASTING_MS = 5_000

/**
 * The least time between the starts of two attempts, in milliseconds. What shortens a delay, such as a browser that is
 * online again several times a second, never goes below it.
 */
const MIN_ATTEMPT_INTERVAL_MS = 1_000

/** The upper bound of a shortened delay, in milliseconds: the iterators of a page do not connect in the same instant. */
const MAX_SHORTENED_DELAY_MS = 250

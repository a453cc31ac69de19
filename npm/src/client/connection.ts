import ReconnectingWebSocket from 'partysocket/ws'

import { DurableEventIteratorConnectionError } from './connection-error.js'
import { Heartbeat, PONG } from './heartbeat.js'
import { onNetworkChange } from './network-changes.js'

export interface ConnectionOptions {
  /** Called before each try; a rejection counts as a try that failed. */
  url: () => Promise<string>
  WebSocket: WebSocketClass | undefined
  /** In milliseconds, as the rest. */
  minReconnectionDelay: number
  maxReconnectionDelay: number
  connectionTimeout: number
  heartbeatInterval: number
  onOpen(): void
  /** The connection was open and is not any more; how the other side closed it, if it did. */
  onLost(close: ConnectionClose | undefined): void
  /** A try failed, and the next one follows. */
  onFailedTry(): void
}

/** The end of a WebSocket, as its close event tells it. */
export interface ConnectionClose {
  readonly code: number
  readonly reason: string
}

/** Makes WebSockets: the platform's `WebSocket` or another implementation of it. */
export type WebSocketClass = new (url: string, protocols?: string | string[]) => object

/**
 * One WebSocket after another, as one: reconnects with growing delays until it is closed, and says when what was sent is
 * lost.
 *
 * Nothing is kept for later: what is sent while it is not open is dropped, and its sender has been told by `onLost`.
 */
export class Connection {
  /** What an oRPC link sees: a socket that is always there and now and then loses all that is under way. */
  readonly socket = new LinkSocket((data) => {
    if (this.#isOpen) this.#current?.send(data)
  })

  /** How often it has been lost: tells whether the connection is still the same one. */
  losses = 0

  readonly #options: ConnectionOptions
  readonly #heartbeat: Heartbeat
  readonly #ignoreNetwork: () => void
  #current: ReconnectingWebSocket | undefined
  #isOpen = false
  #isClosed = false
  #waiting = new Set<{ resolve(): void; reject(error: unknown): void }>()

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#heartbeat = new Heartbeat({
      interval: options.heartbeatInterval,
      send: (message) => this.socket.send(message),
      onSilence: () => this.reconnect(),
    })
    this.#ignoreNetwork = onNetworkChange((change) => {
      if (this.#isOpen) this.#heartbeat.ask()
      else if (change === 'better') this.reconnect()
    })
    this.#connect()
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /**
   * Resolves when the connection is open.
   *
   * @throws {DurableEventIteratorConnectionError} When it is closed for good.
   */
  opened(): Promise<void> {
    if (this.#isOpen) return Promise.resolve()
    if (this.#isClosed) return Promise.reject(new DurableEventIteratorConnectionError('closed'))
    return new Promise((resolve, reject) => this.#waiting.add({ resolve, reject }))
  }

  /** Gives up the present connection, or the present try and its delay, and connects at once. */
  reconnect(): void {
    if (this.#isClosed) return
    this.#abandon()
    this.#connect()
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#ignoreNetwork()
    this.#abandon()
    for (const { reject } of this.#waiting) reject(new DurableEventIteratorConnectionError('closed'))
    this.#waiting.clear()
  }

  /** A new one each time: there is no other way to cut the delay before a try of the old one short. */
  #connect(): void {
    const { WebSocket, url, minReconnectionDelay, maxReconnectionDelay, connectionTimeout } = this.#options
    const isCurrent = (): boolean => this.#current === socket
    const socket: ReconnectingWebSocket = new ReconnectingWebSocket(
      () => (isCurrent() ? url() : Promise.reject(new Error('Superseded'))),
      undefined,
      {
        ...(WebSocket === undefined ? {} : { WebSocket }),
        minReconnectionDelay,
        maxReconnectionDelay,
        reconnectionDelayGrowFactor: RECONNECTION_DELAY_GROWTH,
        connectionTimeout,
        maxEnqueuedMessages: 0,
      },
    )
    this.#current = socket
    // Blobs are read asynchronously, and frames would overtake each other.
    socket.binaryType = 'arraybuffer'
    socket.addEventListener('open', () => {
      if (isCurrent()) this.#onOpen()
    })
    socket.addEventListener('message', ({ data }) => {
      if (isCurrent()) this.#onMessage(data)
    })
    socket.addEventListener('close', (close) => {
      if (!isCurrent()) return
      if (this.#isOpen) this.#onLost(close)
      else this.#options.onFailedTry()
    })
    // Without a socket yet, a try that failed says so by an error alone.
    socket.addEventListener('error', () => {
      if (isCurrent() && socket.url === '') this.#options.onFailedTry()
    })
  }

  #abandon(): void {
    const socket = this.#current
    this.#current = undefined
    if (this.#isOpen) this.#onLost()
    socket?.close()
  }

  #onOpen(): void {
    this.#isOpen = true
    this.#heartbeat.start()
    this.#options.onOpen()
    for (const { resolve } of this.#waiting) resolve()
    this.#waiting.clear()
  }

  #onLost(close?: ConnectionClose): void {
    this.#isOpen = false
    this.losses += 1
    this.#heartbeat.stop()
    this.socket.lose()
    this.#options.onLost(close)
  }

  #onMessage(data: unknown): void {
    this.#heartbeat.heard()
    if (data === PONG) return
    // What is no JSON object is no frame, and an oRPC peer would fail on it where nobody can catch that.
    if (typeof data === 'string' && !data.startsWith('{')) return
    this.socket.receive(data)
  }
}

/** 1 s, 1.5 s, 2.3 s, 3.4 s …: half a minute after eight tries. */
const RECONNECTION_DELAY_GROWTH = 1.5

type LinkSocketEvent = 'open' | 'message' | 'close'
type LinkSocketListener = (event: { data?: unknown }) => void
type Data = Parameters<ReconnectingWebSocket['send']>[0]

/** The part of a WebSocket that an oRPC link uses. */
export class LinkSocket {
  /** Always open: whether it is, is asked before anything is sent. */
  readonly readyState = 1
  readonly send: (data: Data) => void
  readonly #listeners: Record<LinkSocketEvent, Set<LinkSocketListener>> = {
    open: new Set(),
    message: new Set(),
    close: new Set(),
  }

  constructor(send: (data: Data) => void) {
    this.send = send
  }

  addEventListener(type: LinkSocketEvent, listener: LinkSocketListener): void {
    this.#listeners[type].add(listener)
  }

  removeEventListener(type: LinkSocketEvent, listener: LinkSocketListener): void {
    this.#listeners[type].delete(listener)
  }

  receive(data: unknown): void {
    for (const listener of this.#listeners.message) listener({ data })
  }

  /** Everything that is under way has failed. */
  lose(): void {
    for (const listener of this.#listeners.close) listener({})
  }
}

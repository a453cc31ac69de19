import { monotonicNow } from '../client/clock.js'
import { EmittingSocket } from '../client/emitting-socket.js'
import { PING } from '../client/heartbeat.js'
import { onNetworkChange } from '../client/network-changes.js'
import type { NetworkChange } from '../client/network-changes.js'
import type { SocketEvent, SocketLike, Transport } from '../client/socket-source.js'
import { withToken } from '../client/upgrade-url.js'
import type { HttpSocket } from './http-socket.js'
import type { Network } from './network.js'

export interface FallbackSocketOptions {
  readonly url: string
  readonly network: Network
  /** How long a WebSocket may take to open before HTTP is used, in milliseconds. */
  readonly webSocketTimeout: number
  /** A WebSocket to this URL that is open and works. */
  readonly ready: SocketLike | undefined
  openWebSocket(url: string): SocketLike
  openHttp(): HttpSocket
  /** Receives a WebSocket that is open and works, for the next socket. */
  leave(url: string, socket: SocketLike): void
}

/**
 * A socket that is a WebSocket, or, in a network without WebSockets, a socket over HTTP. It does not change after it has opened: to use
 * the other transport, it ends, and the client opens the next one at once.
 */
export class FallbackSocket extends EmittingSocket implements SocketLike {
  readonly #options: FallbackSocketOptions
  readonly #ignoreNetwork: () => void
  /** The URL with the current token. */
  #url: string
  /** The socket that the client uses. */
  #socket: SocketLike | undefined
  /** Set if HTTP is used. */
  #http: HttpSocket | undefined
  /** A WebSocket that is not used yet. */
  #trial: SocketLike | undefined
  #triedAt = -Infinity
  #isOpen = false
  #isEnded = false
  #isOffline = false
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(options: FallbackSocketOptions) {
    super()
    this.#options = options
    this.#url = options.url
    if (options.ready !== undefined) {
      this.#useWebSocket(options.ready, true)
      // Later, since the client has not added its listeners yet.
      queueMicrotask(() => this.#open())
    } else if (options.network.prefersHttp) {
      this.#useHttp()
    } else {
      this.#try()
      this.#after(options.webSocketTimeout, () => this.#onSlowWebSocket())
    }
    this.#ignoreNetwork = onNetworkChange((change) => this.#onNetworkChange(change))
  }

  get transport(): Transport {
    return this.#http?.transport ?? 'websocket'
  }

  send(message: string | Uint8Array<ArrayBuffer>): void {
    this.#socket?.send(message)
  }

  close(): void {
    if (this.#isEnded) return
    // The client has not waited longer for the WebSocket to open.
    if (this.#trial !== undefined && this.#http === undefined) this.#options.network.webSocketFailed()
    this.#end()
  }

  #end(): void {
    this.#isEnded = true
    this.#ignoreNetwork()
    clearTimeout(this.#timer)
    this.#dropTrial()
    this.#socket?.close()
  }

  /** Opens this socket for the client. */
  #open(): void {
    if (this.#isEnded) return
    this.#isOpen = true
    this.dispatch('open', {})
  }

  /** Ends this socket for the client. */
  #close(event: SocketEvent): void {
    if (this.#isEnded) return
    this.#end()
    this.dispatch('close', event)
  }

  #pass(type: 'message' | 'error', event: SocketEvent): void {
    if (!this.#isEnded) this.dispatch(type, event)
  }

  #after(milliseconds: number, run: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(run, milliseconds)
  }

  // The WebSocket

  #useWebSocket(socket: SocketLike, isProven: boolean): void {
    const { network } = this.#options
    const openedAt = monotonicNow()
    let hasWorked = isProven
    this.#socket = socket
    clearTimeout(this.#timer)
    if (!isProven) {
      // A proxy may accept a WebSocket, and pass no data.
      socket.send(PING)
      this.#after(PROOF_TIMEOUT_MS, () => {
        network.webSocketFailed()
        this.#close({ reason: 'no message arrived over the WebSocket' })
      })
    }
    socket.addEventListener('message', (event) => {
      if (!hasWorked) clearTimeout(this.#timer)
      hasWorked = true
      network.webSocketWorks()
      this.#pass('message', event)
    })
    socket.addEventListener('error', (event) => this.#pass('error', event))
    socket.addEventListener('close', (event) => {
      if (this.#isEnded) return
      if (!hasWorked) network.webSocketFailed()
      else if (isLost(event)) network.webSocketLost(monotonicNow() - openedAt)
      this.#close(event)
    })
  }

  /** Opens a WebSocket. The client uses it at once if nothing else is open, and otherwise as soon as it has no calls in flight. */
  #try(): void {
    const socket = this.#options.openWebSocket(this.#url)
    socket.binaryType = 'arraybuffer'
    this.#trial = socket
    this.#triedAt = monotonicNow()
    let failure: SocketEvent = {}
    const isCurrent = (): boolean => this.#trial === socket
    socket.addEventListener('open', () => {
      if (!isCurrent()) return
      if (this.#isOpen) return this.#prove(socket)
      this.#trial = undefined
      this.#http?.close()
      this.#http = undefined
      this.#useWebSocket(socket, false)
      this.#open()
    })
    socket.addEventListener('error', (event) => (failure = event))
    socket.addEventListener('close', (event) => {
      if (!isCurrent()) return
      this.#trial = undefined
      if (this.#http === undefined) this.#onFailedWebSocket(failure, event)
      else if (this.#isOpen) this.#giveUp()
    })
  }

  #dropTrial(): void {
    const trial = this.#trial
    this.#trial = undefined
    trial?.close()
  }

  #onFailedWebSocket(failure: SocketEvent, event: SocketEvent): void {
    const { network } = this.#options
    network.webSocketFailed()
    if (network.prefersHttp) return this.#useHttp()
    this.#pass('error', failure)
    this.#close(event)
  }

  /** Starts HTTP beside the WebSocket, which may still open. */
  #onSlowWebSocket(): void {
    const { network } = this.#options
    if (!network.isGivingUp) return
    network.webSocketFailed()
    this.#useHttp()
  }

  // HTTP

  #useHttp(): void {
    const { network, openHttp } = this.#options
    clearTimeout(this.#timer)
    const http = openHttp()
    this.#http = this.#socket = http
    http.onToken = (token) => (this.#url = withToken(this.#url, token))
    const isCurrent = (): boolean => this.#http === http
    http.addEventListener('open', () => {
      if (!isCurrent()) return
      if (this.#trial === undefined) this.#tryLater()
      else this.#after(TRIAL_TIMEOUT_MS, () => this.#giveUp())
      this.#open()
    })
    http.addEventListener('message', (event) => this.#pass('message', event))
    http.addEventListener('error', (event) => isCurrent() && this.#pass('error', event))
    http.addEventListener('close', (event) => {
      if (!isCurrent()) return
      if (!this.#isOpen) network.httpFailed()
      this.#close(event)
    })
  }

  // Back to a WebSocket

  #tryLater(): void {
    this.#after(this.#options.network.untilProbe, () => this.#tryAgain())
  }

  #tryAgain(): void {
    this.#after(TRIAL_TIMEOUT_MS, () => this.#giveUp())
    try {
      this.#try()
    } catch {
      // The client reports an invalid URL.
      this.#giveUp()
    }
  }

  #giveUp(): void {
    this.#dropTrial()
    this.#options.network.probed(false)
    this.#tryLater()
  }

  /** Waits for a message over the WebSocket. */
  #prove(socket: SocketLike): void {
    let isProven = false
    socket.addEventListener('message', () => {
      if (isProven || this.#trial !== socket) return
      isProven = true
      this.#switch(socket)
    })
    this.#after(PROOF_TIMEOUT_MS, () => this.#giveUp())
    socket.send(PING)
  }

  /** Uses the WebSocket, unless there are calls in flight: they would be lost. */
  #switch(socket: SocketLike): void {
    const { network, leave } = this.#options
    const http = this.#http!
    if (!http.isIdle) {
      http.onIdle = () => this.#trial === socket && this.#switch(socket)
      return this.#after(IDLE_TIMEOUT_MS, () => {
        this.#dropTrial()
        network.postponeProbe()
        this.#tryLater()
      })
    }
    this.#trial = undefined
    network.probed(true)
    leave(this.#url, socket)
    http.handOver()
  }

  #onNetworkChange(change: NetworkChange): void {
    if (change === 'worse' || change === 'returned') this.#options.network.changed()
    if (change === 'worse') this.#isOffline = true
    if ((change !== 'better' || !this.#isOffline) && change !== 'returned') return
    this.#isOffline = false
    const isWaiting = this.#http !== undefined && this.#isOpen && this.#trial === undefined
    if (isWaiting && monotonicNow() - this.#triedAt > MIN_TRIAL_INTERVAL_MS) this.#after(Math.random() * MAX_SHORT_DELAY_MS, () => this.#tryAgain())
  }
}

/** Whether a WebSocket was lost without a close frame. */
const isLost = ({ code = 0 }: SocketEvent): boolean => code === 0 || code === 1006

/** The time limit for the first message over an open WebSocket, in milliseconds. */
const PROOF_TIMEOUT_MS = 5_000

/** The time limit for a WebSocket to open while HTTP is used, in milliseconds. */
const TRIAL_TIMEOUT_MS = 10_000

/** How long an open WebSocket waits for the end of all calls in flight, in milliseconds. */
const IDLE_TIMEOUT_MS = 5_000

/** The minimum time between two attempts because of network changes, in milliseconds. */
const MIN_TRIAL_INTERVAL_MS = 10_000

/** The maximum delay of an attempt because of a network change, in milliseconds. */
const MAX_SHORT_DELAY_MS = 1_000

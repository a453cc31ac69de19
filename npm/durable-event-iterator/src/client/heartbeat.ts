import { MAX_TIMER_MS } from './backoff.js'
import { monotonicNow } from './clock.js'

/**
 * Notices a connection that has died without a close, which a WebSocket alone takes minutes for.
 *
 * The message `ping` is answered by the Workers runtime in place of the Durable Object, so it wakes nobody.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions
  #lastHeard = 0
  #lastAsked = Number.NEGATIVE_INFINITY
  /** Whether a ping was sent and nothing has arrived since. */
  #isWaiting = false
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(options: HeartbeatOptions) {
    this.#options = options
  }

  start(): void {
    this.stop()
    this.#lastHeard = monotonicNow()
    this.#listen()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#isWaiting = false
  }

  /** Something arrived. Only noted: this runs with each message. */
  heard(): void {
    this.#lastHeard = monotonicNow()
    this.#isWaiting = false
  }

  /**
   * Sends a ping now, because something suggests that the connection is dead. An earlier ping that was not answered keeps
   * its deadline, however often this is called.
   */
  ask(): void {
    const now = monotonicNow()
    if (this.#options.interval === 0 || this.#isWaiting || now - this.#lastAsked < MIN_ASK_INTERVAL_MS) return
    this.#lastAsked = now
    this.#ping()
  }

  #ping(): void {
    clearTimeout(this.#timer)
    this.#isWaiting = true
    this.#options.send(PING)
    this.#timer = setTimeout(() => {
      if (this.#isWaiting) this.#options.onSilence()
      else this.#listen()
    }, Math.min(this.#options.interval, MAX_ANSWER_TIMEOUT_MS))
  }

  #listen(): void {
    const { interval } = this.#options
    if (interval === 0) return
    const quiet = monotonicNow() - this.#lastHeard
    this.#timer = setTimeout(() => {
      if (monotonicNow() - this.#lastHeard >= interval) this.#ping()
      else this.#listen()
    }, Math.min(Math.max(interval - quiet, 0), MAX_TIMER_MS))
  }
}

export interface HeartbeatOptions {
  /** How long the connection may be silent before a ping is sent, in milliseconds; 0 never sends one. */
  interval: number
  send(message: string): void
  /** Called when a ping was not answered. */
  onSilence(): void
}

/** The least time between two pings that events ask for, in milliseconds: events may come in bursts. */
const MIN_ASK_INTERVAL_MS = 1_000

const PING = 'ping'

/** The answer to a ping, which is no frame. */
export const PONG = 'pong'

/** How long an answer to a ping may take, in milliseconds: ten round trips of a bad mobile connection. */
const MAX_ANSWER_TIMEOUT_MS = 10_000

import { MAX_TIMER_MS } from './backoff.js'
import { monotonicNow } from './clock.js'

export interface HeartbeatOptions {
  /** The silence after which a ping is sent, in milliseconds; 0 disables pings. */
  interval: number
  send(message: string): void
  /** Called when no message arrives in time after a ping. */
  onSilence(): void
}

/**
 * Detects a connection that was lost without a close. A WebSocket alone detects this only after minutes.
 *
 * The Workers runtime responds to the message `ping` itself, so a ping does not wake a hibernating Durable Object.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions
  #lastHeard = monotonicNow()
  #lastAsked = -Infinity
  /** Whether a ping was sent and nothing has arrived since. */
  #isWaiting = false
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(options: HeartbeatOptions) {
    this.#options = options
    this.#schedule(options.interval)
  }

  stop(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer)
  }

  /** Called with each received message, so it only records the time. */
  heard(): void {
    this.#lastHeard = monotonicNow()
    this.#isWaiting = false
  }

  /**
   * Sends a ping now, because the connection may be lost. If a ping is already waiting for its pong, its deadline stays the
   * same.
   *
   * @param isUrgent - Whether the connection is probably lost, so that a short time limit applies, also to a ping that is waiting.
   */
  ask(isUrgent: boolean): void {
    const now = monotonicNow()
    if (!isUrgent && (this.#isWaiting || now - this.#lastAsked < MIN_ASK_INTERVAL_MS)) return
    this.#lastAsked = now
    this.#ping(isUrgent ? URGENT_PONG_TIMEOUT_MS : MAX_PONG_TIMEOUT_MS)
  }

  #ping(timeout: number): void {
    const { interval, send } = this.#options
    if (interval === 0) return
    this.#isWaiting = true
    send(PING)
    this.#schedule(Math.min(interval, timeout))
  }

  #schedule(milliseconds: number): void {
    const { interval, onSilence } = this.#options
    if (interval === 0) return
    this.stop()
    this.#timer = setTimeout(() => {
      const untilPing = this.#lastHeard + interval - monotonicNow()
      if (this.#isWaiting) onSilence()
      else if (untilPing > 0) this.#schedule(untilPing)
      else this.#ping(MAX_PONG_TIMEOUT_MS)
    }, Math.min(milliseconds, MAX_TIMER_MS))
  }
}

/** The minimum interval between two calls of `ask` that send a ping, in milliseconds: network changes may come in bursts. */
const MIN_ASK_INTERVAL_MS = 1_000

/** The runtime responds to it itself. It is not a frame. */
export const PING = 'ping'

/** The response to a ping. It is not a frame. */
export const PONG = 'pong'

/** The maximum time between a ping and its pong, in milliseconds: ten round trips of a bad mobile connection. */
const MAX_PONG_TIMEOUT_MS = 10_000

/**
 * The maximum time between a ping and its pong after the page was frozen, in milliseconds. A connection that survived is replaced
 * on a very slow network, which costs one resume; a lost one is detected at once.
 */
const URGENT_PONG_TIMEOUT_MS = 1_000

/**
 * Notices a connection that has died without a word, which a WebSocket alone takes minutes for.
 *
 * The message `ping` is answered by the runtime in the object's place, so it wakes nobody.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions
  #lastHeard = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(options: HeartbeatOptions) {
    this.#options = options
  }

  start(): void {
    this.#lastHeard = Date.now()
    this.#listen()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** Something came. Only noted: this runs with each message. */
  heard(): void {
    this.#lastHeard = Date.now()
  }

  /** Asks now, because something suggests that the connection is dead. */
  ask(): void {
    if (this.#options.interval === 0) return
    clearTimeout(this.#timer)
    const askedAt = Date.now()
    this.#options.send(PING)
    this.#timer = setTimeout(() => {
      if (this.#lastHeard < askedAt) this.#options.onSilence()
      else this.#listen()
    }, Math.min(this.#options.interval, MAX_ANSWER_TIMEOUT_MS))
  }

  #listen(): void {
    const { interval } = this.#options
    if (interval === 0) return
    const quiet = Date.now() - this.#lastHeard
    this.#timer = setTimeout(() => {
      if (Date.now() - this.#lastHeard >= interval) this.ask()
      else this.#listen()
    }, Math.max(interval - quiet, 0))
  }
}

export interface HeartbeatOptions {
  /** How long nothing may come before it is asked, in milliseconds; 0 never asks. */
  interval: number
  send(message: string): void
  /** Called when no answer came. */
  onSilence(): void
}

const PING = 'ping'

/** The answer to a ping, which is no frame. */
export const PONG = 'pong'

/** Ten round trips of a bad mobile connection. */
const MAX_ANSWER_TIMEOUT_MS = 10_000

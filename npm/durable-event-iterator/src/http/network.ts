import { monotonicNow } from '../client/clock.js'

/** What the subscriptions of a fallback know about the network. All times are in milliseconds. */
export class Network {
  /** The time limit of the server for a request that waits for an event, in seconds. */
  pollSeconds = MAX_POLL_SECONDS
  /** The last gap of which no client has been notified, and the cursor before it. */
  gap: { readonly lastEventId: string | undefined; readonly nextEventId: string } | undefined
  /** The consecutive WebSockets that did not open, or did not last. */
  #failures = 0
  /** Whether a message has ever arrived over a WebSocket. */
  #hasWorked = false
  readonly #minProbeDelay: number
  #probeDelay: number
  /** The time of the next attempt to use a WebSocket again. */
  #probeAt: number | undefined
  #sseAvoidedUntil = -Infinity

  /** @param probeDelay - The time until the first attempt to use a WebSocket again. It doubles with each attempt. */
  constructor(probeDelay: number) {
    this.#minProbeDelay = this.#probeDelay = probeDelay
  }

  /** Whether the next connection should use HTTP without trying a WebSocket first. */
  get prefersHttp(): boolean {
    return this.#failures >= (this.#hasWorked ? FAILURES_TO_GIVE_UP : 1)
  }

  /** Whether the next connection will use HTTP if the current attempt fails. */
  get isGivingUp(): boolean {
    return this.#failures + 1 >= (this.#hasWorked ? FAILURES_TO_GIVE_UP : 1)
  }

  get prefersPolling(): boolean {
    return monotonicNow() < this.#sseAvoidedUntil
  }

  /** The time until the next attempt to use a WebSocket again. It is random, so that clients do not all try at once. */
  get untilProbe(): number {
    const now = monotonicNow()
    this.#probeAt ??= now + this.#probeDelay * (1 + Math.random() / 4)
    return Math.max(0, this.#probeAt - now)
  }

  /** A message has arrived over a WebSocket. */
  webSocketWorks(): void {
    this.#hasWorked = true
  }

  /** A WebSocket did not open, or no message has arrived over it. */
  webSocketFailed(): void {
    this.#failures += 1
  }

  /** A WebSocket that worked was lost without a close frame. */
  webSocketLost(lasted: number): void {
    const isStable = lasted >= STABLE_MS
    this.#failures = isStable ? 0 : this.#failures + 1
    if (isStable) this.#probeDelay = this.#minProbeDelay
  }

  /** An attempt to use a WebSocket again has failed or succeeded. */
  probed(hasSucceeded: boolean): void {
    if (hasSucceeded) this.#failures = 0
    // Several subscriptions try at the same time.
    if (this.#probeAt === undefined || monotonicNow() < this.#probeAt) return
    // Also after a success, which may not last.
    this.#probeDelay = Math.min(this.#probeDelay * 2, this.#minProbeDelay * MAX_PROBE_FACTOR)
    this.postponeProbe()
  }

  /** Plans the next attempt again. */
  postponeProbe(): void {
    this.#probeAt = undefined
  }

  /** A connection over HTTP did not open either: the network may be down, or have changed. */
  httpFailed(): void {
    this.#failures = 0
  }

  /** Server-sent events do not arrive in time, or are cut. */
  avoidSse(): void {
    this.#sseAvoidedUntil = monotonicNow() + SSE_AVOIDED_MS
  }

  /** A request that waits for an event was cut. */
  shortenPolls(): void {
    this.pollSeconds = Math.max(1, Math.floor(this.pollSeconds / 2))
  }

  /** The device has probably another network. */
  changed(): void {
    this.#failures = 0
    this.pollSeconds = MAX_POLL_SECONDS
    this.#sseAvoidedUntil = -Infinity
    this.#probeDelay = this.#minProbeDelay
    this.postponeProbe()
  }
}

/** After this number of failures of WebSockets that have worked before, the client uses HTTP. */
const FAILURES_TO_GIVE_UP = 2

/** A WebSocket that lasted this long is no failure. Proxies that do not support WebSockets cut them earlier. */
const STABLE_MS = 60_000

/** The limit of the growth of the time between two attempts to use a WebSocket again. */
const MAX_PROBE_FACTOR = 16

const SSE_AVOIDED_MS = 10 * 60_000

/** Shorter than the time limits of most proxies. */
const MAX_POLL_SECONDS = 20

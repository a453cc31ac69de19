import { monotonicNow } from '../client/clock.js'
import { EmittingSocket } from '../client/emitting-socket.js'
import { messageOf } from '../client/errors.js'
import { PING, PONG } from '../client/heartbeat.js'
import { onNetworkChange } from '../client/network-changes.js'
import { HAND_OVER_CLOSE } from '../client/socket-source.js'
import type { SocketLike, Transport } from '../client/socket-source.js'
import { emptyResponseOf, EVENT, frameOf, headOf, isAbort, isRequest, subscribedOf } from '../client/wire/envelope.js'
import type { Frame } from '../client/wire/envelope.js'
import { GAP_HEADER, SINCE_HEADER } from '../wire.js'
import { call } from './call.js'
import type { Door, Rejection } from './door.js'
import { issuedAt, poll, readStream } from './feed.js'
import type { FeedEnd, FeedOptions, Position } from './feed.js'
import type { Network } from './network.js'

/** The subscription of the client. */
interface Subscription {
  /** Its call id. */
  readonly id: string
  /** The cursor of the client. */
  readonly lastEventId: string | undefined
  readonly position: Position
  /** Replaced when the feed is opened again. */
  signal: AbortController
  isOpen: boolean
  /** The number of events that have arrived. */
  events: number
  /** The gap of which the client has been notified, if no event has arrived since. */
  gap: string | undefined
}

/**
 * A socket over HTTP, with the members of a WebSocket. It reads frames of the client and writes frames of the Durable Object: the
 * subscription is a stream of server-sent events, or a sequence of requests that wait for events, and each call is a request.
 */
export class HttpSocket extends EmittingSocket implements SocketLike {
  transport: Transport
  /** Called when the last call in flight has ended. */
  onIdle = (): void => {}
  /** Called when the client has a new token. */
  onToken = (_token: string): void => {}
  readonly #door: Door
  readonly #network: Network
  readonly #streamTimeout: number
  readonly #ended = new AbortController()
  readonly #ignoreNetwork: () => void
  /** The calls in flight. */
  readonly #calls = new Map<string, AbortController>()
  #subscription: Subscription | undefined
  #heardAt = monotonicNow()
  #renewedAt = -Infinity
  /** Whether a ping waits for a sign that the connection works. */
  #isAsked = false

  /** @param streamTimeout - See {@link FeedOptions}. */
  constructor(door: Door, network: Network, streamTimeout: number) {
    super()
    this.#door = door
    this.#streamTimeout = streamTimeout
    this.#network = network
    this.transport = network.prefersPolling ? 'long-polling' : 'sse'
    this.#ignoreNetwork = onNetworkChange((change) => {
      // Browsers hold back what a frozen page has received.
      if (change === 'better' || change === 'returned') this.#renew(change === 'returned' ? 0 : RENEW_INTERVAL_MS)
    })
    void this.#open()
  }

  get isIdle(): boolean {
    return this.#calls.size === 0
  }

  send(message: string | Uint8Array<ArrayBuffer>): void {
    if (message === PING) return this.#ping()
    const frame = frameOf(typeof message === 'string' ? message : message.slice().buffer)
    if (frame === undefined || this.#isEnded) return
    if (isAbort(frame)) return this.#abort(frame.i)
    if (!isRequest(frame)) return
    if (frame.p.u === '/subscribe') void this.#subscribe(frame)
    else if (frame.p.u === '/updateToken') this.#updateToken(frame)
    else void this.#call(frame)
  }

  close(): void {
    if (this.#isEnded) return
    // The client closes a socket that does not respond to a ping: a proxy may collect the events.
    if (this.#isAsked && this.transport === 'sse') this.#network.avoidSse()
    this.#end()
  }

  /** Ends this socket. The client opens another one at once. */
  handOver(): void {
    if (this.#isEnded) return
    this.#end()
    this.dispatch('close', HAND_OVER_CLOSE)
  }

  get #isEnded(): boolean {
    return this.#ended.signal.aborted
  }

  async #open(): Promise<void> {
    try {
      await this.#door.check(this.#ended.signal)
      if (!this.#isEnded) this.dispatch('open', {})
    } catch (error) {
      this.#fail(error)
    }
  }

  #end(): void {
    this.#ended.abort()
    this.#ignoreNetwork()
    this.#subscription?.signal.abort()
    for (const call of this.#calls.values()) call.abort()
    this.#calls.clear()
  }

  /** Ends this socket like a lost WebSocket: whether calls in flight have been executed is unknown. */
  #fail(error: unknown): void {
    if (this.#isEnded) return
    this.#end()
    this.dispatch('error', { error })
    this.dispatch('close', { code: LOST_CODE, reason: messageOf(error) })
  }

  #deliver(data: string | ArrayBuffer): void {
    if (!this.#isEnded) this.dispatch('message', { data })
  }

  #abort(id: string): void {
    this.#calls.get(id)?.abort()
    if (this.#subscription?.id !== id) return
    this.#subscription.signal.abort()
    this.#subscription = undefined
  }

  // The heartbeat

  #ping(): void {
    const isQuiet = monotonicNow() - this.#heardAt > MAX_SILENCE_MS
    if (this.#subscription !== undefined && isQuiet) this.#isAsked = true
    // Later, since the client expects no response before `send` returns.
    else queueMicrotask(() => this.#deliver(PONG))
  }

  #onHeard(): void {
    this.#heardAt = monotonicNow()
    if (this.#isAsked) this.#deliver(PONG)
    this.#isAsked = false
  }

  /**
   * Opens the feed again, since the network may have changed: a lost connection is not reported.
   *
   * @param silence - The minimum time since the last sign that the connection works, in milliseconds.
   */
  #renew(silence: number): void {
    const now = monotonicNow()
    if (this.#subscription?.isOpen !== true || now - Math.max(this.#heardAt, this.#renewedAt) < silence) return
    this.#renewedAt = now
    const { signal } = this.#subscription
    this.#subscription.signal = new AbortController()
    signal.abort()
  }

  // The token

  #updateToken({ i, p }: Frame): void {
    const { token } = (p as { b?: { json?: { token?: unknown } } }).b?.json ?? {}
    if (typeof token !== 'string') return
    // A new token must not change the start of the subscription.
    const position = this.#subscription?.position
    if (position !== undefined) position.since ??= issuedAt(this.#door.token)
    this.#door.token = token
    this.onToken(token)
    queueMicrotask(() => this.#deliver(emptyResponseOf(i)))
  }

  // The subscription

  async #subscribe({ i, p: { h = {} } }: Frame): Promise<void> {
    const after = h['last-event-id'] as string | undefined
    const since = h[SINCE_HEADER] as string | undefined
    const known = this.#network.gap
    const subscription: Subscription = {
      id: i,
      lastEventId: after,
      position: { after, since },
      signal: new AbortController(),
      isOpen: false,
      events: 0,
      gap: undefined,
    }
    this.#subscription?.signal.abort()
    this.#subscription = subscription
    if (known !== undefined && known.lastEventId === after) this.#onOpened(subscription, known.nextEventId)
    try {
      await this.#run(subscription)
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Opens feeds until the subscription ends. */
  async #run(subscription: Subscription): Promise<void> {
    let cuts = 0
    while (this.#subscription === subscription && !this.#isEnded) {
      const { token } = this.#door
      const startedAt = monotonicNow()
      const { events } = subscription
      const end = await this.#feed(subscription)
      const hadEvents = subscription.events > events
      if (this.#subscription !== subscription || end.reason === 'aborted') continue
      // The client subscribes again, and the response reports the gap.
      if (end.reason === 'gap') return this.#finish(subscription, '{"e":"parked"}')
      if (end.reason === 'failed') return this.#finish(subscription, `{"e":"error"${end.data === undefined ? '' : `,"d":${end.data}`}}`)
      if (end.reason === 'buffered') {
        // The client is notified of the other transport when the subscription opens.
        if (subscription.isOpen) return this.#avoidSse()
        this.transport = 'long-polling'
      } else if (end.reason === 'cut') {
        const isUseless = !hadEvents && monotonicNow() - startedAt < STABLE_MS
        cuts = isUseless ? cuts + 1 : 0
        if (cuts > MAX_CUTS) return this.#avoidSse()
      } else if (end.reason === 'rejected' && !(subscription.isOpen && end.rejection.status === 401)) {
        return this.#reject(subscription, end.rejection)
      } else if (token === this.#door.token) {
        // The token has expired. Otherwise the request had the previous one.
        return this.#finish(subscription, '{"e":"done","d":{}}')
      }
    }
  }

  #feed(subscription: Subscription): Promise<FeedEnd> {
    const { signal, position, id } = subscription
    const head = headOf(id)
    const isCurrent = (): boolean => this.#subscription === subscription && !signal.signal.aborted
    const options: FeedOptions = {
      door: this.#door,
      streamTimeout: this.#streamTimeout,
      position,
      signal: signal.signal,
      onHeard: () => this.#onHeard(),
      onOpened: (gap) => this.#onOpened(subscription, gap),
      onEvent: (data, meta) => {
        if (!isCurrent()) return
        subscription.events += 1
        subscription.gap = undefined
        this.#deliver(`${head}${EVENT},"d":${data},"m":${JSON.stringify(meta)}}}`)
      },
    }
    return this.transport === 'sse' ? readStream(options) : this.#poll(options)
  }

  async #poll(options: FeedOptions): Promise<FeedEnd> {
    let isWaiting = false
    try {
      return await poll(
        {
          ...options,
          onOpened: (gap) => {
            isWaiting = true
            return options.onOpened(gap)
          },
        },
        () => this.#network.pollSeconds,
      )
    } catch (error) {
      if (isWaiting) this.#network.shortenPolls()
      throw error
    }
  }

  #onOpened(subscription: Subscription, gap: string | undefined): boolean {
    if (subscription.isOpen) {
      // Without an event in between, it is the same gap for the client, even if more events have been deleted.
      const isKnown = gap === undefined || subscription.gap !== undefined
      if (!isKnown) this.#network.gap = { lastEventId: subscription.lastEventId, nextEventId: gap }
      return isKnown
    }
    // Only now is it certain that long polling works.
    if (this.transport === 'long-polling') this.#network.avoidSse()
    subscription.isOpen = true
    subscription.gap = gap
    this.#network.gap = undefined
    this.#deliver(subscribedOf(subscription.id, gap === undefined ? {} : { [GAP_HEADER]: gap }))
    return true
  }

  /** Uses long polling from now on, on the next socket. */
  #avoidSse(): void {
    this.#network.avoidSse()
    this.handOver()
  }

  #reject({ id, isOpen }: Subscription, { status, body }: Rejection): void {
    // The client expects a response only once.
    if (isOpen) throw new Error(`the server responds with ${status}`)
    this.#subscription = undefined
    this.#deliver(`${headOf(id)},"p":${JSON.stringify({ s: status, b: body })}}`)
  }

  /** Ends the subscription with its last item. */
  #finish({ id }: Subscription, payload: string): void {
    this.#subscription = undefined
    this.#deliver(`${headOf(id)},"t":3,"p":${payload}}`)
  }

  // Calls

  async #call(frame: Frame): Promise<void> {
    const controller = new AbortController()
    this.#calls.set(frame.i, controller)
    try {
      await call(this.#door, frame, controller.signal, (message) => this.#deliver(message))
    } catch (error) {
      if (!controller.signal.aborted) this.#fail(error)
    } finally {
      controller.abort()
      this.#calls.delete(frame.i)
      if (this.isIdle && !this.#isEnded) this.onIdle()
    }
  }
}

/** The close code of a lost connection over HTTP. */
const LOST_CODE = 4901

/**
 * The silence after which a feed may be lost, in milliseconds. The endpoint sends a comment every 15 s, and responds to requests
 * that wait for events within 20 s.
 */
const MAX_SILENCE_MS = 25_000

/** The minimum silence, and the minimum interval, after which a feed is opened again because the network may be better. */
const RENEW_INTERVAL_MS = 2_000

/** A stream that lasted this long is opened again without limit. In milliseconds. */
const STABLE_MS = 5_000

/** The number of shorter streams without an event in a row after which the client uses long polling. */
const MAX_CUTS = 2

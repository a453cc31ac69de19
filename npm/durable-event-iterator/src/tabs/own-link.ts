import type { SocketLike, Transport } from '../client/socket-source.js'
import { ACKNOWLEDGED_CHARACTERS, GAP_HEADER } from '../wire.js'
import type { RecentEvent, Start } from './event-ring.js'
import {
  abortOf,
  acknowledgementOf,
  cursorOf,
  EVENT,
  eventIdOf,
  frameOf,
  hasFlowControl,
  headOf,
  isAbort,
  isLast,
  isRequest,
  PARKED,
  subscribedOf,
  subscribeOf,
  withoutFlowControl,
} from '../client/wire/envelope.js'
import type { Frame, SocketMessage } from '../client/wire/envelope.js'
import { Hub, isOfOtherTab, MAX_WAIT_MS } from './hub.js'
import type { HubOptions } from './hub.js'
import type { Link, LinkOptions } from './link.js'
import type { Message } from './message.js'

export interface OwnLinkOptions extends LinkOptions, Pick<HubOptions, 'maxAge' | 'onceGone'> {
  /** The tab cannot lead any more. The hub is closed. */
  onResign(): void
  /** The hub of the leading tab can continue the subscription `call` after the cursor, with the missed events. */
  onCaughtUp(answer: Message, call: string, cursor: string | undefined, missed: readonly RecentEvent[]): void
}

/**
 * The link of a tab with a WebSocket of its own. While the tab leads, the link has a hub for the other tabs. Otherwise it waits
 * until the hub of the leading tab can continue its subscription.
 */
export class OwnLink implements Link {
  readonly #options: OwnLinkOptions
  readonly #socket: SocketLike
  #isOpen = false
  #hub: Hub | undefined
  /** The subscription at the server. */
  #feed: Feed | undefined
  /** The call id of the client's subscription, which receives the events of the feed. */
  #subscription: string | undefined
  /** The call ids of the client's calls in flight. */
  readonly #calls = new Set<string>()
  /** The hub of the leading tab, if another tab leads. */
  #leader: string | undefined
  /** The last question to the leading tab: its time, the cursor, and whether an event without an id has arrived since. */
  #asked: { readonly at: number; readonly cursor: string | undefined; isOutdated: boolean } | undefined
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(socket: SocketLike, options: OwnLinkOptions) {
    this.#socket = socket
    this.#options = options
    socket.binaryType = 'arraybuffer'
    socket.addEventListener('open', () => {
      this.#isOpen = true
      this.#hub?.ready()
    })
    socket.addEventListener('message', ({ data }) => this.#onMessage(data as SocketMessage))
  }

  get transport(): Transport {
    return this.#socket.transport ?? 'websocket'
  }

  /** Starts to serve the other tabs, with a hub of this id. */
  lead(id: string): void {
    const { ring, maxAge, onceGone, post } = this.#options
    this.#forgetLeader()
    this.#hub = new Hub({ id, ring, maxAge, onceGone, post, transport: () => this.transport, send: (message) => this.#send(message) })
    if (this.#isOpen) this.#hub.ready()
    if (this.#feed?.isOpen === true) this.#hub.subscribed()
  }

  /** Stops to serve the other tabs. The client keeps the WebSocket. */
  stopLeading(): void {
    this.#hub?.close()
    this.#hub = undefined
    if (this.#subscription === undefined) this.#endFeed()
  }

  send(message: SocketMessage): void {
    const frame = frameOf(message)
    if (frame === undefined) return this.#send(message)
    if (isRequest(frame)) {
      if (frame.p.u === '/subscribe') return this.#subscribe(frame, message)
      this.#calls.add(frame.i)
    } else if (isAbort(frame)) {
      if (frame.i === this.#subscription) return this.#unsubscribe()
      this.#calls.delete(frame.i)
    }
    this.#send(message)
  }

  receive(message: Message): void {
    if (this.#hub !== undefined) return this.#hub.receive(message)
    const { from, to, type } = message
    if (to !== undefined && to !== this.#options.id) return
    if (type === 'here') {
      if (!message.isReady) return
      this.#leader = from
      this.#asked = undefined
      this.#joinLater()
    } else if (from !== this.#leader) {
      return
    } else if (type === 'bye') {
      if (to === undefined) this.#forgetLeader()
    } else if (type === 'subscribed') {
      this.#onAnswer(message, message.call, message.missed)
    }
  }

  close(): void {
    this.#forgetLeader()
    this.#hub?.close()
    this.#hub = this.#feed = undefined
    this.#socket.close()
  }

  // The subscription of the client, and that at the server

  #subscribe(frame: Frame, message: SocketMessage): void {
    const { ring, since, deliver } = this.#options
    const start = { cursor: cursorOf(frame.p.h), since }
    const missed = this.#feed?.isOpen === true ? ring.missedSince(start) : undefined
    if (missed === undefined) {
      // A hub cannot continue: the server has one subscription for each WebSocket.
      if (this.#feed !== undefined) this.#resign()
      this.#feed = { ...start, call: frame.i, headers: frame.p.h, isOpen: false, isEmpty: true, isParked: false, unacknowledged: undefined }
      this.#subscription = frame.i
      this.#send(message)
      return
    }
    this.#subscription = frame.i
    // Later, since the client expects no response before `send` returns.
    queueMicrotask(() => {
      deliver(subscribedOf(frame.i))
      for (const [tail] of missed) if (this.#subscription === frame.i) deliver(headOf(frame.i) + tail)
    })
  }

  #unsubscribe(): void {
    this.#subscription = undefined
    // The other tabs still need the feed.
    if (this.#hub === undefined) this.#endFeed()
  }

  #endFeed(): void {
    if (this.#feed !== undefined) this.#send(abortOf(this.#feed.call))
    this.#feed = undefined
  }

  #onMessage(message: SocketMessage): void {
    const { deliver } = this.#options
    const feed = this.#feed
    const head = feed && headOf(feed.call)
    if (feed && head !== undefined && typeof message === 'string' && message.startsWith(head)) {
      this.#onFeed(feed, message.slice(head.length))
      return
    }
    const frame = frameOf(message)
    if (frame !== undefined && isOfOtherTab(frame)) {
      this.#hub?.relayBack(frame, message)
      return
    }
    deliver(message)
    if (frame === undefined || !isLast(frame)) return
    this.#calls.delete(frame.i)
    this.#joinLater()
  }

  #onFeed(feed: Feed, tail: string): void {
    const { ring, deliver } = this.#options
    const isEvent = tail.startsWith(EVENT)
    let shown = tail
    if (isEvent) {
      this.#acknowledge(feed, tail)
      const id = eventIdOf(tail)
      feed.cursor = id ?? feed.cursor
      feed.isEmpty = false
      if (id === undefined && this.#asked !== undefined) this.#asked.isOutdated = true
      ring.push(tail, Date.now())
      this.#hub?.event(tail)
    } else {
      const frame = frameOf(headOf(feed.call) + tail)
      if (frame === undefined) return
      if (frame.p?.e === 'parked') return this.#continueFeed(feed, frame)
      if (isLast(frame) || (feed.isParked && hasGap(frame))) {
        this.#endFeed()
        this.#resign()
        // The client does not know that the feed was parked. It subscribes, and receives this response itself.
        if (feed.isParked) shown = PARKED
      } else {
        feed.unacknowledged = hasFlowControl(frame) ? 0 : undefined
        if (feed.isParked) {
          feed.isParked = false
          return
        }
        shown = withoutFlowControl(frame)
        feed.isOpen = true
        ring.start(feed, hasGap(frame), Date.now())
        this.#hub?.subscribed()
        this.#joinLater()
      }
    }
    if (this.#subscription !== undefined) deliver(headOf(this.#subscription) + shown)
    if (isEvent) this.#join()
  }

  /** Acknowledges the events of the feed for all tabs. The clients do not: their subscriptions have no flow control. */
  #acknowledge(feed: Feed, tail: string): void {
    if (feed.unacknowledged === undefined) return
    feed.unacknowledged += headOf(feed.call).length + tail.length
    if (feed.unacknowledged < ACKNOWLEDGED_CHARACTERS) return
    this.#send(acknowledgementOf(feed.call, feed.unacknowledged))
    feed.unacknowledged = 0
  }

  /** Subscribes again after the feed was parked. The clients notice nothing. */
  #continueFeed(feed: Feed, { p }: Frame): void {
    if (typeof p.m?.id === 'string') feed.cursor ??= p.m.id
    feed.isParked = true
    this.#send(subscribeOf(feed.call, feed.headers, feed.cursor))
  }

  #resign(): void {
    if (this.#hub === undefined) return
    this.stopLeading()
    this.#options.onResign()
  }

  // The leading tab

  #forgetLeader(): void {
    clearTimeout(this.#timer)
    this.#leader = this.#asked = undefined
  }

  #joinLater(): void {
    clearTimeout(this.#timer)
    if (this.#leader !== undefined) this.#timer = setTimeout(() => this.#join(), SETTLING_MS)
  }

  /** Whether another tab can continue: no call is in flight, and the cursor states what the client has received. */
  get #isReadyToJoin(): boolean {
    const feed = this.#feed
    return this.#calls.size === 0 && this.#subscription !== undefined && feed?.isOpen === true && (feed.isEmpty || feed.cursor !== undefined)
  }

  #join(): void {
    const { post, id, since } = this.#options
    const now = Date.now()
    const isWaiting = this.#asked !== undefined && now - this.#asked.at < MAX_WAIT_MS
    if (this.#leader === undefined || isWaiting || !this.#isReadyToJoin) return
    const { cursor } = this.#feed!
    this.#asked = { at: now, cursor, isOutdated: false }
    post({ type: 'subscribe', from: id, to: this.#leader, call: this.#subscription!, cursor, since })
  }

  #onAnswer(answer: Message, call: string, missed: readonly RecentEvent[] | undefined): void {
    const asked = this.#asked
    this.#asked = undefined
    if (asked === undefined || asked.isOutdated || call !== this.#subscription || missed === undefined || !this.#isReadyToJoin) return
    const { cursor } = this.#feed!
    // The events that arrived meanwhile. If the leader has not received them yet, the next event is the next opportunity.
    const arrived = cursor === asked.cursor ? 0 : missed.findIndex(([tail]) => eventIdOf(tail) === cursor) + 1
    if (cursor === asked.cursor || arrived > 0) this.#options.onCaughtUp(answer, call, cursor, missed.slice(arrived))
  }

  #send(message: SocketMessage): void {
    this.#socket.send(typeof message === 'string' ? message : new Uint8Array(message))
  }
}

/** The subscription at the server. Its cursor is that of the last event. */
type Feed = { -readonly [K in keyof Start]: Start[K] } & {
  readonly call: string
  /** The headers of its first request. */
  readonly headers: Frame['p']['h']
  isOpen: boolean
  isEmpty: boolean
  /** Whether it has been parked, and the next response is awaited. */
  isParked: boolean
  /** In characters; undefined without flow control. */
  unacknowledged: number | undefined
}

/** Whether a response to `/subscribe` reports a gap. */
const hasGap = ({ p }: Frame): boolean => p?.h?.[GAP_HEADER] !== undefined

/** How long a subscription without an event must be open before it is certain that the server sends no snapshot, in milliseconds. */
const SETTLING_MS = 2_000

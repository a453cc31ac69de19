import type { Transport } from '../client/socket-source.js'
import type { EventRing, Start } from './event-ring.js'
import { abortOf, frameOf, isAbort, isLast, isRequest, withId } from '../client/wire/envelope.js'
import type { Frame, SocketMessage } from '../client/wire/envelope.js'
import type { Content, Message } from './message.js'

/** What a hub needs of its tab. */
export interface HubOptions {
  /** A random id. */
  readonly id: string
  /** The events of the subscription. */
  readonly ring: EventRing
  /** The age from which on messages of other tabs are not relayed, in milliseconds. */
  readonly maxAge: number
  /** Returns how the events of the subscription arrive. */
  transport(): Transport
  /** Sends a message to the other tabs. */
  post(message: Content): void
  /** Sends a message to the server. */
  send(message: SocketMessage): void
  /** Calls the listener when the socket of a tab is closed, or the tab has crashed. Returns a function that stops this. */
  onceGone(tab: string, listener: () => void): () => void
}

/**
 * Serves the other tabs over the socket of the leading tab: it relays their calls, and sends them the events of its subscription.
 *
 * The call id of another tab's call is prefixed with the tab's id, so that each response leads back to its tab.
 */
export class Hub {
  readonly #options: HubOptions
  readonly #tabs = new Map<string, Tab>()
  #isReady = false
  #isSubscribed = false

  constructor(options: HubOptions) {
    this.#options = options
    this.#introduce()
  }

  /** Called when the socket is open. */
  ready(): void {
    this.#isReady = true
    this.#introduce()
  }

  /** Called when the subscription is open, after it has started in the ring. */
  subscribed(): void {
    this.#isSubscribed = true
    this.#answerWaiting()
  }

  /** Called with each event of the subscription, after it has been added to the ring. */
  event(tail: string): void {
    if (this.#tabs.size === 0) return
    this.#post({ type: 'event', tail })
    this.#answerWaiting()
  }

  /** Handles a message of another tab. */
  receive(message: Message): void {
    const { from, to, type, number } = message
    const { id, maxAge } = this.#options
    if (to !== id && (to !== undefined || type !== 'hello')) return
    const tab = this.#tabOf(from)
    const isMissing = to === id && number !== tab.number + 1
    if (to === id) tab.number = number
    // A missing message may be a call, whose response the other tab expects. A call in an old message has been given up there.
    if (isMissing || (type === 'data' && Date.now() - message.at > maxAge)) this.#dismiss(from, tab)
    else if (type === 'hello') this.#introduce(from)
    else if (type === 'subscribe') this.#subscribe(from, tab, message)
    else if (type === 'data') this.#relay(from, tab, message.data)
  }

  /** Passes a frame of the server to its tab. */
  relayBack(frame: Frame, message: SocketMessage): void {
    const [to = '', call = ''] = frame.i.split(SEPARATOR)
    const calls = this.#tabs.get(to)?.calls
    const data = withId(message, frame.i, call)
    if (calls?.has(frame.i) === true && data !== undefined) this.#post({ type: 'data', to, data, at: Date.now() })
    if (isLast(frame)) calls?.delete(frame.i)
  }

  /** Ends the hub. The other tabs continue with the next one. */
  close(): void {
    for (const from of [...this.#tabs.keys()]) this.#remove(from)
    this.#post({ type: 'bye' })
  }

  #introduce(to?: string): void {
    this.#post({ type: 'here', isReady: this.#isReady, ...(to === undefined ? {} : { to }) })
  }

  #tabOf(id: string): Tab {
    let tab = this.#tabs.get(id)
    if (tab === undefined) {
      tab = { number: 0, calls: new Set(), ignore: this.#options.onceGone(id, () => this.#remove(id)), waiting: undefined }
      this.#tabs.set(id, tab)
    }
    return tab
  }

  #remove(id: string): void {
    const tab = this.#tabs.get(id)
    if (tab === undefined) return
    this.#tabs.delete(id)
    tab.ignore()
    this.#reset(tab)
  }

  #reset(tab: Tab): void {
    clearTimeout(tab.waiting?.timer)
    tab.waiting = undefined
    for (const call of tab.calls) this.#options.send(abortOf(call))
    tab.calls.clear()
  }

  /** Ends the socket of another tab, which then opens another one. */
  #dismiss(to: string, tab: Tab): void {
    this.#reset(tab)
    this.#post({ type: 'bye', to })
  }

  #subscribe(from: string, tab: Tab, { call, cursor, since }: Start & { call: string }): void {
    clearTimeout(tab.waiting?.timer)
    const timer = setTimeout(() => {
      tab.waiting = undefined
      this.#post({ type: 'subscribed', to: from, call, missed: undefined })
    }, MAX_WAIT_MS)
    tab.waiting = { call, cursor, since, timer }
    this.#answer(from, tab)
  }

  #answerWaiting(): void {
    for (const [from, tab] of this.#tabs) this.#answer(from, tab)
  }

  #answer(to: string, tab: Tab): void {
    const { waiting } = tab
    const missed = waiting && this.#isSubscribed ? this.#options.ring.missedSince(waiting) : undefined
    if (waiting === undefined || missed === undefined) return
    clearTimeout(waiting.timer)
    tab.waiting = undefined
    this.#post({ type: 'subscribed', to, call: waiting.call, missed, transport: this.#options.transport() })
  }

  #relay(from: string, { calls }: Tab, data: SocketMessage): void {
    if (data === 'ping') this.#post({ type: 'data', to: from, data: 'pong', at: Date.now() })
    const frame = frameOf(data)
    if (frame === undefined) return
    const id = from + SEPARATOR + frame.i
    const message = withId(data, frame.i, id)
    // A second subscription would end that of the leading tab.
    if (message === undefined || (isRequest(frame) && frame.p.u === '/subscribe')) return
    if (isRequest(frame)) calls.add(id)
    if (calls.has(id)) this.#options.send(message)
    if (isAbort(frame)) calls.delete(id)
  }

  #post(message: OfHub<Content>): void {
    this.#options.post({ ...message, from: this.#options.id } as Content)
  }
}

type OfHub<T> = T extends Content ? Omit<T, 'from'> : never

/** Another tab. */
interface Tab {
  /** The number of its last message to this hub. */
  number: number
  /** The call ids at the server of its calls in flight. */
  readonly calls: Set<string>
  /** Stops watching whether the tab exists. */
  readonly ignore: () => void
  /** A request to subscribe without a response. */
  waiting: (Start & { readonly call: string; readonly timer: ReturnType<typeof setTimeout> }) | undefined
}

/** Between the id of a tab and a call id. Neither contains it. */
const SEPARATOR = ':'

/** Whether a frame belongs to a call of another tab. */
export const isOfOtherTab = ({ i }: Frame): boolean => i.includes(SEPARATOR)

/**
 * How long the hub waits for its own subscription, and for the event that another tab has received before, in milliseconds.
 * Afterwards that tab opens a socket of its own.
 */
export const MAX_WAIT_MS = 1_000

import type { Transport } from '../client/socket-source.js'
import type { RecentEvent } from './event-ring.js'
import { cursorOf, emptyResponseOf, frameOf, headOf, isAbort, isRequest, subscribedOf } from '../client/wire/envelope.js'
import type { SocketMessage } from '../client/wire/envelope.js'
import type { Link, LinkOptions } from './link.js'
import type { Content, Message } from './message.js'

export interface FollowingLinkOptions extends LinkOptions {
  /** Ends the socket, so that the client opens another one at once. `isAlone`: that one has a WebSocket of its own. */
  handOver(isAlone: boolean): void
}

/** The link of a tab that uses the hub of the leading tab. */
export class FollowingLink implements Link {
  /** The id of the hub. */
  readonly hub: string
  /** How the events of the leading tab arrive, when it is known. */
  transport: Transport | undefined
  readonly #options: FollowingLinkOptions
  #subscription: { readonly call: string; readonly cursor: string | undefined; isOpen: boolean } | undefined

  /** The number of the hub's last message. */
  #number: number

  /** @param message - The last message of the hub. */
  constructor(message: Message, options: FollowingLinkOptions) {
    this.hub = message.from
    this.#number = message.number
    if (message.type === 'subscribed') this.transport = message.transport
    this.#options = options
  }

  /** Continues an open subscription of the client after a cursor. */
  continue(call: string, cursor: string | undefined, missed: readonly RecentEvent[]): void {
    this.#subscription = { call, cursor, isOpen: true }
    this.#begin(missed)
  }

  send(data: SocketMessage): void {
    const frame = frameOf(data)
    const path = frame && isRequest(frame) ? frame.p.u : undefined
    if (frame && path === '/subscribe') {
      const cursor = cursorOf(frame.p.h)
      // Without a cursor, the server may send a snapshot.
      if (cursor === undefined) return this.#options.handOver(true)
      this.#subscription = { call: frame.i, cursor, isOpen: false }
      this.#post({ type: 'subscribe', call: frame.i, cursor, since: this.#options.since })
    } else if (frame && path === '/updateToken') {
      // The shared WebSocket does not use this token. Later, since the client expects no response before `send` returns.
      queueMicrotask(() => this.#options.deliver(emptyResponseOf(frame.i)))
    } else if (frame && isAbort(frame) && frame.i === this.#subscription?.call) {
      this.#subscription = undefined
    } else {
      this.#post({ type: 'data', data, at: Date.now() })
    }
  }

  receive(message: Message): void {
    const { deliver, id, handOver } = this.#options
    const { from, to, type, number } = message
    const subscription = this.#subscription
    if (from !== this.hub) {
      // Another tab leads now.
      if (type === 'here' && to === undefined) handOver(false)
      return
    }
    this.#number += 1
    if (number !== this.#number) {
      // An event or a response is missing.
      handOver(false)
    } else if (to !== undefined && to !== id) {
      return
    } else if (type === 'bye') {
      handOver(false)
    } else if (type === 'data') {
      deliver(message.data)
    } else if (type === 'event') {
      if (subscription?.isOpen === true) this.#onEvent(message.tail, Date.now())
    } else if (type === 'subscribed' && subscription?.isOpen === false && message.call === subscription.call) {
      if (message.missed === undefined) return handOver(true)
      subscription.isOpen = true
      this.transport = message.transport
      deliver(subscribedOf(subscription.call))
      this.#begin(message.missed)
    }
  }

  close(): void {
    this.#subscription = undefined
  }

  #begin(missed: readonly RecentEvent[]): void {
    const { ring, since } = this.#options
    const subscription = this.#subscription
    // The client may have unsubscribed.
    if (subscription === undefined) return
    ring.start({ cursor: subscription.cursor, since }, false, Date.now())
    for (const [tail, at] of missed) if (this.#subscription === subscription) this.#onEvent(tail, at)
  }

  #onEvent(tail: string, at: number): void {
    this.#options.ring.push(tail, at)
    this.#options.deliver(headOf(this.#subscription!.call) + tail)
  }

  #post(message: ToHub<Content>): void {
    this.#options.post({ ...message, from: this.#options.id, to: this.hub } as Content)
  }
}

type ToHub<T> = T extends Content ? Omit<T, 'from' | 'to'> : never

import { EmittingSocket } from '../client/emitting-socket.js'
import { HAND_OVER_CLOSE } from '../client/socket-source.js'
import type { SocketEvent, SocketInfo, SocketLike, SocketSource, Transport } from '../client/socket-source.js'
import { EventRing } from './event-ring.js'
import { FollowingLink } from './following-link.js'
import type { SocketMessage } from '../client/wire/envelope.js'
import type { LinkOptions } from './link.js'
import { Lock } from './lock.js'
import { isMessage } from './message.js'
import type { Content, Message } from './message.js'
import { OwnLink } from './own-link.js'
import { Silence } from './silence.js'

export interface TabSocketOptions {
  readonly url: string
  readonly info: SocketInfo
  /** The name of the BroadcastChannel, and of the lock of the leading tab. */
  readonly name: string
  readonly locks: LockManager
  readonly sockets: SocketSource
  /** The silence of the leading tab after which another tab leads, in milliseconds. */
  readonly leaderTimeout: number
  /** What the previous socket of this tab has left. */
  readonly legacy: Legacy | undefined
  /** Receives what this socket leaves for the next one. */
  leave(legacy: Legacy): void
}

/** What a socket leaves for the next socket of its tab. */
export interface Legacy {
  /** Keeps its place in the queue: the tab that has waited longest leads next. */
  readonly lock: Lock
  readonly ring: EventRing
  /** Whether the next socket opens a WebSocket of its own. */
  readonly isAlone: boolean
}

/**
 * A socket that is shared between tabs, with the members of a WebSocket.
 *
 * The tab with the lock leads: its WebSocket serves the other tabs too. A tab without the lock follows as soon as the leading tab
 * is ready. A tab without a cursor, or with one that the leading tab does not know, first opens a WebSocket of its own.
 */
export class TabSocket extends EmittingSocket implements SocketLike {
  readonly #options: TabSocketOptions
  readonly #id = newId()
  /** Undefined while the tab is frozen, so that messages do not accumulate. */
  #channel: BroadcastChannel | undefined
  /** The number of the last message to each hub of another tab, and of each hub of this tab. */
  readonly #numbers = new Map<string, number>()
  readonly #ring: EventRing
  /** The lock of the leading tab. */
  readonly #lock: Lock
  /** Held while this socket exists, by which a hub detects its end. */
  readonly #life: Lock
  readonly #silence: Silence
  readonly #closed = new AbortController()
  #link: OwnLink | FollowingLink | undefined

  constructor(options: TabSocketOptions) {
    super()
    const { name, locks, legacy, leaderTimeout, info } = options
    this.#options = options
    this.#openChannel()
    this.#ring = legacy?.ring ?? new EventRing()
    this.#lock = legacy?.lock ?? new Lock(locks, name)
    this.#life = new Lock(locks, lifeOf(name, this.#id))
    this.#silence = new Silence(leaderTimeout, () => this.#ask(), () => this.#lock.steal())
    if (legacy?.isAlone === true || info.isStart) this.#openWebSocket()
    this.#life.onGranted = () => this.#start()
    // The browser does not allow locks here.
    this.#life.onLost = () => this.#openWebSocket()
    this.#life.request()
  }

  get transport(): Transport | undefined {
    return this.#link?.transport
  }

  send(message: string | Uint8Array<ArrayBuffer>): void {
    this.#link?.send(typeof message === 'string' ? message : message.slice().buffer)
  }

  close(): void {
    if (this.#isClosed) return
    this.#end()
    this.#lock.release()
  }

  get #isClosed(): boolean {
    return this.#closed.signal.aborted
  }

  // The role of the tab

  #start(): void {
    const lock = this.#lock
    lock.onGranted = () => this.#onLock()
    lock.onLost = (wasHeld) => {
      if (!wasHeld) return this.#openWebSocket()
      if (this.#link instanceof OwnLink) this.#link.stopLeading()
      this.#queue()
    }
    this.#watchPage()
    if (lock.isHeld) this.#onLock()
    else this.#queue()
    if (this.#link === undefined) this.#silence.check()
  }

  /** Waits for the lock, and looks for the leading tab. */
  #queue(): void {
    if (!this.#lock.isRequested) this.#lock.request()
    this.#hello()
  }

  #onLock(): void {
    if (this.#link instanceof FollowingLink) return this.#handOver(false)
    this.#openWebSocket()
    if (this.#link instanceof OwnLink) this.#link.lead(newId())
  }

  /** @param message - The last message of the hub. */
  #follow(message: Message): FollowingLink {
    const link = new FollowingLink(message, { ...this.#linkOptions, handOver: (isAlone) => this.#handOver(isAlone) })
    this.#link = link
    return link
  }

  /** Opens a WebSocket of this tab, if it has none. */
  #openWebSocket(): void {
    if (this.#link !== undefined || this.#isClosed) return
    this.#silence.stop()
    const { url, info, sockets, leaderTimeout } = this.#options
    let socket: SocketLike
    try {
      socket = sockets.open(url, info)
    } catch (error) {
      // Later, since the client has not added its listeners yet.
      queueMicrotask(() => {
        this.dispatch('error', { error })
        this.#fail({})
      })
      return
    }
    const link = new OwnLink(socket, {
      ...this.#linkOptions,
      maxAge: leaderTimeout,
      onceGone: (tab, listener) => this.#onceGone(tab, listener),
      onResign: () => {
        this.#lock.release()
        this.#queue()
      },
      onCaughtUp: (answer, ...position) => {
        link.close()
        this.#follow(answer).continue(...position)
        this.#silence.check()
      },
    })
    this.#link = link
    const forward = (type: 'open' | 'error'): void =>
      socket.addEventListener(type, (event) => {
        if (this.#link === link && !this.#isClosed) this.dispatch(type, event)
      })
    forward('open')
    forward('error')
    socket.addEventListener('close', (event) => {
      if (this.#link === link) this.#fail(event)
    })
  }

  #onceGone(tab: string, listener: () => void): () => void {
    const life = new Lock(this.#options.locks, lifeOf(this.#options.name, tab))
    life.onGranted = () => {
      life.release()
      listener()
    }
    life.request()
    return () => life.release()
  }

  // The other tabs

  #receive(message: Message): void {
    const link = this.#link
    const { from, to, type } = message
    if (link instanceof FollowingLink ? from === link.hub : type === 'here') this.#silence.heard()
    if (link !== undefined) return link.receive(message)
    if (type === 'here' && message.isReady && (to === undefined || to === this.#id)) {
      this.#follow(message)
      this.dispatch('open', {})
    }
  }

  #openChannel(): void {
    this.#closeChannel()
    this.#channel = new BroadcastChannel(this.#options.name)
    this.#channel.onmessage = ({ data }) => isMessage(data) && this.#receive(data)
  }

  #closeChannel(): void {
    this.#channel?.close()
    this.#channel = undefined
  }

  #post(content: Content): void {
    const { from, to = '' } = content
    const key = from === this.#id ? to : from
    const number = (this.#numbers.get(key) ?? 0) + 1
    this.#numbers.set(key, number)
    this.#channel?.postMessage({ ...content, number } satisfies Message)
  }

  #hello(): void {
    this.#post({ type: 'hello', from: this.#id, ...(this.#link instanceof FollowingLink ? { to: this.#link.hub } : {}) })
  }

  #ask(): void {
    // A hidden tab that follows does not need to know at once, and the client's heartbeat asks too.
    if (this.#link !== undefined && page?.visibilityState === 'hidden') this.#silence.heard()
    else this.#hello()
  }

  #watchPage(): void {
    const { signal } = this.#closed
    page?.addEventListener('visibilitychange', () => this.#check(), { signal })
    page?.addEventListener('freeze', () => this.#freeze(), { signal })
    page?.addEventListener('resume', () => this.#resume(), { signal })
  }

  #check(): void {
    if (!(this.#link instanceof OwnLink)) this.#silence.check()
  }

  #freeze(): void {
    if (this.#link instanceof OwnLink) this.#link.stopLeading()
    this.#lock.release()
    this.#closeChannel()
  }

  #resume(): void {
    this.#openChannel()
    if (this.#link instanceof FollowingLink) return this.#handOver(false)
    this.#queue()
    this.#check()
  }

  // The client

  get #linkOptions(): LinkOptions {
    return {
      id: this.#id,
      ring: this.#ring,
      since: this.#options.info.tokenRequestedAt,
      post: (message) => this.#post(message),
      deliver: (data) => {
        if (!this.#isClosed) this.dispatch('message', { data })
      },
    }
  }

  /** Ends this socket. The client opens another one at once. */
  #handOver(isAlone: boolean): void {
    this.#end()
    this.#options.leave({ lock: this.#lock, ring: this.#ring, isAlone })
    this.dispatch('close', HAND_OVER_CLOSE)
  }

  #fail(event: SocketEvent): void {
    if (this.#isClosed) return
    this.close()
    this.dispatch('close', event)
  }

  #end(): void {
    this.#closed.abort()
    this.#link?.close()
    this.#silence.stop()
    this.#closeChannel()
    this.#life.release()
    this.#lock.onGranted = this.#lock.onLost = () => {}
  }
}

/** The page, which workers do not have. */
const page = (globalThis as { document?: Document }).document

const newId = (): string => crypto.randomUUID()

/** Returns the name of the lock that a socket of a tab holds. */
const lifeOf = (name: string, id: string): string => `${name} ${id}`

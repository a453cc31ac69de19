// The connection of the page to a room: the iterator and its state.

import { createORPCClient, getEventMeta, ORPCError } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { PresenceMembers } from 'durable-event-iterator/client'
import { httpFallback } from 'durable-event-iterator/http'
import {
  DurableEventIteratorConnectionError,
  DurableEventIteratorLinkPlugin,
  DurableIteratorLinkPlugin,
} from 'durable-event-iterator/orpc-v1'
import type { DurableEventIteratorHooks, DurableEventIteratorState, DurableEventIteratorStateDetails } from 'durable-event-iterator/orpc-v1'

import { CuttableWebSocket, cuttableFetch, isWhole, whole } from './cable.ts'
import type { Context, Server } from './contract.ts'
import type { ClientKind, Message, PresenceEvent, PresenceMember, Status } from './generated.ts'
import type { Outbox, Outgoing } from './outbox.ts'

/** How often a message is sent again if the room cannot respond. Repetitions are safe, since the room publishes each id once. */
const RETRIES = 3

/** The delay before the page requests a token again if the server cannot respond, in milliseconds. */
const RETRY_DELAY = 2_000

const connecting = {
  url: async () => {
    await whole()
    return '/chat-room'
  },
  WebSocket: CuttableWebSocket,
  fallback: httpFallback({ url: '/channels', fetch: cuttableFetch }),
  // The page may be offline for any time before the first connection.
  openTimeout: Infinity,
  // A room has few clients, so that they may all reconnect at the same time.
  minReconnectionDelay: 250,
}

/** An application needs only one of the two plugins; this page demonstrates both. */
const server: Server = createORPCClient(
  new RPCLink<Context>({
    url: new URL('/rpc', location.href),
    plugins: [new DurableEventIteratorLinkPlugin(connecting), new DurableIteratorLinkPlugin(connecting)],
  }),
)

/** A cursor before all events: the iterator starts with all stored messages. */
const FROM_THE_BEGINNING = '0'

/** How the events of the room arrive, if the page is connected. */
export type Transport = DurableEventIteratorStateDetails['transport']

/** The people in a room. Their ids are their names. */
export type People = Iterable<PresenceMember<Status>>

/** The callbacks with which the page shows a room. */
export interface RoomView {
  message(message: Message): void
  /** The room has stored the message with this id. */
  sent(id: string): void
  people(people: People): void
  state(state: DurableEventIteratorState, transport: Transport): void
  /** The iterator has reconnected and received this number of missed messages. */
  recovered(missed: number): void
  /** Missed messages are no longer available. */
  gap(): void
  failed(error: unknown): void
}

/** A room that the page has entered. */
export class Room {
  readonly name: string
  /** The name of the user. */
  readonly me: string
  /** The cursor from which the page resumes when it enters the room again. */
  lastEventId: string | undefined
  readonly #outbox: Outbox
  readonly #view: RoomView
  readonly #left = new AbortController()
  #iterator: Awaited<ReturnType<Server['onMessage']>> | undefined
  readonly #people = new PresenceMembers<Status>()
  #status: Status = 'here'
  /** The status that the room has received. */
  #reported: Status = 'here'
  /** Whether the page receives missed messages. */
  #isReturning = false
  #missed = 0
  #state: DurableEventIteratorState | undefined
  #isSending = false
  #isLeaving = false

  constructor(name: string, me: string, client: ClientKind, lastEventId: string | undefined, outbox: Outbox, view: RoomView) {
    this.name = name
    this.me = me
    this.lastEventId = lastEventId
    this.#outbox = outbox
    this.#view = view
    void this.#live(client)
  }

  /** Follows the room until the page leaves it, or the server rejects the page. */
  async #live(client: ClientKind): Promise<void> {
    while (!this.#left.signal.aborted) {
      try {
        await this.#follow(client)
      } catch (error) {
        if (this.#left.signal.aborted) return
        if (!isTemporary(error)) {
          this.#enter('closed', undefined)
          this.#view.failed(error)
          return this.#reject(reasonOf(error))
        }
        this.#enter('connecting', undefined)
        await untilRetry()
      }
    }
  }

  /** The server has rejected the page, and so its messages. */
  #reject(reason: string): void {
    this.close()
    for (let next; (next = this.#outbox.next(this.name, this.me)); ) this.#outbox.fail(next.id, reason)
  }

  async #follow(client: ClientKind): Promise<void> {
    const resumes = this.lastEventId !== undefined
    const hooks: DurableEventIteratorHooks = {
      onStateChange: (state, { transport }) => this.#enter(state, transport),
      // From the beginning there is always a gap, since the room stores messages for a limited time.
      onGap: ({ lastEventId }) => {
        if (resumes || lastEventId !== FROM_THE_BEGINNING) this.#view.gap()
      },
    }
    const iterator = await server.onMessage(
      { room: this.name, name: this.me, client },
      {
        signal: this.#left.signal,
        lastEventId: this.lastEventId ?? FROM_THE_BEGINNING,
        context: { [client]: hooks },
      },
    )
    this.#iterator = iterator
    void this.#reportStatus()
    void this.sendWaiting()
    for await (const event of iterator) {
      this.lastEventId = getEventMeta(event)?.id ?? this.lastEventId
      if (event.type === 'presence') this.#onPresence(event)
      else {
        this.#missed += 1
        this.#view.message(event)
        // The event may arrive before the response to the call, or instead of it if the connection was lost.
        if (event.id !== null) this.#outbox.remove(event.id)
      }
    }
  }

  #onPresence(event: PresenceEvent<Status>): void {
    if (this.#people.apply(event)) this.#view.people(this.#people)
    // A page receives its own id when its subscription is live again: after all missed messages.
    if (event.self !== undefined && this.#isReturning) {
      this.#isReturning = false
      this.#view.recovered(this.#missed)
    }
  }

  #enter(state: DurableEventIteratorState, transport: Transport): void {
    if (state === 'recovering' && !this.#isReturning) {
      this.#isReturning = true
      this.#missed = 0
    }
    // The room sets this status for each subscription.
    if (state === 'open') this.#reported = 'here'
    if (state !== 'open') this.#forgetStatuses()
    this.#state = state
    this.#view.state(state, transport)
    void this.#reportStatus()
    void this.sendWaiting()
  }

  /** Without a subscription the status of the others is unknown, until the next list of the room. */
  #forgetStatuses(): void {
    const changed = [...this.#people].map(({ id }) => ({ id }))
    if (this.#people.apply({ type: 'presence', changed })) this.#view.people(this.#people)
  }

  /** Sets the status of the user. */
  set status(status: Status) {
    this.#status = status
    void this.#reportStatus()
  }

  async #reportStatus(): Promise<void> {
    if (this.#status === this.#reported || !this.isConnected) return
    this.#reported = this.#status
    // The next connection reports it again.
    await this.#iterator?.setPresence(this.#status).catch(() => {})
  }

  /** Whether messages can be sent. */
  get isConnected(): boolean {
    return this.#iterator !== undefined && (this.#state === 'open' || this.#state === 'paused') && isWhole()
  }

  /** Sends the waiting messages of the user to the room, each after the response to the previous one, so that they stay in order. */
  async sendWaiting(): Promise<void> {
    if (this.#isSending) return
    this.#isSending = true
    let next: Outgoing | undefined
    while (this.isConnected && (next = this.#outbox.next(this.name, this.me))) {
      // Without a connection the message waits for the next one.
      if (!(await this.#send(next))) break
    }
    this.#isSending = false
    if (this.#isLeaving && this.#outbox.next(this.name, this.me) === undefined) this.close()
  }

  /** Sends a message. Returns `false` if the connection failed, and it is unknown whether the message was stored. */
  async #send({ id, message, from }: Outgoing): Promise<boolean> {
    try {
      if (from === 'server') await server.sendMessage({ room: this.name, id, message })
      else await this.#iterator?.publishMessage({ id, message }, { context: { retry: RETRIES } })
      this.#view.sent(id)
      this.#outbox.remove(id)
    } catch (error) {
      if (!this.isConnected || error instanceof DurableEventIteratorConnectionError) return false
      // A failed `fetch` throws a TypeError.
      this.#outbox.fail(id, error instanceof TypeError ? 'the server is not reachable' : reasonOf(error))
    }
    return true
  }

  /** Leaves the room when all messages to it are sent. */
  leave(): void {
    this.#isLeaving = true
    void this.sendWaiting()
  }

  /** Leaves the room now. */
  close(): void {
    this.#left.abort()
  }

  get isClosed(): boolean {
    return this.#left.signal.aborted
  }
}

/** Whether the same request may succeed later: the server is not reachable, or cannot respond. */
function isTemporary(error: unknown): boolean {
  return error instanceof TypeError || (error instanceof ORPCError && error.status >= 500)
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Resolves after a delay, or earlier when the network may be available again. */
function untilRetry(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, RETRY_DELAY)
    addEventListener('online', () => resolve(), { once: true })
  })
}

// The connection of the page to a room: the iterator and its state.

import { createORPCClient, getEventMeta } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { httpFallback } from 'durable-event-iterator/http'
import { DurableEventIteratorLinkPlugin, DurableIteratorLinkPlugin } from 'durable-event-iterator/orpc-v1'
import type { DurableEventIteratorHooks, DurableEventIteratorState, DurableEventIteratorStateDetails } from 'durable-event-iterator/orpc-v1'

import { CuttableWebSocket, cuttableFetch, whole } from './cable.ts'
import type { Context, Server } from './contract.ts'
import type { ClientKind, Message, Person, Status } from './generated.ts'

/** The connection id of this page, for all rooms and clients. By it, the room excludes the page from its own messages. */
const pageId = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')

const connecting = {
  url: async () => {
    await whole()
    return '/chat-room'
  },
  WebSocket: CuttableWebSocket,
  fallback: httpFallback({ url: '/channels', fetch: cuttableFetch }),
  createId: () => pageId,
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

/** The callbacks with which the page shows a room. */
export interface RoomView {
  message(message: Message): void
  people(people: Person[]): void
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
  /** The cursor from which the page resumes when it enters the room again. */
  lastEventId: string | undefined
  readonly #view: RoomView
  readonly #left = new AbortController()
  #iterator: Awaited<ReturnType<Server['onMessage']>> | undefined
  #messages = 0
  #state: DurableEventIteratorState | undefined

  constructor(name: string, me: string, client: ClientKind, lastEventId: string | undefined, view: RoomView) {
    this.name = name
    this.lastEventId = lastEventId
    this.#view = view
    this.#live(me, client).catch((error: unknown) => {
      if (!this.#left.signal.aborted) view.failed(error)
    })
  }

  async #live(me: string, client: ClientKind): Promise<void> {
    const resumes = this.lastEventId !== undefined
    const hooks: DurableEventIteratorHooks = {
      onStateChange: (state, { transport }) => this.#enter(state, transport),
      // From the beginning there is always a gap, since the room stores messages for a limited time.
      onGap: ({ lastEventId }) => {
        if (resumes || lastEventId !== FROM_THE_BEGINNING) this.#view.gap()
      },
    }
    const iterator = await server.onMessage(
      { room: this.name, name: me, client },
      {
        signal: this.#left.signal,
        lastEventId: this.lastEventId ?? FROM_THE_BEGINNING,
        context: { [client]: hooks },
      },
    )
    this.#iterator = iterator
    void this.#arrive()
    for await (const event of iterator) {
      this.lastEventId = getEventMeta(event)?.id ?? this.lastEventId
      if (event.type === 'people') this.#view.people(event.people)
      else {
        this.#messages += 1
        this.#view.message(event)
      }
    }
  }

  #enter(state: DurableEventIteratorState, transport: Transport): void {
    const isBack = state === 'open' && this.#state === 'recovering'
    this.#state = state
    this.#view.state(state, transport)
    if (isBack) void this.#return()
  }

  /** Announces the user. The room then sends the list of people. */
  async #arrive(): Promise<void> {
    await this.status('here')
  }

  /** Counts the missed messages: they arrive before the response to the first call. */
  async #return(): Promise<void> {
    const before = this.#messages
    await this.#arrive()
    if (this.#state === 'open') this.#view.recovered(this.#messages - before)
  }

  /** Sets the status of the user. Errors are ignored, since the status is sent live anyway. */
  async status(status: Status): Promise<void> {
    await this.#iterator?.setStatus(status).catch(() => {})
  }

  /** Publishes a message to all other clients. */
  async say(message: string): Promise<void> {
    if (this.#iterator === undefined) throw new Error('not connected to the room yet')
    await this.#iterator.publishMessage({ message })
  }

  /** Asks the server over HTTP to publish a message to everyone through a stub. */
  async announce(message: string): Promise<void> {
    await server.sendMessage({ room: this.name, message })
  }

  leave(): void {
    void this.status('leaving').finally(() => this.#left.abort())
  }
}

// One room, as the page lives in it: the iterator, and what it goes through.

import { createORPCClient, getEventMeta } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { DurableEventIteratorLinkPlugin, DurableIteratorLinkPlugin } from 'durable-event-iterator/client'
import type { DurableEventIteratorHooks, DurableEventIteratorState } from 'durable-event-iterator/client'

import { CuttableWebSocket, whole } from './cable.ts'
import type { ClientKind, Context, Message, People, Server, Status } from './contract.ts'

/** Of this page, whichever room and client it goes on with: what it said itself never comes back to it. */
const pageId = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')

const connecting = {
  url: async () => {
    await whole()
    return '/chat-room'
  },
  WebSocket: CuttableWebSocket,
  createId: () => pageId,
}

/** An application has one of the two plugins; this page shows both. */
const server: Server = createORPCClient(
  new RPCLink<Context>({
    url: new URL('/rpc', location.href),
    plugins: [new DurableEventIteratorLinkPlugin(connecting), new DurableIteratorLinkPlugin(connecting)],
  }),
)

/** Older than every event: what the room has kept comes first. */
const FROM_THE_BEGINNING = '0'

/** What the page shows of a room. */
export interface RoomView {
  message(message: Message): void
  people(people: People['people']): void
  state(state: DurableEventIteratorState): void
  /** The connection is back, and so many messages were made up for. */
  recovered(missed: number): void
  /** Messages were missed that are gone. */
  gap(): void
  failed(error: unknown): void
}

/** A room that has been entered. */
export class Room {
  readonly name: string
  /** Where to go on when it is entered again. */
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
      onStateChange: (state) => this.#enter(state),
      // From the beginning there always is one: the room keeps messages for a while only.
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

  #enter(state: DurableEventIteratorState): void {
    const isBack = state === 'open' && this.#state === 'recovering'
    this.#state = state
    this.#view.state(state)
    if (isBack) void this.#return()
  }

  /** Tells the others, and so learns who they are. */
  async #arrive(): Promise<void> {
    await this.status('here')
  }

  /** What was missed comes before the answer to the first call. */
  async #return(): Promise<void> {
    const before = this.#messages
    await this.#arrive()
    if (this.#state === 'open') this.#view.recovered(this.#messages - before)
  }

  /** Tells the others, who hear it live or not at all: that it did not get through is no matter. */
  async status(status: Status): Promise<void> {
    await this.#iterator?.setStatus(status).catch(() => {})
  }

  /** Says something to the others. */
  async say(message: string): Promise<void> {
    if (this.#iterator === undefined) throw new Error('Not in the room yet.')
    await this.#iterator.publishMessage({ message })
  }

  /** Lets the server say something to everyone, over HTTP and through a stub. */
  async announce(message: string): Promise<void> {
    await server.sendMessage({ room: this.name, message })
  }

  leave(): void {
    void this.status('leaving').finally(() => this.#left.abort())
  }
}

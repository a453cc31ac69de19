// The messages of this tab that no room has confirmed yet. They are kept over a reload.

import { randomId } from './random.ts'

/** The key in the storage of the tab. */
const KEY = 'outbox'

/** A message that the user has sent. */
export interface Outgoing {
  /** The idempotency key: the room publishes the message once, however often it is sent. */
  readonly id: string
  readonly room: string
  readonly message: string
  /** The name of the user when the message was written. */
  readonly author: string
  /** Who publishes the message: the user, or the server for an announcement. */
  readonly from: 'user' | 'server'
  /** In milliseconds since 1970. */
  readonly at: number
  /** Why the room has rejected the message. It is sent again only if the user asks for it. */
  readonly error?: string
}

export class Outbox {
  #messages: readonly Outgoing[] = restore()
  readonly #onChange: () => void

  constructor(onChange: () => void) {
    this.#onChange = onChange
  }

  /** Returns the messages to a room, oldest first. */
  of(room: string): Outgoing[] {
    return this.#messages.filter((outgoing) => outgoing.room === room)
  }

  /** Returns the message that the room has to receive next from the author. */
  next(room: string, author: string): Outgoing | undefined {
    return this.of(room).find((outgoing) => outgoing.author === author && outgoing.error === undefined)
  }

  /** The rooms with messages. */
  get rooms(): Set<string> {
    return new Set(this.#messages.map(({ room }) => room))
  }

  /** Returns the authors of the messages that a room has to receive. */
  authors(room: string): Set<string> {
    return new Set(this.of(room).flatMap(({ author, error }) => (error === undefined ? [author] : [])))
  }

  add(message: Pick<Outgoing, 'room' | 'message' | 'author' | 'from'>): void {
    this.#change([...this.#messages, { ...message, id: randomId(), at: Date.now() }])
  }

  /** Removes a message: the room has confirmed it, or the user has deleted it. */
  remove(id: string): void {
    if (this.#messages.some((outgoing) => outgoing.id === id)) this.#change(this.#messages.filter((outgoing) => outgoing.id !== id))
  }

  fail(id: string, error: string): void {
    this.#change(this.#messages.map((outgoing) => (outgoing.id === id ? { ...outgoing, error } : outgoing)))
  }

  retry(id: string): void {
    this.#change(
      this.#messages.map(({ error, ...outgoing }) =>
        outgoing.id === id || error === undefined ? outgoing : { ...outgoing, error },
      ),
    )
  }

  #change(messages: readonly Outgoing[]): void {
    this.#messages = messages
    try {
      sessionStorage.setItem(KEY, JSON.stringify(messages))
    } catch {
      // The storage is full or disabled: the messages are kept until the page is closed.
    }
    this.#onChange()
  }
}

function restore(): Outgoing[] {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? '[]')
  } catch {
    return []
  }
}

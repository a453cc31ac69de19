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
  /** The author: the user, or the server for an announcement. */
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

  /** Returns the message that the room has to receive next. */
  next(room: string): Outgoing | undefined {
    return this.of(room).find(({ error }) => error === undefined)
  }

  /** The rooms with messages. */
  get rooms(): Set<string> {
    return new Set(this.#messages.map(({ room }) => room))
  }

  add(message: Pick<Outgoing, 'room' | 'message' | 'from'>): void {
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

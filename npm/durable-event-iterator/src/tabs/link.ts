import type { EventRing } from './event-ring.js'
import type { SocketMessage } from '../client/wire/envelope.js'
import type { Content, Message } from './message.js'

/** How the messages of a client travel: over a WebSocket of its tab, or over that of the leading tab. */
export interface Link {
  /** Sends a message of the client. */
  send(message: SocketMessage): void
  /** Handles a message of another tab. */
  receive(message: Message): void
  close(): void
}

/** What a link needs of its tab. */
export interface LinkOptions {
  /** The random id of the socket. */
  readonly id: string
  /** The events of the subscription. */
  readonly ring: EventRing
  /** The time at which the first token was requested, in milliseconds since 1970. */
  readonly since: number
  /** Sends a message to the other tabs. */
  post(message: Content): void
  /** Passes a message to the client. */
  deliver(message: SocketMessage): void
}

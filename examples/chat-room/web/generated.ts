// Generated from Rust types by `durable_event_iterator::typescript`. Do not edit.

import type { Client, ClientContext } from '@orpc/client'
import type { DurableEventIteratorObject } from 'durable-event-iterator'
import type { ChannelStub } from 'durable-event-iterator/durable-object'

export interface ChatRoom extends DurableEventIteratorObject<Event, User> {
  publishMessage(): Client<Record<never, never>, Said, void, Error>
  router(): {
    ping: Client<Record<never, never>, void, string, Error>
    echo: Client<Record<never, never>, Echo, string, Error>
  }
}

/** The type of its stubs. */
export interface ChatRoomStub extends ChannelStub<Event> {
  publishMessage(arg1: string): Promise<void>
}

export type Server<TContext extends ClientContext = Record<never, never>> = {
  onMessage: Client<TContext, Entrance, string, Error>
  sendMessage: Client<TContext, Announcement, void, Error>
}

export type Announcement = {
  room: string
  /** The idempotency key, as for the messages of users. */
  id: string
  message: string
}

/** The client library of the page. One room serves clients of both kinds. */
export type ClientKind = 'durableEventIterator' | 'durableIterator'

export type Echo = { text: string }

export type Entrance = { room: string; name: string; client?: ClientKind }

/** The events of a room. */
export type Event = { type: 'message' } & Message | { type: 'presence' } & PresenceEvent<Status>

/** A chat message. */
export type Message = {
  /** The id that the author's page has given to the message. Messages of other Workers have none. */
  id: string | null
  message: string
  /** The author. Messages of the server have none. */
  name: string | null
  at: Date
}

/**
 * A presence event: the content of the variant `Presence` of the application's events, an enum with the tag `type`.
 *
 * Apply the members in this order: `members` replaces the whole list, `joined` and `changed` add or replace members, `left` removes
 * members. A long list has several parts: the further ones are `joined`, and the last one has the member itself (`self`).
 */
export type PresenceEvent<S = unknown> = {
  /** The id of the member that receives the event. Present after each subscription. */
  self?: string
  /** All members. */
  members?: Array<PresenceMember<S>>
  /** The members who have joined. */
  joined?: Array<PresenceMember<S>>
  /** The members whose state has changed. */
  changed?: Array<PresenceMember<S>>
  /** The ids of the members who have left. */
  left?: Array<string>
}

/** A member in a presence event. */
export type PresenceMember<S = unknown> = {
  /** The id. */
  id: string
  /** The state that the member has set. */
  state?: S
}

export type Said = {
  /** The idempotency key: a page that has received no response sends the message again. */
  id: string
  message: string
}

/** The presence state of a user, which their pages set by the procedure `setPresence` of the library. */
export type Status = 'here' | 'typing'

/** The token attachment: the user, as the server that issues the token knows them. */
export type User = {
  /** The name of the user. */
  userId: string
}

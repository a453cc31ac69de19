// The recorded history of a run, from which the checker computes its verdict. Times are milliseconds since 1970, by the clock
// of the machine, which clients, publishers and the runtime share.

import type { PresenceEvent, PresenceMember } from '../../npm/durable-event-iterator/src/client/index.ts'

export type { PresenceEvent, PresenceMember }

export interface History {
  channels: Channel[]
  publishes: Publish[]
  wipes: Wipe[]
  revocations: Revocation[]
  states: StateCall[]
  clients: ClientRecord[]
  /** The faults, for the excerpt. */
  faults: Fault[]
}

export interface Channel {
  name: string
  /** The retention time of events, in milliseconds. */
  retention: number
  /** The maximum number of retained events. At least three quarters of it are retained. */
  bound: number
  /** Present if the channel has presence. */
  presence?: ChannelPresence
  /** The event that was published after all clients had reconnected: all remaining clients must have received it. */
  last?: number
}

export interface ChannelPresence {
  /** The time for which a member without a socket remains, in milliseconds. */
  grace: number
  /** The key of members. Clients without it have random member ids, which may also be those of their connection ids. */
  key: 'connection' | 'subject'
  /** Whether replays have more than one step, so that events are stored during a replay. */
  hasLongReplays?: boolean
  /** The members in a response of the Durable Object, when the clients had stopped to connect and disconnect. */
  members?: PresenceMember[]
}

/** One event of one call of `publish` or `publishBatch`. */
export interface Publish {
  /** The number in the event, unique in a run. */
  n: number
  channel: string
  by: string
  sentAt: number
  answeredAt?: number
  /**
   * `stored`: acknowledged, with `id` unless the way of publishing returns none. `rejected`: with a typed error, so nothing may have changed. `unknown`: no response, the
   * event may be stored or not.
   */
  outcome: 'stored' | 'rejected' | 'unknown'
  id?: number
  audience: Audience
  /** The batch that contains it: the number of its first event, and its index in the batch. All have the same audience. */
  batch?: { first: number; index: number; length: number }
}

/** One deletion of the storage of a channel. */
export interface Wipe {
  channel: string
  sentAt: number
  /** The time after which the deletion cannot happen any more. */
  endedAt: number
  /** `unknown`: no response, the events may be deleted or not. */
  outcome: 'wiped' | 'unknown'
}

/** One call of `revoke`. */
export interface Revocation {
  channel: string
  sentAt: number
  /** The time of its response. */
  endedAt: number
  /** `unknown`: no response, the tokens may be revoked or not. */
  outcome: 'revoked' | 'unknown'
  /** Exactly one is present. `issuedBefore` is in milliseconds. */
  connection?: string
  subject?: string
  issuedBefore?: number
}

/** One call of `setPresence`. */
export interface StateCall {
  channel: string
  client: string
  /** The member id of the client; missing if it did not know it. */
  member?: string
  /** The index of the subscription during which the client sent it. */
  attempt: number
  /** Unique in a run. */
  state: string
  sentAt: number
  /** The time of the response. */
  endedAt: number
  /** `unknown`: no response, the state may be set or not. */
  outcome: 'set' | 'rejected' | 'unknown'
}

/** Connection ids, see the library's Audience. */
export interface Audience {
  to?: string[]
  except?: string[]
  /** The calling client: its socket is excluded, and after a reconnect only if it has a connection id. */
  caller?: string
}

export interface ClientRecord {
  name: string
  kind: string
  channel: string
  connection?: string
  /** The subject of its tokens. */
  subject?: string
  attempts: Attempt[]
  /** The events that its application received: all frames of a bare client, the yielded events of other clients. */
  delivered: Delivery[]
  /** The gap notifications of its application; only for clients with notifications. */
  notified?: GapNotification[]
  /** The times at which it created a WebSocket; only for clients that limit their attempts. */
  handshakes?: number[]
  /** The errors that ended its iterators; only for clients whose iterators never end by themselves. */
  ended?: string[]
  /** Whether its requests are not recorded: it has no attempts, and its gaps are those of which its application was notified. */
  isUnobserved?: boolean
  /** How often its subscription has opened, by transport; only for clients with a fallback. */
  transports?: Record<string, number>
  /** The number of times that its subscription was parked; only for clients whose frames are recorded. */
  parked?: number
  /** The presence events that its application received; only for clients of channels with presence that receive them. */
  presence?: PresenceDelivery[]
  /** The members that its application had at the end. */
  members?: PresenceMember[]
  /** Whether it had a live subscription when the clients had stopped to connect and disconnect. */
  isPresent?: boolean
  /** Whether it stayed to the end, and must have received the last event of the channel. */
  stayed: boolean
}

/** One `/subscribe`: its start, the response, and its frames. */
export interface Attempt {
  /** With `isLive`, it starts with the next event after the request. */
  from: { lastEventId: number } | { issuedAt: number; isLive?: boolean }
  sentAt: number
  answeredAt?: number
  /** The value of the gap header. */
  gap?: number
  /** Whether the server ended it: by its last message, or by closing the socket so that the client reconnects. */
  ended?: boolean
  /** The expiry of the socket's token, in seconds since 1970. */
  expires: number
  /** The time of issue of the socket's token, in seconds since 1970; missing if it has none. */
  issued?: number
  frames: Delivery[]
}

export interface Delivery {
  id: number
  n: number
}

/** A presence event that a client received. */
export interface PresenceDelivery {
  event: PresenceEvent
  at: number
  /** The index of the client's attempt; the number of subscriptions before for clients without attempts. */
  attempt: number
  /** The id of the event before it in the same attempt; 0 if there was none. */
  after: number
}

/** A gap notification. */
export interface GapNotification {
  /** The number of events that the application had received before. */
  after: number
  /** All events from this id on are available. */
  next: number
  /** Only for clients without attempts. */
  at?: number
}

export interface Fault {
  at: number
  kind: string
  /** The name of a client or a channel; missing for all. */
  target?: string
}

// What a run has recorded: all that the checker judges by. Times are milliseconds since the epoch, by the one clock of
// the machine that clients, publishers and the runtime share.

export interface History {
  channels: Channel[]
  publishes: Publish[]
  wipes: Wipe[]
  clients: ClientRecord[]
  /** What was done to it, for the excerpt. */
  faults: Fault[]
}

export interface Channel {
  name: string
  /** How long events are retained, in milliseconds. */
  retention: number
  /** How many events are retained at most; at least three quarters of them are. */
  bound: number
  /** The event that was published when everyone had come back: whoever is still there must have got it. */
  last?: number
}

/** One call of `publish`. */
export interface Publish {
  /** In the event itself; no two publishes of a run have the same. */
  n: number
  channel: string
  by: string
  sentAt: number
  answeredAt?: number
  /**
   * `stored`: acknowledged with `id`. `refused`: by a typed error, so nothing may have changed. `unknown`: no answer, the
   * event may be there or not.
   */
  outcome: 'stored' | 'refused' | 'unknown'
  id?: number
  audience: Audience
}

/** One removal of everything that a channel has stored. */
export interface Wipe {
  channel: string
  sentAt: number
  /** When it had been done, or could not be done any more. */
  endedAt: number
  /** `unknown`: no response, the events may be there or not. */
  outcome: 'wiped' | 'unknown'
}

/** Connection ids, see the library's Audience. */
export interface Audience {
  to?: string[]
  except?: string[]
  /** The client whose socket called: left out on that socket, though not by reconnecting unless it has a connection id. */
  caller?: string
}

export interface ClientRecord {
  name: string
  kind: string
  channel: string
  connection?: string
  attempts: Attempt[]
  /** What its application got: for a bare client every frame, for a stock one what its iterators yielded. */
  delivered: Delivery[]
  /** The gaps that its application was notified of; only for clients whose application is notified. */
  notified?: GapNotification[]
  /** When it created a WebSocket; only for clients that limit how often they do. */
  handshakes?: number[]
  /** The errors that ended its iterators; only for clients whose iterators never end by themselves. */
  ended?: string[]
  /** Whether it was there to the end, and so must have got the channel's last event. */
  stayed: boolean
}

/** One `/subscribe`: from where, what was answered, and the frames that came for it. */
export interface Attempt {
  from: { lastEventId: number } | { issuedAt: number }
  sentAt: number
  answeredAt?: number
  /** Value of the header that tells of a gap. */
  gap?: number
  /** Whether the server ended it: by its last message, or by closing the socket so that the client reconnects. */
  ended?: boolean
  /** Until when the token behind the socket is good, in seconds since the epoch. */
  expires: number
  frames: Delivery[]
}

export interface Delivery {
  id: number
  n: number
}

/** A gap as an application is notified of it. */
export interface GapNotification {
  /** How many events the application had received before. */
  after: number
  /** From this id on every event is there. */
  next: number
}

export interface Fault {
  at: number
  kind: string
  /** A client's name, or a channel's; none: everyone's. */
  target?: string
}

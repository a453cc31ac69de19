// The types of the Worker. With a server in TypeScript, they would be those of the router.

import type { Client } from '@orpc/client'
import type { DurableEventIteratorObject } from 'durable-event-iterator'
import type {
  ClientDurableEventIterator,
  ClientDurableIterator,
  DurableEventIteratorLinkPluginContext,
  DurableIteratorLinkPluginContext,
} from 'durable-event-iterator/client'

export type Status = 'here' | 'typing' | 'leaving'

export interface Message {
  type: 'message'
  message: string
  /** The author, or `null` for the server. */
  name: string | null
  at: Date
}

export interface People {
  type: 'people'
  people: { name: string; status: Status }[]
}

type Procedure<Input> = () => Client<Record<never, never>, Input, void, Error>

/** The Durable Object in `src/room.rs`. */
export interface ChatRoom extends DurableEventIteratorObject<Message | People, { userId: string }> {
  publishMessage: Procedure<{ message: string }>
  setStatus: Procedure<Status>
}

/** The kind of client: that of oRPC 1.6–1.8 or of 1.9–1.16. */
export type ClientKind = 'durableEventIterator' | 'durableIterator'

/** The context of a call. Each plugin reads its own part. */
export interface Context extends DurableEventIteratorLinkPluginContext, DurableIteratorLinkPluginContext {}

type Call<Input, Output> = Client<Context, Input, Output, Error>

type Allowed = 'publishMessage' | 'setStatus'

/** The procedures in `src/server.rs`. */
export type Server = {
  onMessage: Call<
    { room: string; name: string; client?: ClientKind },
    ClientDurableEventIterator<ChatRoom, Allowed> | ClientDurableIterator<ChatRoom, Allowed>
  >
  sendMessage: Call<{ room: string; message: string }, void>
}

// What the Worker offers, as types: in TypeScript this would come from the router itself.

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
  /** Nobody: the server itself. */
  name: string | null
  at: Date
}

export interface People {
  type: 'people'
  people: { name: string; status: Status }[]
}

type Procedure<Input> = () => Client<Record<never, never>, Input, void, Error>

/** The object in `src/room.rs`. */
export interface ChatRoom extends DurableEventIteratorObject<Message | People, { userId: string }> {
  publishMessage: Procedure<{ message: string }>
  setStatus: Procedure<Status>
}

/** What the page iterates with: the names that the clients of oRPC 1.6 to 1.8 and of 1.9.1 to 1.16 have. */
export type ClientKind = 'durableEventIterator' | 'durableIterator'

/** The context of a call: the plugin that its answer is for reads its own part. */
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

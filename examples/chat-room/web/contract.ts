// What the Worker offers, as types: in TypeScript this would come from the router itself.

import type { Client } from '@orpc/client'
import type { DurableEventIteratorObject } from 'durable-event-iterator'
import type { ClientDurableEventIterator, DurableEventIteratorLinkPluginContext } from 'durable-event-iterator/client'

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

type Call<Input, Output> = Client<DurableEventIteratorLinkPluginContext, Input, Output, Error>

/** The procedures in `src/server.rs`. */
export type Server = {
  onMessage: Call<{ room: string; name: string }, ClientDurableEventIterator<ChatRoom, 'publishMessage' | 'setStatus'>>
  sendMessage: Call<{ room: string; message: string }, void>
}

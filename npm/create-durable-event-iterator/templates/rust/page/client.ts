// The oRPC client, for the page and the test.

import { createORPCClient } from '@orpc/client'
import type { Client } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import type { DurableIteratorObject } from 'durable-event-iterator'
import { httpFallback } from 'durable-event-iterator/http'
import { DurableIteratorLinkPlugin } from 'durable-event-iterator/orpc-v1'
import type { ClientDurableIterator, DurableEventIteratorHooks } from 'durable-event-iterator/orpc-v1'

type Procedure<Input, Output> = Client<Record<never, never>, Input, Output, Error>

export interface Message {
  message: string
}

/** The Durable Object in `src/chat_room.rs`: its events, and the procedures that clients may call over the WebSocket. */
export interface ChatRoom extends DurableIteratorObject<Message> {
  publishMessage(): Procedure<Message, void>
}

/** The oRPC server in `src/lib.rs`. */
export type Server = {
  onMessage: Procedure<void, ClientDurableIterator<ChatRoom, 'publishMessage'>>
  sendMessage: Procedure<Message, void>
}

export function createClient(origin: string, hooks: DurableEventIteratorHooks = {}): Server {
  const link = new RPCLink({
    url: `${origin}/rpc`,
    plugins: [
      new DurableIteratorLinkPlugin({
        url: `${origin.replace('http', 'ws')}/events`,
        fallback: httpFallback({ url: `${origin}/channels` }),
        ...hooks,
      }),
    ],
  })
  return createORPCClient(link)
}

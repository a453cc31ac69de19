// The oRPC client, for the page and the test.

import { createORPCClient } from '@orpc/client'
import type { Client } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import type { DurableEventIteratorObject } from 'durable-event-iterator'
import { DurableEventIteratorLinkPlugin } from 'durable-event-iterator/orpc-v1'
import type { ClientDurableEventIterator, DurableEventIteratorHooks } from 'durable-event-iterator/orpc-v1'

/** The channel: its events. */
export interface Channel extends DurableEventIteratorObject<{ message: string }> {}

/** Your server. */
export type Server = {
  onMessage: Client<Record<never, never>, void, ClientDurableEventIterator<Channel>, Error>
}

export function createClient(origin: string, token: string, hooks: DurableEventIteratorHooks = {}): Server {
  const link = new RPCLink({
    url: `${origin}/rpc`,
    // Stands for the response of your server at `url`, which issues the token.
    fetch: async () => Response.json({ json: token }, { headers: { 'x-orpc-dei': '1' } }),
    plugins: [
      new DurableEventIteratorLinkPlugin({
        url: origin.replace('http', 'ws'),
        ...hooks,
      }),
    ],
  })
  return createORPCClient(link)
}

// The oRPC client, for the page and the test.

import { createORPCClient } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import type { RouterClient } from '@orpc/server'
import { httpFallback } from 'durable-event-iterator/http'
import { DurableIteratorLinkPlugin } from 'durable-event-iterator/orpc-v1'
import type { DurableEventIteratorHooks } from 'durable-event-iterator/orpc-v1'

import type { router } from '../src/router.ts'

export function createClient(origin: string, hooks: DurableEventIteratorHooks = {}): RouterClient<typeof router> {
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

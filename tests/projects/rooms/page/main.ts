import { createORPCClient } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import type { RouterClient } from '@orpc/server'
import { DurableEventIteratorLinkPlugin } from 'durable-event-iterator/orpc-v1'

import type { router } from '../types/router'

const link = new RPCLink({
  url: `${location.origin}/rpc`,
  plugins: [new DurableEventIteratorLinkPlugin({ url: `${location.origin.replace('http', 'ws')}/chat-room` })],
})
const client: RouterClient<typeof router> = createORPCClient(link)

const iterator = await client.onMessage({ userId: 'ann' })
const pong: string = await iterator.router.ping()
document.title = pong
for await (const { message } of iterator) document.body.append(message)

// @ts-expect-error The token does not allow it.
await iterator.count()

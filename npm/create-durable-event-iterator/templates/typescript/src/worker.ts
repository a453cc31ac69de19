// The Worker: the WebSocket endpoint on `/events`, the same channels over HTTP below `/channels` for servers and for networks without
// WebSockets, the inspector at `/inspect`, and the oRPC server below `/rpc`. All other paths are files of the page.

import { RPCHandler } from '@orpc/server/fetch'
import { DurableIteratorHandlerPlugin } from 'durable-event-iterator'
import { handleChannelRequest, upgradeDurableIteratorRequest } from 'durable-event-iterator/durable-object'

import type { Env } from './chat-room.ts'
import { router } from './router.ts'

export { ChatRoom } from './chat-room.ts'

const handler = new RPCHandler(router, {
  plugins: [new DurableIteratorHandlerPlugin()],
})

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url)
    const channels = { signingKey: env.SIGNING_KEY, namespace: env.CHAT_ROOM }
    if (pathname === '/events') return upgradeDurableIteratorRequest(request, channels)
    if (/^\/(channels|inspect)(\/|$)/.test(pathname)) {
      return handleChannelRequest(request, { ...channels, inspectKey: env.INSPECT_KEY, accessKeys: env.ACCESS_KEYS })
    }
    const { matched, response } = await handler.handle(request, { prefix: '/rpc', context: { env } })
    return matched ? response : new Response('Not Found', { status: 404 })
  },
} satisfies ExportedHandler<Env>

// The Worker: the WebSocket endpoint on `/events`, and the oRPC server below `/rpc`. All other paths are files of the page.

import { RPCHandler } from '@orpc/server/fetch'
import { DurableIteratorHandlerPlugin } from 'durable-event-iterator'
import { upgradeDurableIteratorRequest } from 'durable-event-iterator/durable-object'

import type { Env } from './chat-room.ts'
import { router } from './router.ts'

export { ChatRoom } from './chat-room.ts'

const handler = new RPCHandler(router, {
  plugins: [new DurableIteratorHandlerPlugin()],
})

export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === '/events') {
      return upgradeDurableIteratorRequest(request, { signingKey: env.SIGNING_KEY, namespace: env.CHAT_ROOM })
    }
    const { matched, response } = await handler.handle(request, { prefix: '/rpc', context: { env } })
    return matched ? response : new Response('Not Found', { status: 404 })
  },
} satisfies ExportedHandler<Env>

import { RPCHandler } from '@orpc/server/fetch'
import { DurableEventIteratorHandlerPlugin, DurableIteratorHandlerPlugin } from 'durable-event-iterator'
import { upgradeDurableEventIteratorRequest, upgradeDurableIteratorRequest } from 'durable-event-iterator/durable-object'

import { router } from './router'

export { ChatRoom } from './chat-room'
export { Notes } from './notes'

const handler = new RPCHandler(router, {
  plugins: [new DurableEventIteratorHandlerPlugin(), new DurableIteratorHandlerPlugin()],
})

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url)
    if (pathname === '/chat-room') {
      return upgradeDurableEventIteratorRequest(request, { signingKey: env.SIGNING_KEY, namespace: env.CHAT_ROOM })
    }
    if (pathname === '/notes') {
      return upgradeDurableIteratorRequest(request, { signingKey: env.SIGNING_KEY, namespace: env.NOTES })
    }
    const { matched, response } = await handler.handle(request, { prefix: '/rpc', context: { env } })
    return matched ? response : new Response('Not Found', { status: 404 })
  },
} satisfies ExportedHandler<Env>

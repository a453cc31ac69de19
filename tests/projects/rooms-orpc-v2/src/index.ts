import { RPCHandler } from '@orpc/server/fetch'
import { DurableIteratorHandlerPlugin } from 'durable-event-iterator'
import { upgradeDurableIteratorRequest } from 'durable-event-iterator/durable-object'

import { router } from './router.ts'

export { Room } from './room.ts'

const handler = new RPCHandler(router, { plugins: [new DurableIteratorHandlerPlugin()] })

export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === '/room') {
      return upgradeDurableIteratorRequest(request, { signingKey: env.SIGNING_KEY, namespace: env.ROOM })
    }
    const { matched, response } = await handler.handle(request, { prefix: '/rpc', context: { env } })
    return matched ? response : new Response('Not Found', { status: 404 })
  },
} satisfies ExportedHandler<Env>

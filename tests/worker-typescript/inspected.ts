// A Worker in TypeScript with an inspector.

import { DurableEventIteratorObject, handleChannelRequest, upgradeDurableEventIteratorRequest } from 'durable-event-iterator/durable-object'
import type { DurableEventIteratorNamespace } from 'durable-event-iterator/durable-object'

interface Env {
  SIGNING_KEY: string
  INSPECT_KEY?: string
  ROOM: DurableEventIteratorNamespace
}

export class Room extends DurableEventIteratorObject<object> {
  constructor(context: ConstructorParameters<typeof DurableEventIteratorObject>[0], env: object) {
    super(context, env, { presence: { key: 'subject' } })
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const options = { signingKey: env.SIGNING_KEY, namespace: env.ROOM }
    if (new URL(request.url).pathname === '/') return upgradeDurableEventIteratorRequest(request, options)
    return handleChannelRequest(request, { ...options, prefix: '/rooms', inspectKey: env.INSPECT_KEY })
  },
}

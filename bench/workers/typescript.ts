// The measured Durable Object as a class in TypeScript, as oRPC's documentation writes it, on the compiled core.

import { os, type } from '@orpc/server'
import { DurableEventIteratorObject, upgradeDurableEventIteratorRequest } from 'durable-event-iterator/durable-object'

interface Env {
  ROOM: DurableObjectNamespace<Room>
  SIGNING_KEY: string
  RETENTION_SECONDS?: string
}

interface Message {
  message: string
}

export class Room extends DurableEventIteratorObject<Message, undefined, object, Env> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { eventRetentionSeconds: Number(env.RETENTION_SECONDS ?? 3_600) })
  }

  ping(_: WebSocket) {
    return os.handler(() => 'pong').callable()
  }

  publishMessage(_: WebSocket) {
    return os
      .input(type<Message>())
      .handler(({ input }) => this.dei.websocketManager.publishEvent(this.ctx.getWebSockets(), input).id)
      .callable()
  }
}

export default {
  fetch: (request, env) => upgradeDurableEventIteratorRequest(request, { signingKey: env.SIGNING_KEY, namespace: env.ROOM }),
} satisfies ExportedHandler<Env>

// The Durable Object: one for each room.

import { os } from '@orpc/server'
import { DurableIteratorObject } from 'durable-event-iterator/durable-object'
import type { DurableIteratorWebsocket } from 'durable-event-iterator/durable-object'
import * as z from 'zod'

/** The bindings in `wrangler.jsonc`, and the secrets in `.dev.vars`. */
export interface Env {
  SIGNING_KEY: string
  /** Turns on the inspector at `/inspect`. Without it, nobody can use it. */
  INSPECT_KEY?: string
  /** The keys of servers, each with its rights: see https://github.com/durable-event-iterator/durable-event-iterator/blob/main/docs/http.md#access-keys. */
  ACCESS_KEYS?: string
  CHAT_ROOM: DurableObjectNamespace<ChatRoom>
}

/** The events. */
export const Message = z.object({ message: z.string().min(1).max(1000) })

export class ChatRoom extends DurableIteratorObject<z.infer<typeof Message>, Env> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, {
      signingKey: env.SIGNING_KEY,
      resumeRetentionSeconds: 300, // how long reconnecting clients receive missed messages
    })
  }

  /** Clients call this procedure over the WebSocket, if their token lists it. */
  publishMessage(_ws: DurableIteratorWebsocket) {
    return os
      .input(Message)
      .handler(({ input }) => {
        this.publishEvent(input)
      })
      .callable()
  }
}

import { os, type } from '@orpc/server'
import { DurableIteratorObject } from 'durable-event-iterator/durable-object'
import type { DurableIteratorWebsocket } from 'durable-event-iterator/durable-object'

export class Notes extends DurableIteratorObject<{ text: string; at: Date }, Env> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { signingKey: env.SIGNING_KEY, resumeRetentionSeconds: 60 })
  }

  add(ws: DurableIteratorWebsocket) {
    return os
      .input(type<{ text: string }>())
      .handler(({ input }) => {
        this.publishEvent({ text: input.text, at: new Date(0) }, { exclude: [ws] })
      })
      .callable()
  }
}

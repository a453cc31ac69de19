import { createProcedureClient, createRouterClient, ORPCError, os, type } from '@orpc/server'
import { DurableIteratorObject } from 'durable-event-iterator/durable-object'
import type { DurableIteratorWebsocket } from 'durable-event-iterator/durable-object'

interface Message {
  text: string
  at: Date
}

export class Room extends DurableIteratorObject<Message, Env> {
  #calls = 0

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, {
      signingKey: env.SIGNING_KEY,
      errorStatusMap: { OUT_OF_STOCK: 409 },
      routingInterceptors: [
        ({ next }) => {
          this.#calls += 1
          return next()
        },
      ],
    })
  }

  say(ws: DurableIteratorWebsocket) {
    return createProcedureClient(
      os.input(type<{ text: string }>()).handler(({ input }) => {
        ws.serializeAttachment({ said: input.text })
        return this.publishEvent({ text: input.text, at: new Date(0) }).id
      }),
    )
  }

  shop(ws: DurableIteratorWebsocket) {
    return createRouterClient({
      said: os.handler((): string | undefined => ws.deserializeAttachment()?.said),
      buy: os.errors({ OUT_OF_STOCK: { data: type<{ left: number }>() } }).handler(({ errors }): string => {
        throw errors.OUT_OF_STOCK({ data: { left: 0 } })
      }),
      order: os.handler((): string => {
        throw new ORPCError('CONFLICT', { message: 'already ordered' })
      }),
      upper: os.input(type<File>()).handler(async ({ input }) => new File([(await input.text()).toUpperCase()], `upper-${input.name}`)),
      countdown: os.input(type<number>()).handler(async function* ({ input, lastEventId }) {
        for (let n = Number(lastEventId ?? input); n > 0; n--) yield { n }
      }),
    })
  }

  async calls(): Promise<number> {
    return this.#calls
  }
}

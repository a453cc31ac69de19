import { os, type } from '@orpc/server'
import { DurableEventIteratorObject } from 'durable-event-iterator/durable-object'

export class ChatRoom extends DurableEventIteratorObject<{ message: string }, { userId: string }, object, Env> {
  publishMessage(ws: WebSocket) {
    return os
      .input(type<{ message: string }>())
      .handler(({ input }) => {
        const { userId } = this.dei.websocketManager.deserializeAttachment(ws)['dei:token:payload'].att
        this.dei.websocketManager.publishEvent(
          this.ctx.getWebSockets().filter((socket) => socket !== ws),
          { message: `${userId}: ${input.message}` },
        )
      })
      .callable()
  }

  router(_ws: WebSocket) {
    return { ping: os.handler(() => 'pong').callable() }
  }

  async count(): Promise<{ sockets: number }> {
    return { sockets: this.ctx.getWebSockets().length }
  }
}

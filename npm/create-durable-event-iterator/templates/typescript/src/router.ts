// The oRPC server.

import { os } from '@orpc/server'
import { DurableIterator } from 'durable-event-iterator'

import { Message } from './chat-room.ts'
import type { ChatRoom, Env } from './chat-room.ts'

const base = os.$context<{ env: Env }>()

export const router = {
  // Check the user's permissions here: whoever receives the token may subscribe.
  onMessage: base.handler(({ context }) => {
    return new DurableIterator<ChatRoom>('some-room', {
      signingKey: context.env.SIGNING_KEY,
    }).rpc('publishMessage')
  }),

  sendMessage: base.input(Message).handler(async ({ context, input }) => {
    await context.env.CHAT_ROOM.getByName('some-room').publish(input)
  }),
}

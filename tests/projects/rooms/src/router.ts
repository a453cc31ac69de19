import { os, type } from '@orpc/server'
import { DurableEventIterator, DurableIterator } from 'durable-event-iterator'

import type { ChatRoom } from './chat-room'
import type { Notes } from './notes'

const base = os.$context<{ env: Env }>()

export const router = {
  onMessage: base.input(type<{ userId: string }>()).handler(({ context, input }) => {
    const { userId } = input
    return new DurableEventIterator<ChatRoom>('some-room', { signingKey: context.env.SIGNING_KEY, att: { userId } }).rpc(
      'publishMessage',
      'router',
    )
  }),
  onNote: base.handler(({ context }) => {
    return new DurableIterator<Notes>('some-notes', { signingKey: context.env.SIGNING_KEY }).rpc('add')
  }),
  sendMessage: base.input(type<{ message: string }>()).handler(async ({ context, input }) => {
    await context.env.CHAT_ROOM.getByName('some-room').publish(input)
  }),
}

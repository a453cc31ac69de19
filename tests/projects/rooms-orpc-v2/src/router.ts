import { os, type } from '@orpc/server'
import { DurableIterator } from 'durable-event-iterator'

import type { Room } from './room.ts'

const base = os.$context<{ env: Env }>()

export const router = {
  onMessage: base.handler(({ context }) => {
    return new DurableIterator<Room>('some-room', { signingKey: context.env.SIGNING_KEY }).rpc('say', 'shop')
  }),
  sendMessage: base.input(type<{ text: string }>()).handler(async ({ context, input }) => {
    await context.env.ROOM.getByName('some-room').publish({ text: input.text, at: new Date(0) })
  }),
  calls: base.handler(({ context }): Promise<number> => context.env.ROOM.getByName('some-room').calls()),
}

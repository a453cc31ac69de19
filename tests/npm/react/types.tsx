// Tests of the types of the hook. This file is only compiled.

import type { Client } from '@orpc/client'

import { subscribe } from '../../../npm/durable-event-iterator/src/client/index.ts'
import type { Subscription, SubscriptionGap, SubscriptionProcedures } from '../../../npm/durable-event-iterator/src/client/index.ts'
import type { DurableEventIteratorObject } from '../../../npm/durable-event-iterator/src/index.ts'
import type {
  ClientDurableEventIterator,
  ClientDurableIterator,
  DurableEventIteratorLinkPluginContext,
  DurableIteratorLinkPluginContext,
} from '../../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import { useSubscription } from '../../../npm/durable-event-iterator/src/react/index.ts'
import type { Replace, SourceState } from '../../../npm/durable-event-iterator/src/react/index.ts'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const yes = <_T extends true>(): void => {}

interface Message {
  message: string
}

interface ChatRoom extends DurableEventIteratorObject<Message> {
  publishMessage(): Client<Record<never, never>, Message, 'published', Error>
}

type Follow = Client<DurableIteratorLinkPluginContext, string, ClientDurableIterator<ChatRoom, 'publishMessage'>, Error>
type OnEvent = Client<DurableEventIteratorLinkPluginContext, string, ClientDurableEventIterator<ChatRoom, 'publishMessage'>, Error>
declare const client: { follow: Follow; onEvent: OnEvent }
declare const generate: () => AsyncGenerator<Message, void, void>
declare const token: () => Promise<string>

export function useStandalone(roomId: string): void {
  const result = useSubscription((hooks) => subscribe<ChatRoom>({ ...hooks, url: `wss://example.com/${roomId}`, token }), [roomId], {
    maxEvents: 100,
    onEvent: (event) => yes<Equal<typeof event, Message>>(),
    load: async ({ signal }) => {
      yes<Equal<typeof signal, AbortSignal>>()
      return { events: [{ message: 'Hello' }], lastEventId: '1' }
    },
  })
  yes<Equal<typeof result.events, readonly Message[]>>()
  yes<Equal<typeof result.state, SourceState>>()
  yes<Equal<SourceState, 'idle' | 'connecting' | 'open' | 'recovering' | 'paused' | 'closed'>>()
  yes<Equal<typeof result.error, unknown>>()
  yes<Equal<typeof result.gap, SubscriptionGap | undefined>>()
  yes<Equal<typeof result.replace, Replace<readonly Message[]>>>()
  yes<Equal<typeof result.subscription, Subscription<Message, SubscriptionProcedures<ChatRoom>> | undefined>>()
  const published = result.subscription?.rpc.publishMessage({ message: 'Hello' })
  yes<Equal<typeof published, Promise<'published'> | undefined>>()
  // @ts-expect-error: without a reducer there is no data
  result.data
  // @ts-expect-error: the list is immutable
  result.events.push({ message: 'Hello' })
}

export function useIterators(channel: string | undefined): void {
  const first = useSubscription(
    (hooks) => client.follow('room', { signal: hooks.signal, context: { durableIterator: hooks } }),
    [channel],
  )
  yes<Equal<typeof first.events, readonly Message[]>>()
  yes<Equal<typeof first.subscription, ClientDurableIterator<ChatRoom, 'publishMessage'> | undefined>>()
  const second = useSubscription(
    channel !== undefined &&
      ((hooks) => client.onEvent(channel, { signal: hooks.signal, context: { durableEventIterator: hooks } })),
    [channel],
  )
  yes<Equal<typeof second.events, readonly Message[]>>()
  const published: Promise<'published'> | undefined = second.subscription?.publishMessage({ message: 'Hello' })
  void published
  const third = useSubscription(channel === undefined ? null : () => generate(), [channel])
  yes<Equal<typeof third.events, readonly Message[]>>()
}

export function useReducers(): void {
  const length = useSubscription((hooks) => subscribe<Message>({ ...hooks, url: '', token }), [], {
    initial: 0,
    reduce: (sum, { message }) => sum + message.length,
    load: () => ({ data: 1, lastEventId: undefined }),
  })
  yes<Equal<typeof length.data, number>>()
  yes<Equal<typeof length.replace, Replace<number>>>()
  // @ts-expect-error: with a reducer there is no list
  length.events
  const last = useSubscription(() => generate(), [], { initial: undefined as Message | undefined, reduce: (_, event) => event })
  yes<Equal<typeof last.data, Message | undefined>>()
  // @ts-expect-error: a reducer needs an initial value
  useSubscription(() => generate(), [], { reduce: (sum: number) => sum })
  // @ts-expect-error: dependencies are required
  useSubscription(() => generate())
  // @ts-expect-error: not a source of events
  useSubscription(() => 'events', [])
}

// What the types allow and what they do not. Only compiled: here with the sources, and by `package.test.ts` with the packed
// package and each oRPC version.

import { createORPCClient, onError } from '@orpc/client'
import type { Client } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { oc, type } from '@orpc/contract'
import type { ContractRouterClient } from '@orpc/contract'
import { implement, os } from '@orpc/server'
import type { RouterClient } from '@orpc/server'
import { RPCHandler } from '@orpc/server/fetch'
import { BatchHandlerPlugin } from '@orpc/server/plugins'

import {
  DurableEventIteratorConnectionError,
  DurableEventIteratorLinkPlugin,
  getClientDurableEventIteratorToken,
} from '../../npm/src/client/index.ts'
import type {
  ClientDurableEventIterator,
  DurableEventIteratorLinkPluginContext,
  DurableEventIteratorState,
} from '../../npm/src/client/index.ts'
import { upgradeDurableEventIteratorRequest } from '../../npm/src/durable-object/index.ts'
import { DurableEventIterator, DurableEventIteratorHandlerPlugin } from '../../npm/src/index.ts'
import type { DurableEventIteratorObject, InferDurableEventIteratorObjectRPC } from '../../npm/src/index.ts'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const yes = <_T extends true>(): void => {}

type NoContext = Record<never, never>

interface ChatRoom extends DurableEventIteratorObject<{ message: string }, { userId: string }> {
  publishMessage(ws: unknown): Client<NoContext, { message: string }, void, Error>
  router(): {
    ping: Client<NoContext, void, 'pong', Error>
    deep: { echo: Client<NoContext, { text: string }, string, Error> }
  }
  // None of these can be allowed.
  next(): Client<NoContext, void, void, Error>
  then(): Client<NoContext, void, void, Error>
  needsContext(): Client<{ secret: string }, void, void, Error>
  plain(message: string): void
  value: number
}

yes<Equal<InferDurableEventIteratorObjectRPC<ChatRoom>, 'publishMessage' | 'router'>>()
yes<Equal<InferDurableEventIteratorObjectRPC<DurableEventIteratorObject<object>>, never>>()

// The attachment is required where the type says so, and has that type.
const signingKey = 'key'
new DurableEventIterator<ChatRoom>('some-room', { signingKey, att: { userId: 'a' } })
new DurableEventIterator<ChatRoom>('some-room', { signingKey, att: { userId: 'a' }, tokenTTLSeconds: 60, rpc: [] })
new DurableEventIterator<ChatRoom, 'router'>('some-room', { signingKey, att: { userId: 'a' }, rpc: ['router'] })
// @ts-expect-error: without it
new DurableEventIterator<ChatRoom>('some-room', { signingKey })
// @ts-expect-error: of another type
new DurableEventIterator<ChatRoom>('some-room', { signingKey, att: { userId: 1 } })
// @ts-expect-error: without a key
new DurableEventIterator<ChatRoom>('some-room', { att: { userId: 'a' } })
// @ts-expect-error: without options
new DurableEventIterator<ChatRoom>('some-room')
new DurableEventIterator<DurableEventIteratorObject<{ n: number }>>('numbers', { signingKey })
new DurableEventIterator<DurableEventIteratorObject<{ n: number }>>('numbers', { signingKey, att: [1, { a: null }] })
new DurableEventIterator<DurableEventIteratorObject<{ n: number }, string | undefined>>('numbers', { signingKey })
// @ts-expect-error: what JSON cannot carry
new DurableEventIterator<DurableEventIteratorObject<{ n: number }>>('numbers', { signingKey, att: new Date() })
// @ts-expect-error: events are objects
new DurableEventIterator<DurableEventIteratorObject<string>>('texts', { signingKey })

const iterator = new DurableEventIterator<ChatRoom>('some-room', { signingKey, att: { userId: 'a' } })
iterator.rpc('publishMessage', 'router')
// @ts-expect-error: no procedure
iterator.rpc('plain')
// @ts-expect-error: an iterator's own
iterator.rpc('next')
// @ts-expect-error: only once
iterator.rpc('router').rpc('publishMessage')

// A router, as a server has it.
const router = {
  onMessage: os.handler(() => iterator.rpc('publishMessage', 'router')),
  onEvents: os.handler(async () => new DurableEventIterator<ChatRoom>('some-room', { signingKey, att: { userId: 'a' } })),
  sendMessage: os.input(type<{ message: string }>()).handler(({ input }) => input.message),
}
new RPCHandler(router, { plugins: [new DurableEventIteratorHandlerPlugin()] })
new RPCHandler(router, { plugins: [new BatchHandlerPlugin(), new DurableEventIteratorHandlerPlugin()] })
const base = os.$context<{ user: string }>()
new RPCHandler({ ping: base.handler(() => 'pong') }, { plugins: [new DurableEventIteratorHandlerPlugin()] })

// A client, as a browser has it.
const link = new RPCLink({
  url: 'https://example.com/rpc',
  plugins: [
    new DurableEventIteratorLinkPlugin({
      url: 'wss://example.com/chat-room',
      customJsonSerializers: [],
      plugins: [],
      onGap: ({ nextEventId, lastEventId }) => {
        yes<Equal<typeof nextEventId, string>>()
        yes<Equal<typeof lastEventId, string | undefined>>()
      },
      onStateChange: (state, { path }) => {
        yes<Equal<typeof state, DurableEventIteratorState>>()
        yes<Equal<typeof state, 'connecting' | 'open' | 'recovering' | 'closed'>>()
        yes<Equal<typeof path, readonly string[]>>()
      },
    }),
  ],
})
for (const url of ['a', new URL('a:'), Promise.resolve('a'), () => 'a', () => new URL('a:'), async () => 'a']) {
  new DurableEventIteratorLinkPlugin({ url, WebSocket: globalThis.WebSocket })
}
// @ts-expect-error: the socket is not the application's
new DurableEventIteratorLinkPlugin({ url: 'a', websocket: {} })
// @ts-expect-error: without a URL
new DurableEventIteratorLinkPlugin({})
const client: RouterClient<typeof router> = createORPCClient(link)

export async function browser(): Promise<void> {
  const events = await client.onMessage(undefined, { signal: new AbortController().signal, lastEventId: '1' })
  yes<Equal<typeof events, ClientDurableEventIterator<ChatRoom, 'publishMessage' | 'router'>>>()
  for await (const event of events) yes<Equal<typeof event, { message: string }>>()
  const { value, done } = await events.next()
  yes<Equal<typeof value, { message: string } | void>>()
  yes<Equal<typeof done, boolean | undefined>>()
  await events.return()

  const published = await events.publishMessage({ message: 'Hello' })
  yes<Equal<typeof published, void>>()
  const pong = await events.router.ping()
  yes<Equal<typeof pong, 'pong'>>()
  const echo = await events.router.deep.echo({ text: 'a' }, { signal: new AbortController().signal, context: { retry: 3 } })
  yes<Equal<typeof echo, string>>()
  // @ts-expect-error: input of another type
  await events.publishMessage({ message: 1 })
  // @ts-expect-error: without input
  await events.publishMessage()
  // @ts-expect-error: no such procedure
  events.router.pong
  // @ts-expect-error: no such context
  await events.router.ping(undefined, { context: { retry: 'often' } })

  const bare = await client.onEvents()
  // @ts-expect-error: not allowed by this token
  bare.publishMessage
  yes<Equal<ReturnType<typeof getClientDurableEventIteratorToken>, string | undefined>>()
  const error: Error = new DurableEventIteratorConnectionError('lost')
  if (error instanceof DurableEventIteratorConnectionError) yes<Equal<typeof error.reason, 'lost' | 'unavailable' | 'closed'>>()
}

// Hooks of a call, in its context.
const hooked: RouterClient<typeof router, DurableEventIteratorLinkPluginContext> = createORPCClient(
  new RPCLink<DurableEventIteratorLinkPluginContext>({
    url: 'https://example.com/rpc',
    plugins: [new DurableEventIteratorLinkPlugin({ url: 'wss://example.com/chat-room' })],
  }),
)
export const withHooks = (): unknown =>
  hooked.onMessage(undefined, { context: { durableEventIterator: { onStateChange: (state) => state, onGap: () => {} } } })

// Contract first.
export const publishMessageContract = oc.input(type<{ message: string }>())

export interface ContractedRoom extends DurableEventIteratorObject<{ message: string }> {
  publishMessage(...args: unknown[]): ContractRouterClient<typeof publishMessageContract>
}

export const contract = {
  onMessage: oc.output(type<ClientDurableEventIterator<ContractedRoom, 'publishMessage'>>()),
}
const contracted = implement(contract)
contracted.router({
  onMessage: contracted.onMessage.handler(() =>
    new DurableEventIterator<ContractedRoom>('some-room', { signingKey }).rpc('publishMessage'),
  ),
})
contracted.onMessage.handler(
  // @ts-expect-error: fewer procedures than the contract says
  () => new DurableEventIterator<ContractedRoom>('some-room', { signingKey }),
)
const contractClient: ContractRouterClient<typeof contract> = createORPCClient(link)
export async function contractFirst(): Promise<void> {
  const events = await contractClient.onMessage()
  await events.publishMessage({ message: 'Hello' })
  // @ts-expect-error: input of another type
  await events.publishMessage({ message: 1 })
  for await (const { message } of events) yes<Equal<typeof message, string>>()
}

// The upgrade, with whatever a namespace looks like.
declare const namespace: {
  idFromName(name: string): { toString(): string }
  get(id: { toString(): string }, options?: { locationHint: string }): { fetch(request: Request): Promise<Response>; publish(): Promise<string> }
}
export const upgraded: Promise<Response> = upgradeDurableEventIteratorRequest(new Request('https://example.com'), {
  signingKey,
  namespace,
  interceptors: [
    async ({ payload, request, next }) => {
      yes<Equal<typeof payload.chn, string>>()
      yes<Equal<typeof request, Request>>()
      return next()
    },
    ({ payload, next }) => (payload.att === 'banned' ? new Response('Banned', { status: 403 }) : next()),
    onError((error) => console.error(error)),
  ],
})
upgradeDurableEventIteratorRequest(new Request('https://example.com'), { signingKey: ['new', 'old'], namespace })
// @ts-expect-error: no namespace
upgradeDurableEventIteratorRequest(new Request('https://example.com'), { signingKey, namespace: {} })

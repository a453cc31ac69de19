// Tests of the types with oRPC 2.x. This file is only compiled: with the sources, and by `package.test.ts` with the packed package.

import { createORPCClient, onError } from '@orpc/client'
import type { AsyncIteratorClass, Client } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { RetryLinkPlugin } from '@orpc/client/plugins'
import type { RetryLinkPluginContext } from '@orpc/client/plugins'
import { oc, type } from '@orpc/contract'
import type { RouterContractClient } from '@orpc/contract'
import { implement, os } from '@orpc/server'
import type { RouterClient } from '@orpc/server'
import { RPCHandler } from '@orpc/server/fetch'
import { RPCHandler as NodeRPCHandler } from '@orpc/server/node'
import { BatchHandlerPlugin } from '@orpc/server/plugins'

import {
  DurableEventIterator,
  DurableEventIteratorHandlerPlugin,
  DurableIterator,
  DurableIteratorHandlerPlugin,
  getEventMeta,
  withEventMeta,
} from '../../../npm/durable-event-iterator/src/index.ts'
import type {
  DurableEventIteratorObject,
  DurableIteratorObject,
  DurableIteratorTokenPayload,
  InferDurableIteratorObjectRPC,
} from '../../../npm/durable-event-iterator/src/index.ts'
import {
  DurableEventIteratorConnectionError,
  DurableEventIteratorLinkPlugin,
  DurableIteratorError,
  DurableIteratorLinkPlugin,
  getClientDurableIteratorToken,
} from '../../../npm/durable-event-iterator/src/orpc-v2/index.ts'
import type {
  ClientDurableEventIterator,
  ClientDurableIterator,
  DurableEventIteratorLinkPluginContext,
  DurableEventIteratorState,
  DurableIteratorLinkPluginContext,
  DurableIteratorLinkPluginOptions,
  EventIterator,
} from '../../../npm/durable-event-iterator/src/orpc-v2/index.ts'

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
interface FollowedRoom extends DurableIteratorObject<{ message: string }> {
  singleClient(ws: unknown): Client<NoContext, { message: string }, void, Error>
}

yes<Equal<InferDurableIteratorObjectRPC<ChatRoom>, 'publishMessage' | 'router'>>()
yes<Equal<InferDurableIteratorObjectRPC<DurableIteratorObject<object>>, never>>()

const signingKey = 'key'
const iterator = new DurableEventIterator<ChatRoom>('some-room', { signingKey, att: { userId: 'a' } })
// @ts-expect-error: without the attachment
new DurableIterator<ChatRoom>('some-room', { signingKey })
// @ts-expect-error: not a procedure
iterator.rpc('plain')
// @ts-expect-error: a method of iterators
iterator.rpc('next')

// A router of a server.
const router = {
  onMessage: os.handler(() => iterator.rpc('publishMessage', 'router')),
  onEvents: os.handler(async () => new DurableEventIterator<ChatRoom>('some-room', { signingKey, att: { userId: 'a' } })),
  follow: os.handler(() => new DurableIterator<FollowedRoom>('some-room', { signingKey, tags: ['a'] }).rpc('singleClient')),
  sendMessage: os.input(type<{ message: string }>()).handler(({ input }) => input.message),
}
new RPCHandler(router, { plugins: [new DurableEventIteratorHandlerPlugin()] })
new NodeRPCHandler(router, { plugins: [new BatchHandlerPlugin(), new DurableIteratorHandlerPlugin()] })
const base = os.$context<{ user: string }>()
new RPCHandler({ ping: base.handler(() => 'pong') }, { plugins: [new DurableEventIteratorHandlerPlugin()] })

// A client in a browser.
const link = new RPCLink({
  origin: 'https://example.com',
  url: '/rpc',
  plugins: [
    new DurableEventIteratorLinkPlugin({
      url: 'wss://example.com/chat-room',
      customJsonSerializers: [],
      plugins: [new RetryLinkPlugin()],
      interceptors: [onError((error) => console.error(error))],
      transportInterceptors: [({ request, next }) => next({ path: [], context: {}, request })],
      headers: (_, path) => ({ 'x-path': path.join('/') }),
      onGap: ({ nextEventId, lastEventId }) => {
        yes<Equal<typeof nextEventId, string>>()
        yes<Equal<typeof lastEventId, string | undefined>>()
      },
      onStateChange: (state, { path }) => {
        yes<Equal<typeof state, DurableEventIteratorState>>()
        yes<Equal<typeof path, readonly string[]>>()
      },
    }),
    new DurableIteratorLinkPlugin({ url: 'wss://example.com/chat-room' }),
  ],
})
for (const url of ['a', new URL('a:'), Promise.resolve('a'), () => 'a', () => new URL('a:'), async () => 'a']) {
  new DurableEventIteratorLinkPlugin({ url, WebSocket: globalThis.WebSocket })
  new DurableIteratorLinkPlugin({ url, WebSocket: globalThis.WebSocket })
}
// @ts-expect-error: an application cannot set the connection
new DurableEventIteratorLinkPlugin({ url: 'a', connect: () => {} })
// @ts-expect-error: without a URL
new DurableEventIteratorLinkPlugin({})
// @ts-expect-error: an option of oRPC 1.x
new DurableEventIteratorLinkPlugin({ url: 'a', clientInterceptors: [] })
const client: RouterClient<typeof router> = createORPCClient(link)

export async function browser(): Promise<void> {
  const events = await client.onMessage(undefined, { signal: new AbortController().signal, lastEventId: '1' })
  yes<Equal<typeof events, ClientDurableEventIterator<ChatRoom, 'publishMessage' | 'router'>>>()
  for await (const event of events) yes<Equal<typeof event, { message: string }>>()
  const next = await events.next()
  yes<Equal<typeof next, IteratorResult<{ message: string }, void>>>()
  await events.return()
  yes<Equal<ReturnType<typeof getEventMeta>, { id?: string | undefined; retry?: number | undefined; comments?: string[] | undefined } | undefined>>()

  const published = await events.publishMessage({ message: 'Hello' })
  yes<Equal<typeof published, void>>()
  const pong = await events.router.ping()
  yes<Equal<typeof pong, 'pong'>>()
  const echo = await events.router.deep.echo({ text: 'a' }, { signal: new AbortController().signal, context: { retry: 3 } })
  yes<Equal<typeof echo, string>>()
  await events.router.ping(undefined, {
    context: {
      retry: async ({ path }) => path.length,
      retryDelay: ({ error }) => (error instanceof DurableEventIteratorConnectionError ? 0 : 1_000),
      shouldRetry: ({ input }) => input === undefined,
      onRetry: () => (isSuccess) => console.log(isSuccess),
    },
  })
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

  const followed = await client.follow()
  yes<Equal<typeof followed, ClientDurableIterator<FollowedRoom, 'singleClient'>>>()
  await followed.singleClient({ message: 'Hello' }, { context: { retry: 3, traceId: 'a' } })
  // @ts-expect-error: an undeclared property
  await followed.singleClient({ message: 'Hello' }, { context: { spanId: 'a' } })
  yes<Equal<ReturnType<typeof getClientDurableIteratorToken>, string | undefined>>()

  // Like the iterators of oRPC, ours are assignable to its `AsyncIteratorClass`, which has a private member.
  let orpcs: AsyncIteratorClass<{ message: string }, void>
  orpcs = events
  orpcs = followed
  void orpcs
  const onlyEvents: EventIterator<{ message: string }> = events
  void onlyEvents
  const error: Error = new DurableEventIteratorConnectionError('lost')
  if (error instanceof DurableIteratorError) yes<Equal<typeof error.message, string>>()
  yes<Equal<ReturnType<typeof withEventMeta<{ message: string }>>, { message: string }>>()
}

declare module '../../../npm/durable-event-iterator/src/orpc-v2/index.ts' {
  interface ClientDurableIteratorRpcContext {
    /** For a custom plugin. */
    traceId?: string
  }
}

// Contexts: hooks of a call, oRPC's plugins, and custom properties.
interface Session {
  session?: string
}
const following = new RPCLink<Session & DurableIteratorLinkPluginContext & RetryLinkPluginContext>({
  url: '/rpc',
  plugins: [
    new RetryLinkPlugin(),
    new DurableIteratorLinkPlugin({
      url: (payload, { path, context }) => {
        yes<Equal<typeof payload, DurableIteratorTokenPayload>>()
        yes<Equal<typeof path, string[]>>()
        yes<Equal<typeof context.session, string | undefined>>()
        return 'wss://example.com/chat-room'
      },
      createId: async ({ chn }, { context }) => `${chn}-${context.session}`,
      refreshTokenBeforeExpireInSeconds: 10 * 60,
      refreshTokenDelayInSeconds: async ({ exp, iat }) => (exp - iat) / 10,
    }),
  ],
})
// @ts-expect-error: a connection id is a string
new DurableIteratorLinkPlugin({ url: 'a', createId: () => 1 })
// @ts-expect-error: seconds are a number
new DurableIteratorLinkPlugin({ url: 'a', refreshTokenBeforeExpireInSeconds: '600' })
export type PluginOptions = DurableIteratorLinkPluginOptions<Session>
const follower: RouterClient<typeof router, Session & DurableIteratorLinkPluginContext & RetryLinkPluginContext> =
  createORPCClient(following)
export const withHooks = (): unknown =>
  follower.follow(undefined, { context: { session: 'a', retry: 3, durableIterator: { onStateChange: (state) => state, onGap: () => {} } } })
const hooked: RouterClient<typeof router, DurableEventIteratorLinkPluginContext> = createORPCClient(
  new RPCLink<DurableEventIteratorLinkPluginContext>({ plugins: [new DurableEventIteratorLinkPlugin({ url: 'a' })] }),
)
export const withHooksOfFirstKind = (): unknown =>
  hooked.onMessage(undefined, { context: { durableEventIterator: { onStateChange: (state) => state } } })

// Contract first.
export const publishMessageContract = oc.input(type<{ message: string }>())
interface ContractedRoom extends DurableIteratorObject<{ message: string }> {
  publishMessage(...args: unknown[]): RouterContractClient<typeof publishMessageContract>
}
const contract = {
  onMessage: oc.output(type<ClientDurableIterator<ContractedRoom, 'publishMessage'>>()),
}
const contracted = implement(contract)
contracted.router({
  onMessage: contracted.onMessage.handler(() =>
    new DurableIterator<ContractedRoom>('some-room', { signingKey }).rpc('publishMessage'),
  ),
})
contracted.onMessage.handler(
  // @ts-expect-error: fewer procedures than in the contract
  () => new DurableIterator<ContractedRoom>('some-room', { signingKey }),
)
const contractClient: RouterContractClient<typeof contract> = createORPCClient(link)
export async function contractFirst(): Promise<void> {
  const events = await contractClient.onMessage()
  await events.publishMessage({ message: 'Hello' })
  // @ts-expect-error: input of another type
  await events.publishMessage({ message: 1 })
  for await (const { message } of events) yes<Equal<typeof message, string>>()
}

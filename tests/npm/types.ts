// Tests of the types. This file is only compiled: with the sources, and by `package.test.ts` with the packed
// package and each oRPC version.

import { createORPCClient, mapEventIterator, onError } from '@orpc/client'
import type { Client, ClientLink } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { oc, type } from '@orpc/contract'
import type { ContractRouterClient } from '@orpc/contract'
import { implement, os } from '@orpc/server'
import type { RouterClient } from '@orpc/server'
import { RPCHandler } from '@orpc/server/fetch'
import { BatchHandlerPlugin } from '@orpc/server/plugins'

import {
  createClientDurableEventIterator,
  createClientDurableIterator,
  DurableEventIteratorConnectionError,
  DurableEventIteratorLinkPlugin,
  DurableIteratorError,
  DurableIteratorLinkPlugin,
  getClientDurableEventIteratorToken,
  getClientDurableIteratorToken,
} from '../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import type {
  ClientDurableEventIterator,
  ClientDurableIterator,
  ClientDurableIteratorRpcContext,
  DurableEventIteratorLinkPluginContext,
  DurableEventIteratorState,
  DurableIteratorLinkPluginContext,
  DurableIteratorLinkPluginOptions,
  EventIterator,
} from '../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import { callStub, StubError, upgradeDurableEventIteratorRequest, upgradeDurableIteratorRequest } from '../../npm/durable-event-iterator/src/durable-object/index.ts'
import type { ChannelStub, Published, PublishOptions } from '../../npm/durable-event-iterator/src/durable-object/index.ts'
import {
  DurableEventIterator,
  DurableEventIteratorHandlerPlugin,
  DurableIterator,
  DurableIteratorHandlerPlugin,
  parseDurableIteratorToken,
  signDurableIteratorToken,
  verifyDurableIteratorToken,
  withEventMeta,
} from '../../npm/durable-event-iterator/src/index.ts'
import type {
  DurableEventIteratorObject,
  DurableIteratorObject,
  DurableIteratorTokenPayload,
  InferDurableEventIteratorObjectRPC,
  InferDurableIteratorObjectRPC,
} from '../../npm/durable-event-iterator/src/index.ts'

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

// The attachment is required unless its type includes `undefined`.
const signingKey = 'key'
new DurableEventIterator<ChatRoom>('some-room', { signingKey, att: { userId: 'a' } })
new DurableEventIterator<ChatRoom>('some-room', { signingKey, att: { userId: 'a' }, tokenTTLSeconds: 60, rpc: [] })
new DurableEventIterator<ChatRoom, 'router'>('some-room', { signingKey, att: { userId: 'a' }, rpc: ['router'] })
// @ts-expect-error: without the attachment
new DurableEventIterator<ChatRoom>('some-room', { signingKey })
// @ts-expect-error: an attachment of another type
new DurableEventIterator<ChatRoom>('some-room', { signingKey, att: { userId: 1 } })
// @ts-expect-error: without a signing key
new DurableEventIterator<ChatRoom>('some-room', { att: { userId: 'a' } })
// @ts-expect-error: without options
new DurableEventIterator<ChatRoom>('some-room')
new DurableEventIterator<DurableEventIteratorObject<{ n: number }>>('numbers', { signingKey })
new DurableEventIterator<DurableEventIteratorObject<{ n: number }>>('numbers', { signingKey, att: [1, { a: null }] })
new DurableEventIterator<DurableEventIteratorObject<{ n: number }, string | undefined>>('numbers', { signingKey })
// @ts-expect-error: a value that JSON cannot represent
new DurableEventIterator<DurableEventIteratorObject<{ n: number }>>('numbers', { signingKey, att: new Date() })
// @ts-expect-error: events are objects
new DurableEventIterator<DurableEventIteratorObject<string>>('texts', { signingKey })

const iterator = new DurableEventIterator<ChatRoom>('some-room', { signingKey, att: { userId: 'a' } })
iterator.rpc('publishMessage', 'router')
// @ts-expect-error: not a procedure
iterator.rpc('plain')
// @ts-expect-error: a method of iterators
iterator.rpc('next')
// @ts-expect-error: only once
iterator.rpc('router').rpc('publishMessage')

// A router of a server.
const router = {
  onMessage: os.handler(() => iterator.rpc('publishMessage', 'router')),
  onEvents: os.handler(async () => new DurableEventIterator<ChatRoom>('some-room', { signingKey, att: { userId: 'a' } })),
  sendMessage: os.input(type<{ message: string }>()).handler(({ input }) => input.message),
}
new RPCHandler(router, { plugins: [new DurableEventIteratorHandlerPlugin()] })
new RPCHandler(router, { plugins: [new BatchHandlerPlugin(), new DurableEventIteratorHandlerPlugin()] })
const base = os.$context<{ user: string }>()
new RPCHandler({ ping: base.handler(() => 'pong') }, { plugins: [new DurableEventIteratorHandlerPlugin()] })

// A client in a browser.
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
        yes<Equal<typeof state, 'connecting' | 'open' | 'recovering' | 'paused' | 'closed'>>()
        yes<Equal<typeof path, readonly string[]>>()
      },
    }),
  ],
})
for (const url of ['a', new URL('a:'), Promise.resolve('a'), () => 'a', () => new URL('a:'), async () => 'a']) {
  new DurableEventIteratorLinkPlugin({ url, WebSocket: globalThis.WebSocket })
}
// @ts-expect-error: an application cannot set the socket
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
  // @ts-expect-error: fewer procedures than in the contract
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

// The upgrade, with any form of namespace.
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

// `DurableIterator`, as in oRPC's documentation.
interface FollowedRoom extends DurableIteratorObject<{ message: string }> {
  singleClient(ws: unknown): Client<NoContext, { message: string }, void, Error>
  routerClient(ws: unknown): { ping: Client<NoContext, void, 'pong', Error> }
  next(): Client<NoContext, void, void, Error>
  plain(message: string): void
}
interface FollowedUser extends DurableIteratorObject<{ message: string }, { userId: string }> {}
interface Anybody {
  userId: string
}
declare const anybody: Anybody

yes<Equal<InferDurableIteratorObjectRPC<FollowedRoom>, 'singleClient' | 'routerClient'>>()
new DurableIterator<FollowedRoom>('some-room', { signingKey })
new DurableIterator<FollowedRoom>('some-room', { signingKey, tags: ['tag1', 'tag2'], att: anybody, tokenTTLSeconds: 60 })
new DurableIterator<FollowedUser>('some-room', { signingKey, att: { userId: 'a' } })
// One type of a Durable Object works for both.
new DurableIterator<ChatRoom>('some-room', { signingKey, att: { userId: 'a' } }).rpc('publishMessage', 'router')
new DurableEventIterator<FollowedUser>('some-room', { signingKey, att: { userId: 'a' } })
// @ts-expect-error: without the required attachment
new DurableIterator<FollowedUser>('some-room', { signingKey })
// @ts-expect-error: tags are an array
new DurableIterator<FollowedRoom>('some-room', { signingKey, tags: 'tag1' })
// @ts-expect-error: tags are strings
new DurableIterator<FollowedRoom>('some-room', { signingKey, tags: [1] })
// @ts-expect-error: only a `DurableIterator` has tags
new DurableEventIterator<ChatRoom>('some-room', { signingKey, att: { userId: 'a' }, tags: ['tag1'] })
// @ts-expect-error: not a procedure
new DurableIterator<FollowedRoom>('some-room', { signingKey }).rpc('plain')

const followed = {
  onMessage: os.handler(() => new DurableIterator<FollowedRoom>('some-room', { signingKey }).rpc('singleClient', 'routerClient')),
  onEvents: os.handler(async () => new DurableIterator<FollowedRoom>('some-room', { signingKey })),
}
new RPCHandler(followed, { plugins: [new DurableIteratorHandlerPlugin()] })
new RPCHandler(followed, { plugins: [new DurableIteratorHandlerPlugin(), new DurableEventIteratorHandlerPlugin()] })

interface Session {
  session?: string
}
declare module '../../npm/durable-event-iterator/src/orpc-v1/index.ts' {
  interface ClientDurableIteratorRpcContext {
    /** For a custom plugin. */
    traceId?: string
  }
}
const following = new RPCLink<Session & DurableIteratorLinkPluginContext>({
  url: 'https://example.com/rpc',
  plugins: [
    new DurableIteratorLinkPlugin({
      url: (payload, { path, context }) => {
        yes<Equal<typeof payload, DurableIteratorTokenPayload>>()
        yes<Equal<typeof path, readonly string[]>>()
        yes<Equal<typeof context.session, string | undefined>>()
        return 'wss://example.com/chat-room'
      },
      createId: async ({ chn }, { context }) => `${chn}-${context.session}`,
      refreshTokenBeforeExpireInSeconds: 10 * 60,
      refreshTokenDelayInSeconds: async ({ exp, iat }) => (exp - iat) / 10,
      interceptors: [onError((error) => console.error(error))],
      onGap: ({ nextEventId }) => yes<Equal<typeof nextEventId, string>>(),
      onStateChange: (state) => yes<Equal<typeof state, DurableEventIteratorState>>(),
    }),
  ],
})
new RPCLink({ url: 'a', plugins: [new DurableIteratorLinkPlugin({ url: 'a' }), new DurableEventIteratorLinkPlugin({ url: 'a' })] })
for (const url of ['a', new URL('a:'), Promise.resolve('a'), () => 'a', async () => new URL('a:')]) {
  new DurableIteratorLinkPlugin({ url, WebSocket: globalThis.WebSocket })
}
// @ts-expect-error: without a URL
new DurableIteratorLinkPlugin({ createId: () => 'id' })
// @ts-expect-error: a connection id is a string
new DurableIteratorLinkPlugin({ url: 'a', createId: () => 1 })
// @ts-expect-error: seconds are a number
new DurableIteratorLinkPlugin({ url: 'a', refreshTokenBeforeExpireInSeconds: '600' })
export type PluginOptions = DurableIteratorLinkPluginOptions<Session>

const follower: RouterClient<typeof followed, Session & DurableIteratorLinkPluginContext> = createORPCClient(following)
export async function followOn(): Promise<void> {
  const abort = new AbortController()
  const iterator = await follower.onMessage(undefined, {
    signal: abort.signal,
    lastEventId: '1',
    context: { session: 'a', durableIterator: { onGap: () => {} } },
  })
  for await (const { message } of iterator) yes<Equal<typeof message, string>>()
  await iterator.singleClient({ message: 'Hello' }, { context: { retry: 3, traceId: 'a' } })
  // @ts-expect-error: an undeclared property
  await iterator.singleClient({ message: 'Hello' }, { context: { spanId: 'a' } })
  const pong = await iterator.routerClient.ping()
  yes<Equal<typeof pong, 'pong'>>()
  // @ts-expect-error: input of another type
  await iterator.singleClient({ message: 1 })
  // @ts-expect-error: not allowed by this token
  void (await follower.onEvents()).singleClient
  yes<Equal<ReturnType<typeof getClientDurableIteratorToken>, string | undefined>>()
  const next = await iterator.next()
  yes<Equal<typeof next, IteratorResult<{ message: string }, void>>>()
  const payload = parseDurableIteratorToken(getClientDurableIteratorToken(iterator))
  yes<Equal<typeof payload.tags, readonly string[] | undefined>>()
  yes<Equal<typeof payload.att, unknown>>()
  const verified = await verifyDurableIteratorToken(signingKey, await signDurableIteratorToken(signingKey, payload))
  yes<Equal<typeof verified, DurableIteratorTokenPayload | undefined>>()
  const error: unknown = new DurableEventIteratorConnectionError('lost')
  if (error instanceof DurableIteratorError) yes<Equal<typeof error.message, string>>()
}

declare const events: AsyncGenerator<{ message: string }, void, void>
declare const socketLink: ClientLink<ClientDurableIteratorRpcContext>
const made = createClientDurableIterator<FollowedRoom, 'singleClient'>(events, socketLink, { getToken: () => 'token' })
yes<Equal<typeof made, ClientDurableIterator<FollowedRoom, 'singleClient'>>>()
const madeFirst = createClientDurableEventIterator<ChatRoom, 'router'>(events, socketLink, { token: 'token' })
yes<Equal<typeof madeFirst, ClientDurableEventIterator<ChatRoom, 'router'>>>()
createClientDurableEventIterator<ChatRoom>(events, socketLink, { token: () => 'token' })
// @ts-expect-error: a string is not an iterator
createClientDurableEventIterator<ChatRoom>('token', socketLink, { token: 'token' })

// Like the iterators of oRPC, ours are assignable to the `AsyncIteratorClass` of every version, which has a
// private member and is not an interface. Not every version exports it by name, but every version has functions that return it.
const orpcs = mapEventIterator(events, { value: async (event) => event as { message: string }, error: async (error) => error })
let asOrpcs: typeof orpcs
asOrpcs = made
asOrpcs = madeFirst
// @ts-expect-error: an AsyncGenerator is not enough
asOrpcs = events
export const isAssignable: AsyncGenerator<{ message: string }, void, void> = made
export const onlyEvents: EventIterator<{ message: string }> = madeFirst
void asOrpcs
yes<Equal<ReturnType<typeof withEventMeta<{ message: string }>>, { message: string }>>()

export interface ContractedFollowing extends DurableIteratorObject<{ message: string }> {
  publishMessage(...args: unknown[]): ContractRouterClient<typeof publishMessageContract>
}
const followedContract = { onMessage: oc.output(type<ClientDurableIterator<ContractedFollowing, 'publishMessage'>>()) }
const implemented = implement(followedContract)
implemented.router({
  onMessage: implemented.onMessage.handler(() =>
    new DurableIterator<ContractedFollowing>('some-room', { signingKey }).rpc('publishMessage'),
  ),
})

upgradeDurableIteratorRequest(new Request('https://example.com'), {
  signingKey,
  namespace,
  namespaceGetOptions: { locationHint: 'weur' },
  interceptors: [
    async ({ payload, next }) => {
      yes<Equal<typeof payload, DurableIteratorTokenPayload>>()
      return payload.tags?.includes('banned') ? new Response('Banned', { status: 403 }) : next()
    },
    onError((error) => console.error(error)),
  ],
})

const published = callStub<Published>({}, 'publish', { message: 'Hello' }).catch((error: unknown) =>
  error instanceof StubError ? error.code : undefined,
)
yes<Equal<typeof published, Promise<Published | string | undefined>>>()

// The type of a stub. `tests/documents.test.ts` compiles it in a `DurableObjectNamespace`.
interface RoomStub extends ChannelStub<{ message: string }> {
  archive(): Promise<number>
}
declare const stub: RoomStub
const options: PublishOptions = { to: ['id'], tags: ['tag'], except: [], retry: 5_000, comments: ['a'], idempotencyKey: 'key' }
yes<Equal<Awaited<ReturnType<typeof stub.publish>>, { readonly id: string; readonly duplicate: boolean }>>()
void stub.publish({ message: 'Hello' })
void stub.publish({ message: 'Hello' }, options)
void stub.archive()
// @ts-expect-error: an event of another type
void stub.publish({ message: 1 })
// @ts-expect-error: tags are an array
void stub.publish({ message: 'Hello' }, { tags: 'staff' })
// @ts-expect-error: an unknown option, which the Durable Object would reject
void stub.publish({ message: 'Hello' }, { tag: ['staff'] })
// @ts-expect-error: events are objects
type _Texts = ChannelStub<string>

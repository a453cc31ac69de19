// An application with oRPC 2.x: a server on Node.js that issues tokens, and clients with the link plugins.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { createORPCClient } from '@orpc/client'
import type { Client, ClientContext } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import type { RPCLinkOptions } from '@orpc/client/fetch'
import { type } from '@orpc/contract'
import { ORPCError, os } from '@orpc/server'
import type { Context, RouterClient } from '@orpc/server'
import { RPCHandler } from '@orpc/server/node'
import { BatchHandlerPlugin } from '@orpc/server/plugins'

import { DurableEventIterator, DurableEventIteratorHandlerPlugin, DurableIterator } from '../../../npm/durable-event-iterator/src/index.ts'
import type { DurableIteratorObject } from '../../../npm/durable-event-iterator/src/index.ts'
import { SIGNING_KEY } from '../../support/client.ts'

export interface Event {
  n: number
}

type Procedure<Input, Output> = Client<Record<never, never>, Input, Output, Error>

/** The Durable Objects of `tests/worker` that publish. */
export interface Journal extends DurableIteratorObject<Event, string | undefined> {
  publish(): Procedure<Event, string>
  whoAmI(): Procedure<void, unknown>
}

/** The Durable Object of `tests/worker` with procedures of all kinds. */
export interface Calls extends DurableIteratorObject<{ message: string }, { userId: string }> {
  publishMessage(): Procedure<{ message: string }, void>
  whoAmI(): Procedure<void, unknown>
  context(): Procedure<void, [lastEventId: string | null, language: string[] | null, procedures: string[]]>
  anything(): Procedure<unknown, unknown>
  router(): { ping: Procedure<void, 'pong'>; echo: Procedure<{ text: string }, string>; deep: { er: Procedure<void, string> } }
  nothing(): Procedure<void, void>
  extra(): {
    throwOrpc: Procedure<void, void>
    throwPlain: Procedure<void, void>
    throwDeclared: Procedure<void, void>
    slow: Procedure<void, void>
    stream: Procedure<void, AsyncIterator<unknown, unknown>>
    resumed: Procedure<void, AsyncIterable<Event>>
    endless: Procedure<void, AsyncIterable<number>>
    failing: Procedure<string | undefined, AsyncIterable<number>>
    file: Procedure<Blob, { d: string; text: string }>
    getFile: Procedure<void, File>
    getForm: Procedure<void, { note: string; at: Date; file: File }>
  }
}

/** How the server handles calls for a token. */
export interface Policy {
  /** May throw, to reject a call or to fail. */
  check: () => void
  tokenTTLSeconds: number
}

function createRouter(policy: Policy, issued: string[]) {
  const procedure = os.input(type<string>()).use(({ next }, channel) => {
    policy.check()
    issued.push(channel)
    return next()
  })
  return {
    onEvent: procedure.handler(({ input }) =>
      new DurableEventIterator<Journal>(input, { signingKey: SIGNING_KEY, att: 'me' }).rpc('publish', 'whoAmI'),
    ),
    follow: procedure.handler(({ input }) =>
      new DurableIterator<Journal>(input, { signingKey: SIGNING_KEY, att: 'me', tokenTTLSeconds: policy.tokenTTLSeconds }).rpc(
        'publish',
        'whoAmI',
      ),
    ),
    calls: procedure.handler(({ input }) =>
      new DurableIterator<Calls>(input, { signingKey: SIGNING_KEY, att: { userId: 'ann' } }).rpc(
        'publishMessage',
        'whoAmI',
        'context',
        'anything',
        'router',
        'nothing',
        'extra',
      ),
    ),
    plain: os.handler(() => 'no token'),
  }
}

export type Router = ReturnType<typeof createRouter>

export interface Application {
  policy: Policy
  /** The channel of each issued token. */
  issued: string[]
  origin: string
  client<T extends ClientContext = Record<never, never>>(options: Omit<RPCLinkOptions<T>, 'origin' | 'url'>): RouterClient<Router, T>
  dispose(): Promise<void>
}

export async function startApplication(): Promise<Application> {
  const policy: Policy = { check: () => {}, tokenTTLSeconds: 3_600 }
  const issued: string[] = []
  const handler = new RPCHandler<Context>(createRouter(policy, issued), {
    plugins: [new BatchHandlerPlugin(), new DurableEventIteratorHandlerPlugin()],
  })
  const server = createServer(async (request, response) => {
    const { matched } = await handler.handle(request, response, { prefix: '/rpc', context: {} })
    if (!matched) response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    policy,
    issued,
    origin,
    client: <T extends ClientContext>(options: Omit<RPCLinkOptions<T>, 'origin' | 'url'>) =>
      createORPCClient<RouterClient<Router, T>>(new RPCLink<T>({ ...options, origin, url: '/rpc' }) as never),
    dispose: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export const unavailable = (): never => {
  throw new ORPCError('SERVICE_UNAVAILABLE')
}

/** Reads a number of events. */
export async function take<T>(iterator: AsyncIterator<T>, count: number): Promise<T[]> {
  const events: T[] = []
  while (events.length < count) {
    const { value, done } = await iterator.next()
    if (done === true) throw new Error(`the iteration has ended after ${events.length} events`)
    events.push(value)
  }
  return events
}

// An application: an oRPC server that issues tokens, and a client with the link plugin, with the oRPC version that the
// imports resolve to.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { createORPCClient } from '@orpc/client'
import type { Client, ClientContext } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { ORPCError, os } from '@orpc/server'
import { RPCHandler } from '@orpc/server/node'
import { BatchHandlerPlugin } from '@orpc/server/plugins'
import type { RouterClient } from '@orpc/server'

import { DurableEventIteratorLinkPlugin, DurableIteratorLinkPlugin } from '../../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import type {
  DurableEventIteratorLinkPluginContext,
  DurableEventIteratorLinkPluginOptions,
  DurableEventIteratorState,
  DurableIteratorLinkPluginContext,
  DurableIteratorLinkPluginOptions,
} from '../../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import { DurableEventIterator, DurableEventIteratorHandlerPlugin, DurableIterator } from '../../../npm/durable-event-iterator/src/index.ts'
import type { DurableEventIteratorObject } from '../../../npm/durable-event-iterator/src/index.ts'
import { SIGNING_KEY } from '../../support/client.ts'

export interface Event {
  n: number
}

type Procedure<Input, Output> = () => Client<Record<never, never>, Input, Output, Error>

/** The Durable Objects of `tests/worker`. */
export interface Journal extends DurableEventIteratorObject<Event, string | undefined> {
  publish: Procedure<Event, string>
  keep: Procedure<unknown, void>
  kept: Procedure<void, unknown>
  whoAmI: Procedure<void, unknown>
  /** Publishes, and fails with the same error as a call with an expired token. */
  publishAndFail: Procedure<Event, void>
}

const PROCEDURES = ['publish', 'keep', 'kept', 'whoAmI', 'publishAndFail'] as const
type Procedures = (typeof PROCEDURES)[number]

/** How the server handles calls for a token. */
export interface Policy {
  /** May throw, to reject a call or to fail. */
  check: () => void
  tokenTTLSeconds: number
  /** The tags of `DurableIterator` tokens. */
  tags: string[]
  /** The procedures that `DurableIterator` tokens allow. */
  procedures: Procedures[]
  /** Replaces the default token. */
  issue: ((channel: string) => Promise<unknown>) | undefined
}

/** Creates a router for each server. Its type is that of the clients. */
function createRouter(policy: Policy, issued: string[]) {
  return {
    onEvent: os.handler(async ({ input }) => {
      const channel = input as unknown as string
      policy.check()
      issued.push(channel)
      if (policy.issue) return (await policy.issue(channel)) as never
      return new DurableEventIterator<Journal>(channel, {
        signingKey: SIGNING_KEY,
        tokenTTLSeconds: policy.tokenTTLSeconds,
        att: 'me',
      }).rpc(...PROCEDURES)
    }),
    /** The same as a `DurableIterator`. */
    follow: os.handler(async ({ input }) => {
      const channel = input as unknown as string
      policy.check()
      issued.push(channel)
      if (policy.issue) return (await policy.issue(channel)) as never
      return new DurableIterator<Journal>(channel, {
        signingKey: SIGNING_KEY,
        tokenTTLSeconds: policy.tokenTTLSeconds,
        tags: policy.tags,
        att: 'me',
      }).rpc(...policy.procedures)
    }),
    plain: os.handler(() => 'no token'),
  }
}

type Router = ReturnType<typeof createRouter>
export type Iterator = Awaited<ReturnType<RouterClient<Router>['onEvent']>>
/** The same as a `DurableIterator`. */
export type Follower = Awaited<ReturnType<RouterClient<Router>['follow']>>

export interface Application {
  policy: Policy
  /** The channel of each issued token. */
  issued: string[]
  url: URL
  client(options: DurableEventIteratorLinkPluginOptions, link?: object): AppClient
  /** Creates a `DurableIterator` client. */
  follower(options: DurableIteratorLinkPluginOptions<ClientContext>, link?: object): FollowingClient
  dispose(): Promise<void>
}

export interface AppClient {
  onEvent(
    channel: string,
    options?: { signal?: AbortSignal; lastEventId?: string; context?: DurableEventIteratorLinkPluginContext & ClientContext },
  ): Promise<Iterator>
  plain(): Promise<string>
}

export interface FollowingClient {
  follow(
    channel: string,
    options?: { signal?: AbortSignal; lastEventId?: string; context?: DurableIteratorLinkPluginContext & ClientContext },
  ): Promise<Follower>
  plain(): Promise<string>
}

export async function startApplication(plugins: object[] = [new BatchHandlerPlugin()]): Promise<Application> {
  const policy: Policy = {
    check: () => {},
    tokenTTLSeconds: 3_600,
    tags: [],
    procedures: [...PROCEDURES],
    issue: undefined,
  }
  const issued: string[] = []
  const handler = new RPCHandler(createRouter(policy, issued), {
    plugins: [...plugins, new DurableEventIteratorHandlerPlugin()] as never,
  })
  const server = createServer(async (request, response) => {
    const { matched } = await handler.handle(request, response, { prefix: '/rpc', context: {} })
    if (!matched) response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/rpc`)
  const connect = (plugin: object, { plugins = [], ...link }: { plugins?: object[] } = {}): unknown =>
    createORPCClient(new RPCLink({ url: url.href, ...link, plugins: [...plugins, plugin] as never }))
  return {
    policy,
    issued,
    url,
    client: (options, link) => connect(new DurableEventIteratorLinkPlugin({ ...QUICK, ...options }), link) as AppClient,
    follower: (options, link) => connect(new DurableIteratorLinkPlugin({ ...QUICK, ...options }), link) as FollowingClient,
    dispose: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Shorter delays than the defaults, for tests. */
const QUICK = { minReconnectionDelay: 20, maxReconnectionDelay: 200 }

export const forbidden = (): never => {
  throw new ORPCError('FORBIDDEN', { message: 'Not any more.' })
}

export const unavailable = (): never => {
  throw new ORPCError('SERVICE_UNAVAILABLE')
}

/** Collects the events of an iterator. */
export class Reader<T = Event> {
  readonly events: T[] = []
  /** Set when the iteration has ended, with or without an error. */
  ended: { error?: unknown } | undefined
  #waiting: (() => void)[] = []

  constructor(iterator: AsyncIterable<T>) {
    void this.#read(iterator)
  }

  async #read(iterator: AsyncIterable<T>): Promise<void> {
    try {
      for await (const event of iterator) {
        this.events.push(event)
        this.#wake()
      }
      this.ended = {}
    } catch (error) {
      this.ended = { error }
    }
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  /** Resolves when `count` events have arrived, with all of them. */
  async count(count: number): Promise<T[]> {
    while (this.events.length < count) {
      if (this.ended) throw new Error('the iteration has ended', { cause: this.ended.error })
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    return this.events
  }

  /** Resolves when the iteration has ended. */
  async end(): Promise<{ error?: unknown }> {
    while (!this.ended) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return this.ended
  }
}

/** Records the states of an iterator, and waits for them. */
export class States {
  readonly seen: DurableEventIteratorState[] = []
  readonly errors: unknown[] = []
  #waiting: (() => void)[] = []

  readonly onStateChange: NonNullable<DurableEventIteratorLinkPluginOptions['onStateChange']> = (state, { error }) => {
    // The same state with another cause.
    if (this.seen.at(-1) === state) return
    this.seen.push(state)
    this.errors.push(error)
    for (const wake of this.#waiting.splice(0)) wake()
  }

  /** Resolves when the state has occurred `times` times. */
  async reach(state: DurableEventIteratorState, times = 1): Promise<void> {
    while (this.seen.filter((seen) => seen === state).length < times) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }
}

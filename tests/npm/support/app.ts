// An application: an oRPC server that issues tokens, and a client with the link plugin, of whatever oRPC version the
// imports lead to.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { createORPCClient } from '@orpc/client'
import type { Client, ClientContext } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { ORPCError, os } from '@orpc/server'
import { RPCHandler } from '@orpc/server/node'
import { BatchHandlerPlugin } from '@orpc/server/plugins'
import type { RouterClient } from '@orpc/server'

import { DurableEventIteratorLinkPlugin, DurableIteratorLinkPlugin } from '../../../npm/durable-event-iterator/src/client/index.ts'
import type {
  DurableEventIteratorLinkPluginContext,
  DurableEventIteratorLinkPluginOptions,
  DurableEventIteratorState,
  DurableIteratorLinkPluginContext,
  DurableIteratorLinkPluginOptions,
} from '../../../npm/durable-event-iterator/src/client/index.ts'
import { DurableEventIterator, DurableEventIteratorHandlerPlugin, DurableIterator } from '../../../npm/durable-event-iterator/src/index.ts'
import type { DurableEventIteratorObject } from '../../../npm/durable-event-iterator/src/index.ts'
import { SIGNING_KEY } from '../../support/client.ts'

export interface Event {
  n: number
}

type Procedure<Input, Output> = () => Client<Record<never, never>, Input, Output, Error>

/** The objects of `tests/worker`. */
export interface Journal extends DurableEventIteratorObject<Event, string | undefined> {
  publish: Procedure<Event, string>
  keep: Procedure<unknown, void>
  kept: Procedure<void, unknown>
  whoAmI: Procedure<void, unknown>
  /** Publishes, and fails with the error that calls of an expired token fail with. */
  publishAndFail: Procedure<Event, void>
}

const PROCEDURES = ['publish', 'keep', 'kept', 'whoAmI', 'publishAndFail'] as const
type Procedures = (typeof PROCEDURES)[number]

/** What the server does with the calls for a token from now on. */
export interface Policy {
  /** Throws, to refuse or to fail. */
  check: () => void
  tokenTTLSeconds: number
  /** Of tokens of generation 2. */
  tags: string[]
  /** What tokens of generation 2 allow. */
  procedures: Procedures[]
  /** Another token than the usual one. */
  issue: ((channel: string) => Promise<unknown>) | undefined
}

/** Creates the router anew for each server: its type is what clients are typed by. */
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
    /** The same of generation 2. */
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
/** The same of generation 2. */
export type Follower = Awaited<ReturnType<RouterClient<Router>['follow']>>

export interface Application {
  policy: Policy
  /** The channel of each token that was issued. */
  issued: string[]
  url: URL
  client(options: DurableEventIteratorLinkPluginOptions, link?: object): AppClient
  /** A client of generation 2. */
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
    createORPCClient(new RPCLink({ url, ...link, plugins: [...plugins, plugin] as never }))
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

/** No test waits for what users wait for. */
const QUICK = { minReconnectionDelay: 20, maxReconnectionDelay: 200 }

export const forbidden = (): never => {
  throw new ORPCError('FORBIDDEN', { message: 'Not any more.' })
}

export const unavailable = (): never => {
  throw new ORPCError('SERVICE_UNAVAILABLE')
}

/** Gathers what an iterator yields. */
export class Reader<T = Event> {
  readonly events: T[] = []
  /** Set when the iteration has ended: cleanly, or with an error. */
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

  /** Resolves when so many events have come, with all of them. */
  async count(count: number): Promise<T[]> {
    while (this.events.length < count) {
      if (this.ended) throw new Error('The iteration has ended', { cause: this.ended.error })
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

/** Notes the states that an iterator goes through, and waits for them. */
export class States {
  readonly seen: DurableEventIteratorState[] = []
  readonly errors: unknown[] = []
  #waiting: (() => void)[] = []

  readonly onStateChange: NonNullable<DurableEventIteratorLinkPluginOptions['onStateChange']> = (state, { error }) => {
    // The same state with another reason.
    if (this.seen.at(-1) === state) return
    this.seen.push(state)
    this.errors.push(error)
    for (const wake of this.#waiting.splice(0)) wake()
  }

  /** Resolves when the state has been seen so often. */
  async reach(state: DurableEventIteratorState, times = 1): Promise<void> {
    while (this.seen.filter((seen) => seen === state).length < times) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }
}

// Unmodified oRPC clients of each tested version, over a reconnecting WebSocket, the same as in oRPC's implementation.

import { existsSync } from 'node:fs'

import { WebSocket as ReconnectingWebSocket } from 'partysocket'
import { SignJWT } from 'jose'

/** The tested versions with `DurableEventIterator` clients. */
export const DURABLE_EVENT_ITERATOR_VERSIONS = ['1.6.6', '1.8.8'] as const
/** The tested versions with `DurableIterator` clients: an early, a middle and the last one. */
export const DURABLE_ITERATOR_VERSIONS = ['1.9.4', '1.14.6', '1.16.1'] as const
/** All tested versions. The kind of a client depends only on its token, so every version can use both. */
export const CLIENT_VERSIONS = [...DURABLE_EVENT_ITERATOR_VERSIONS, ...DURABLE_ITERATOR_VERSIONS] as const
export type ClientVersion = (typeof CLIENT_VERSIONS)[number]

export const SIGNING_KEY = 'the key of the tests'

export interface Claims {
  chn: string
  rpc?: string[]
  att?: unknown
  sub?: string
  /** In seconds since 1970. */
  iat?: number
  exp?: number
}

/** Signs a `DurableEventIterator` token as oRPC's implementation does. */
export async function token({ iat = Date.now() / 1000, ...claims }: Claims, key = SIGNING_KEY): Promise<string> {
  const issued = Math.floor(iat)
  return new SignJWT({ rpc: [], iat: issued, exp: issued + 86_400, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(key))
}

/** A yielded event, and the id in its meta. */
export interface Received {
  event: any
  id: string | undefined
  meta: { id?: string; retry?: number; comments?: string[] } | undefined
}

interface Library {
  RPCLink: new (options: object) => object
  createORPCClient: (link: object) => any
  getEventMeta: (event: unknown) => Received['meta']
  ClientRetryPlugin: new (options?: object) => object
}

/** The module in which a version of the client stores the meta of events. */
function standardServer(version: ClientVersion): string {
  const modules = new URL('../../node_modules/', import.meta.url)
  const path = '@orpc/standard-server/dist/index.mjs'
  const own = new URL(`orpc-client-${version}/node_modules/${path}`, modules)
  return (existsSync(own) ? own : new URL(path, modules)).href
}

/** Reads the meta of an event that a client of this version has yielded. */
export async function eventMetaReader(version: ClientVersion): Promise<Library['getEventMeta']> {
  return (await import(standardServer(version))).getEventMeta
}

async function library(version: ClientVersion): Promise<Library> {
  const [websocket, core, plugins, server] = await Promise.all([
    import(`orpc-client-${version}/websocket`),
    import(`orpc-client-${version}`),
    import(`orpc-client-${version}/plugins`),
    import(standardServer(version)),
  ])
  return {
    RPCLink: websocket.RPCLink ?? websocket.experimental_RPCLink,
    createORPCClient: core.createORPCClient,
    getEventMeta: server.getEventMeta,
    ClientRetryPlugin: plugins.ClientRetryPlugin,
  }
}

export interface ConnectOptions {
  version?: ClientVersion
  /** Options of the link, such as `customJsonSerializers`. */
  link?: object
  /**
   * The delay before an interrupted subscription is retried, in milliseconds: 20 in tests. oRPC's default is the `retry` of the last
   * event or error, or 2,000.
   */
  retryDelay?: number | "oRPC's"
}

/** A client with its socket. `subscribe` iterates over events, `call` calls procedures of the Durable Object. */
export class Client {
  readonly socket: ReconnectingWebSocket
  readonly library: Library
  readonly raw: any

  private constructor(socket: ReconnectingWebSocket, lib: Library, options: ConnectOptions) {
    this.socket = socket
    this.library = lib
    const { retryDelay = 20 } = options
    const retry = new lib.ClientRetryPlugin(retryDelay === "oRPC's" ? {} : { default: { retryDelay } })
    this.raw = lib.createORPCClient(new lib.RPCLink({ ...options.link, websocket: socket, plugins: [retry] }))
  }

  static async connect(url: string | (() => string), options: ConnectOptions = {}): Promise<Client> {
    const socket = new ReconnectingWebSocket(url, undefined, {
      minReconnectionDelay: 20,
      maxReconnectionDelay: 50,
      connectionTimeout: 5_000,
    })
    return new Client(socket, await library(options.version ?? '1.8.8'), options)
  }

  /** Subscribes with endless retries, like oRPC's implementation. Resolves at the response. */
  async subscribe(options: { signal?: AbortSignal; lastEventId?: string } = {}): Promise<Subscription> {
    const iterator = await this.raw.subscribe(undefined, { ...options, context: { retry: Number.POSITIVE_INFINITY } })
    return new Subscription(iterator, this.library)
  }

  /** Calls a procedure of the Durable Object. Without an input argument, none is sent (not `undefined`). */
  call(path: string[], ...input: [] | [unknown]): Promise<any> {
    return this.raw.call(input.length === 0 ? { path } : { path, input: input[0] })
  }

  /** Resolves when the socket is open. */
  open(): Promise<void> {
    if (this.socket.readyState === 1) return Promise.resolve()
    return new Promise((resolve) => this.socket.addEventListener('open', () => resolve(), { once: true }))
  }

  /** Breaks the connection. The socket reconnects, and the subscription resumes. */
  cut(): void {
    this.socket.reconnect()
  }

  close(): void {
    this.socket.close()
  }
}

/** An iterator that collects its events. */
export class Subscription {
  readonly received: Received[] = []
  /** Set when the iteration ends, with or without an error. */
  ended: { error?: unknown } | undefined
  readonly iterator: AsyncIterator<unknown>
  #waiting: (() => void)[] = []

  constructor(iterator: AsyncIterableIterator<unknown>, lib: Library) {
    this.iterator = iterator
    void this.#gather(iterator, lib)
  }

  async #gather(iterator: AsyncIterableIterator<unknown>, lib: Library): Promise<void> {
    try {
      for await (const event of iterator) {
        const meta = lib.getEventMeta(event)
        this.received.push({ event, id: meta?.id, meta })
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

  /** Resolves when the condition is met. It is checked with every event and at the end. */
  async until(condition: (subscription: this) => boolean): Promise<void> {
    while (!condition(this)) {
      if (this.ended) throw new Error('the iteration has ended', { cause: this.ended.error })
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** Resolves when `count` events have arrived, with all of them. */
  async count(count: number): Promise<any[]> {
    await this.until(({ received }) => received.length >= count)
    return this.events
  }

  /** Resolves when the iteration has ended. */
  async end(): Promise<void> {
    while (!this.ended) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  get events(): any[] {
    return this.received.map(({ event }) => event)
  }
}

// Unmodified oRPC clients of each tested version, over a WebSocket that reconnects by itself (the one that the original
// uses).

import { existsSync } from 'node:fs'

import { WebSocket as ReconnectingWebSocket } from 'partysocket'
import { SignJWT } from 'jose'

/** Of the time of "durable event iterators", whose tokens are of generation 1. */
export const DURABLE_EVENT_ITERATOR_VERSIONS = ['1.6.6', '1.8.8'] as const
/** Of the time of "durable iterators", whose tokens are of generation 2: the first, one of the middle and the last. */
export const DURABLE_ITERATOR_VERSIONS = ['1.9.4', '1.14.6', '1.16.1'] as const
/** A client is bound to no generation: which one it is of is up to its token. */
export const CLIENT_VERSIONS = [...DURABLE_EVENT_ITERATOR_VERSIONS, ...DURABLE_ITERATOR_VERSIONS] as const
export type ClientVersion = (typeof CLIENT_VERSIONS)[number]

export const SIGNING_KEY = 'the key of the tests'

export interface Claims {
  chn: string
  rpc?: string[]
  att?: unknown
  sub?: string
  /** Seconds since the epoch. */
  iat?: number
  exp?: number
}

/** A generation-1 token, as the original issues it. */
export async function token({ iat = Date.now() / 1000, ...claims }: Claims, key = SIGNING_KEY): Promise<string> {
  const issued = Math.floor(iat)
  return new SignJWT({ rpc: [], iat: issued, exp: issued + 86_400, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(key))
}

/** What an iterator has yielded: the event, and the id in its meta. */
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

/** The very module that the client keeps an event's meta with: each version has its own. */
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
  /** Between an interrupted subscription and the next try, in milliseconds. The stock default is 2,000. */
  retryDelay?: number
}

/** A client with its socket; `subscribe` iterates, `call` calls the object's procedures. */
export class Client {
  readonly socket: ReconnectingWebSocket
  readonly library: Library
  readonly raw: any

  private constructor(socket: ReconnectingWebSocket, lib: Library, options: ConnectOptions) {
    this.socket = socket
    this.library = lib
    const retry = new lib.ClientRetryPlugin({ default: { retryDelay: options.retryDelay ?? 20 } })
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

  /** Subscribes, as the original does, with endless retries; resolves once the server has answered. */
  async subscribe(options: { signal?: AbortSignal; lastEventId?: string } = {}): Promise<Subscription> {
    const iterator = await this.raw.subscribe(undefined, { ...options, context: { retry: Number.POSITIVE_INFINITY } })
    return new Subscription(iterator, this.library)
  }

  /** Calls a procedure of the object. Without an input there is none, not `undefined`. */
  call(path: string[], ...input: [] | [unknown]): Promise<any> {
    return this.raw.call(input.length === 0 ? { path } : { path, input: input[0] })
  }

  /** Resolves when the socket is open. */
  open(): Promise<void> {
    if (this.socket.readyState === 1) return Promise.resolve()
    return new Promise((resolve) => this.socket.addEventListener('open', () => resolve(), { once: true }))
  }

  /** Loses the connection: the socket comes back by itself, and the subscription resumes. */
  cut(): void {
    this.socket.reconnect()
  }

  close(): void {
    this.socket.close()
  }
}

/** An iterator whose events are gathered as they come. */
export class Subscription {
  readonly received: Received[] = []
  /** Set when the iteration ends: cleanly, or with an error. */
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

  /** Resolves when the condition holds, which is looked at with every event and at the end. */
  async until(condition: (subscription: this) => boolean): Promise<void> {
    while (!condition(this)) {
      if (this.ended) throw new Error('The iteration has ended', { cause: this.ended.error })
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** Resolves when so many events have come, with all of them. */
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

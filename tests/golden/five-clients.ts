/** Passes frames to real clients of five oRPC versions, and describes the results. */

import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

import { Candidates } from './candidates.ts'
import { describeValue } from './corpus.ts'
import type { Frames, Server } from './server.ts'

export const VERSIONS = ['1.6.6', '1.8.8', '1.9.4', '1.14.6', '1.16.1'] as const

/** The time limit of a client for one frame, in milliseconds: it would wait forever after a dropped frame. */
const PATIENCE = 5_000

const OPEN = 1

/** The part of a socket that a link uses. Nothing is sent; `deliver` passes received frames. */
class SilentSocket {
  readonly readyState = OPEN
  readonly #listeners = new Set<(event: { data: unknown }) => void>()
  /** The id of the last call. */
  id = ''
  /** Called when a call has been made. */
  onCall = (): void => {}

  addEventListener(type: string, listener: (event: { data: unknown }) => void): void {
    if (type === 'message') this.#listeners.add(listener)
  }

  removeEventListener(_: string, listener: (event: { data: unknown }) => void): void {
    this.#listeners.delete(listener)
  }

  send(message: string): void {
    const { i, t } = JSON.parse(message) as { i: string; t?: number }
    if (t !== undefined) return
    this.id = i
    this.onCall()
  }

  /** Passes a frame without an id, for the call with this id. */
  deliver(frame: string, id = this.id): void {
    const data = frame.replace('{"i":""', `{"i":${JSON.stringify(id)}`)
    for (const listener of this.#listeners) listener({ data })
  }
}

interface Library {
  link: new (options: never) => unknown
  create(link: never): Record<string, () => Promise<any>>
  getEventMeta(value: unknown): unknown
}

class OneClient {
  readonly #socket = new SilentSocket()
  readonly #client: Record<string, () => Promise<any>>
  readonly #library: Library
  #stream: { iterator: AsyncIterator<unknown>; id: string } | undefined

  constructor(library: Library) {
    this.#library = library
    this.#client = library.create(new library.link({ websocket: this.#socket } as never) as never)
  }

  /** Returns the result of a call with this response. */
  async output(frame: string): Promise<unknown> {
    this.#socket.onCall = () => this.#socket.deliver(frame)
    return describeValue(await this.#client.call!())
  }

  /** Returns the item of an open stream for this frame. */
  async item(frame: string, isDescribed: boolean): Promise<unknown> {
    if (this.#stream === undefined) {
      this.#socket.onCall = () => this.#socket.deliver('{"i":"","p":{"h":{"content-type":"text/event-stream"}}}')
      const iterator = await this.#client.stream!()
      this.#stream = { iterator, id: this.#socket.id }
    }
    const { iterator, id } = this.#stream
    this.#socket.deliver(frame, id)
    try {
      const { value } = await iterator.next()
      return [isDescribed ? await describeValue(value) : undefined, this.#library.getEventMeta(value)]
    } catch (error) {
      this.#stream = undefined
      throw error
    }
  }
}

async function library(version: string): Promise<Library> {
  const { resolve } = createRequire(import.meta.url)
  const name = `orpc-client-${version}`
  const inner = createRequire(resolve(name)).resolve('@orpc/standard-server')
  const [{ createORPCClient }, websocket, { getEventMeta }] = await Promise.all([
    import(name),
    import(`${name}/websocket`),
    import(pathToFileURL(inner).href),
  ])
  return { link: websocket.RPCLink ?? websocket.experimental_RPCLink, create: createORPCClient, getEventMeta }
}

export class FiveClients {
  readonly #clients: [string, OneClient][]

  private constructor(clients: [string, OneClient][]) {
    this.#clients = clients
  }

  static async start(): Promise<FiveClients> {
    return new FiveClients(
      await Promise.all(VERSIONS.map(async (version): Promise<[string, OneClient]> => [version, new OneClient(await library(version))])),
    )
  }

  /** Passes the frames of a body to each client. Throws if a client throws, or has another result than the others. */
  async check({ output, item, event }: Frames): Promise<void> {
    const deliveries: [string, (client: OneClient) => Promise<unknown>][] = []
    if (output !== null) deliveries.push(['output', (client) => client.output(output)])
    // A proxy keeps the meta of an item: a root such as a Date cannot be read through it.
    if (item !== null) deliveries.push(['item', (client) => client.item(item, event !== null)])
    if (event !== null) deliveries.push(['event', (client) => client.item(event, true)])
    for (const [kind, deliver] of deliveries) {
      let first: { version: string; made: string } | undefined
      for (const [version, client] of this.#clients) {
        const made = JSON.stringify(await settled(`${kind} with ${version}`, deliver(client)))
        first ??= { version, made }
        if (made !== first.made) throw new Error(`${kind}: ${version} decodes ${made}, but ${first.version} decodes ${first.made}`)
      }
    }
  }
}

async function settled(what: string, promise: Promise<unknown>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no result in time`)), PATIENCE)
  })
  try {
    return await Promise.race([promise, late])
  } catch (error) {
    throw new Error(`${what}: ${error}`, { cause: error })
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Generates bodies from a seed, and passes those that the Rust side accepts to the clients. The Rust side runs natively: its
 * own parsers check URLs and regular expressions, and accept fewer than JavaScript's constructors in a Worker.
 *
 * @returns the numbers of accepted and rejected bodies
 */
export async function checkCandidates(
  server: Server,
  clients: FiveClients,
  { seed, runs, until = Number.POSITIVE_INFINITY }: { seed: number; runs: number; until?: number },
): Promise<{ accepted: number; rejected: number }> {
  const count = { accepted: 0, rejected: 0 }
  for (let run = 0; run < runs && Date.now() < until; run++) {
    // Each body has its own seed, so that a failure can be repeated alone.
    const candidates = new Candidates(seed + run)
    const body = run % 2 === 0 ? candidates.fittingBody() : candidates.body()
    const candidate = { body, ...candidates.meta() }
    const [frames] = (await server.ask({ candidate })) as [Frames]
    if (frames.rejected === null) count.accepted++
    else count.rejected++
    try {
      await clients.check(frames)
    } catch (error) {
      throw new Error(`seed ${seed + run} (${run % 2 === 0 ? 'fitting' : 'any'} body): ${error}\n${JSON.stringify(candidate)}`, { cause: error })
    }
  }
  return count
}

// The compared variants. Each one runs in its own runtime process, whose CPU time is that of the variant.

import { existsSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { build } from 'esbuild'
import { sign } from 'orpc-server-1.16.1/helpers'

import { SIGNING_KEY, token } from '../tests/support/client.ts'
import { startWorkers } from '../tests/support/workerd.ts'
import type { RunningWorkers, WorkerCode, WorkerDefinition } from '../tests/support/workerd.ts'

/**
 * The folder of the databases, if it exists: in memory. A commit to a local disk takes many times the compared times, varies
 * between disks, and differs from Cloudflare's storage.
 */
const IN_MEMORY = '/dev/shm'
if (existsSync(IN_MEMORY)) process.env['TMPDIR'] = IN_MEMORY

export type VariantName =
  | 'ours'
  | 'typescript'
  | 'peer'
  | 'partyserver'
  | 'baseline'
  | 'noise'
  | 'baselineSql'
  | 'sameLog'
  // Only for upgrades.
  | 'inspect'
  | 'converted'
  | 'npmUpgrade'
  | 'orpcUpgrade'
  // Only for HTTP.
  | 'httpByHand'
  // Only for real clients.
  | 'baselineClients'
  // Ours with options, and as an earlier commit has built it.
  | 'presence'
  | 'metrics'
  | 'before'

/** The messages between a client and a variant. */
interface Dialect {
  subscribe(after?: string): string
  ping(n: number): string
  publish(n: number, event: object): string
  /** Returns the cursor after which a client receives this number of events. */
  positionBefore(events: number, firstId: string): string
  /** Returns the event id in the frame of an event. */
  idOf(frame: string): string
}

const orpc = (call: (path: string, input?: object) => string): Dialect => ({
  subscribe: (after) =>
    `{"i":"0","p":{"u":"/subscribe","b":{},${after === undefined ? '' : `"h":{"last-event-id":"${after}"},`}"m":"GET"}}`,
  ping: (n) => `{"i":"${(n + 1).toString(36)}","p":${call('ping')}}`,
  publish: (n, event) => `{"i":"${(n + 1).toString(36)}","p":${call('publish', event)}}`,
  positionBefore: (_, firstId) => firstId,
  idOf: (frame) => /"id":"(\d+)"/.exec(frame)?.[1] ?? '',
})

const ours = orpc((path, input) => JSON.stringify({ u: '/call', b: { json: { path: [path], ...(input ? { input } : {}) } } }))
// The base class has a member `publish`, so the procedure has another name.
const typescript: Dialect = {
  ...ours,
  publish: (n, input) => `{"i":"${(n + 1).toString(36)}","p":${JSON.stringify({ u: '/call', b: { json: { path: ['publishMessage'], input } } })}}`,
}
const peer = orpc((path, input) => JSON.stringify({ u: `/${path}`, b: input ? { json: input } : {} }))
const baseline: Dialect = { ...ours, positionBefore: (events) => `events-${events}` }
const partyserver: Dialect = {
  subscribe: (after) => JSON.stringify({ call: 'subscribe', after }),
  ping: () => '{"call":"ping"}',
  publish: (_, input) => JSON.stringify({ call: 'publish', input }),
  positionBefore: (_, firstId) => firstId,
  idOf: (frame) => /"id":"(\d+)"/.exec(frame)?.[1] ?? '',
}

const file = (name: string): string => fileURLToPath(new URL(`workers/${name}`, import.meta.url))

async function bundled(name: string): Promise<WorkerCode> {
  const { outputFiles } = await build({
    entryPoints: [file(name)],
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    target: 'es2022',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', 'node:*', '*.wasm'],
    // The version that docs/performance.md names.
    alias: { '@orpc/server': 'orpc-server-1.16.1' },
  })
  return { source: outputFiles[0]?.text ?? '' }
}

interface Source {
  code: () => Promise<WorkerCode>
  dialect: Dialect
  /** The Worker that clients connect to, if it is not the one that defines the Durable Object. */
  front?: () => Promise<WorkerCode>
  /** The path of the upgrade. */
  path?: string
  /** Variables that turn on options. */
  variables?: Record<string, string>
  /** Bindings of Analytics Engine datasets. */
  datasets?: string[]
  /** The kind of its tokens, if it requires tokens. */
  token?: 'DurableEventIterator' | 'DurableIterator'
}

/** A Worker whose Durable Object class is in TypeScript, on the compiled core. */
async function onTheCore(name: string): Promise<WorkerCode> {
  return { ...(await bundled(name)), wasm: { 'index_bg.wasm': 'npm/durable-event-iterator/core/build/index_bg.wasm' } }
}

/** The folder of `bench/worker` in a built checkout of an earlier commit, relative to the root of the repository. */
let before = 'bench/worker'
/** @throws {Error} If `bench/worker` of this checkout is not built. */
export function measureBefore(checkout: string): void {
  const folder = resolve(checkout, 'bench/worker')
  if (!existsSync(join(folder, 'build/index_bg.wasm'))) {
    throw new Error(`--before must be a checkout with a built bench/worker (npm run build -- bench/worker), got ${checkout}`)
  }
  before = relative(fileURLToPath(new URL('..', import.meta.url)), folder)
}

const crate = async (): Promise<WorkerCode> => ({ crate: 'bench/worker' })

const SOURCES: Record<VariantName, Source> = {
  ours: { code: crate, dialect: ours, token: 'DurableEventIterator' },
  typescript: { code: () => onTheCore('typescript.ts'), dialect: typescript, token: 'DurableEventIterator' },
  peer: { code: () => bundled('peer.ts'), dialect: peer },
  partyserver: { code: () => bundled('partyserver.ts'), dialect: partyserver },
  baseline: { code: async () => ({ source: readFileSync(file('baseline.js'), 'utf8') }), dialect: baseline },
  noise: { code: async () => ({ source: readFileSync(file('baseline.js'), 'utf8') }), dialect: baseline },
  baselineSql: { code: async () => ({ source: readFileSync(file('baseline-sql.js'), 'utf8') }), dialect: ours },
  sameLog: { code: async () => ({ source: readFileSync(file('same-log.js'), 'utf8') }), dialect: ours },
  inspect: { code: crate, dialect: ours, path: '/inspect', token: 'DurableEventIterator' },
  converted: { code: crate, dialect: ours, path: '/converted', token: 'DurableEventIterator' },
  npmUpgrade: { code: crate, front: () => onTheCore('npm-upgrade.js'), dialect: ours, token: 'DurableEventIterator' },
  orpcUpgrade: { code: () => bundled('orpc-upgrade.ts'), dialect: peer, token: 'DurableIterator' },
  httpByHand: { code: async () => ({ source: readFileSync(file('http.js'), 'utf8') }), dialect: baseline },
  baselineClients: { code: async () => ({ source: readFileSync(file('baseline-clients.js'), 'utf8') }), dialect: baseline },
  presence: { code: crate, dialect: ours, token: 'DurableEventIterator', variables: { PRESENCE: 'subject' } },
  metrics: { code: crate, dialect: ours, token: 'DurableEventIterator', variables: { METRICS_BINDING: 'METRICS' }, datasets: ['METRICS'] },
  before: { code: async () => ({ crate: before }), dialect: ours, token: 'DurableEventIterator' },
}

/** A running variant. */
export class Variant {
  readonly name: VariantName
  readonly dialect: Dialect
  readonly #workers: RunningWorkers
  readonly #room: URL
  readonly #driver: URL

  private constructor(name: VariantName, workers: RunningWorkers, room: URL, driver: URL) {
    this.name = name
    this.dialect = SOURCES[name].dialect
    this.#workers = workers
    this.#room = room
    this.#driver = driver
  }

  /**
   * @param options - `retention` in seconds: older events are deleted. `persistence`: a folder for the databases, which are kept
   * when the runtime restarts. `workers`: additional Workers, see `urlOf`.
   */
  static async start(
    name: VariantName,
    { retention, persistence, workers: more = [] }: { retention?: number; persistence?: string; workers?: WorkerDefinition[] } = {},
  ): Promise<Variant> {
    const { code, front, variables: options, datasets = [] } = SOURCES[name]
    const variables = { SIGNING_KEY, ...options, ...(retention === undefined ? {} : { RETENTION_SECONDS: String(retention) }) }
    const durableObjects = { ROOM: { className: 'Room', scriptName: 'room' } }
    const workers = await startWorkers({
      ...(persistence === undefined ? {} : { persistence }),
      workers: [
        { name: 'room', ...(await code()), variables, datasets, durableObjects: { ROOM: { className: 'Room' } } },
        { name: 'driver', source: readFileSync(file('driver.js'), 'utf8'), durableObjects },
        ...more,
        ...(front === undefined ? [] : [{ name: 'front', ...(await front()), variables, durableObjects }]),
      ],
    })
    return new Variant(name, workers, await workers.urlOf(front === undefined ? 'room' : 'front'), await workers.urlOf('driver'))
  }

  get pid(): number {
    return this.#workers.pid
  }

  /** Returns the URL of a room, without a token. */
  address(room: string): URL {
    const url = new URL(SOURCES[this.name].path ?? '/', this.#room)
    url.protocol = 'ws:'
    url.searchParams.set('room', room)
    return url
  }

  /** Returns the URL of a room for clients. */
  async url(room: string): Promise<string> {
    const { token: kind } = SOURCES[this.name]
    const url = this.address(room)
    const claims = { chn: room, rpc: ['ping', 'publish', 'publishMessage'] }
    if (kind === 'DurableEventIterator') url.searchParams.set('token', await token(claims))
    if (kind === 'DurableIterator') {
      const issued = Math.floor(Date.now() / 1_000)
      url.searchParams.set('token', await sign(JSON.stringify({ ...claims, iat: issued, exp: issued + 86_400 }), SIGNING_KEY))
      url.searchParams.set('id', 'a-client')
    }
    return url.href
  }

  /**
   * Publishes `count` events of `bytes` to each of the rooms, one after the other. With `first`, the events have consecutive
   * numbers from this one on, in addition to their bytes. With `batch`, that many are published by each call.
   */
  async publish(rooms: string[], count: number, bytes: number, first?: number, batch?: number): Promise<void> {
    const url = new URL(this.#driver)
    url.searchParams.set('room', rooms.join(','))
    url.searchParams.set('count', String(count))
    url.searchParams.set('bytes', String(bytes))
    if (first !== undefined) url.searchParams.set('first', String(first))
    if (batch !== undefined) url.searchParams.set('batch', String(batch))
    const response = await fetch(url)
    if (!response.ok) throw new Error(`${this.name}: publishing failed: ${await response.text()}`)
  }

  /** Returns the ids of the members of a room. */
  async members(room: string): Promise<string[]> {
    const url = new URL(this.#driver)
    url.search = new URLSearchParams({ room, members: '' }).toString()
    const response = await fetch(url)
    if (!response.ok) throw new Error(`${this.name}: members failed: ${await response.text()}`)
    return ((await response.json()) as { members: { id: string }[] }).members.map(({ id }) => id)
  }

  /** Returns the URL of one of the additional Workers. */
  urlOf(worker: string): Promise<URL> {
    return this.#workers.urlOf(worker)
  }

  /** Returns the numbers of rows that a Durable Object of a peer has read and written. */
  async rows(room: string): Promise<{ read: number; written: number }> {
    const url = new URL(this.#driver)
    url.searchParams.set('room', room)
    url.searchParams.set('rows', '')
    return (await fetch(url)).json() as Promise<{ read: number; written: number }>
  }

  /** Kills the runtime's process. Resolves when a new one accepts connections at the same addresses. */
  restart(): Promise<void> {
    return this.#workers.kill()
  }

  stop(): Promise<void> {
    return this.#workers.dispose()
  }
}

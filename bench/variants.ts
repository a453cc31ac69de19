// What is measured beside each other. Each runs in a runtime process of its own, so that the process's CPU time is that of the
// variant.

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { build } from 'esbuild'
import { sign } from 'orpc-server-1.16.1/helpers'

import { SIGNING_KEY, token } from '../tests/support/client.ts'
import { startWorkers } from '../tests/support/workerd.ts'
import type { RunningWorkers, WorkerCode } from '../tests/support/workerd.ts'

/**
 * Where the databases are, if there is such a place: in memory. What a local disk takes for each commit is many times what
 * is compared, differs from one to the next, and is not what the platform's storage takes.
 */
const IN_MEMORY = '/dev/shm'
if (existsSync(IN_MEMORY)) process.env['TMPDIR'] = IN_MEMORY

export type VariantName =
  | 'ours'
  | 'peer'
  | 'partyserver'
  | 'floor'
  | 'noise'
  | 'floorSql'
  | 'sameLog'
  // Upgrades only.
  | 'inspect'
  | 'converted'
  | 'npmUpgrade'
  | 'orpcUpgrade'

/** How a client speaks to a variant. */
interface Dialect {
  subscribe(after?: string): string
  ping(n: number): string
  publish(n: number, event: object): string
  /** After which position a client gets this many events, of which one more was published. */
  positionBefore(events: number, firstId: string): string
  /** The id in an event's frame. */
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
const peer = orpc((path, input) => JSON.stringify({ u: `/${path}`, b: input ? { json: input } : {} }))
const floor: Dialect = { ...ours, positionBefore: (events) => `events-${events}` }
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
    external: ['cloudflare:*', 'node:*'],
    // The version that the comparison names.
    alias: { '@orpc/server': 'orpc-server-1.16.1' },
  })
  return { source: outputFiles[0]?.text ?? '' }
}

interface Source {
  code: () => Promise<WorkerCode>
  dialect: Dialect
  /** The Worker that clients reach, when it is not the one that defines the Durable Object. */
  front?: () => Promise<WorkerCode>
  /** Where clients connect. */
  path?: string
  /** Whose tokens it takes, if it takes any: `DurableEventIterator` or `DurableIterator`. */
  token?: 'DurableEventIterator' | 'DurableIterator'
}

const crate = async (): Promise<WorkerCode> => ({ crate: 'bench/worker' })

const SOURCES: Record<VariantName, Source> = {
  ours: { code: crate, dialect: ours, token: 'DurableEventIterator' },
  peer: { code: () => bundled('peer.ts'), dialect: peer },
  partyserver: { code: () => bundled('partyserver.ts'), dialect: partyserver },
  floor: { code: async () => ({ source: readFileSync(file('floor.js'), 'utf8') }), dialect: floor },
  noise: { code: async () => ({ source: readFileSync(file('floor.js'), 'utf8') }), dialect: floor },
  floorSql: { code: async () => ({ source: readFileSync(file('floor-sql.js'), 'utf8') }), dialect: ours },
  sameLog: { code: async () => ({ source: readFileSync(file('same-log.js'), 'utf8') }), dialect: ours },
  inspect: { code: crate, dialect: ours, path: '/inspect', token: 'DurableEventIterator' },
  converted: { code: crate, dialect: ours, path: '/converted', token: 'DurableEventIterator' },
  npmUpgrade: { code: crate, front: () => bundled('npm-upgrade.js'), dialect: ours, token: 'DurableEventIterator' },
  orpcUpgrade: { code: () => bundled('orpc-upgrade.ts'), dialect: peer, token: 'DurableIterator' },
}

/** A variant that runs. */
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

  /** @param options - With `retention` in seconds: what is older is removed. */
  static async start(name: VariantName, { retention }: { retention?: number } = {}): Promise<Variant> {
    const { code, front } = SOURCES[name]
    const variables = { SIGNING_KEY, ...(retention === undefined ? {} : { RETENTION_SECONDS: String(retention) }) }
    const durableObjects = { ROOM: { className: 'Room', scriptName: 'room' } }
    const workers = await startWorkers({
      workers: [
        { name: 'room', ...(await code()), variables, durableObjects: { ROOM: { className: 'Room' } } },
        { name: 'driver', source: readFileSync(file('driver.js'), 'utf8'), durableObjects },
        ...(front === undefined ? [] : [{ name: 'front', ...(await front()), variables, durableObjects }]),
      ],
    })
    return new Variant(name, workers, await workers.urlOf(front === undefined ? 'room' : 'front'), await workers.urlOf('driver'))
  }

  get pid(): number {
    return this.#workers.pid
  }

  /** Where a client connects to a room. */
  async url(room: string): Promise<string> {
    const { path = '/', token: kind } = SOURCES[this.name]
    const url = new URL(path, this.#room)
    url.protocol = 'ws:'
    url.searchParams.set('room', room)
    const claims = { chn: room, rpc: ['ping', 'publish'] }
    if (kind === 'DurableEventIterator') url.searchParams.set('token', await token(claims))
    if (kind === 'DurableIterator') {
      const issued = Math.floor(Date.now() / 1_000)
      url.searchParams.set('token', await sign(JSON.stringify({ ...claims, iat: issued, exp: issued + 86_400 }), SIGNING_KEY))
      url.searchParams.set('id', 'a-client')
    }
    return url.href
  }

  /** Publishes `count` events of `bytes` to each of the rooms, one after the other. */
  async publish(rooms: string[], count: number, bytes: number): Promise<void> {
    const url = new URL(this.#driver)
    url.searchParams.set('room', rooms.join(','))
    url.searchParams.set('count', String(count))
    url.searchParams.set('bytes', String(bytes))
    const response = await fetch(url)
    if (!response.ok) throw new Error(`${this.name}: publishing failed: ${await response.text()}`)
  }

  /** The rows that an object of a peer has read and written so far. */
  async rows(room: string): Promise<{ read: number; written: number }> {
    const url = new URL(this.#driver)
    url.searchParams.set('room', room)
    url.searchParams.set('rows', '')
    return (await fetch(url)).json() as Promise<{ read: number; written: number }>
  }

  stop(): Promise<void> {
    return this.#workers.dispose()
  }
}

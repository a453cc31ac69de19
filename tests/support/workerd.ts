// Workers on the real runtime: one or several, in one process, reached over HTTP and WebSocket.

import type { ChildProcess } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Log, LogLevel, Miniflare } from 'miniflare'
import type { DurableObjectEvictionOptions, DurableObjectStorageHandle, MiniflareOptions, WorkerdStructuredLog } from 'miniflare'

/** How long a request may take, in milliseconds: a Worker that traps leaves its caller waiting for ever. */
const REQUEST_TIMEOUT = 10_000

/** How long the runtime may take to come back after it was killed, in milliseconds. */
const RESTART_TIMEOUT = 30_000

/** As in the Workers' wrangler.toml. */
export const COMPATIBILITY_DATE = '2026-06-01'

const repository = fileURLToPath(new URL('../..', import.meta.url))

/** Where a Worker's code comes from. */
export type WorkerCode =
  /** The folder of a crate, as seen from the repository's root, that `scripts/build.mjs` has built. */
  | {
      crate: string
      /** The source of an ES module that stands before the built one, which it imports as `./index.js`. */
      front?: string
    }
  /** The source of an ES module. */
  | { source: string }

export type WorkerDefinition = WorkerCode & {
  name: string
  /** By default that of the Workers' wrangler.toml. */
  compatibilityDate?: string
  compatibilityFlags?: string[]
  /** Variables and secrets; what is not text arrives as parsed JSON. */
  variables?: Record<string, Json>
  /** Bindings to classes of Durable Objects, all of which keep their data in SQLite. */
  durableObjects?: Record<string, DurableObjectBinding>
  /** Bindings to the default entrypoints of other Workers, by their names. */
  services?: Record<string, string>
}

export interface DurableObjectBinding {
  className: string
  /** The Worker that defines the class, when it is another one. */
  scriptName?: string
}

export interface RunningWorkers {
  /** Of the first Worker. */
  url: URL
  /** Of any Worker, by its name. */
  urlOf(worker: string): Promise<URL>
  /** Like the global `fetch`, with a path of the first Worker or a whole URL; rejects after ten seconds. */
  fetch(target: string | URL, init?: RequestInit): Promise<Response>
  /**
   * Unloads an object as the runtime does with an idle one: what it had in memory is gone. Its WebSockets are kept
   * (`hibernate`) or closed.
   */
  evict(object: DurableObjectAddress, webSockets?: 'hibernate' | 'close'): Promise<void>
  /**
   * Runs SQL inside an object, which is loaded for that when it is not. Needs `inspectStorage`, and a class that extends
   * DurableObject.
   */
  sql<Row extends Record<string, SqlValue>>(
    object: DurableObjectAddress,
    query: string,
    ...parameters: SqlValue[]
  ): Promise<Row[]>
  /**
   * Ends the runtime's process by SIGKILL, and resolves when another one answers at the same addresses. Objects have the
   * same storage only with `persistence`.
   */
  kill(): Promise<void>
  /** Of the runtime's process. */
  readonly pid: number
  miniflare: Miniflare
  dispose(): Promise<void>
}

/** A Durable Object, by the Worker and class that define it and its name. */
export interface DurableObjectAddress {
  worker: string
  className: string
  name: string
}

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json }
export type SqlValue = Awaited<ReturnType<DurableObjectStorageHandle['exec']>>[number][string]

export interface StartOptions {
  /** The first one answers at `url`. */
  workers: [WorkerDefinition, ...WorkerDefinition[]]
  /** A folder that keeps the objects' data from one start to the next. Without it the data lives as long as the Workers. */
  persistence?: string
  /** The port of the first Worker, to come back at the same address after a restart. Otherwise any free one. */
  port?: number
  /** A folder by which runtimes find each other's Workers, as development processes do. */
  registry?: string
  /** Allows `sql`. Off unless asked for: the runtime then wraps each class in one of its own, and tests are about ours. */
  inspectStorage?: boolean
  /** Starts the runtime's inspector, as `wrangler dev` does. */
  inspectable?: boolean
  /** What the Workers write to the console. Without it nothing is shown. */
  onLog?: (line: string) => void
}

export async function startWorkers(options: StartOptions): Promise<RunningWorkers> {
  const { workers, persistence, registry, port = 0, inspectStorage = false, inspectable = false, onLog } = options
  const classes = definedClasses(workers, registry !== undefined)
  const runtime = findRuntime()
  let restarted = (): void => {}
  const miniflare = new Miniflare({
    host: '127.0.0.1',
    // Usually any free one: test files run side by side.
    port,
    log: new Log(LogLevel.ERROR),
    logRequests: false,
    // Neither looked up on the network nor advertised to other runtimes on this machine.
    cf: false,
    enableDevRegistry: registry !== undefined,
    ...(registry === undefined ? {} : { unsafeDevRegistryPath: registry }),
    unsafeInspectDurableObjects: inspectStorage,
    ...(inspectable ? { inspectorPort: 0 } : {}),
    unsafeHandleRuntimeRestart: () => restarted(),
    handleStructuredLogs: ({ message }: WorkerdStructuredLog) => onLog?.(message),
    ...(persistence === undefined ? {} : { resourcePersistencePath: persistence }),
    workers: workers.map((worker) => workerOptions(worker, classes.get(worker.name) ?? new Set())) as MiniflareOptions['workers'],
  })
  const url = await miniflare.ready

  return {
    url,
    get pid() {
      const pid = runtime.current?.pid
      if (pid === undefined) throw new Error('There is no runtime')
      return pid
    },
    miniflare,
    urlOf: (worker) => miniflare.unsafeGetDirectURL(worker),
    fetch: (target, init) => fetch(new URL(target, url), { signal: AbortSignal.timeout(REQUEST_TIMEOUT), ...init }),
    evict: ({ worker, className, name }, webSockets = 'hibernate') =>
      miniflare.unsafeEvictDurableObject(worker, className, { name, webSockets } satisfies DurableObjectEvictionOptions),
    sql: async <Row extends Record<string, SqlValue>>(
      { worker, className, name }: DurableObjectAddress,
      query: string,
      ...parameters: SqlValue[]
    ) => {
      const storage = await miniflare.unsafeGetDurableObjectStorage(worker, className, { name })
      return storage.exec<Row>(query, ...parameters)
    },
    kill: () =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('The runtime did not come back')), RESTART_TIMEOUT)
        restarted = () => {
          clearTimeout(timer)
          resolve()
        }
        if (runtime.current?.kill('SIGKILL') !== true) reject(new Error('There is no runtime to kill'))
      }),
    dispose: () => {
      runtime.stop()
      return miniflare.dispose()
    },
  }
}

/** The runtime's process, which miniflare does not name: it is seen when this process starts it. */
function findRuntime(): { current: ChildProcess | undefined; stop(): void } {
  const found: { current: ChildProcess | undefined; stop(): void } = {
    current: undefined,
    stop: () => unsubscribe('child_process', started),
  }
  function started(message: unknown): void {
    const { process: child } = message as { process: ChildProcess }
    // Its name is not set before the next turn.
    setImmediate(() => {
      // One that still runs is this one's own: what starts besides is another's.
      const isRunning = found.current?.exitCode === null && found.current.signalCode === null
      if (child.spawnfile?.includes('workerd') && !isRunning) found.current = child
    })
  }
  subscribe('child_process', started)
  return found
}

type WorkerOptions = MiniflareOptions['workers'][number]
type Bindings = NonNullable<WorkerOptions['config']['env']>

function workerOptions(worker: WorkerDefinition, classes: Set<string>): WorkerOptions {
  const bindings: Bindings = {}
  for (const [name, value] of Object.entries(worker.variables ?? {})) {
    bindings[name] = typeof value === 'string' ? { type: 'text', value } : { type: 'json', value }
  }
  for (const [name, { className, scriptName = worker.name }] of Object.entries(worker.durableObjects ?? {})) {
    bindings[name] = { type: 'durable-object', worker: scriptName, exportName: className }
  }
  for (const [name, service] of Object.entries(worker.services ?? {})) {
    bindings[name] = { type: 'worker', worker: service }
  }
  return {
    config: {
      name: worker.name,
      compatibilityDate: worker.compatibilityDate ?? COMPATIBILITY_DATE,
      ...(worker.compatibilityFlags === undefined ? {} : { compatibilityFlags: worker.compatibilityFlags }),
      manifest: manifest(worker),
      env: bindings,
      exports: Object.fromEntries([...classes].map((name) => [name, { type: 'durable-object', storage: 'sqlite' }])),
    },
    // An address of its own for each, see `urlOf`.
    dev: { unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }] },
  }
}

/** Which Worker defines which classes: every class that a binding anywhere names, of its own or another script. */
function definedClasses(workers: WorkerDefinition[], hasRegistry: boolean): Map<string, Set<string>> {
  const classes = new Map(workers.map(({ name }) => [name, new Set<string>()]))
  for (const { name, durableObjects = {} } of workers) {
    for (const { className, scriptName = name } of Object.values(durableObjects)) {
      const defined = classes.get(scriptName)
      if (defined === undefined && !hasRegistry) throw new Error(`${name} binds a class of ${scriptName}, which is not among the Workers`)
      defined?.add(className)
    }
  }
  return classes
}

type Manifest = NonNullable<WorkerOptions['config']['manifest']>

function manifest(code: WorkerCode): Manifest {
  if ('source' in code) {
    return { mainModule: 'index.js', modules: { 'index.js': { type: 'esm', contents: code.source } } }
  }
  const folder = join(repository, code.crate, 'build')
  const modules: Manifest['modules'] = {}
  for (const file of readdirSync(folder)) {
    if (file.endsWith('.wasm')) modules[file] = { type: 'wasm', contents: new Uint8Array(readFileSync(join(folder, file))) }
    if (file.endsWith('.js')) modules[file] = { type: 'esm', contents: readFileSync(join(folder, file), 'utf8') }
  }
  if (code.front === undefined) return { mainModule: 'index.js', modulesRoot: folder, modules }
  modules['front.js'] = { type: 'esm', contents: code.front }
  return { mainModule: 'front.js', modulesRoot: folder, modules }
}

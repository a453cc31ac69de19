// Runs Workers on the real runtime: one or several in one process, accessible over HTTP and WebSocket.

import type { ChildProcess } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { buildSync } from 'esbuild'
import { Log, LogLevel, Miniflare } from 'miniflare'
import type { DurableObjectEvictionOptions, DurableObjectStorageHandle, MiniflareOptions, WorkerdStructuredLog } from 'miniflare'

/** The time limit of a request, in milliseconds: the caller of a Worker that traps would wait forever. */
const REQUEST_TIMEOUT = 10_000

/** The time limit for the restart of a killed runtime, in milliseconds. */
const RESTART_TIMEOUT = 30_000

/** The same as in wrangler.toml of the Workers. */
export const COMPATIBILITY_DATE = '2026-06-01'

const repository = fileURLToPath(new URL('../..', import.meta.url))

/** The source of a Worker's code. */
export type WorkerCode =
  /** The folder of a crate that `scripts/build.mjs` has built, relative to the root of the repository. */
  | {
      crate: string
      /** The source of an ES module in front of the built one, which it imports as `./index.js`. */
      front?: string
    }
  /** The source of an ES module, and the WebAssembly modules that it imports: their names and files. */
  | { source: string; wasm?: Record<string, string> }
  /** A module in TypeScript, relative to the root of the repository. It is bundled, with the compiled core if it imports that. */
  | {
      entry: string
      /** Values of global names, as source. */
      define?: Record<string, string>
      /** The version of oRPC with which it is bundled. Default: the installed one. */
      orpc?: string | undefined
      /** As for a crate. */
      front?: string
    }

export type WorkerDefinition = WorkerCode & {
  name: string
  /** The code of other Workers that `front` imports: that of `old` as `./old/index.js`. */
  beside?: Record<string, WorkerCode>
  /** Default: the one in wrangler.toml of the Workers. */
  compatibilityDate?: string
  compatibilityFlags?: string[]
  /** Variables and secrets. Values other than strings are passed as JSON. */
  variables?: Record<string, Json>
  /** Bindings of Durable Object classes, all with SQLite storage. */
  durableObjects?: Record<string, DurableObjectBinding>
  /** Bindings of the default entrypoints of other Workers, by their names. */
  services?: Record<string, string>
  /** Bindings of Analytics Engine datasets. Locally, a dataset discards its data points. */
  datasets?: string[]
}

export interface DurableObjectBinding {
  className: string
  /** The Worker that defines the class, if it is another one. */
  scriptName?: string
}

export interface RunningWorkers {
  /** The URL of the first Worker. */
  url: URL
  /** Returns the URL of a Worker by its name. */
  urlOf(worker: string): Promise<URL>
  /** Like the global `fetch`, with a path of the first Worker or a complete URL. Rejects after ten seconds. */
  fetch(target: string | URL, init?: RequestInit): Promise<Response>
  /**
   * Unloads a Durable Object, as the runtime does with an idle one: its memory is lost. Its WebSockets are kept
   * (`hibernate`) or closed.
   */
  evict(object: DurableObjectAddress, webSockets?: 'hibernate' | 'close'): Promise<void>
  /**
   * Runs SQL in a Durable Object, which is loaded if necessary. Requires `inspectStorage`, and a class that extends
   * DurableObject.
   */
  sql<Row extends Record<string, SqlValue>>(
    object: DurableObjectAddress,
    query: string,
    ...parameters: SqlValue[]
  ): Promise<Row[]>
  /**
   * Ends the runtime's process by SIGKILL. Resolves when a new one responds at the same addresses. Durable Objects keep their
   * storage only with `persistence`.
   */
  kill(): Promise<void>
  /** The id of the runtime's process. */
  readonly pid: number
  miniflare: Miniflare
  dispose(): Promise<void>
}

/** A Durable Object, identified by its Worker, class and name. */
export interface DurableObjectAddress {
  worker: string
  className: string
  name: string
}

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json }
export type SqlValue = Awaited<ReturnType<DurableObjectStorageHandle['exec']>>[number][string]

export interface StartOptions {
  /** The first Worker responds at `url`. */
  workers: [WorkerDefinition, ...WorkerDefinition[]]
  /**
   * A folder for the storage of Durable Objects, to keep it after a restart. Without it, the storage is deleted with the
   * Workers.
   */
  persistence?: string
  /** The port of the first Worker, to have the same address after a restart. Default: a free port. */
  port?: number
  /** A folder with which runtimes find each other's Workers, like development processes. */
  registry?: string
  /** Allows `sql`. Off by default, since the runtime then wraps each class. */
  inspectStorage?: boolean
  /** Starts the inspector of the runtime, as `wrangler dev` does. */
  inspectable?: boolean
  /** Receives the console output of the Workers. Without it, the output is discarded. */
  onLog?: (line: string) => void
}

export async function startWorkers(options: StartOptions): Promise<RunningWorkers> {
  const { workers, persistence, registry, port = 0, inspectStorage = false, inspectable = false, onLog } = options
  const classes = definedClasses(workers, registry !== undefined)
  const runtime = findRuntime()
  let restarted = (): void => {}
  const miniflare = new Miniflare({
    host: '127.0.0.1',
    // Usually a free port, since test files run in parallel.
    port,
    log: new Log(LogLevel.ERROR),
    logRequests: false,
    // Disables network requests, and the registration with other runtimes on this machine.
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
      if (pid === undefined) throw new Error('the runtime is not running')
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
        const timer = setTimeout(() => reject(new Error('the runtime did not restart in time')), RESTART_TIMEOUT)
        restarted = () => {
          clearTimeout(timer)
          resolve()
        }
        if (runtime.current?.kill('SIGKILL') !== true) reject(new Error('the runtime is not running and cannot be killed'))
      }),
    dispose: () => {
      runtime.stop()
      return miniflare.dispose()
    },
  }
}

/** Finds the process of the runtime, which miniflare does not expose, when this process starts it. */
function findRuntime(): { current: ChildProcess | undefined; stop(): void } {
  const found: { current: ChildProcess | undefined; stop(): void } = {
    current: undefined,
    stop: () => unsubscribe('child_process', started),
  }
  function started(message: unknown): void {
    const { process: child } = message as { process: ChildProcess }
    // Its name is set in the next turn of the event loop.
    setImmediate(() => {
      // A runtime that is already running is ours: another process belongs to another one.
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
  for (const name of worker.datasets ?? []) bindings[name] = { type: 'analytics-engine-dataset', name: name.toLowerCase() }
  return {
    config: {
      name: worker.name,
      compatibilityDate: worker.compatibilityDate ?? COMPATIBILITY_DATE,
      ...(worker.compatibilityFlags === undefined ? {} : { compatibilityFlags: worker.compatibilityFlags }),
      manifest: manifest(worker),
      env: bindings,
      exports: Object.fromEntries([...classes].map((name) => [name, { type: 'durable-object', storage: 'sqlite' }])),
    },
    // A separate address for each Worker, see `urlOf`.
    dev: { unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }] },
  }
}

/** Returns the classes that each Worker defines: all classes in bindings of any Worker. */
function definedClasses(workers: WorkerDefinition[], hasRegistry: boolean): Map<string, Set<string>> {
  const classes = new Map(workers.map(({ name }) => [name, new Set<string>()]))
  for (const { name, durableObjects = {} } of workers) {
    for (const { className, scriptName = name } of Object.values(durableObjects)) {
      const defined = classes.get(scriptName)
      if (defined === undefined && !hasRegistry) throw new Error(`${name} binds a class of ${scriptName}, which is not one of the Workers`)
      defined?.add(className)
    }
  }
  return classes
}

type Manifest = NonNullable<WorkerOptions['config']['manifest']>

function manifest({ beside = {}, ...code }: WorkerCode & Pick<WorkerDefinition, 'beside'>): Manifest {
  const built = manifestOf(code)
  const modules = { ...built.modules }
  for (const [folder, other] of Object.entries(beside)) {
    for (const [name, module] of Object.entries(manifestOf(other).modules)) modules[`${folder}/${name}`] = module
  }
  return { ...built, modules }
}

function manifestOf(code: WorkerCode): Manifest {
  if ('source' in code) {
    const modules: Manifest['modules'] = { 'index.js': { type: 'esm', contents: code.source } }
    for (const [name, file] of Object.entries(code.wasm ?? {})) {
      modules[name] = { type: 'wasm', contents: new Uint8Array(readFileSync(join(repository, file))) }
    }
    return { mainModule: 'index.js', modules }
  }
  if ('entry' in code) return behind(code.front, bundled(code.entry, code.define ?? {}, code.orpc))
  const folder = join(repository, code.crate, 'build')
  const modules: Manifest['modules'] = {}
  for (const file of readdirSync(folder)) {
    if (file.endsWith('.wasm')) modules[file] = { type: 'wasm', contents: new Uint8Array(readFileSync(join(folder, file))) }
    if (file.endsWith('.js')) modules[file] = { type: 'esm', contents: readFileSync(join(folder, file), 'utf8') }
  }
  return behind(code.front, { mainModule: 'index.js', modulesRoot: folder, modules })
}

function behind(front: string | undefined, built: Manifest): Manifest {
  if (front === undefined) return built
  return { ...built, mainModule: 'front.js', modules: { ...built.modules, 'front.js': { type: 'esm', contents: front } } }
}

/** The compiled core of the npm package, as its module imports it. */
const CORE = { 'index_bg.wasm': 'npm/durable-event-iterator/core/build/index_bg.wasm' }

const bundles = new Map<string, Manifest>()

function bundled(entry: string, define: Record<string, string>, orpc: string | undefined): Manifest {
  const key = JSON.stringify([entry, define, orpc])
  const known = bundles.get(key)
  if (known !== undefined) return known
  const { outputFiles, warnings } = buildSync({
    absWorkingDir: repository,
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    external: ['cloudflare:*', '*.wasm', 'node:*'],
    conditions: ['workerd', 'worker', 'browser'],
    define,
    ...withOrpc(orpc),
  })
  if (warnings.length > 0) throw new Error(`${entry}: ${warnings.map(({ text }) => text).join('\n')}`)
  const source = outputFiles[0]!.text
  const bundle = manifestOf({ source, ...(source.includes('index_bg.wasm') ? { wasm: CORE } : {}) })
  bundles.set(key, bundle)
  return bundle
}

/** Returns the options of a bundler for a version of oRPC. The methods `callable` of procedures are an extension in oRPC 2.x. */
function withOrpc(version: string | undefined): { alias?: Record<string, string>; inject?: string[] } {
  if (version === undefined) return {}
  const alias = Object.fromEntries(['client', 'server'].map((name) => [`@orpc/${name}`, `orpc-${name}-${version}`]))
  return { alias, ...(version.startsWith('2.') && { inject: [`./node_modules/orpc-server-${version}/dist/extensions/callable.mjs`] }) }
}

// Durable Objects on a runtime with faults that tests control: failing statements, a shifted clock, pauses.

import { startJournals } from './journals.ts'
import type { Binding, JournalOptions, Journals } from './journals.ts'

/** A module in front of the unmodified Worker of the Durable Objects. */
const FRONT = `
import * as worker from './index.js'

const faults = { ahead: 0, isHeld: false, statement: undefined, thrown: undefined, held: null, unwound: null, late: null }
const seen = { made: 0, messages: 0, committed: 0, timers: 0 }

const [now, later] = [Date.now, setTimeout]
Date.now = () => now() + faults.ahead
/** Ends the pauses when nothing holds them. */
globalThis.setTimeout = (work, milliseconds) => {
  if (milliseconds === 0) seen.timers++
  return later(function turn() { faults.isHeld ? later(turn, 5) : work() }, milliseconds)
}

/** The values that can be thrown. */
const values = {
  Error: () => new Error('by a test'),
  string: () => 'by a test',
  undefined: () => undefined,
  null: () => null,
  number: () => 7,
  'Error with a number as message': () => Object.assign(new Error(), { message: 7 }),
  'Error with throwing getters': () => {
    const get = () => { throw new Error('by a getter') }
    return Object.defineProperties(new Error(), { message: { get }, retryable: { get }, stack: { get }, name: { get } })
  },
  'Proxy that throws': () => {
    const trap = () => { throw new Error('by a trap') }
    return new Proxy({}, { get: trap, has: trap, getPrototypeOf: trap, ownKeys: trap })
  },
  RuntimeError: () => new WebAssembly.RuntimeError('by a test'),
  'Error with wasm in its stack': () => Object.assign(new Error('by a test'), { stack: 'Error\\n    at wasm://wasm/foreign-0001:wasm-function[1]:0x1' }),
  'retryable Error': () => Object.assign(new Error('by a test'), { retryable: true }),
  'overloaded Error': () => Object.assign(new Error('by a test'), { overloaded: true }),
}

/** Throws if a test requests it, for all Durable Objects or for the one with this name. */
const interfere = (call, name) => {
  const fault = faults.thrown
  if (fault?.call !== call || (fault.name !== undefined && name !== undefined && fault.name !== name)) return
  if ((fault.after ?? 0) > 0) return void fault.after--
  if (fault.times-- <= 0) return
  throw values[fault.value]()
}

for (const key of ['serializeAttachment', 'deserializeAttachment', 'send', 'close']) {
  const usual = WebSocket.prototype[key]
  WebSocket.prototype[key] = function (...args) {
    interfere(key)
    return usual.apply(this, args)
  }
}
for (const key of ['WebSocketPair', 'Response']) {
  globalThis[key] = new Proxy(globalThis[key], {
    construct(target, args) {
      interfere(key)
      return Reflect.construct(target, args)
    },
  })
}

/** Waits after a commit as long as the test requests it. */
const late = async (transaction) => {
  const result = await transaction
  seen.committed++
  while (faults.late !== null) await new Promise((resolve) => later(resolve, 5))
  return result
}

/** A \`storage\` with a statement that throws. */
const faulty = (storage, name) => new Proxy(storage, {
  get(storage, key) {
    if (key === 'sql') return { exec(text, ...params) {
      interfere('sql', name)
      const fault = faults.statement
      if (fault && fault.name === name && text.startsWith(fault.start) && fault.times-- > 0) throw new Error(fault.message)
      return storage.sql.exec(text, ...params)
    } }
    const value = storage[key]
    if (typeof value !== 'function') return value
    return (...args) => {
      interfere(key, name)
      if (key === 'transaction' && faults.late === name) return late(value.apply(storage, args))
      return value.apply(storage, args)
    }
  },
})

/** Not a socket: the exception of the check whether it is one passes through WebAssembly, whose instance is lost. */
const hostile = new Proxy({}, { getPrototypeOf: () => { throw new Error('not a socket') } })

const watched = (target) => new Proxy(target, {
  construct(target, [ctx, env], newTarget) {
    seen.made++
    const storage = faulty(ctx.storage, ctx.id.name)
    const own = new Proxy(ctx, {
      get(ctx, key) {
        if (key === 'storage') return storage
        const value = ctx[key]
        if (typeof value !== 'function') return value
        return (...args) => {
          interfere(key, ctx.id.name)
          const result = value.apply(ctx, args)
          const { unwound } = faults
          if (key === 'getWebSockets' && unwound?.name === ctx.id.name && unwound.after-- === 0) result.splice(1, 0, hostile)
          if (key === 'getWebSockets' && faults.held?.name === ctx.id.name) result.length = faults.held.sockets
          return result
        }
      },
    })
    const object = Reflect.construct(target, [own, env], newTarget)
    return new Proxy(object, {
      get(object, key) {
        const value = Reflect.get(object, key)
        if (key === 'fetch') return async (request) => {
          if (new URL(request.url).pathname !== '/sql') return object.fetch(request)
          return Response.json([...ctx.storage.sql.exec(await request.text())])
        }
        if (key === 'webSocketMessage') return (...args) => {
          seen.messages++
          return value.apply(object, args)
        }
        return typeof value === 'function' ? value.bind(object) : value
      },
    })
  },
})

/** A namespace with stubs that throw. */
const faultyNamespace = (namespace) => new Proxy(namespace, {
  get(namespace, key) {
    const value = namespace[key]
    if (key === 'constructor') return value // the runtime reads its name
    if (key !== 'getByName') return typeof value === 'function' ? value.bind(namespace) : value
    return (...args) => {
      const stub = namespace.getByName(...args)
      return new Proxy(stub, {
        get: (stub, key) => (...args) => {
          interfere('stub.' + key, stub.name)
          return stub[key](...args)
        },
      })
    }
  },
})

const faultyEnv = (env) => new Proxy(env, {
  get: (env, key) => (typeof env[key]?.getByName === 'function' ? faultyNamespace(env[key]) : env[key]),
})

export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url)
    if (url.pathname === '/faults') {
      const { uncaught, ...more } = await request.json()
      Object.assign(faults, more)
      if (uncaught) await new Promise((resolve) => later(() => { resolve(); throw values[uncaught]() }, 0))
      return Response.json(seen)
    }
    if (url.pathname === '/sql') return env[url.searchParams.get('binding')].getByName(url.searchParams.get('name')).fetch(request)
    return new worker.default(ctx, faultyEnv(env)).fetch(request)
  },
}
export const UsualJournal = watched(worker.UsualJournal)
export const FewJournal = watched(worker.FewJournal)
export const RoomyJournal = watched(worker.RoomyJournal)
export const LastingJournal = watched(worker.LastingJournal)
export const CallsObject = watched(worker.CallsObject)
export const SweptJournal = watched(worker.SweptJournal)
export const CappedJournal = watched(worker.CappedJournal)
export const InvalidJournal = watched(worker.InvalidJournal)
export const FaultyObject = watched(worker.FaultyObject)
`

/** The values that the front can throw. */
export const THROWN = [
  'Error', 'string', 'undefined', 'null', 'number', 'Error with a number as message', 'Error with throwing getters', 'Proxy that throws',
  'RuntimeError', 'Error with wasm in its stack', 'retryable Error', 'overloaded Error',
] as const
export type Thrown = (typeof THROWN)[number]

export interface Faults {
  /** The shift of the clock, in milliseconds. */
  ahead?: number
  /** Holds all pauses until this is false. */
  isHeld?: boolean
  /**
   * The next `times` calls of this function of the runtime throw, of the Durable Object with this name if it belongs to one, except for
   * the first ones, whose number is `after`.
   */
  thrown?: { call: string; value: Thrown; after?: number; times: number; name?: string } | null
  /** The Durable Object with this name lists additional sockets. */
  held?: { name: string; sockets: number } | null
  /**
   * The list of sockets of the Durable Object with this name contains a value after the first socket that loses the WebAssembly instance,
   * when it is listed the next time but `after`.
   */
  unwound?: { name: string; after: number } | null
  /** Asynchronous transactions of the Durable Object with this name do not return after their commit. */
  late?: string | null
  /** A timer throws this value, uncaught. */
  uncaught?: Thrown
  /** The next `times` statements with this start throw, of the Durable Object with this name. */
  statement?: { name: string; start: string; message: string; times: number }
}

/** The constructed Durable Objects, received frames, late transactions and timers without a delay that the front has counted. */
export interface Seen {
  made: number
  messages: number
  /** The number of asynchronous transactions that have committed, see `late`. */
  committed: number
  timers: number
}

export interface FaultyJournals extends Journals {
  /** Returns the counts. */
  set(faults: Faults): Promise<Seen>
  /** Runs SQL in a Durable Object, bypassing the library. */
  statement(binding: Binding, name: string, sql: string): Promise<any[]>
}

export async function startFaultyJournals(options: JournalOptions = {}): Promise<FaultyJournals> {
  const journals = await startJournals({ front: FRONT, ...options })
  return {
    ...journals,
    get pid() {
      return journals.pid
    },
    set: async (faults) => (await journals.fetch('/faults', { method: 'POST', body: JSON.stringify(faults) })).json() as Promise<Seen>,
    statement: async (binding, name, sql) => {
      const url = new URL('/sql', journals.url)
      url.searchParams.set('binding', binding)
      url.searchParams.set('name', name)
      const response = await journals.fetch(url, { method: 'POST', body: sql })
      if (!response.ok) throw new Error(await response.text())
      return (await response.json()) as any[]
    },
  }
}

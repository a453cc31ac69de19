// Objects on a platform that fails when a test says so: statements that throw, a clock that has gone on, pauses that last.

import { startJournals } from './journals.ts'
import type { Binding, JournalOptions, Journals } from './journals.ts'

/** Stands before the Worker of the objects, which is as it is. */
const FRONT = `
import * as worker from './index.js'

const faults = { ahead: 0, isHeld: false, statement: undefined }
const seen = { made: 0, messages: 0 }

const [now, later] = [Date.now, setTimeout]
Date.now = () => now() + faults.ahead
/** Pauses end when nothing holds them any more. */
globalThis.setTimeout = (work, milliseconds) => later(function turn() { faults.isHeld ? later(turn, 5) : work() }, milliseconds)

/** An object's \`storage\`, one of whose statements throws. */
const faulty = (storage, name) => new Proxy(storage, {
  get(storage, key) {
    if (key === 'sql') return { exec(text, ...params) {
      const fault = faults.statement
      if (fault && fault.name === name && text.startsWith(fault.start) && fault.times-- > 0) throw new Error(fault.message)
      return storage.sql.exec(text, ...params)
    } }
    const value = storage[key]
    return typeof value === 'function' ? value.bind(storage) : value
  },
})

const watched = (target) => new Proxy(target, {
  construct(target, [ctx, env], newTarget) {
    seen.made++
    const storage = faulty(ctx.storage, ctx.id.name)
    const own = new Proxy(ctx, {
      get(ctx, key) {
        if (key === 'storage') return storage
        const value = ctx[key]
        return typeof value === 'function' ? value.bind(ctx) : value
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

export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url)
    if (url.pathname === '/faults') {
      Object.assign(faults, await request.json())
      return Response.json(seen)
    }
    if (url.pathname === '/sql') return env[url.searchParams.get('binding')].getByName(url.searchParams.get('name')).fetch(request)
    return new worker.default(ctx, env).fetch(request)
  },
}
export const UsualJournal = watched(worker.UsualJournal)
export const FewJournal = watched(worker.FewJournal)
export const RoomyJournal = watched(worker.RoomyJournal)
export const LastingJournal = watched(worker.LastingJournal)
export const CallsObject = watched(worker.CallsObject)
export const FaultyObject = watched(worker.FaultyObject)
`

export interface Faults {
  /** By how much the clock has gone on, in milliseconds. */
  ahead?: number
  /** Whether pauses last until this is false again. */
  isHeld?: boolean
  /** Of the object with this name, so many statements that start so throw. */
  statement?: { name: string; start: string; message: string; times: number }
}

/** What the front has seen: objects that were made, and frames that reached one. */
export interface Seen {
  made: number
  messages: number
}

export interface FaultyJournals extends Journals {
  /** Answers with what has been seen until now. */
  set(faults: Faults): Promise<Seen>
  /** Runs SQL inside an object, beside the library. */
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

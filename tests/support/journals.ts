// The Workers that most tests talk to: the objects, a Worker in JavaScript that reaches them from another script, and one
// in Rust that does.

import { startWorkers } from './workerd.ts'
import type { RunningWorkers, StartOptions, WorkerDefinition } from './workerd.ts'
import { Client, SIGNING_KEY, token } from './client.ts'
import type { Claims, ConnectOptions } from './client.ts'

/** Binding and class of each object of `tests/worker`. */
export const CLASSES = {
  USUAL: 'UsualJournal',
  SHORT: 'ShortJournal',
  SWEPT: 'SweptJournal',
  FEW: 'FewJournal',
  ROOMY: 'RoomyJournal',
  BRIEF: 'BriefJournal',
  LASTING: 'LastingJournal',
  LIVE: 'LiveJournal',
  FORGETFUL: 'ForgetfulJournal',
  CAPPED: 'CappedJournal',
  INVALID: 'InvalidJournal',
  LEDGER: 'LedgerObject',
  REPLAYING_LEDGER: 'ReplayingLedgerObject',
  TYPES: 'TypesObject',
  CALLS: 'CallsObject',
  FAULTY: 'FaultyObject',
} as const
export type Binding = keyof typeof CLASSES

/** Calls a method of a stub: `{ binding, channel, method, source }`, where `source` makes the arguments. */
const CALLER = `
const sources = {
  json: (args) => args,
  // Each option of this name is there and undefined.
  undefinedOption: ([event, name]) => [event, { [name]: undefined }],
  everything: () => [{
    date: new Date('2020-01-02T03:04:05.678Z'), badDate: new Date(NaN), big: 12345678901234567890n, nan: NaN,
    nothing: null, undef: undefined, re: /a\\/b+(c)/gi, url: new URL('https://example.com/a?b=c#d').href,
    set: new Set(['one', 'two']), map: new Map([[1, new Date(0)], [2, new Date(1)]]),
  }],
}
export default {
  async fetch(request, env) {
    const { binding, channel, method, args, source = 'json' } = await request.json()
    const stub = env[binding].getByName(channel)
    try {
      return Response.json({ result: await stub[method](...sources[source](args)) })
    } catch (error) {
      return Response.json({ error: { name: error.name, message: error.message, code: error.code, failure: error.failure } })
    }
  },
}`

/** What a stub's method answered. */
export class StubError extends Error {
  readonly code: string | undefined
  /** Which failure of publishing it is. */
  readonly failure: string | undefined

  constructor({ name, message, code, failure }: { name: string; message: string; code?: string; failure?: string }) {
    super(message)
    this.name = name
    this.code = code
    this.failure = failure
  }
}

export interface Journals extends RunningWorkers {
  /** Calls a method of an object from a Worker in JavaScript, of another script. Of `publish` it returns the event id. */
  stub(binding: Binding, channel: string, method: string, ...args: unknown[]): Promise<any>
  /** Publishes from a Worker in JavaScript, of another script. */
  publish(binding: Binding, channel: string, event: object, options?: object): Promise<{ id: string; duplicate: boolean }>
  /** The URL of the upgrade to a namespace, with a token for a channel. */
  upgrade(binding: Binding, claims: Claims, id?: string): Promise<string>
  /** A client of a channel. */
  client(binding: Binding, claims: Claims, options?: ConnectOptions & { id?: string }): Promise<Client>
  /** Unloads an object; its sockets stay. */
  hibernate(binding: Binding, channel: string): Promise<void>
}

export interface JournalOptions extends Omit<StartOptions, 'workers'> {
  /** Workers besides. */
  workers?: WorkerDefinition[]
  /** See `WorkerCode`: stands before the Worker of the objects. */
  front?: string
}

export async function startJournals({ workers: more = [], front, ...options }: JournalOptions = {}): Promise<Journals> {
  const objects = Object.fromEntries(Object.entries(CLASSES).map(([binding, className]) => [binding, { className }]))
  const foreign = Object.fromEntries(
    Object.entries(CLASSES).map(([binding, className]) => [binding, { className, scriptName: 'objects' }]),
  )
  const workers = await startWorkers({
    ...options,
    workers: [
      {
        name: 'objects',
        crate: 'tests/worker',
        ...(front === undefined ? {} : { front }),
        variables: { SIGNING_KEY },
        durableObjects: objects,
      },
      { name: 'caller', source: CALLER, durableObjects: foreign },
      { name: 'relay', crate: 'tests/worker', durableObjects: foreign },
      ...more,
    ],
  })
  const caller = await workers.urlOf('caller')

  async function call(binding: Binding, channel: string, method: string, ...args: unknown[]): Promise<any> {
    const source = args[0] === EVERYTHING ? 'everything' : args[0] === UNDEFINED_OPTION ? 'undefinedOption' : 'json'
    const body = JSON.stringify({ binding, channel, method, args: source === 'undefinedOption' ? args.slice(1) : args, source })
    const response = await workers.fetch(caller, { method: 'POST', body })
    const { result, error } = (await response.json()) as any
    if (error) throw new StubError(error)
    return result
  }

  const upgrade = async (binding: Binding, claims: Claims, id?: string): Promise<string> => {
    const url = new URL(`/upgrade/${binding}`, workers.url)
    url.protocol = 'ws:'
    url.searchParams.set('token', await token(claims))
    if (id !== undefined) url.searchParams.set('id', id)
    return url.href
  }

  return {
    ...workers,
    upgrade,
    publish: (binding, channel, event, options) => call(binding, channel, 'publish', event, options),
    stub: async (binding, channel, method, ...args) => {
      const result = await call(binding, channel, method, ...args)
      return method === 'publish' ? result.id : result
    },
    client: async (binding, claims, { id, ...options } = {}) =>
      Client.connect(await upgrade(binding, claims, id), options),
    hibernate: (binding, channel) =>
      workers.evict({ worker: 'objects', className: CLASSES[binding], name: channel }, 'hibernate'),
  }
}

/** Before an event and a name: publishes with an option of that name that is undefined. */
export const UNDEFINED_OPTION = Symbol('undefinedOption')

/** Stands for an event with every type that a stub can carry. */
export const EVERYTHING = Symbol('everything')

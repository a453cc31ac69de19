// The Workers of most tests: the Durable Objects, a Worker in JavaScript that calls them from another script, and a Worker in
// Rust that does.

import { startWorkers } from './workerd.ts'
import type { RunningWorkers, StartOptions, WorkerCode, WorkerDefinition } from './workerd.ts'
import { Client, SIGNING_KEY, token } from './client.ts'
import type { Claims, ConnectOptions } from './client.ts'

/**
 * The implementation of the Durable Objects: in Rust, or in TypeScript with one of oRPC's classes. `vitest.config.ts` has a
 * project for each, which sets the variable.
 */
export const IMPLEMENTATION = (process.env['IMPLEMENTATION'] ?? 'Rust') as 'Rust' | 'DurableEventIteratorObject' | 'DurableIteratorObject'
export const isRust = IMPLEMENTATION === 'Rust'

/**
 * The version of oRPC with which classes in TypeScript are bundled, if it is not the installed one. Projects of `vitest.config.ts`
 * set the variable.
 */
export const ORPC_OF_CLASSES: string | undefined = process.env['ORPC_OF_CLASSES']
export const isOrpc2: boolean = ORPC_OF_CLASSES?.startsWith('2.') ?? false

/** The name of the procedure that publishes its input. A class in TypeScript has `publish` for stubs. */
export const PUBLISH: 'publish' | 'publishMessage' = isRust ? 'publish' : 'publishMessage'

/** Returns the code of the Worker with the Durable Objects. */
export function objectsCode(implementation: typeof IMPLEMENTATION = IMPLEMENTATION, orpc = ORPC_OF_CLASSES): WorkerCode {
  if (implementation === 'Rust') return { crate: 'tests/worker' }
  return { entry: 'tests/worker-typescript/index.ts', define: { BASE_CLASS: JSON.stringify(implementation) }, orpc }
}

/** The binding and class of each Durable Object of `tests/worker` and `tests/worker-typescript`. */
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
  MEASURED: 'MeasuredJournal',
  CAPPED: 'CappedJournal',
  PUBLISHED: 'PublishedJournal',
  FEW_PUBLISHED: 'FewPublishedJournal',
  INVALID: 'InvalidJournal',
  LEDGER: 'LedgerObject',
  REPLAYING_LEDGER: 'ReplayingLedgerObject',
  TYPES: 'TypesObject',
  CALLS: 'CallsObject',
  FAULTY: 'FaultyObject',
  PRESENT: 'PresentObject',
  ATTACHED: 'AttachedPresentObject',
  PATIENT: 'PatientPresentObject',
  PUBLISHED_PRESENT: 'PublishedPresentObject',
  ABSENT: 'AbsentObject',
  OWN_PRESENT: 'OwnPresentObject',
} as const
export type Binding = keyof typeof CLASSES

/** Calls an RPC method of a stub: `{ binding, channel, method, source }`, where `source` is the code of the arguments. */
const CALLER = `
const sources = {
  json: (args) => args,
  // Sets each option of this name to undefined.
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

/** The result of an RPC method. */
export class StubError extends Error {
  readonly code: string | undefined
  /** The kind of publish error. */
  readonly failure: string | undefined

  constructor({ name, message, code, failure }: { name: string; message: string; code?: string; failure?: string }) {
    super(message)
    this.name = name
    this.code = code
    this.failure = failure
  }
}

export interface Journals extends RunningWorkers {
  /** Calls an RPC method from a Worker in JavaScript of another script. For `publish` it returns the event id. */
  stub(binding: Binding, channel: string, method: string, ...args: unknown[]): Promise<any>
  /** Publishes from a Worker in JavaScript of another script. */
  publish(binding: Binding, channel: string, event: object, options?: object): Promise<{ id: string; duplicate: boolean }>
  /** Returns the URL of the upgrade to a namespace, with a token for a channel. */
  upgrade(binding: Binding, claims: Claims, id?: string): Promise<string>
  /** Connects a client to a channel. */
  client(binding: Binding, claims: Claims, options?: ConnectOptions & { id?: string }): Promise<Client>
  /** Unloads a Durable Object and keeps its sockets. */
  hibernate(binding: Binding, channel: string): Promise<void>
}

export interface JournalOptions extends Omit<StartOptions, 'workers'> {
  /** Additional Workers. */
  workers?: WorkerDefinition[]
  /** Bindings of Analytics Engine datasets of the Worker of the Durable Objects. */
  datasets?: string[]
  /** The module in front of the Worker of the Durable Objects, see `WorkerCode`. */
  front?: string
  /** The code of other Workers that `front` imports, see `WorkerDefinition`. */
  beside?: Record<string, WorkerCode>
  /** Variables of the Worker of the Durable Objects. */
  variables?: Record<string, string>
  /** The implementation of the Durable Objects. Default: the one of the project. */
  implementation?: typeof IMPLEMENTATION
  /** The version of oRPC with which classes in TypeScript are bundled. Default: the one of the project. */
  orpc?: string | undefined
}

export async function startJournals({ workers: more = [], front, datasets = [], beside, variables, implementation, orpc, ...options }: JournalOptions = {}): Promise<Journals> {
  const objects = Object.fromEntries(Object.entries(CLASSES).map(([binding, className]) => [binding, { className }]))
  const foreign = Object.fromEntries(
    Object.entries(CLASSES).map(([binding, className]) => [binding, { className, scriptName: 'objects' }]),
  )
  const workers = await startWorkers({
    ...options,
    workers: [
      {
        name: 'objects',
        ...objectsCode(implementation, orpc),
        ...(front === undefined ? {} : { front }),
        ...(beside === undefined ? {} : { beside }),
        variables: { SIGNING_KEY, ...variables },
        durableObjects: objects,
        datasets,
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

/** A marker before an event and a name: publishes with an undefined option of that name. */
export const UNDEFINED_OPTION = Symbol('undefinedOption')

/** A marker for an event with all types that a stub supports. */
export const EVERYTHING = Symbol('everything')

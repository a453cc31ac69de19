// Classes with members of all kinds, for the test of what a client can reach.

import { DurableObject } from 'cloudflare:workers'

import { createRouterClient, os } from '@orpc/server'
import {
  DurableEventIteratorObject,
  DurableIteratorObject,
  upgradeDurableEventIteratorRequest,
} from 'durable-event-iterator/durable-object'
import type { DurableEventIteratorNamespace } from 'durable-event-iterator/durable-object'

interface Env {
  SIGNING_KEY: string
  [binding: string]: unknown
}

const procedure = os.handler(() => 'reached')
const client = procedure.callable()

/** The number of times that code ran which no client may run. */
let trespasses = 0
const trespass = (): typeof client => {
  trespasses++
  return client
}

/** The members of all classes here. */
interface Members {
  [name: string]: unknown
}

/** Defines the members on a prototype, as a class body does. */
function define(prototype: object, members: Members | object): void {
  for (const [key, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(members))) {
    Object.defineProperty(prototype, key, { ...descriptor, enumerable: false })
  }
}

/** The methods of the application's own base class. */
const inherited = {
  inherited: () => client,
  overridden: trespass,
}

const declared = {
  declared: () => client,
  overridden: () => client,
  nested: () => {
    const members = {
      own: client,
      deep: { own: client },
      list: [client],
      0: client,
      '': client,
      ['__proto__']: client,
      notAClient: 5,
      get getter() {
        return trespass()
      },
      [Symbol('described')]: client,
    }
    return Object.setPrototypeOf(members, { inheritedMember: client })
  },
  routed: () => createRouterClient({ ping: procedure, deep: { ping: procedure } }),
  record: () => Object.assign(Object.create(null) as object, { own: client }),
  aProcedure: () => procedure,
  procedures: () => ({ own: procedure }),
  aPromise: async () => client,
  anIterator: function* () {
    yield client
  },
  anArray: () => [client],
  nothing: () => undefined,
  notAFunction: 5,
  '': () => client,
  0: () => client,
  get accessor() {
    return trespass
  },
  get clientAccessor() {
    return trespass()
  },
  set setter(_: unknown) {
    trespasses++
  },
  [Symbol('symbolMethod')]: trespass,
}

/** Returns all names that JavaScript, the Workers runtime, oRPC and this package give to members. */
function names(object: object): string[] {
  const found = new Set<string>()
  const add = (value: object | null): void => {
    if (value === null) return
    for (const key of Reflect.ownKeys(value)) found.add(typeof key === 'symbol' ? (key.description ?? '') : key)
  }
  for (const value of [Object, Function, Array, Promise, DurableObject, DurableEventIteratorObject, DurableIteratorObject]) {
    add(value)
    add(value.prototype)
  }
  // Of the Durable Object itself, and of what its methods return.
  for (let value: object | null = object; value !== null; value = Object.getPrototypeOf(value)) add(value)
  for (const value of [client, procedure, Object.getPrototypeOf(procedure) as object]) add(value)
  return [...found]
}

/** Responds to requests other than upgrades. */
async function respond(object: object, { storage }: DurableObjectState, request: Request): Promise<Response | undefined> {
  const { pathname } = new URL(request.url)
  if (pathname === '/names') return Response.json(names(object))
  if (pathname !== '/effects') return undefined
  const tables = storage.sql.exec('SELECT name FROM sqlite_master').toArray()
  return Response.json({ trespasses, tables, alarm: await storage.getAlarm() })
}

class DurableEventIteratorBase extends DurableEventIteratorObject<object, any, object, Env> {}
define(DurableEventIteratorBase.prototype, inherited)

export class ReachableDurableEventIterator extends DurableEventIteratorBase {
  field = client
  arrow = trespass
  static staticMethod = trespass

  override async fetch(request: Request): Promise<Response> {
    return (await respond(this, this.ctx, request)) ?? super.fetch(request)
  }
}
define(ReachableDurableEventIterator.prototype, declared)

class DurableIteratorBase extends DurableIteratorObject<object, Env> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { signingKey: env.SIGNING_KEY })
  }
}
define(DurableIteratorBase.prototype, inherited)

export class ReachableDurableIterator extends DurableIteratorBase {
  field = client
  arrow = trespass
  static staticMethod = trespass

  override async fetch(request: Request): Promise<Response> {
    return (await respond(this, this.ctx, request)) ?? super.fetch(request)
  }
}
define(ReachableDurableIterator.prototype, declared)

/** `/upgrade/<binding>` is the upgrade; `/<binding>/<name>/<path>` passes the path to a Durable Object. */
export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const [, first = '', second = '', path = ''] = new URL(request.url).pathname.split('/')
    if (first === 'upgrade') {
      const namespace = env[second] as DurableEventIteratorNamespace
      return upgradeDurableEventIteratorRequest(request, { signingKey: env.SIGNING_KEY, namespace })
    }
    return (env[first] as DurableObjectNamespace).getByName(second).fetch(new URL(`/${path}`, request.url))
  },
}

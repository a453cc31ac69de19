// A Durable Object whose code fails in all ways in which JavaScript can.

import { eventIterator, ORPCError, os, type } from '@orpc/server'

import { Room } from './room.ts'
import type { Env } from './room.ts'

const SECRET = 'a secret of the inside'

/** Throws in each trap. */
function hostileProxy(): object {
  const trap = (): never => {
    throw new Error(SECRET)
  }
  return new Proxy({}, { get: trap, has: trap, getPrototypeOf: trap, ownKeys: trap, getOwnPropertyDescriptor: trap })
}

function hostileError(): Error {
  const get = (): never => {
    throw new Error(SECRET)
  }
  return Object.defineProperties(new Error(SECRET), { message: { get }, name: { get }, stack: { get }, code: { get }, cause: { get } })
}

function recursion(): number {
  return recursion() + 1
}

/** All ways to throw. */
const throwing: Record<string, () => unknown> = {
  exception: () => {
    throw new Error(SECRET)
  },
  'a string': () => {
    throw SECRET
  },
  undefined: () => {
    throw undefined
  },
  null: () => {
    throw null
  },
  'a proxy that throws': () => {
    throw hostileProxy()
  },
  'an error with throwing getters': () => {
    throw hostileError()
  },
  'an error of WebAssembly': () => {
    throw new WebAssembly.RuntimeError(SECRET)
  },
  'an ORPCError that cannot be serialized': () => {
    throw new ORPCError('CONFLICT', { data: { get a(): never { throw new Error(SECRET) } } })
  },
  'an ORPCError that contains itself': () => {
    const data: { self?: object } = {}
    data.self = data
    throw new ORPCError('CONFLICT', { data })
  },
  recursion,
}

/** All ways to return a value that cannot be sent. */
const returning: Record<string, () => unknown> = {
  'a function': () => () => SECRET,
  'a symbol': () => Symbol(SECRET),
  'a value that contains itself': () => {
    const value: { self?: object } = {}
    value.self = value
    return value
  },
  'a getter that throws': () => ({ get a(): never { throw new Error(SECRET) } }),
  'a toJSON that throws': () => ({ toJSON: (): never => { throw new Error(SECRET) } }),
  'a promise that is rejected': () => Promise.reject(new Error(SECRET)),
  'a thenable that throws': () => ({ then: (): never => { throw new Error(SECRET) } }),
  'a text of 40 MB': () => 'x'.repeat(40_000_000),
  'a ReadableStream': () => new ReadableStream(),
  'an invalid Date': () => Object.setPrototypeOf({}, Date.prototype),
}

const ways: Record<string, () => unknown> = { ...throwing, ...returning }

/** Runs the code that fails: at once, or later. */
async function fail(how: string): Promise<unknown> {
  const isLater = how.endsWith(' later')
  if (isLater) await new Promise((resolve) => setTimeout(resolve, 20))
  return failNow(isLater ? how.slice(0, -' later'.length) : how)
}

function failNow(how: string): unknown {
  return ways[how]?.()
}

/** The planned failures of constructors, by the names of their Durable Objects. A failure reverts what they have stored. */
const plannedNew = new Map<string, string>()

export class FaultyObject extends Room<{ n: number; how?: string }> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, {
      customJsonSerializers: [
        {
          type: 30,
          condition: (value) => {
            const how = (value as { how?: string } | null | undefined)?.how
            if (how?.startsWith('condition: ')) failNow(how.slice('condition: '.length))
            return how?.startsWith('serialize: ') === true
          },
          serialize: ({ how }: { how: string }) => failNow(how.slice('serialize: '.length)),
          deserialize: (value: unknown) => value,
        },
      ],
      interceptors: [
        async (options) => {
          const how = this.#planned('intercept')
          if (how !== undefined) await fail(how)
          return options.next()
        },
      ],
      onSubscribed: (ws) => {
        const how = this.claimsOf(ws).att as string | undefined
        return how?.endsWith(' later') ? fail(how) : how === undefined ? undefined : failNow(how)
      },
    })
    const name = ctx.id.name!
    const how = plannedNew.get(name)
    plannedNew.delete(name)
    if (how !== undefined) failNow(how)
  }

  /** Without a socket it is an RPC method. */
  ping(ws?: WebSocket): unknown {
    if (ws === undefined) return 'pong'
    return os.handler(() => 'pong').callable()
  }

  wait() {
    return os.handler(() => new Promise<void>(() => {})).callable()
  }

  publishAndFail(ws?: WebSocket | number, how?: string): unknown {
    // As an RPC method.
    if (typeof ws === 'number') {
      this.publishInside({ n: ws })
      return fail(how!)
    }
    return os
      .input(type<[n: number, how: string]>())
      .handler(({ input: [n, way] }) => {
        this.publishInside({ n })
        return fail(way)
      })
      .callable()
  }

  items() {
    return os
      .input(type<string>())
      .handler(async function* ({ input }) {
        yield 0
        yield 1
        yield await fail(input)
      })
      .callable()
  }

  /** Fails before there is a procedure. */
  brokenMethod(): never {
    failNow(this.#planned('method')!)
    throw new Error('unreachable')
  }

  /** Is not a procedure, since it returns a promise. */
  async asyncMethod(): Promise<void> {
    await fail('exception later')
  }

  /** A record whose member fails when it is read. */
  brokenRecord() {
    return {
      get member(): never {
        throw new Error(SECRET)
      },
      plain: 5,
      sound: os.handler(() => 'sound').callable(),
      upload: os.input(eventIterator(type<unknown>())).handler(({ input }): void => void input).callable(),
    }
  }

  proxyRecord() {
    return hostileProxy()
  }

  // RPC methods.

  transactAndFail(n: number, how: string): unknown {
    return this.ctx.storage.transactionSync(() => {
      this.publishInside({ n })
      return failNow(how)
    })
  }

  async transactAndFailLater(n: number, how: string): Promise<void> {
    await this.ctx.storage.transaction(async () => {
      this.publishInside({ n })
      await fail(how)
    })
  }

  /** Publishes at each level of a recursion that ends in an exception. */
  publishRecursively(n: number): void {
    this.publishInside({ n })
    this.publishRecursively(n)
  }

  async wipe(): Promise<void> {
    await this.ctx.storage.deleteAll()
  }

  async wake(): Promise<void> {
    await this.ctx.storage.setAlarm(Date.now())
  }

  /** Plans a failure for the next execution of the code at a place. */
  plan(place: string, how: string): void {
    if (place === 'new') return void plannedNew.set(this.ctx.id.name!, how)
    this.#table().exec('INSERT INTO faults VALUES (?, ?)', place, how)
  }

  override async alarm(): Promise<void> {
    const how = this.#planned('alarm')
    if (how !== undefined) await fail(how)
    this.publishInside({ n: 99 })
  }

  /** Removes and returns the planned failure for a place. */
  #planned(place: string): string | undefined {
    return this.#table().exec<{ how: string }>('DELETE FROM faults WHERE place = ? RETURNING how', place).toArray()[0]?.how
  }

  #table(): SqlStorage {
    const { sql } = this.ctx.storage
    sql.exec('CREATE TABLE IF NOT EXISTS faults (place TEXT, how TEXT)')
    return sql
  }
}

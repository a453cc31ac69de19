// The standalone client, with the Durable Objects on workerd, over a network that can fail.

import { setTimeout as pause } from 'node:timers/promises'
import { createContext, runInContext } from 'node:vm'

import { build } from 'esbuild'
import type { BuildOptions } from 'esbuild'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import WebSocket from 'ws'

import { DurableEventIteratorConnectionError, getEventMeta, ProcedureError, subscribe } from '../../npm/durable-event-iterator/src/client/index.ts'
import type { SubscribeOptions, Subscription, SubscriptionGap } from '../../npm/durable-event-iterator/src/client/index.ts'
import { signDurableIteratorToken } from '../../npm/durable-event-iterator/src/index.ts'
import { SIGNING_KEY, token } from '../support/client.ts'
import type { Claims } from '../support/client.ts'
import { PUBLISH, startJournals } from '../support/journals.ts'
import type { Binding, Journals } from '../support/journals.ts'
import { Reader, States } from './support/app.ts'
import { Proxy } from './support/proxy.ts'

interface Event {
  n: number
}

/** A Worker as a client. */
const WORKER = `
import { subscribe } from './npm/durable-event-iterator/src/client/index.ts'

export default {
  async fetch(request) {
    const { url, token } = await request.json()
    const events = subscribe({ url, token })
    const failure = await events.call(['publishAndFail'], { n: 1 }).catch(({ name, code }) => [name, code])
    const { value } = await events.next()
    await events.return()
    return Response.json({ failure, value, hasCursor: typeof events.lastEventId, state: events.state })
  },
}`

async function bundle(contents: string, options: BuildOptions = {}): Promise<string> {
  const stdin = { contents, resolveDir: new URL('../..', import.meta.url).pathname, loader: 'ts' as const }
  const { outputFiles } = await build({ stdin, bundle: true, format: 'esm', ...options, write: false })
  return outputFiles[0]!.text
}

let journals: Journals
let proxy: Proxy
beforeAll(async () => {
  journals = await startJournals({ workers: [{ name: 'subscribing', source: await bundle(WORKER) }] })
})
afterAll(() => journals.dispose())
beforeEach(async () => {
  proxy = await Proxy.start(journals.url)
})
const opened: Subscription<unknown>[] = []
afterEach(async () => {
  for (const events of opened.splice(0)) events.close()
  await proxy.dispose()
})

const RPC = [PUBLISH, 'keep', 'kept', 'whoAmI', 'publishAndFail']
type Options = Partial<SubscribeOptions> & { binding?: Binding; claims?: Partial<Claims> }

/** The tokens that were fetched, per channel. */
const fetched = new Map<string, number>()

function open<T = Event>(chn: string, { binding = 'USUAL', claims = {}, ...options }: Options = {}): ReturnType<typeof subscribe<T>> {
  const events = subscribe<T>({
    url: new URL(`/upgrade/${binding}`, proxy.url),
    token: () => {
      fetched.set(chn, (fetched.get(chn) ?? 0) + 1)
      return token({ chn, rpc: RPC, att: 'me', ...claims })
    },
    minReconnectionDelay: 20,
    maxReconnectionDelay: 200,
    ...options,
  })
  opened.push(events as Subscription<unknown>)
  return events
}

let channels = 0
const newChannel = (): string => `subscribed-${++channels}`

const publish = (channel: string, n: number, binding: Binding = 'USUAL'): Promise<string> =>
  journals.stub(binding, channel, 'publish', { n })

const numbers = (events: { n: number }[]): number[] => events.map(({ n }) => n)
const errorOf = (promise: Promise<unknown>): Promise<any> => promise.then(() => undefined, (error: unknown) => error)

describe('a subscription', () => {
  test('yields events in order, calls procedures, and has a cursor and the meta of events', async () => {
    const channel = newChannel()
    const events = open(channel)
    expect([events.state, events.lastEventId]).toEqual(['connecting', undefined])
    await events.opened()
    expect(events.state).toBe('open')
    const ids: string[] = []
    for (const n of [1, 2, 3]) ids.push(await publish(channel, n))
    for (const [index, id] of ids.entries()) {
      const { value } = await events.next()
      expect([value, getEventMeta(value), events.lastEventId]).toEqual([{ n: index + 1 }, { id }, id])
    }
    await events.call(['keep'], { seat: 4 })
    expect(await events.call(['kept'])).toEqual({ seat: 4 })
    expect(await events.call(['whoAmI'])).toBe('me')
    await events.return()
    expect([events.state, await events.next()]).toEqual(['closed', { done: true, value: undefined }])
    await proxy.closed()
  })

  test('continues after `lastEventId`, and after each lost connection', async () => {
    const channel = newChannel()
    const ids = []
    for (const n of [1, 2, 3]) ids.push(await publish(channel, n))
    const states = new States()
    const events = open(channel, { lastEventId: ids[0]!, onStateChange: states.onStateChange as never })
    const reader = new Reader(events)
    await reader.count(2)
    for (let cuts = 1; cuts <= 3; cuts += 1) {
      proxy.cut()
      await publish(channel, 3 + cuts)
      await states.reach('open', 1 + cuts)
    }
    expect(numbers(await reader.count(5))).toEqual([2, 3, 4, 5, 6])
    expect(states.seen).toEqual(['connecting', 'open', 'recovering', 'open', 'recovering', 'open', 'recovering', 'open'])
  })

  test('reports a gap between the event before it and the event after it', async () => {
    const channel = newChannel()
    const seen: unknown[] = []
    const states = new States()
    const events = open(channel, {
      binding: 'FEW',
      onStateChange: states.onStateChange as never,
      onGap: (gap: SubscriptionGap) => void seen.push(gap),
    })
    await events.opened()
    const first = await publish(channel, 0, 'FEW')
    seen.push((await events.next()).value)
    proxy.refuses = true
    proxy.cut()
    const ids: string[] = []
    for (let n = 1; n <= 40; n += 1) ids.push(await publish(channel, n, 'FEW'))
    proxy.refuses = false
    await states.reach('open', 2)
    expect(seen).toHaveLength(1)
    const { value } = await events.next()
    seen.push(value)
    expect(seen).toMatchObject([{ n: 0 }, { lastEventId: first, nextEventId: expect.any(String) }, { n: expect.any(Number) }])
    expect(ids.indexOf(getEventMeta(value)!.id!) + 1).toBe((value as Event).n)
    expect((value as Event).n).toBeGreaterThan(1)
  })

  test('ends by `return`, `close`, `await using`, a signal, and an error thrown into it', async () => {
    const endings: ((events: Subscription<Event>, controller: AbortController) => unknown)[] = [
      (events) => events.return(),
      (events) => events.close(),
      async (events) => {
        await using used = events
        await used.opened()
      },
      (_, controller) => controller.abort(new Error('enough')),
      (events) => events.throw(new Error('thrown')).catch(() => {}),
    ]
    for (const end of endings) {
      const controller = new AbortController()
      const events = open(newChannel(), { signal: controller.signal })
      await events.opened()
      const next = events.next().catch(({ message }: Error) => message)
      await end(events, controller)
      expect(await next).toEqual(controller.signal.aborted ? 'enough' : { done: true, value: undefined })
      expect(events.state).toBe('closed')
      expect(await errorOf(events.call(['whoAmI']))).toMatchObject({ reason: 'closed' })
      await proxy.closed()
    }
  })

  test('with an aborted signal opens no connection', async () => {
    const events = open(newChannel(), { signal: AbortSignal.abort(new Error('never')) })
    expect(await errorOf(events.next())).toEqual(new Error('never'))
    expect(proxy.attempts).toEqual([])
  })

  test('calls no hook before `subscribe` returns', async () => {
    const states: unknown[] = []
    const events = open(newChannel(), { onStateChange: (state) => states.push([state, events.state]) })
    await events.opened()
    expect(states).toEqual([['connecting', 'connecting'], ['open', 'open']])
  })

  test('may be closed by its own hooks, and in each state only once', async () => {
    const seen: string[] = []
    const events: Subscription<Event> = open<Event>(newChannel(), {
      onStateChange: (state) => {
        seen.push(state)
        if (state !== 'connecting') events.close()
      },
    })
    expect(await events.next()).toEqual({ done: true, value: undefined })
    await proxy.closed()
    expect(seen).toEqual(['connecting', 'open', 'closed'])
  })

  test('rejects invalid options', () => {
    expect(() => open('x', { openTimeout: -1 })).toThrow(new RangeError('openTimeout must be a number greater than 0, got -1'))
    expect(() => open('x', { heartbeatInterval: Number.NaN })).toThrow(RangeError)
  })
})

describe('a procedure call', () => {
  test('that fails throws a `ProcedureError`', async () => {
    const events = open(newChannel(), { claims: { rpc: [] } })
    const error = await errorOf(events.call(['whoAmI']))
    expect(error).toBeInstanceOf(ProcedureError)
    expect(error).toMatchObject({ code: 'FORBIDDEN', status: 403, message: 'Method "whoAmI" is not allowed.', defined: false })
  })

  test('is aborted by its signal', async () => {
    const events = open(newChannel())
    await events.opened()
    proxy.silence()
    const controller = new AbortController()
    const call = errorOf(events.call(['whoAmI'], undefined, { signal: controller.signal }))
    controller.abort(new Error('too slow'))
    expect(await call).toEqual(new Error('too slow'))
  })

  test('that is lost rejects, or is repeated with `retry`', async () => {
    const events = open(newChannel())
    await events.opened()
    proxy.holdAnswers()
    const call = errorOf(events.call(['whoAmI']))
    const repeated = events.call(['whoAmI'], undefined, { retry: 1 })
    await pause(50)
    proxy.cut()
    expect(await call).toMatchObject({ reason: 'lost' })
    expect(await repeated).toBe('me')
  })

  test('without a connection in time rejects', async () => {
    proxy.refuses = true
    const events = open(newChannel(), { callTimeout: 100 })
    const error = await errorOf(events.call(['whoAmI']))
    expect(error).toBeInstanceOf(DurableEventIteratorConnectionError)
    expect(error).toMatchObject({ reason: 'unavailable' })
  })

  test('passes files, streams and all types, and the proxy has no `then`', async () => {
    const types = { big: 12n, date: new Date(0), set: new Set([1]), map: new Map([['a', undefined]]), url: new URL('https://a.example/') }
    const channel = newChannel()
    const events = open(channel, { binding: 'CALLS', claims: { rpc: ['extra', 'anything'] } })
    expect(await events.call(['anything'], types)).toEqual(types)
    expect(await events.call(['extra', 'file'], new File(['four'], 'a.txt', { type: 'text/plain' }))).toMatchObject({ text: 'four' })
    const stream = (await events.call(['extra', 'stream'])) as AsyncGenerator<unknown>
    const items: unknown[] = []
    for await (const item of stream) items.push(item)
    expect(items.length).toBeGreaterThan(1)
    expect(await (events.rpc as any).extra.types()).toEqual(await events.call(['extra', 'types']))
    expect(await Promise.resolve(events.rpc)).toBe(events.rpc)
    const endless = (await events.call(['extra', 'endless'])) as AsyncGenerator<unknown>
    await endless.next()
    const waiting = endless.next()
    await endless.return(undefined)
    await waiting
    expect(await endless.next()).toMatchObject({ done: true })
  })
})

describe('a token', () => {
  test('is refreshed before it expires, on the open socket', async () => {
    const channel = newChannel()
    const events = open(channel, { token: () => shortToken(channel, 4), refreshTokenDelayInSeconds: 0.1 })
    await events.opened()
    await expect.poll(() => fetched.get(channel), { timeout: 10_000 }).toBeGreaterThan(2)
    expect(await events.call(['whoAmI'])).toBe('me')
    expect(proxy.upgrades).toHaveLength(1)
  })

  const shortToken = (channel: string, seconds: number): Promise<string> => {
    fetched.set(channel, (fetched.get(channel) ?? 0) + 1)
    const iat = Math.floor(Date.now() / 1_000)
    return signDurableIteratorToken(SIGNING_KEY, { chn: channel, rpc: RPC, att: 'me', iat, exp: iat + seconds })
  }

  test('that is rejected ends the subscription', async () => {
    const rejection = Object.assign(new Error('signed out'), { status: 401 })
    const events = open(newChannel(), { token: () => Promise.reject(rejection) })
    expect(await errorOf(events.opened())).toBe(rejection)
    expect(await errorOf(events.next())).toBe(rejection)
  })

  test('that cannot be fetched is fetched again', async () => {
    let failures = 2
    const channel = newChannel()
    const states = new States()
    const events = open(channel, {
      token: () => ((failures -= 1) >= 0 ? Promise.reject(new Error('offline')) : token({ chn: channel, rpc: RPC, att: 'me' })),
      onStateChange: states.onStateChange as never,
    })
    await events.opened()
    expect(await events.call(['whoAmI'])).toBe('me')
  })

  test('that is not one rejects with what is expected', async () => {
    const events = open(newChannel(), { token: async () => 'no token' })
    expect((await errorOf(events.opened())).message).toBe('the option `token` must be a valid token, or return one')
  })

  test('that is a string works until it expires', async () => {
    const channel = newChannel()
    const iat = Math.floor(Date.now() / 1_000)
    const events = open(channel, { token: await token({ chn: channel, rpc: RPC, iat, exp: iat + 2 }) })
    await events.opened()
    await publish(channel, 1)
    expect((await events.next()).value).toEqual({ n: 1 })
    const error = await errorOf(events.next())
    expect(error.message).toBe('the token has expired; set `token` to a function that returns a new token')
  })
})

describe('`load`', () => {
  interface Entry {
    type: 'added'
    n: number
  }
  const binding = 'REPLAYING_LEDGER'
  const claims = { rpc: [], att: 'never' }

  /** Follows a ledger: its state and the numbers that were applied to it, which must continue it. */
  class Follower {
    state = -1
    loads = 0
    readonly faults: string[] = []
    readonly events: Subscription<Entry>
    readonly ended: Promise<void>

    constructor(channel: string, options: Options = {}) {
      this.events = open<Entry>(channel, {
        binding,
        claims,
        load: async () => {
          this.loads += 1
          const { items, lastEventId } = await journals.stub(binding, channel, 'state')
          this.state = items
          return lastEventId ?? undefined
        },
        ...options,
      })
      this.ended = this.#follow()
    }

    async #follow(): Promise<void> {
      for await (const { n } of this.events) {
        if (n !== this.state + 1) this.faults.push(`${n} after ${this.state}`)
        this.state = n
      }
    }
  }

  test('and the events after it are exactly the state, with publishers racing', { timeout: 60_000 }, async () => {
    const channel = newChannel()
    let isPublishing = true
    let published = 0
    const publishing = (async () => {
      while (isPublishing) published = await journals.stub(binding, channel, 'add')
    })()
    const followers: Follower[] = []
    for (let n = 0; n < 20; n += 1) {
      const follower = new Follower(channel)
      followers.push(follower)
      await follower.events.opened()
      if (n % 5 === 4) proxy.cut()
    }
    isPublishing = false
    await publishing
    await expect.poll(() => followers.map(({ state }) => state), { timeout: 20_000 }).toEqual(followers.map(() => published))
    expect(followers.flatMap(({ faults }) => faults)).toEqual([])
  })

  test('of a channel without events starts with the first one', async () => {
    const channel = newChannel()
    const follower = new Follower(channel)
    await follower.events.opened()
    await journals.stub(binding, channel, 'add')
    await expect.poll(() => follower.state).toBe(1)
    expect(follower.faults).toEqual([])
  })

  test('is called again after a gap, when the application has read all events before it', async () => {
    const channel = newChannel()
    const states = new States()
    const gaps: SubscriptionGap[] = []
    const follower = new Follower(channel, { onGap: (gap) => void gaps.push(gap), onStateChange: states.onStateChange as never })
    await follower.events.opened()
    await journals.stub(binding, channel, 'add')
    await expect.poll(() => follower.state).toBe(1)
    proxy.refuses = true
    proxy.cut()
    let last = 0
    // More than the channel retains.
    for (let n = 0; n < 200; n += 1) last = await journals.stub(binding, channel, 'add')
    proxy.refuses = false
    await expect.poll(() => follower.state, { timeout: 10_000 }).toBe(last)
    await journals.stub(binding, channel, 'add')
    await expect.poll(() => follower.state).toBe(last + 1)
    expect([follower.loads, gaps.length, follower.faults]).toEqual([2, 1, []])
  })

  test('that fails is called again, and ends the subscription if it is rejected', async () => {
    const channel = newChannel()
    await journals.stub(binding, channel, 'add')
    let failures = 2
    const { lastEventId } = await journals.stub(binding, channel, 'state')
    const recovered = new Follower(channel, {
      load: () => {
        if ((failures -= 1) >= 0) throw new Error('offline')
        return lastEventId
      },
    })
    await recovered.events.opened()
    expect(failures).toBe(-1)
    const rejected = open(channel, { binding, claims, load: () => Promise.reject(Object.assign(new Error('no'), { status: 403 })) })
    expect((await errorOf(rejected.opened())).message).toBe('no')
  })
})

describe('in an environment', () => {
  const TIMERS = ['setTimeout', 'clearTimeout', 'queueMicrotask']
  /** The globals that an environment has, besides those of JavaScript itself. */
  const ENVIRONMENTS: Record<string, readonly string[]> = {
    'like React Native': [...TIMERS, 'URL', 'AbortController', 'fetch', 'performance', 'atob', 'Blob'],
    'like Deno': [...TIMERS, 'URL', 'AbortController', 'fetch', 'performance', 'atob', 'btoa', 'crypto', 'TextEncoder', 'TextDecoder', 'Blob', 'File', 'FormData', 'Response', 'addEventListener', 'WebSocket'],
    'without a network API but `WebSocket`': [...TIMERS, 'URL', 'AbortController', 'atob', 'crypto', 'WebSocket'],
  }

  test.each(Object.keys(ENVIRONMENTS))('%s it works, and reconnects', async (name) => {
    const code = await bundle(`export * from './npm/durable-event-iterator/src/client/index.ts'`, { format: 'iife', globalName: 'client' })
    const globals = Object.fromEntries(ENVIRONMENTS[name]!.map((global) => [global, (globalThis as Record<string, unknown>)[global]]))
    const context = createContext(globals)
    runInContext(code, context)
    const { subscribe: foreign } = context['client'] as { subscribe: typeof subscribe }
    const channel = newChannel()
    const states = new States()
    const events = foreign<Event>({
      url: new URL('/upgrade/USUAL', proxy.url).href,
      WebSocket,
      createId: () => 'an id that nobody guesses'.replaceAll(' ', '-'),
      token: () => token({ chn: channel, rpc: RPC, att: 'me' }),
      minReconnectionDelay: 20,
      onStateChange: states.onStateChange as never,
    })
    await events.opened()
    expect(await events.call(['whoAmI'])).toBe('me')
    proxy.cut()
    await states.reach('open', 2)
    await publish(channel, 1)
    expect((await events.next()).value).toEqual({ n: 1 })
    await events.return()
  })

  test('in a Worker it receives events, and calls procedures', async () => {
    const channel = newChannel()
    const body = { url: new URL('/upgrade/USUAL', proxy.url), token: await token({ chn: channel, rpc: RPC, att: 'me' }) }
    const response = await journals.fetch(await journals.urlOf('subscribing'), { method: 'POST', body: JSON.stringify(body) })
    expect(await response.json()).toEqual({ failure: ['ProcedureError', 'UNAUTHORIZED'], value: { n: 1 }, hasCursor: 'string', state: 'closed' })
  })

  test('without randomness it asks for `createId`', async () => {
    const { crypto } = globalThis
    Reflect.deleteProperty(globalThis, 'crypto')
    try {
      const channel = newChannel()
      const events = open(channel, { token: async () => unsignedToken(channel) })
      expect((await errorOf(events.opened())).message).toContain('set the option `createId`')
      const named = open(channel, { token: async () => unsignedToken(channel), createId: () => ' ' })
      expect((await errorOf(named.opened())).message).toBe('createId must return 1–128 visible ASCII characters, got " "')
    } finally {
      Object.defineProperty(globalThis, 'crypto', { value: crypto, configurable: true, writable: true })
    }
  })

  /** A token whose signature is not checked, since no connection opens. */
  const unsignedToken = (chn: string): string => `${JSON.stringify({ chn, rpc: [], iat: 0, exp: 9_999_999_999 })}.signature`
})

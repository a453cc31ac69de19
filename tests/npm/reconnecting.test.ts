// Connecting, and the reports of failed connections: with the Durable Object on workerd, over a network that fails. Tests that
// depend on the version of oRPC are in `every-version`.

import { setMaxListeners } from 'node:events'

import { createORPCClient } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { build } from 'esbuild'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import WebSocket from 'ws'

import { backoff } from '../../npm/durable-event-iterator/src/client/backoff.ts'
import {
  createClientDurableEventIterator,
  createClientDurableIterator,
  DurableEventIteratorConnectionError,
  DurableEventIteratorLinkPlugin,
  DurableIteratorError,
  DurableIteratorLinkPlugin,
} from '../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import type { DurableEventIteratorStateDetails } from '../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import { token } from '../support/client.ts'
import { startJournals } from '../support/journals.ts'
import type { Binding, Journals } from '../support/journals.ts'
import { forbidden, Reader, startApplication, States, unavailable } from './support/app.ts'
import type { AppClient, Application, Iterator } from './support/app.ts'
import { Proxy } from './support/proxy.ts'

/** A Worker as a client, whose globals are neither a browser's nor those of Node.js. */
const WORKER = `
import { createORPCClient } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { DurableEventIteratorLinkPlugin } from './npm/durable-event-iterator/src/orpc-v1/index.ts'

export default {
  async fetch(request) {
    const { rpc, url, channel } = await request.json()
    const link = new RPCLink({ url: rpc, plugins: [new DurableEventIteratorLinkPlugin({ url })] })
    const iterator = await createORPCClient(link).onEvent(channel)
    const failure = await iterator.publishAndFail({ n: 1 }).catch(({ code }) => code)
    const { value } = await iterator.next()
    await iterator.return()
    return Response.json([await iterator.next(), failure, value])
  },
}`

let journals: Journals
let app: Application
let proxy: Proxy
beforeAll(async () => {
  const { outputFiles } = await build({
    stdin: { contents: WORKER, resolveDir: new URL('../..', import.meta.url).pathname, loader: 'ts' },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
  })
  journals = await startJournals({ workers: [{ name: 'iterating', source: outputFiles[0]!.text }] })
})
afterAll(() => journals.dispose())
beforeEach(async () => {
  app = await startApplication()
  proxy = await Proxy.start(journals.url)
})
const opened: Iterator[] = []
afterEach(async () => {
  vi.unstubAllGlobals()
  for (const iterator of opened.splice(0)) await iterator.return()
  await proxy.dispose()
  await app.dispose()
})

const url = (binding: Binding = 'USUAL'): URL => new URL(`/upgrade/${binding}`, proxy.url)
/** A path at which the Worker responds with 404. */
const nowhere = (): URL => new URL('/nowhere', proxy.url)
type Options = Partial<Parameters<Application['client']>[0]>

async function open(channel: string, options: Options = {}, call: Parameters<AppClient['onEvent']>[1] = {}): Promise<Iterator> {
  // The WebSocket of Node.js sends a second request after a rejection.
  const iterator = await app.client({ url: url(), WebSocket, ...options }).onEvent(channel, call)
  opened.push(iterator)
  return iterator
}

let channels = 0
const newChannel = (): string => `reconnecting-${++channels}`
const publish = (channel: string, n: number, binding: Binding = 'USUAL'): Promise<string> =>
  journals.stub(binding, channel, 'publish', { n })
const numbers = (events: { n: number }[]): number[] => events.map(({ n }) => n)
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)
const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))
const errorOf = (call: Promise<unknown>): Promise<unknown> => call.then(() => undefined, (error: unknown) => error)

/** Simulates a browser that reports several times a second that it is online. */
function onlineStorm(perSecond: number): { end(): void } {
  const network = stubNetwork()
  const timer = setInterval(() => network.dispatchEvent(new Event('online')), 1_000 / perSecond)
  return { end: () => clearInterval(timer) }
}

/** The events of a page. */
function stubNetwork(): EventTarget {
  const network = new EventTarget()
  setMaxListeners(0, network)
  vi.stubGlobal('addEventListener', network.addEventListener.bind(network))
  vi.stubGlobal('removeEventListener', network.removeEventListener.bind(network))
  return network
}

/** The times at which each iterator's handshakes started, by connection id. */
function countedHandshakes(): { WebSocket: typeof WebSocket; of: Map<string, number[]> } {
  const of = new Map<string, number[]>()
  class Counted extends WebSocket {
    constructor(address: string, protocols?: string | string[]) {
      const id = new URL(address).searchParams.get('id') ?? ''
      of.set(id, [...(of.get(id) ?? []), performance.now()])
      super(address, protocols)
    }
  }
  return { WebSocket: Counted as typeof WebSocket, of }
}

const endingIn = (seconds: number) => async (chn: string) => ({
  [Symbol.for('durable-event-iterator/token')]: await token({
    chn,
    rpc: ['whoAmI'],
    iat: Math.floor(Date.now() / 1_000) - 3_600,
    exp: Date.now() / 1_000 + seconds,
  }),
})

describe('a browser that reports several times a second that it is online', () => {
  test('does not prevent the detection of a lost connection', async () => {
    const storm = onlineStorm(2)
    const states = new States()
    await open(newChannel(), { onStateChange: states.onStateChange, heartbeatInterval: 1_000 })
    proxy.silence()
    await states.reach('open', 2)
    storm.end()
  })

  test('does not interrupt a slow handshake', async () => {
    const storm = onlineStorm(4)
    proxy.handshakeDelay = 300
    const states = new States()
    await open(newChannel(), { onStateChange: states.onStateChange })
    proxy.cut()
    await states.reach('open', 2)
    storm.end()
    expect(proxy.upgrades).toHaveLength(2)
  })

  test('causes at most one handshake per second and iterator, and no additional tokens', { timeout: 60_000 }, async () => {
    const storm = onlineStorm(20)
    const { WebSocket, of } = countedHandshakes()
    const reconnecting = { minReconnectionDelay: undefined, maxReconnectionDelay: undefined }
    const states = new States()
    const options = { WebSocket, onStateChange: states.onStateChange, ...reconnecting }
    const channel = newChannel()
    await Promise.all(Array.from({ length: 30 }, () => open(channel, options)))
    proxy.refuses = true
    proxy.cut()
    await expect.poll(() => [...of.values()].every(({ length }) => length > 4), { timeout: 40_000 }).toBe(true)
    storm.end()
    const times = [...of.values()]
    expect(times).toHaveLength(30)
    for (const each of times) {
      // The first connection opened at once, and may have been lost at any time. Timers may be a millisecond early.
      for (const [index, time] of each.entries()) if (index > 0) expect(time - each[index - 1]!).toBeGreaterThan(990)
    }
    // One for each iterator, one after two failed handshakes, and one after four more.
    const handshakes = times.reduce((sum, { length }) => sum + length, 0)
    expect(app.issued.length).toBeLessThanOrEqual(30 + handshakes / 2)
  })

  test('shortens the delay before an attempt', async () => {
    const network = stubNetwork()
    // The longest possible delay: a minute.
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.999)
    const minute = { minReconnectionDelay: 60_000, maxReconnectionDelay: 60_000 }
    for (const event of ['online', 'pageshow']) {
      const seen = new States()
      await open(newChannel(), { onStateChange: seen.onStateChange, ...minute })
      proxy.cut()
      await seen.reach('recovering')
      network.dispatchEvent(new Event(event))
      await seen.reach('open', 2)
    }
    random.mockRestore()
  })
})

describe('the delay before an attempt', () => {
  test('is random from 0 to a bound that doubles up to the longest one', () => {
    const random = vi.spyOn(Math, 'random')
    const bounds = { minReconnectionDelay: 1_000, maxReconnectionDelay: 30_000 }
    random.mockReturnValue(0)
    expect([0, 1, 5, 2_000].map((failures) => backoff(failures, bounds))).toEqual([0, 0, 0, 0])
    random.mockReturnValue(1)
    expect([0, 1, 2, 4, 5, 2_000].map((failures) => backoff(failures, bounds))).toEqual([1_000, 2_000, 4_000, 16_000, 30_000, 30_000])
    expect(backoff(0, { minReconnectionDelay: 60_000, maxReconnectionDelay: 1_000 })).toBe(1_000)
    expect(backoff(2_000, { minReconnectionDelay: 1, maxReconnectionDelay: Number.POSITIVE_INFINITY })).toBe(2 ** 31 - 1)
    random.mockRestore()
  })

  test('is random even if it is configured', async () => {
    const states = new States()
    await open(newChannel(), { onStateChange: states.onStateChange, minReconnectionDelay: 60_000, maxReconnectionDelay: 60_000 })
    const random = vi.spyOn(Math, 'random').mockReturnValue(0)
    proxy.cut()
    // In less than a minute.
    await states.reach('open', 2)
    random.mockRestore()
  })

  test('grows with connections that are lost at once', async () => {
    const { WebSocket, of } = countedHandshakes()
    class BreakingAtOnce extends WebSocket {
      constructor(address: string, protocols?: string | string[]) {
        super(address, protocols)
        this.addEventListener('open', () => this.terminate())
      }
    }
    const random = vi.spyOn(Math, 'random').mockReturnValue(1)
    const delays = { minReconnectionDelay: 4, maxReconnectionDelay: 10_000 }
    void errorOf(open(newChannel(), { WebSocket: BreakingAtOnce, openTimeout: 10_000, ...delays }))
    await expect.poll(() => [...of.values()][0]?.length ?? 0, { timeout: 20_000 }).toBeGreaterThan(5)
    random.mockRestore()
    const times = [...of.values()][0]!
    // Nine times 8, 16, 32, 64 and 128 ms. Timers may be a millisecond early.
    for (const [index, time] of times.slice(1, 6).entries()) expect(time - times[index]!).toBeGreaterThan(72 * 2 ** index - 2)
  })
})

describe('a first connection that fails', () => {
  const reported = (): { onStateChange: NonNullable<Options['onStateChange']>; problems: unknown[] } => {
    const problems: unknown[] = []
    return {
      problems,
      onStateChange: (state, { error }: DurableEventIteratorStateDetails) => {
        if (error !== undefined) problems.push([state, error instanceof Error ? error.message : error])
      },
    }
  }

  test('because of the signing key rejects with the reason', async () => {
    app.policy.issue = async (chn) => ({ [Symbol.for('durable-event-iterator/token')]: await token({ chn }, 'another key') })
    const { onStateChange, problems } = reported()
    const error = await errorOf(open(newChannel(), { onStateChange }))
    expect(error).toBeInstanceOf(DurableEventIteratorConnectionError)
    expect(error).toMatchObject({ reason: 'unavailable', status: 401 })
    const reason = `cannot connect to ${url().href}: the server responds with 401 "Invalid Token"; check that the server that issues the token has the signing key of the Durable Object`
    expect((error as Error).message).toBe(`the iterator did not open after 4 attempts: ${reason}`)
    expect(problems).toEqual([['connecting', reason], ['closed', (error as Error).message]])
    // Error messages do not contain tokens.
    expect(JSON.stringify(problems)).not.toContain('token=')
    await proxy.closed()
  })

  test('because of the URL rejects with the reason', async () => {
    for (const elsewhere of [nowhere(), new URL('/rpc/none', app.url)]) {
      const error = await errorOf(open(newChannel(), { url: elsewhere }))
      expect(error).toMatchObject({ reason: 'unavailable', status: 404, message: expect.stringContaining('check `url`') })
    }
  })

  test('because of no response rejects after `openTimeout` with the reason', async () => {
    proxy.refuses = true
    const error = await errorOf(open(newChannel(), { openTimeout: 700 }))
    expect(error).toMatchObject({ reason: 'unavailable', status: undefined })
    expect((error as Error).message).toContain('the iterator did not open within 700 ms: cannot connect to ')
    expect((error as Error).message).toContain('no HTTP response can be read')
    await pause(200) // an attempt that had begun may arrive later
    const { length } = proxy.attempts
    await pause(300)
    expect(proxy.attempts).toHaveLength(length)
  })

  test('because the WebSocket does not open rejects after `openTimeout`', async () => {
    proxy.handshakeDelay = 60_000
    const error = await errorOf(open(newChannel(), { openTimeout: 500 }))
    expect((error as Error).message).toContain('the iterator did not open within 500 ms')
    await proxy.closed()
  })

  test('because its URL fails rejects at once, and later after `openTimeout` with the error', async () => {
    expect(await errorOf(open(newChannel(), { url: () => Promise.reject(new Error('no URL')) }))).toEqual(new Error('no URL'))
    proxy.refuses = true
    const error = await errorOf(open(newChannel(), { openTimeout: 500, url: failingAfter(1, () => Promise.reject(undefined)) }))
    expect((error as Error).message).toBe('the iterator did not open within 500 ms: cannot connect: undefined')
    await proxy.closed()
  })

  test('has no time limit with `openTimeout: Infinity`', async () => {
    proxy.refuses = true
    const waiting = open(newChannel(), { openTimeout: Number.POSITIVE_INFINITY })
    await pause(500)
    proxy.refuses = false
    expect(await (await waiting).whoAmI()).toBe('me')
  })

  test('because a plugin of the link cannot be initialized leaves no WebSocket behind', async () => {
    const states = new States()
    const plugin = {
      init: () => {
        throw new Error('a bug')
      },
    }
    await expect(open(newChannel(), { onStateChange: states.onStateChange, plugins: [plugin] })).rejects.toThrow('a bug')
    await pause(300)
    expect([proxy.attempts, states.seen]).toEqual([[], []])
  })
})

/** Returns the URL a few times, and then another value. */
function failingAfter(times: number, fail: () => Promise<never>): () => Promise<URL> {
  return async () => ((times -= 1) >= 0 ? url() : fail())
}

describe('a later connection', () => {
  test('that fails is reported with the reason, and is retried', async () => {
    const channel = newChannel()
    const problems: string[] = []
    let path = url().pathname
    const reader = new Reader(
      await open(channel, {
        url: () => new URL(path, proxy.url),
        onStateChange: (state, { error }) => void problems.push(`${state}: ${(error as Error | undefined)?.message}`),
      }),
    )
    path = nowhere().pathname
    proxy.cut()
    await expect.poll(() => problems.join(), { timeout: 20_000 }).toContain('recovering: cannot connect to')
    expect(problems.at(-1)).toContain('the server responds with 404')
    path = url().pathname
    await publish(channel, 1)
    expect(numbers(await reader.count(1))).toEqual([1])
    expect(problems.at(-1)).toBe('open: undefined')
  })

  test.each([undefined, null, 'a text', new Error('an error')])('is retried after a call for a token that rejects with %s', async (reason) => {
    const channel = newChannel()
    let fails = 0
    const clientInterceptors = [
      ({ next }: { next(): Promise<unknown> }) => ((fails -= 1) >= 0 ? Promise.reject(reason) : next()),
    ]
    app.policy.tokenTTLSeconds = 1
    const states = new States()
    const client = app.client({ url: url(), WebSocket, onStateChange: states.onStateChange }, { clientInterceptors })
    const iterator = await client.onEvent(channel)
    opened.push(iterator)
    const reader = new Reader(iterator)
    fails = 3
    proxy.refuses = true
    proxy.cut()
    await expect.poll(() => fails, { timeout: 20_000 }).toBeLessThanOrEqual(0)
    proxy.refuses = false
    await publish(channel, 1)
    expect(numbers(await reader.count(1))).toEqual([1])
  })

  test('uses the current token while the server cannot issue a new one', async () => {
    const channel = newChannel()
    const reader = new Reader(await open(channel))
    app.policy.check = unavailable
    proxy.refuses = true
    proxy.cut()
    await expect.poll(() => proxy.attempts.length, { timeout: 20_000 }).toBeGreaterThan(6)
    proxy.refuses = false
    await publish(channel, 1)
    expect(numbers(await reader.count(1))).toEqual([1])
  })

  test('is not retried when the server rejects the call for a new token', async () => {
    const reader = new Reader(await open(newChannel()))
    app.policy.check = forbidden
    proxy.refuses = true
    proxy.cut()
    expect(await reader.end()).toMatchObject({ error: { code: 'FORBIDDEN' } })
  })
})

describe('a call that fails with the error of an expired token', () => {
  test.each<[string, (client: Application, channel: string) => Promise<Iterator>]>([
    ['DurableEventIterator', (app, channel) => app.client({ url: url() }).onEvent(channel)],
    ['DurableIterator', (app, channel) => app.follower({ url: url() }).follow(channel) as unknown as Promise<Iterator>],
  ])('of the application is not retried (%s)', async (_, begin) => {
    const channel = newChannel()
    const iterator = await begin(app, channel)
    opened.push(iterator)
    const reader = new Reader(iterator)
    const failure = { code: 'UNAUTHORIZED', message: 'Token expired' }
    await expect(iterator.publishAndFail({ n: 1 }, { context: { retry: 3 } })).rejects.toMatchObject(failure)
    await publish(channel, 2)
    expect(numbers(await reader.count(2))).toEqual([1, 2])
    expect(app.issued).toHaveLength(1)
  })

  test('because its token has expired is sent again, since it was not executed', async () => {
    app.policy.issue = endingIn(1)
    const iterator = await open(newChannel())
    await pause(1_300)
    app.policy.issue = undefined
    expect(await iterator.whoAmI()).toBe('me')
    expect(app.issued).toHaveLength(2)
  })
})

test('a subscription whose first token has expired at its arrival is opened with a new token', async () => {
  let isSlow = true
  class Slow extends WebSocket {
    override send(data: Parameters<WebSocket['send']>[0]): void {
      if (isSlow) setTimeout(() => super.send(data), 1_500)
      else super.send(data)
      isSlow = false
    }
  }
  app.policy.issue = endingIn(1)
  const opening = open(newChannel(), { WebSocket: Slow })
  await expect.poll(() => isSlow).toBe(false)
  app.policy.issue = undefined
  expect(await (await opening).whoAmI()).toBe('me')
  expect(app.issued).toHaveLength(2)
})

describe('a link with only the plugin of the other kind', () => {
  const connect = (plugin: object): AppClient & { follow(channel: string): Promise<unknown> } =>
    createORPCClient(new RPCLink({ url: app.url, plugins: [plugin as never] })) as never

  test('rejects, and names the missing plugin', async () => {
    const first = connect(new DurableEventIteratorLinkPlugin({ url: url() }))
    const error = await errorOf(first.follow(newChannel()))
    expect(error).toBeInstanceOf(DurableIteratorError)
    expect((error as Error).message).toBe(
      'procedure follow returns a DurableIterator, but the link has only the DurableEventIteratorLinkPlugin; add the DurableIteratorLinkPlugin to the plugins of the link',
    )
    const second = connect(new DurableIteratorLinkPlugin({ url: url() }))
    await expect(second.onEvent(newChannel())).rejects.toThrow('add the DurableEventIteratorLinkPlugin to the plugins of the link')
    expect(await first.plain()).toBe('no token')
    expect(await second.plain()).toBe('no token')
    expect(proxy.attempts).toEqual([])
  })

  test('without both plugins, a token is not accepted as an iterator', async () => {
    const link = { call: async () => undefined }
    const output = (await createORPCClient<any>(new RPCLink({ url: app.url })).onEvent(newChannel())) as never
    expect(() => createClientDurableEventIterator(output, link, { token: output })).toThrow('expected an async iterator, got a string')
    expect(() => createClientDurableIterator(output, link, { getToken: () => output })).toThrow(DurableIteratorError)
    expect(() => createClientDurableEventIterator(new Reader([] as never) as never, link, { token: 'x' })).toThrow(DurableIteratorError)
  })
})

describe('an application that reads slowly', () => {
  const many = (channel: string, count: number, size = 10): Promise<void> => journals.stub('ROOMY', channel, 'publishMany', count, size)

  test.each<[string, Options, number, number]>([
    ['more events than its buffer holds', { maxBufferedEvents: 300 }, 2_500, 10],
    ['more bytes than its buffer holds', { maxBufferedBytes: 200_000 }, 300, 10_000],
  ])('receives all of %s, once and in order', { timeout: 120_000 }, async (_, options, count, size) => {
    const channel = newChannel()
    const states = new States()
    const gaps: unknown[] = []
    const iterator = await open(channel, {
      url: url('ROOMY'),
      onStateChange: states.onStateChange,
      onGap: (gap) => gaps.push(gap),
      ...options,
    })
    await many(channel, count, size)
    await states.reach('paused')
    // The socket stays open, and serves calls.
    expect(await iterator.whoAmI()).toBe('me')
    expect(proxy.attempts).toHaveLength(1)
    const read: number[] = []
    for (let pauses = 1; read.length < count; pauses += 1) {
      // Reads all buffered events, and then those that fill the buffer again, if there are as many.
      while (read.length < count && states.seen.at(-1) === 'paused') read.push((await iterator.next()).value?.n ?? 0)
      if (pauses < 5) await states.reach('paused', pauses + 1)
      else if (read.length < count) read.push((await iterator.next()).value?.n ?? 0)
    }
    expect(read).toEqual(upTo(count))
    expect(gaps).toEqual([])
    expect(proxy.attempts).toHaveLength(1)
  })

  test('receives a gap notification if missed events are no longer available', async () => {
    const channel = newChannel()
    const states = new States()
    const story: unknown[] = []
    const iterator = await open(channel, {
      url: url('SHORT'),
      maxBufferedEvents: 3,
      onStateChange: states.onStateChange,
      onGap: () => story.push('gap'),
    })
    for (const n of upTo(3)) await publish(channel, n, 'SHORT')
    await states.reach('paused')
    await publish(channel, 4, 'SHORT')
    await pause(1_300)
    await publish(channel, 5, 'SHORT')
    for (const _ of upTo(4)) story.push((await iterator.next()).value)
    expect(story).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }, 'gap', { n: 5 }])
  })

  test('receives all events even if the connection is lost while it is paused', async () => {
    const channel = newChannel()
    const states = new States()
    const iterator = await open(channel, { maxBufferedEvents: 3, onStateChange: states.onStateChange })
    for (const n of upTo(5)) await publish(channel, n)
    await states.reach('paused')
    proxy.cut()
    await expect.poll(() => proxy.upgrades.length).toBe(2)
    expect(await iterator.whoAmI()).toBe('me')
    expect(states.seen).toEqual(['connecting', 'open', 'paused'])
    expect(numbers(await new Reader(iterator).count(5))).toEqual(upTo(5))
  })

  test('can end while it is paused', async () => {
    const channel = newChannel()
    const states = new States()
    const iterator = await open(channel, { maxBufferedEvents: 1, onStateChange: states.onStateChange })
    await publish(channel, 1)
    await publish(channel, 2)
    await states.reach('paused')
    await iterator.return()
    expect(states.seen).toEqual(['connecting', 'open', 'paused', 'closed'])
    await proxy.closed()
  })
})

describe('an environment with some of the globals', () => {
  test.each<[string, Record<string, unknown>]>([
    ['a document without events', { document: {}, addEventListener: () => {}, removeEventListener: () => {} }],
    ['a document and no events', { document: { visibilityState: 'visible' }, addEventListener: undefined }],
    ['events that cannot be removed', { addEventListener: () => {}, removeEventListener: undefined, document: null }],
    ['a location that is not a base URL', { location: { href: 'about:blank' } }],
    ['a location without an address', { location: {} }],
    ['no performance', { performance: undefined }],
  ])('such as %s is supported', async (_, globals) => {
    for (const [name, value] of Object.entries(globals)) vi.stubGlobal(name, value)
    const channel = newChannel()
    const states = new States()
    const reader = new Reader(await open(channel, { onStateChange: states.onStateChange }))
    proxy.cut()
    await states.reach('open', 2)
    await publish(channel, 1)
    expect(numbers(await reader.count(1))).toEqual([1])
  })

  test('such as a Worker is supported', async () => {
    const body = JSON.stringify({ rpc: app.url.href, url: url().href, channel: newChannel() })
    const response = await journals.fetch(await journals.urlOf('iterating'), { method: 'POST', body })
    expect(await response.json()).toEqual([{ done: true }, 'UNAUTHORIZED', { n: 1 }])
    await proxy.closed()
  })

  test('without WebSocket or a source of randomness rejects, and names the option to set', async () => {
    const native = globalThis.WebSocket
    vi.stubGlobal('WebSocket', undefined)
    await expect(app.client({ url: url() }).onEvent(newChannel())).rejects.toThrow('set the option `WebSocket`')
    vi.stubGlobal('WebSocket', native)
    vi.stubGlobal('crypto', { subtle: globalThis.crypto.subtle })
    await expect(open(newChannel())).rejects.toThrow('set the option `createId`')
    expect(await (await open(newChannel(), { createId: () => 'mine' })).whoAmI()).toBe('me')
    expect(proxy.upgrades).toHaveLength(1)
  })
})

describe('an option that is out of range', () => {
  test.each<[string, Options]>([
    ['minReconnectionDelay must be a number greater than 0, got 0', { minReconnectionDelay: 0 }],
    ['maxReconnectionDelay must be a number greater than 0, got NaN', { maxReconnectionDelay: Number.NaN }],
    ['heartbeatInterval must be a number of at least 0, got -1', { heartbeatInterval: -1 }],
    ['maxBufferedEvents must be a number greater than 0, got 0', { maxBufferedEvents: 0 }],
    ['openTimeout must be a number greater than 0, got -5', { openTimeout: -5 }],
  ])('throws at once: %s', (message, options) => {
    for (const Plugin of [DurableEventIteratorLinkPlugin, DurableIteratorLinkPlugin]) {
      expect(() => new Plugin({ url: 'wss://example.com', ...options } as never)).toThrow(new RangeError(message))
    }
  })

  test('a connection id that is not a string is rejected', async () => {
    await expect(open(newChannel(), { createId: () => undefined as never })).rejects.toThrow(RangeError)
  })
})

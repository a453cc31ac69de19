// The features of `DurableIterator`: connection ids, tags, and token refresh on the open
// socket. Common features of both kinds are tested in `../every-version`.

import * as orpc from '@orpc/client'
import { createORPCClient } from '@orpc/client'
import type { Client } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { getEventMeta } from '@orpc/server'
import { sign, unsign } from '@orpc/server/helpers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import WebSocket from 'ws'

import {
  DurableEventIteratorLinkPlugin,
  DurableIteratorError,
  DurableIteratorLinkPlugin,
  getClientDurableIteratorToken,
} from '../../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import type { DurableEventIteratorGap } from '../../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import { parseDurableIteratorToken, signDurableIteratorToken, verifyDurableIteratorToken } from '../../../npm/durable-event-iterator/src/index.ts'
import type { DurableIteratorTokenPayload } from '../../../npm/durable-event-iterator/src/index.ts'
import { SIGNING_KEY } from '../../support/client.ts'
import { startJournals } from '../../support/journals.ts'
import type { Binding, Journals } from '../../support/journals.ts'
import { forbidden, Reader, startApplication, States, unavailable } from '../support/app.ts'
import type { AppClient, Application, Event, Follower, FollowingClient, Iterator } from '../support/app.ts'
import { Proxy } from '../support/proxy.ts'

let journals: Journals
let app: Application
let proxy: Proxy
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())
beforeEach(async () => {
  app = await startApplication()
  proxy = await Proxy.start(journals.url)
  sent = []
})
const opened: (Follower | Iterator)[] = []
afterEach(async () => {
  for (const iterator of opened.splice(0)) await iterator.return()
  await proxy.dispose()
  await app.dispose()
})

const url = (binding: Binding = 'USUAL'): URL => new URL(`/upgrade/${binding}`, proxy.url)

/** The procedures that clients have called over any socket. */
let sent: string[] = []
class Recorded extends WebSocket {
  override send(data: Parameters<WebSocket['send']>[0]): void {
    if (String(data) !== 'ping') sent.push(JSON.parse(String(data)).p?.u ?? 'abort')
    super.send(data)
  }
}

type FollowOptions = Omit<Parameters<Application['follower']>[0], 'url'> & { binding?: Binding }

async function follow(
  channel: string,
  { binding, ...options }: FollowOptions = {},
  call: Parameters<FollowingClient['follow']>[1] = {},
): Promise<Follower> {
  const client = app.follower({ url: url(binding), WebSocket: Recorded, ...options })
  const iterator = await client.follow(channel, call)
  opened.push(iterator)
  return iterator
}

/** Returns a new channel for each test and version, since Durable Objects outlive tests. */
let channels = 0
const newChannel = (): string => `followed-${++channels}`

const publish = (channel: string, event: Event, options: object = {}, binding: Binding = 'USUAL'): Promise<string> =>
  journals.stub(binding, channel, 'publish', event, options)

const numbers = (events: { n: number }[]): number[] => events.map(({ n }) => n)
const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))
const tokens = (): (string | null)[] => proxy.upgrades.map(({ searchParams }) => searchParams.get('token'))
const ids = (): (string | null)[] => proxy.upgrades.map(({ searchParams }) => searchParams.get('id'))

/** The first token lives for four seconds. It is refreshed after less than half a second, by a token with a long lifetime. */
const RENEWING = { refreshTokenBeforeExpireInSeconds: 3.6, refreshTokenDelayInSeconds: 0.1 }
function renewOnce(): void {
  app.policy.tokenTTLSeconds = 4
  app.policy.check = () => {
    if (app.issued.length === 1) app.policy.tokenTTLSeconds = 3_600
  }
}

/** Resolves when `count` tokens have been issued. */
async function issued(count: number): Promise<void> {
  await expect.poll(() => app.issued.length, { timeout: 10_000, interval: 10 }).toBeGreaterThanOrEqual(count)
}

/** Resolves when the current token has expired for the Durable Object. */
async function expired(token: string | undefined): Promise<void> {
  const { exp } = parseDurableIteratorToken(token)
  await pause(exp * 1_000 - Date.now() + 50)
}

test('the tests of this folder run with the version that their project names', () => {
  // oRPC 2.x does not export its version.
  const { ORPC_CLIENT_PACKAGE_VERSION = '2.0.0-beta.16' }: { ORPC_CLIENT_PACKAGE_VERSION?: string } = orpc
  expect(ORPC_CLIENT_PACKAGE_VERSION).toBe(process.env['ORPC_VERSION'])
})

describe('an iterator', () => {
  test('of either kind receives the same events of a channel', async () => {
    const channel = newChannel()
    const first = await app.client({ url: url() }).onEvent(channel)
    opened.push(first)
    const second = await follow(channel)
    const readers = [new Reader(first), new Reader(second)]
    for (const n of [1, 2, 3]) await publish(channel, { n })
    for (const reader of readers) expect(numbers(await reader.count(3))).toEqual([1, 2, 3])
    const [ofFirst, ofSecond] = readers.map(({ events }) => events.map((event) => getEventMeta(event)?.id))
    expect(ofSecond).toEqual(ofFirst)
    // Events of a client reach the others, of both kinds.
    await first.publish({ n: 4 })
    await second.publish({ n: 5 })
    expect(numbers(await readers[0]!.count(4))).toEqual([1, 2, 3, 5])
    expect(numbers(await readers[1]!.count(4))).toEqual([1, 2, 3, 4])
  })

  test('calls the allowed procedures, and has a readable token', async () => {
    app.policy.procedures = ['whoAmI', 'keep', 'kept']
    const iterator = await follow(newChannel())
    expect(await iterator.whoAmI()).toBe('me')
    await iterator.keep({ seat: 4 })
    expect(await iterator.kept()).toEqual({ seat: 4 })
    expect('publish' in iterator).toBe(false)
    expect(getClientDurableIteratorToken(iterator)).toBe(tokens()[0])
  })

  test('receives missed events and gap notifications', async () => {
    const gaps: DurableEventIteratorGap[] = []
    const states = new States()
    const channel = newChannel()
    const iterator = await follow(channel, {
      binding: 'SHORT',
      onGap: (gap) => gaps.push(gap),
      onStateChange: states.onStateChange,
    })
    const first = await publish(channel, { n: 1 }, {}, 'SHORT')
    expect((await iterator.next()).value).toEqual({ n: 1 })
    proxy.refuses = true
    proxy.cut()
    await states.reach('recovering')
    await publish(channel, { n: 2 }, {}, 'SHORT')
    await pause(1_200)
    await publish(channel, { n: 3 }, {}, 'SHORT')
    proxy.refuses = false
    expect((await iterator.next()).value).toEqual({ n: 3 })
    expect(gaps).toMatchObject([{ path: ['follow'], input: channel, lastEventId: first }])
    expect(states.seen).toEqual(['connecting', 'open', 'recovering', 'open'])
  })

  test('has separate hooks in the context of its call', async () => {
    const states = new States()
    const iterator = await follow(newChannel(), {}, { context: { durableIterator: { onStateChange: states.onStateChange } } })
    await iterator.return()
    expect(states.seen).toEqual(['connecting', 'open', 'closed'])
  })

  test('starts after the last event id of the caller', async () => {
    const channel = newChannel()
    const [first] = [await publish(channel, { n: 1 }), await publish(channel, { n: 2 })]
    const reader = new Reader(await follow(channel, {}, { lastEventId: first! }))
    expect(numbers(await reader.count(1))).toEqual([2])
  })

  test('opens at a URL that depends on the token and the call', async () => {
    const asked: unknown[] = []
    const channel = newChannel()
    const client = app.follower({
      url: async ({ chn, tags }: DurableIteratorTokenPayload, { path, input }) => {
        asked.push([chn, tags, path, input])
        return url()
      },
    })
    opened.push(await client.follow(channel))
    expect(asked[0]).toEqual([channel, [], ['follow'], channel])
  })
})

describe('a link with the plugins of both kinds', () => {
  test('opens each iterator with the right one', async () => {
    const states = [new States(), new States()] as const
    const plugins = [
      new DurableEventIteratorLinkPlugin({ url: url(), onStateChange: states[0].onStateChange }),
      new DurableIteratorLinkPlugin({ url: url(), onStateChange: states[1].onStateChange }),
    ]
    for (const order of [plugins, plugins.toReversed()]) {
      const client = createORPCClient(new RPCLink({ url: app.url.href, plugins: order as never })) as unknown as AppClient & FollowingClient
      const [first, second] = [await client.onEvent(newChannel()), await client.follow(newChannel())]
      expect([await first.whoAmI(), await second.whoAmI(), await client.plain()]).toEqual(['me', 'me', 'no token'])
      await Promise.all([first.return(), second.return()])
    }
    for (const { seen } of states) expect(seen.filter((state) => state === 'open')).toHaveLength(2)
  })
})

describe('the connection id', () => {
  test('is created once by createId, and used for every connection', async () => {
    const made: unknown[] = []
    const states = new States()
    const channel = newChannel()
    await follow(channel, {
      onStateChange: states.onStateChange,
      createId: async ({ chn }, { path }) => {
        made.push([chn, path])
        return 'seat-4'
      },
    })
    for (const times of [2, 3]) {
      proxy.cut()
      await states.reach('open', times)
    }
    expect(made).toEqual([[channel, ['follow']]])
    expect(ids()).toEqual(['seat-4', 'seat-4', 'seat-4'])
  })

  test('is random without createId, and used for every connection', async () => {
    const states = new States()
    await follow(newChannel(), { onStateChange: states.onStateChange })
    proxy.cut()
    await states.reach('open', 2)
    expect(ids()[0]).toMatch(/^[0-9a-f]{32}$/)
    expect(new Set(ids()).size).toBe(1)
  })

  test.each(['', 'with space', 'x'.repeat(129)])('that is invalid is rejected at once: %j', async (id) => {
    await expect(follow(newChannel(), { createId: () => id })).rejects.toThrow(RangeError)
    expect(proxy.attempts).toEqual([])
  })
})

describe('a token refresh', () => {
  test('keeps the socket, and no event is missed after the first token has expired', async () => {
    renewOnce()
    const states = new States()
    const channel = newChannel()
    const iterator = await follow(channel, { ...RENEWING, onStateChange: states.onStateChange })
    const reader = new Reader(iterator)
    const first = getClientDurableIteratorToken(iterator)
    let n = 0
    for (const { exp } = parseDurableIteratorToken(first); Date.now() < exp * 1_000 + 100; await pause(40)) {
      await publish(channel, { n: (n += 1) })
    }
    // Hibernates meanwhile: the Durable Object uses the attachment of the socket.
    await journals.hibernate('USUAL', channel)
    await publish(channel, { n: (n += 1) })
    expect(numbers(await reader.count(n))).toEqual(Array.from({ length: n }, (_, index) => index + 1))
    expect(await iterator.whoAmI()).toBe('me')
    // The same socket: only one was created, and it is open.
    expect([proxy.attempts.length, proxy.open]).toEqual([1, 1])
    expect(tokens()).toEqual([first])
    expect(sent).toEqual(['/subscribe', '/updateToken', '/call'])
    expect(states.seen).toEqual(['connecting', 'open'])
    expect(getClientDurableIteratorToken(iterator)).not.toBe(first)
    expect(app.issued).toEqual([channel, channel])
  })

  test('gives later calls the permissions of the new token', async () => {
    renewOnce()
    app.policy.procedures = ['kept']
    const iterator = await follow(newChannel(), RENEWING)
    expect((iterator as Partial<Follower>).whoAmI).toBeUndefined()
    app.policy.procedures = ['whoAmI']
    await expect.poll(() => 'whoAmI' in iterator, { timeout: 5_000, interval: 1 }).toBe(true)
    expect(await iterator.whoAmI()).toBe('me')
    expect(proxy.attempts).toHaveLength(1)
  })

  test('is repeated', async () => {
    app.policy.tokenTTLSeconds = 3
    const iterator = await follow(newChannel(), { refreshTokenBeforeExpireInSeconds: 2.7, refreshTokenDelayInSeconds: 0.1 })
    await issued(5)
    expect(await iterator.whoAmI()).toBe('me')
    expect(proxy.attempts).toHaveLength(1)
  })

  test('respects refreshTokenDelayInSeconds', async () => {
    app.policy.tokenTTLSeconds = 3
    const startedAt = Date.now()
    // Longer than the token lifetime: the token would be refreshed in an endless loop.
    await follow(newChannel(), { refreshTokenBeforeExpireInSeconds: 600, refreshTokenDelayInSeconds: 0.5 })
    await issued(4)
    expect(Date.now() - startedAt).toBeGreaterThanOrEqual(1_500)
    expect(proxy.attempts).toHaveLength(1)
  })

  test('calls refreshTokenBeforeExpireInSeconds for each token', async () => {
    const asked: unknown[] = []
    const channel = newChannel()
    renewOnce()
    await follow(channel, {
      refreshTokenBeforeExpireInSeconds: async ({ exp, iat }, { path }) => {
        asked.push([exp - iat, path])
        return 3.6
      },
      refreshTokenDelayInSeconds: () => 0.1,
    })
    await issued(2)
    await expect.poll(() => asked).toEqual([[4, ['follow']], [3_600, ['follow']]])
  })

  test.each([
    ['tags', () => void (app.policy.tags = ['guest'])],
    ['tags in another order', () => void (app.policy.tags = ['night', 'staff'])],
  ])('with other %s opens a new connection with the same id, and no event is missed', async (_, change) => {
    renewOnce()
    app.policy.tags = ['staff', 'night']
    const states = new States()
    const channel = newChannel()
    const iterator = await follow(channel, { ...RENEWING, onStateChange: states.onStateChange })
    const reader = new Reader(iterator)
    await publish(channel, { n: 1 })
    await reader.count(1)
    change()
    for (let n = 2; n <= 20; n += 1) {
      await publish(channel, { n })
      await pause(40)
    }
    await states.reach('open', 2)
    await publish(channel, { n: 21 }, { tags: app.policy.tags })
    expect(numbers(await reader.count(21))).toEqual(Array.from({ length: 21 }, (_, index) => index + 1))
    expect(tokens().map((token) => parseDurableIteratorToken(token).tags)).toEqual([['staff', 'night'], app.policy.tags])
    expect(new Set(ids()).size).toBe(1)
    expect(sent.filter((path) => path === '/updateToken')).toEqual([])
    expect(proxy.open).toBe(1)
  })

  test('with another channel opens a new connection to it', async () => {
    const [channel, other] = [newChannel(), newChannel()]
    const sign = (chn: string, life: number): Promise<string> => {
      const iat = Math.floor(Date.now() / 1_000)
      return signDurableIteratorToken(SIGNING_KEY, { chn, iat, exp: iat + life })
    }
    app.policy.issue = async () => carry(app.issued.length === 1 ? await sign(channel, 4) : await sign(other, 3_600))
    const states = new States()
    const reader = new Reader(await follow(channel, { ...RENEWING, onStateChange: states.onStateChange }))
    await states.reach('open', 2)
    await publish(other, { n: 1 })
    expect(numbers(await reader.count(1))).toEqual([1])
    expect(tokens().map((token) => parseDurableIteratorToken(token).chn)).toEqual([channel, other])
  })

  test('that the Durable Object rejects opens a new connection with another token, and no event is missed', async () => {
    const channel = newChannel()
    const iat = Math.floor(Date.now() / 1_000)
    const issue = (key: string, life: number): Promise<string> =>
      signDurableIteratorToken(key, { chn: channel, rpc: ['whoAmI'], att: 'me', iat, exp: iat + life })
    const issues = [() => issue(SIGNING_KEY, 4), () => issue('of another object', 3_600), () => issue(SIGNING_KEY, 3_600)]
    app.policy.issue = async () => carry(await issues[Math.min(app.issued.length, issues.length) - 1]!())
    const states = new States()
    const iterator = await follow(channel, { ...RENEWING, onStateChange: states.onStateChange })
    const reader = new Reader(iterator)
    await publish(channel, { n: 1 })
    await states.reach('recovering')
    await publish(channel, { n: 2 })
    await states.reach('open', 2)
    await publish(channel, { n: 3 })
    expect(numbers(await reader.count(3))).toEqual([1, 2, 3])
    expect(await iterator.whoAmI()).toBe('me')
    expect(sent.filter((path) => path === '/updateToken')).toHaveLength(1)
    expect(app.issued).toHaveLength(3)
    expect(states.seen).toEqual(['connecting', 'open', 'recovering', 'open'])
  })

  test('that the server rejects ends the iteration with the error of the server, and closes the socket', async () => {
    renewOnce()
    const states = new States()
    const reader = new Reader(await follow(newChannel(), { ...RENEWING, onStateChange: states.onStateChange }))
    app.policy.check = forbidden
    expect(await reader.end()).toMatchObject({ error: { code: 'FORBIDDEN', message: 'Not any more.' } })
    await proxy.closed()
    expect(states.seen).toEqual(['connecting', 'open', 'closed'])
    expect(states.errors.at(-1)).toMatchObject({ code: 'FORBIDDEN' })
  })

  test('without a token in the response ends the iteration too', async () => {
    renewOnce()
    const reader = new Reader(await follow(newChannel(), RENEWING))
    app.policy.issue = async () => carry('{"no":"token"}.x')
    expect((await reader.end()).error).toBeInstanceOf(DurableIteratorError)
    await proxy.closed()
  })

  test('that fails temporarily is retried on the same socket', async () => {
    renewOnce()
    const iterator = await follow(newChannel(), RENEWING)
    let failures = 0
    app.policy.check = () => {
      app.policy.tokenTTLSeconds = 3_600
      failures += 1
      if (failures < 3) unavailable()
    }
    await issued(2)
    expect(failures).toBe(3)
    expect(await iterator.whoAmI()).toBe('me')
    await expect.poll(() => sent).toContain('/updateToken')
    expect(proxy.attempts).toHaveLength(1)
  })

  test.each([Number.NaN, Number.POSITIVE_INFINITY])(
    'that is not to come ahead (%d) comes when the object says that the token has expired, and nothing is missed',
    async (refreshTokenBeforeExpireInSeconds) => {
      app.policy.tokenTTLSeconds = 2
      const states = new States()
      const channel = newChannel()
      const iterator = await follow(channel, { refreshTokenBeforeExpireInSeconds, onStateChange: states.onStateChange })
      const reader = new Reader(iterator)
      await publish(channel, { n: 1 })
      await reader.count(1)
      await expired(getClientDurableIteratorToken(iterator))
      expect(app.issued).toHaveLength(1)
      app.policy.tokenTTLSeconds = 3_600
      await publish(channel, { n: 2 })
      await publish(channel, { n: 3 })
      expect(numbers(await reader.count(3))).toEqual([1, 2, 3])
      expect(app.issued).toHaveLength(2)
      expect(states.seen).toEqual(['connecting', 'open', 'recovering', 'open'])
      expect(new Set(ids()).size).toBe(1)
    },
  )

  test('waits for the delay even if the clocks differ about the expiry of the token', async () => {
    const channel = newChannel()
    // The client assumes a long lifetime.
    const now = (): number => Math.floor(Date.now() / 1_000)
    const ending = { chn: channel, rpc: ['whoAmI'], att: 'me', iat: now() - 3_600, exp: Date.now() / 1_000 + 1.5 }
    app.policy.issue = async () => carry(await signDurableIteratorToken(SIGNING_KEY, ending))
    const reader = new Reader(await follow(channel))
    await publish(channel, { n: 1 })
    await reader.count(1)
    await pause(1_600)
    app.policy.issue = undefined
    await publish(channel, { n: 2 })
    expect(numbers(await reader.count(2))).toEqual([1, 2])
    // At the first attempt: the Durable Object decides.
    expect([app.issued.length, proxy.attempts.length]).toEqual([2, 2])
  })
})

describe('an event for a subset of clients', () => {
  test('reaches them live, and on replay after a reconnect', async () => {
    const channel = newChannel()
    const states = [new States(), new States()] as const
    // Each client has its own server, so that a refreshed token has the same tags.
    const apps = await Promise.all([startApplication(), startApplication()])
    const enter = async (who: 0 | 1, id: string, tags: string[]): Promise<Reader> => {
      const { policy, follower } = apps[who]
      policy.tags = tags
      const { onStateChange } = states[who]
      const iterator = await follower({ url: url(), createId: () => id, onStateChange }).follow(channel)
      opened.push(iterator)
      return new Reader(iterator)
    }
    const staff = await enter(0, 's', ['staff', 'night'])
    const guest = await enter(1, 'g', ['guest'])
    const say = async (from: number): Promise<void> => {
      await publish(channel, { n: from }, { tags: ['staff'] })
      await publish(channel, { n: from + 1 }, { tags: ['guest', 'night'] })
      await publish(channel, { n: from + 2 }, { except: ['s'] })
      await publish(channel, { n: from + 3 }, { to: ['s'] })
      await publish(channel, { n: from + 4 }, { tags: ['staff', 'guest'], except: ['g'] })
      await publish(channel, { n: from + 5 })
    }
    await say(1)
    expect(numbers(await staff.count(5))).toEqual([1, 2, 4, 5, 6])
    expect(numbers(await guest.count(3))).toEqual([2, 3, 6])
    proxy.refuses = true
    proxy.cut()
    await Promise.all(states.map((each) => each.reach('recovering')))
    await say(11)
    proxy.refuses = false
    expect(numbers(await staff.count(10)).slice(5)).toEqual([11, 12, 14, 15, 16])
    expect(numbers(await guest.count(6)).slice(3)).toEqual([12, 13, 16])
    await Promise.all(apps.map(({ dispose }) => dispose()))
  })

  test('can exclude its publisher, also after a reconnect', async () => {
    const channel = newChannel()
    const states = new States()
    const iterator = await follow(channel, { onStateChange: states.onStateChange })
    const [mine, other] = [new Reader(iterator), new Reader(await follow(channel))]
    await publish(channel, { n: 1 })
    await mine.count(1)
    await iterator.publish({ n: 2 })
    proxy.cut()
    await states.reach('open', 2)
    await publish(channel, { n: 3 })
    expect(numbers(await mine.count(2))).toEqual([1, 3])
    expect(numbers(await other.count(3))).toEqual([1, 2, 3])
  })
})

describe('ending an iterator', () => {
  test.each<[string, (iterator: Follower, abort: AbortController) => unknown]>([
    ['return', (iterator) => iterator.return()],
    ['an aborted signal', (_, abort) => abort.abort()],
  ])('by %s closes the WebSocket finally, and requests no more tokens', async (_, end) => {
    const abort = new AbortController()
    const sockets: WebSocket[] = []
    class Kept extends Recorded {
      constructor(address: string, protocols?: string | string[]) {
        super(address, protocols)
        sockets.push(this)
      }
    }
    app.policy.tokenTTLSeconds = 3
    const renewing = { refreshTokenBeforeExpireInSeconds: 2.6, refreshTokenDelayInSeconds: 0.1 }
    const iterator = await follow(newChannel(), { ...renewing, WebSocket: Kept }, { signal: abort.signal })
    await issued(2)
    await end(iterator, abort)
    await expect.poll(() => sockets.map(({ readyState }) => readyState)).toEqual([WebSocket.CLOSED])
    await proxy.closed()
    const { length } = app.issued
    await pause(800)
    expect([sockets.length, app.issued.length]).toEqual([1, length])
  })

  test('by an abort before the connection opens none', async () => {
    const abort = new AbortController()
    app.policy.check = () => abort.abort(new Error('Enough.'))
    await expect(follow(newChannel(), {}, { signal: abort.signal })).rejects.toThrow('Enough.')
    expect(proxy.attempts).toEqual([])
  })
})

describe('a token', () => {
  const claims = { chn: 'räum.1', rpc: ['ping'], att: { who: 'ü' }, tags: ['a.b'], iat: 1, exp: 4_000_000_000 }

  test("of this package is accepted by oRPC's helper", async () => {
    const token = await signDurableIteratorToken(SIGNING_KEY, claims)
    expect(JSON.parse((await unsign(token, SIGNING_KEY))!)).toEqual(claims)
    expect(await unsign(token, 'another')).toBeUndefined()
  })

  test("of oRPC's helper is accepted by this package", async () => {
    const token = await sign(JSON.stringify(claims), SIGNING_KEY)
    expect(await verifyDurableIteratorToken(SIGNING_KEY, token)).toEqual(claims)
    expect(parseDurableIteratorToken(token)).toEqual(claims)
    expect(await verifyDurableIteratorToken('another', token)).toBeUndefined()
  })

  test("of oRPC's helper or of an oRPC server in Rust opens an iterator", async () => {
    const channel = newChannel()
    app.policy.issue = async () => carry(await sign(JSON.stringify({ ...claims, chn: channel, rpc: ['whoAmI'] }), SIGNING_KEY))
    expect(await (await follow(channel)).whoAmI()).toEqual({ who: 'ü' })

    const plugin = new DurableIteratorLinkPlugin({ url: url() })
    const server: { second: Client<Record<never, never>, void, AsyncGenerator<Event>, Error> } = createORPCClient(
      new RPCLink({ url: new URL('/rpc', journals.url).href, plugins: [plugin] }),
    )
    const reader = new Reader(await server.second())
    await publish('some-room', { n: 1 })
    expect(await reader.count(1)).toEqual([{ n: 1 }])
    proxy.cut()
  })
})

/** A value that the handler plugin accepts as an iterator. */
function carry(token: string): unknown {
  return { [Symbol.for('durable-event-iterator/token')]: token }
}

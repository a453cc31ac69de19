// The handler plugins and the link plugins with oRPC 2.x: its server, its client and its plugins.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { createORPCClient, ORPCError } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { BatchLinkPlugin, DedupeLinkPlugin, RetryAfterLinkPlugin, RetryLinkPlugin } from '@orpc/client/plugins'
import type { RetryLinkPluginContext } from '@orpc/client/plugins'
import { call, os } from '@orpc/server'
import type { RouterClient } from '@orpc/server'
import { RPCHandler } from '@orpc/server/fetch'
import { BatchHandlerPlugin, CORSHandlerPlugin } from '@orpc/server/plugins'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import {
  DurableEventIterator,
  DurableEventIteratorHandlerPlugin,
  DurableIterator,
  DurableIteratorHandlerPlugin,
  getClientDurableIteratorToken,
} from '../../../npm/durable-event-iterator/src/index.ts'
import { DurableEventIteratorLinkPlugin, DurableIteratorLinkPlugin } from '../../../npm/durable-event-iterator/src/orpc-v2/index.ts'
import { readToken } from '../../../npm/durable-event-iterator/src/token/token.ts'
import { SIGNING_KEY } from '../../support/client.ts'
import { startJournals } from '../../support/journals.ts'
import type { Journals } from '../../support/journals.ts'
import { startApplication, take, unavailable } from './app.ts'
import type { Application, Event, Journal, Router } from './app.ts'

const router = {
  onEvent: os.handler(() => new DurableEventIterator<Journal>('some-room', { signingKey: SIGNING_KEY }).rpc('publish')),
  follow: os.handler(async () => new DurableIterator<Journal>('some-room', { signingKey: SIGNING_KEY }).rpc('publish')),
  plain: os.handler(() => 'no token'),
}

describe('the handler plugin', () => {
  type Plugins = NonNullable<NonNullable<ConstructorParameters<typeof RPCHandler>[1]>['plugins']>

  const respond = async (plugins: Plugins, path: string): Promise<Response> => {
    const handler = new RPCHandler(router, { plugins })
    const headers = { 'content-type': 'application/json', origin: 'https://page.example' }
    const request = new Request(`https://app.example/rpc/${path}`, { method: 'POST', headers, body: '{}' })
    return (await handler.handle(request, { prefix: '/rpc', context: {} })).response!
  }

  test.each<[string, Plugins]>([
    ['alone', [new DurableEventIteratorHandlerPlugin()]],
    ['under its other name', [new DurableIteratorHandlerPlugin()]],
    ['installed twice', [new DurableEventIteratorHandlerPlugin(), new DurableIteratorHandlerPlugin()]],
    ['with the batch plugin', [new BatchHandlerPlugin(), new DurableIteratorHandlerPlugin()]],
  ])('sends tokens of both kinds with their headers, %s', async (_, plugins) => {
    const names = ['x-orpc-durable-iterator', 'x-orpc-dei']
    const announced = async (path: string): Promise<unknown> => {
      const response = await respond(plugins, path)
      expect(response.status).toBe(200)
      return names.map((name) => response.headers.get(name))
    }
    expect(await announced('follow')).toEqual(['1', null])
    expect(await announced('onEvent')).toEqual([null, '1'])
    expect(await announced('plain')).toEqual([null, null])
    for (const path of ['follow', 'onEvent']) {
      const { json, ...rest } = (await (await respond(plugins, path)).json()) as { json: string }
      expect(rest).toEqual({})
      expect(readToken(json)).toMatchObject({ chn: 'some-room', rpc: ['publish'] })
    }
  })

  test('sends a header that pages of another origin can read if CORS exposes it', async () => {
    const cors = new CORSHandlerPlugin({ exposeHeaders: ['x-orpc-durable-iterator'] })
    const response = await respond([cors, new DurableIteratorHandlerPlugin()], 'follow')
    expect(response.headers.get('access-control-expose-headers')).toBe('x-orpc-durable-iterator')
    expect(response.headers.get('x-orpc-durable-iterator')).toBe('1')
  })

  test('must be installed: without it, the token is not disclosed, and the error names the plugin', async () => {
    await expect(respond([], 'follow')).rejects.toThrow('add the DurableIteratorHandlerPlugin to the plugins of the handler')
    await expect(respond([], 'onEvent')).rejects.toThrow('add the DurableEventIteratorHandlerPlugin to the plugins of the handler')
  })

  test('changes no option of the application', async () => {
    const options = { interceptors: [], clientInterceptors: [], plugins: [new DurableIteratorHandlerPlugin()] }
    const copy = { ...options }
    new RPCHandler(router, options)
    expect(options).toEqual(copy)
    expect(options.interceptors).toEqual([])
    expect(options.clientInterceptors).toEqual([])
  })
})

test('on the server the iterator has a token, and iteration fails with a clear error', async () => {
  const iterator = await call(router.follow)
  expect(readToken(getClientDurableIteratorToken(iterator)!)).toMatchObject({ chn: 'some-room' })
  const iterate = async (): Promise<void> => {
    for await (const _ of iterator) break
  }
  await expect(iterate()).rejects.toThrow('a DurableIterator cannot be iterated over on the server')
})

describe('the link plugin', () => {
  let journals: Journals
  let app: Application
  beforeAll(async () => {
    journals = await startJournals()
    app = await startApplication()
  })
  afterAll(async () => {
    await app.dispose()
    await journals.dispose()
  })
  afterEach(() => {
    app.policy.check = () => {}
    app.policy.tokenTTLSeconds = 3_600
  })

  const url = (): URL => new URL('/upgrade/USUAL', journals.url)
  const group = { condition: true, context: {} }

  test.each(['before', 'after'])('works with batches, %s the batch plugin', async (order) => {
    const plugins = [new DurableEventIteratorLinkPlugin({ url: url() }), new BatchLinkPlugin({ groups: [group] })]
    const client = app.client({ plugins: order === 'before' ? plugins : plugins.toReversed() })
    const room = `batched-${order}`
    const [one, other, plain] = await Promise.all([client.onEvent(room), client.onEvent(`${room}-2`), client.plain()])
    expect(plain).toBe('no token')
    await journals.stub('USUAL', room, 'publish', { n: 1 })
    expect(await take(one, 1)).toEqual([{ n: 1 }])
    expect(await other.whoAmI()).toBe('me')
    await Promise.all([one.return(), other.return()])
  })

  test.each(['before', 'after'])('works with deduplicated requests, %s the dedupe plugin: each caller has a separate iterator', async (order) => {
    const plugins = [new DurableIteratorLinkPlugin({ url: url() }), new DedupeLinkPlugin({ groups: [group], filter: () => true })]
    const client = app.client({ plugins: order === 'before' ? plugins : plugins.toReversed() })
    const channel = `deduplicated-${order}`
    const before = app.issued.length
    const [one, other] = await Promise.all([client.follow(channel), client.follow(channel)])
    expect(app.issued.length).toBe(before + 1)
    await journals.stub('USUAL', channel, 'publish', { n: 1 })
    for (const iterator of [one, other]) expect(await take(iterator, 1)).toEqual([{ n: 1 }])
    await one.return()
    await journals.stub('USUAL', channel, 'publish', { n: 2 })
    expect(await take(other, 1)).toEqual([{ n: 2 }])
    await other.return()
  })

  test.each(['before', 'after'])('works with retries, %s the retry plugin: they apply to the request for the token', async (order) => {
    const retry = new RetryLinkPlugin<RetryLinkPluginContext>({ default: { retry: 3, retryDelay: 1 } })
    const plugins = [new DurableEventIteratorLinkPlugin<RetryLinkPluginContext>({ url: url() }), retry]
    const client = app.client<RetryLinkPluginContext>({ plugins: order === 'before' ? plugins : plugins.toReversed() })
    let calls = 0
    app.policy.check = () => {
      calls += 1
      if (calls < 3) unavailable()
    }
    const iterator = await client.onEvent('retried')
    expect(calls).toBe(3)
    expect(await iterator.whoAmI()).toBe('me')
    // The iterator itself is not retried.
    const ended = Promise.all([iterator.next(), iterator.return()])
    expect((await ended)[0]).toEqual({ done: true, value: undefined })
    expect(calls).toBe(3)
  })

  test('works with the retry-after plugin', async () => {
    const client = app.client({ plugins: [new DurableIteratorLinkPlugin({ url: url() }), new RetryAfterLinkPlugin()] })
    const iterator = await client.follow('retried-after')
    expect(await iterator.whoAmI()).toBe('me')
    await iterator.return()
  })

  test('ends the iterator if the server rejects the refresh of the token, with the error of the server', async () => {
    const refresh = { refreshTokenBeforeExpireInSeconds: 3.6, refreshTokenDelayInSeconds: 0.1 }
    const client = app.client({ plugins: [new DurableIteratorLinkPlugin({ url: url(), ...refresh })] })
    app.policy.tokenTTLSeconds = 4
    const iterator = await client.follow('rejected')
    app.policy.check = () => {
      throw new ORPCError('FORBIDDEN', { message: 'Not any more.' })
    }
    const error: unknown = await iterator.next().catch((error) => error)
    expect(error).toBeInstanceOf(ORPCError)
    expect(error).toMatchObject({ code: 'FORBIDDEN', message: 'Not any more.' })
  })

  test('interceptors of the link wrap each request for a token, and those of the client receive the iterator', async () => {
    const tokens: unknown[] = []
    const outputs: unknown[] = []
    const link = new RPCLink({
      origin: app.origin,
      url: '/rpc',
      interceptors: [
        async ({ next }) => {
          const output = await next()
          tokens.push(output)
          return output
        },
      ],
      plugins: [new DurableIteratorLinkPlugin({ url: url(), refreshTokenBeforeExpireInSeconds: 3.6, refreshTokenDelayInSeconds: 0.1 })],
    })
    const client: RouterClient<Router> = createORPCClient(link, {
      interceptors: [
        async ({ next }) => {
          const output = await next()
          outputs.push(output)
          return output as never
        },
      ],
    })
    app.policy.tokenTTLSeconds = 4
    const iterator = await client.follow('intercepted')
    await expect.poll(() => tokens.length).toBeGreaterThan(1)
    await iterator.return()
    for (const token of tokens) expect(readToken(token as string)).toMatchObject({ chn: 'intercepted' })
    expect(outputs).toHaveLength(1)
    expect(outputs[0]).toBe(iterator)
  })

  test('passes interceptors, headers and plugins to the link over the socket', async () => {
    const calls: unknown[] = []
    const iterators = [1, 2].map((n) =>
      app
        .client({
          plugins: [
            new DurableIteratorLinkPlugin({
              url: url(),
              headers: async (_, path) => ({ 'x-path': path.join('/') }),
              interceptors: [
                async ({ path, input, next }) => {
                  calls.push([n, path, input])
                  return next()
                },
              ],
              transportInterceptors: [
                async ({ request, next }) => {
                  calls.push([n, request.url, request.headers, request.body])
                  return next()
                },
              ],
              plugins: [new RetryLinkPlugin()],
            }),
          ],
        })
        .follow(`socket-${n}`),
    )
    for (const iterator of await Promise.all(iterators)) {
      expect(await iterator.whoAmI(undefined, { context: { retry: 1 } })).toBe('me')
      await iterator.return()
    }
    expect(calls).toEqual(
      [1, 2].flatMap((n) => [
        [n, ['whoAmI'], undefined],
        [n, '/call', { 'x-path': 'whoAmI' }, { json: { path: ['whoAmI'], input: undefined }, meta: undefined }],
      ]),
    )
  })

  test('rejects a call if a plugin of the link over the socket cannot be initialized', async () => {
    const broken = {
      name: 'broken',
      init: () => {
        throw new Error('a bug')
      },
    }
    const client = app.client({ plugins: [new DurableIteratorLinkPlugin({ url: url(), plugins: [broken] })] })
    await expect(client.follow('broken')).rejects.toThrow('a bug')
  })

  test('supports custom types', async () => {
    class Point {
      readonly x: number
      constructor(x: number) {
        this.x = x
      }
    }
    const customJsonSerializers = [
      { type: 21, condition: (value: unknown) => value instanceof Point, serialize: ({ x }: Point) => ({ x }), deserialize: ({ x }: Point) => new Point(x) },
    ]
    const client = app.client({ plugins: [new DurableEventIteratorLinkPlugin({ url: url(), customJsonSerializers })] })
    const [iterator, other] = await Promise.all([client.onEvent('points'), client.onEvent('points')])
    await other.publish({ n: 1, at: new Point(5), since: new Date(0) } as Event)
    const [event] = await take<unknown>(iterator, 1)
    expect(event).toEqual({ n: 1, at: new Point(5), since: new Date(0) })
    expect((event as { at: unknown }).at).toBeInstanceOf(Point)
    await Promise.all([iterator.return(), other.return()])
  })

  test('rejects a token of the other kind, and names the missing plugin', async () => {
    const first = app.client({ plugins: [new DurableIteratorLinkPlugin({ url: url() })] })
    await expect(first.onEvent('wrong')).rejects.toThrow('add the DurableEventIteratorLinkPlugin to the plugins of the link')
    const second = app.client({ plugins: [new DurableEventIteratorLinkPlugin({ url: url() })] })
    await expect(second.follow('wrong')).rejects.toThrow('add the DurableIteratorLinkPlugin to the plugins of the link')
  })

  test('a link may have the plugins of both kinds, in any order', async () => {
    const plugins = [new DurableEventIteratorLinkPlugin({ url: url() }), new DurableIteratorLinkPlugin({ url: url() })]
    for (const order of [plugins, plugins.toReversed()]) {
      const client = app.client({ plugins: order })
      const [first, second] = await Promise.all([client.onEvent('both'), client.follow('both')])
      expect([await first.whoAmI(), await second.whoAmI(), await client.plain()]).toEqual(['me', 'me', 'no token'])
      await Promise.all([first.return(), second.return()])
    }
  })

  test('a header with another value is ignored', async () => {
    const server = createServer((_, response) => {
      response.setHeader('content-type', 'application/json').setHeader('x-orpc-dei', '0').end('{"json":"no token"}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const link = new RPCLink({ origin, plugins: [new DurableEventIteratorLinkPlugin({ url: url() })] })
    const client: RouterClient<Router> = createORPCClient(link)
    expect(await client.onEvent('any')).toBe('no token')
    await new Promise((resolve) => server.close(resolve))
  })
})

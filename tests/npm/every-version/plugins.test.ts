// The plugins of `DurableEventIterator` with an oRPC server, an oRPC client and oRPC's plugins.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { createORPCClient } from '@orpc/client'
import { BatchLinkPlugin, ClientRetryPlugin, DedupeRequestsPlugin } from '@orpc/client/plugins'
import { call, os } from '@orpc/server'
import { RPCHandler } from '@orpc/server/fetch'
import { BatchHandlerPlugin, CORSPlugin } from '@orpc/server/plugins'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { DurableEventIterator, DurableEventIteratorHandlerPlugin, getClientDurableEventIteratorToken } from '../../../npm/durable-event-iterator/src/index.ts'
import { readToken } from '../../../npm/durable-event-iterator/src/token/token.ts'
import { SIGNING_KEY } from '../../support/client.ts'
import { startJournals } from '../../support/journals.ts'
import type { Journals } from '../../support/journals.ts'
import { Reader, startApplication, unavailable } from '../support/app.ts'
import type { AppClient, Application, Event, Journal } from '../support/app.ts'

test('the tests of this folder run with the version that their project names', async () => {
  const names = Object.keys(await import('@orpc/client/websocket'))
  expect(names.includes('RPCLink')).toBe(process.env['ORPC_VERSION'] !== '1.6.6')
  expect('ORPC_CLIENT_PACKAGE_VERSION' in (await import('@orpc/client'))).toBe(process.env['ORPC_VERSION'] !== '1.6.6')
})

const router = {
  onEvent: os.handler(() => new DurableEventIterator<Journal>('some-room', { signingKey: SIGNING_KEY }).rpc('publish')),
  plain: os.handler(() => 'no token'),
}
const request = (path: string, headers: Record<string, string> = {}): Request =>
  new Request(`https://app.example/rpc/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: '{}',
  })

describe('the handler plugin', () => {
  const answer = async (plugins: object[], asked: Request): Promise<Response> => {
    const handler = new RPCHandler(router, { plugins: plugins as never })
    const { response } = await handler.handle(asked, { prefix: '/rpc', context: {} })
    return response!
  }

  test('sends the token and its header', async () => {
    const response = await answer([new DurableEventIteratorHandlerPlugin()], request('onEvent'))
    expect(response.status).toBe(200)
    expect(response.headers.get('x-orpc-dei')).toBe('1')
    const { json, ...rest } = (await response.json()) as { json: string }
    expect(rest).toEqual({})
    expect(readToken(json)).toMatchObject({ chn: 'some-room', rpc: ['publish'] })
  })

  test('does not change other responses', async () => {
    const response = await answer([new DurableEventIteratorHandlerPlugin()], request('plain'))
    expect(response.headers.get('x-orpc-dei')).toBeNull()
    expect(await response.json()).toEqual({ json: 'no token' })
  })

  test('sends a header that pages of another origin can read if CORS exposes it', async () => {
    const cors = new CORSPlugin({ exposeHeaders: ['x-orpc-dei'] })
    const response = await answer([cors, new DurableEventIteratorHandlerPlugin()], request('onEvent', { origin: 'https://page.example' }))
    expect(response.headers.get('access-control-expose-headers')).toBe('x-orpc-dei')
    expect(response.headers.get('x-orpc-dei')).toBe('1')
  })

  test('must be installed: without it, the token is not disclosed, and the error names the plugin', async () => {
    const handler = new RPCHandler(router)
    const answered = handler.handle(request('onEvent'), { prefix: '/rpc', context: {} })
    await expect(answered).rejects.toThrow('add the DurableEventIteratorHandlerPlugin to the plugins of the handler')
  })

  test('changes no array of the application', () => {
    const options = { interceptors: [], clientInterceptors: [] }
    const { interceptors, clientInterceptors } = options
    new DurableEventIteratorHandlerPlugin().init(options)
    expect([interceptors, clientInterceptors]).toEqual([[], []])
    expect(options.interceptors).toHaveLength(1)
  })
})

test('on the server the iterator has a token, and iteration fails with a clear error', async () => {
  const iterator = await call(router.onEvent, undefined)
  expect(readToken(getClientDurableEventIteratorToken(iterator)!)).toMatchObject({ chn: 'some-room' })
  const iterate = async (): Promise<void> => {
    for await (const _ of iterator) break
  }
  await expect(iterate()).rejects.toThrow('on the server')
  expect(() => JSON.stringify(iterator)).toThrow('DurableEventIteratorHandlerPlugin')
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

  const url = (): string => new URL('/upgrade/USUAL', journals.url).href.replace('http', 'ws')
  const group = { condition: () => true, context: {} }

  test('works with batches, on either side of it', async () => {
    for (const order of ['before', 'after']) {
      const batch = new BatchLinkPlugin({ groups: [group] })
      if (order === 'after') Object.assign(batch, { order: Number.MAX_SAFE_INTEGER })
      const client = app.client({ url: url() }, { plugins: [batch] })
      const room = `batched-${order}`
      const [one, other, plain] = await Promise.all([client.onEvent(room), client.onEvent(`${room}-2`), client.plain()])
      expect(plain).toBe('no token')
      const reader = new Reader(one)
      await journals.stub('USUAL', room, 'publish', { n: 1 })
      expect(await reader.count(1)).toEqual([{ n: 1 }])
      expect(await other.whoAmI()).toBe('me')
      await one.return()
      await other.return()
    }
  })

  test('works with deduplicated requests: each caller receives a separate iterator', async () => {
    const dedupe = new DedupeRequestsPlugin({ groups: [group], filter: () => true })
    const client = app.client({ url: url() }, { plugins: [dedupe] })
    const before = app.issued.length
    const iterators = await Promise.all([client.onEvent('deduplicated'), client.onEvent('deduplicated')])
    expect(app.issued.length).toBe(before + 1)
    const readers = iterators.map((iterator) => new Reader(iterator))
    await journals.stub('USUAL', 'deduplicated', 'publish', { n: 1 })
    for (const reader of readers) expect(await reader.count(1)).toEqual([{ n: 1 }])
    await iterators[0]!.return()
    await journals.stub('USUAL', 'deduplicated', 'publish', { n: 2 })
    expect(await readers[1]!.count(2)).toEqual([{ n: 1 }, { n: 2 }])
    await iterators[1]!.return()
  })

  test('works with retries, which apply to the request for the token and keep the procedures', async () => {
    const retry = new ClientRetryPlugin({ default: { retry: 3, retryDelay: 1 } })
    const client = app.client({ url: url() }, { plugins: [retry] })
    let failures = 0
    app.policy.check = () => {
      failures += 1
      if (failures < 3) unavailable()
    }
    const iterator = await client.onEvent('retried')
    app.policy.check = () => {}
    expect(failures).toBe(3)
    expect(await iterator.whoAmI()).toBe('me')
    await iterator.return()
  })

  test('passes interceptors and plugins to the calls over the socket, once for each iterator', async () => {
    const calls: string[] = []
    const interceptors = [
      async ({ path, next }: { path: readonly string[]; next: () => Promise<unknown> }) => {
        calls.push(path.join('/'))
        return next()
      },
    ]
    const client = app.client({ url: url(), interceptors, plugins: [new ClientRetryPlugin()] })
    for (const _ of [1, 2]) {
      const iterator = await client.onEvent('intercepted')
      await iterator.whoAmI(undefined, { context: { retry: 1 } })
      await iterator.return()
    }
    expect(calls).toEqual(['call', 'call'])
    expect(interceptors).toHaveLength(1)
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
    const client = app.client({ url: url(), customJsonSerializers })
    const iterator = await client.onEvent('points')
    const reader = new Reader<unknown>(iterator)
    const other = await client.onEvent('points')
    await other.publish({ n: 1, at: new Point(5), since: new Date(0) } as Event)
    const [event] = await reader.count(1)
    expect(event).toEqual({ n: 1, at: new Point(5), since: new Date(0) })
    expect((event as { at: unknown }).at).toBeInstanceOf(Point)
    await iterator.return()
    await other.return()
  })

  test('a header with another value is ignored', async () => {
    const server = createServer((_, response) => {
      response.setHeader('content-type', 'application/json').setHeader('x-orpc-dei', '0').end('{"json":"no token"}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const { RPCLink } = await import('@orpc/client/fetch')
    const { DurableEventIteratorLinkPlugin } = await import('../../../npm/durable-event-iterator/src/orpc-v1/index.ts')
    const link = new RPCLink({ url: at, plugins: [new DurableEventIteratorLinkPlugin({ url: url() })] })
    const client = createORPCClient(link) as unknown as AppClient
    expect(await client.onEvent('any')).toBe('no token')
    await new Promise((resolve) => server.close(resolve))
  })
})

// The plugins of `DurableIterator` with an oRPC server, an oRPC client and oRPC's plugins.

import { BatchLinkPlugin, ClientRetryPlugin } from '@orpc/client/plugins'
import { call, os } from '@orpc/server'
import { RPCHandler } from '@orpc/server/fetch'
import { BatchHandlerPlugin, CORSPlugin } from '@orpc/server/plugins'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import {
  DurableEventIterator,
  DurableEventIteratorHandlerPlugin,
  DurableIterator,
  DurableIteratorHandlerPlugin,
  getClientDurableIteratorToken,
  parseDurableIteratorToken,
} from '../../../npm/durable-event-iterator/src/index.ts'
import { SIGNING_KEY } from '../../support/client.ts'
import { startJournals } from '../../support/journals.ts'
import type { Journals } from '../../support/journals.ts'
import { Reader, startApplication } from '../support/app.ts'
import type { Application, Journal } from '../support/app.ts'

const options = { signingKey: SIGNING_KEY }
const router = {
  follow: os.handler(() => new DurableIterator<Journal>('some-room', { ...options, tags: ['t'] }).rpc('publish')),
  onEvent: os.handler(() => new DurableEventIterator<Journal>('some-room', options)),
  plain: os.handler(() => 'no token'),
}

describe('the handler plugin', () => {
  const answer = async (plugins: object[], path: string): Promise<Response> => {
    const handler = new RPCHandler(router, { plugins: plugins as never })
    const headers = { 'content-type': 'application/json', origin: 'https://page.example' }
    const request = new Request(`https://app.example/rpc/${path}`, { method: 'POST', headers, body: '{}' })
    return (await handler.handle(request, { prefix: '/rpc', context: {} })).response!
  }

  test.each<[string, object[]]>([
    ['alone', [new DurableIteratorHandlerPlugin()]],
    ['with the DurableEventIteratorHandlerPlugin', [new DurableEventIteratorHandlerPlugin(), new DurableIteratorHandlerPlugin()]],
    ['in the other order', [new DurableIteratorHandlerPlugin(), new DurableEventIteratorHandlerPlugin()]],
    ['with the batch plugin', [new BatchHandlerPlugin(), new DurableIteratorHandlerPlugin()]],
  ])('sends tokens of both kinds with their headers, %s', async (_, plugins) => {
    const names = ['x-orpc-durable-iterator', 'x-orpc-dei']
    const headers = async (path: string): Promise<unknown> => {
      const response = await answer(plugins, path)
      return names.map((name) => response.headers.get(name))
    }
    expect(await headers('follow')).toEqual(['1', null])
    expect(await headers('onEvent')).toEqual([null, '1'])
    expect(await headers('plain')).toEqual([null, null])
    const { json, ...rest } = (await (await answer(plugins, 'follow')).json()) as { json: string }
    expect(rest).toEqual({})
    expect(parseDurableIteratorToken(json)).toMatchObject({ chn: 'some-room', rpc: ['publish'], tags: ['t'] })
  })

  test('sends a header that pages of another origin can read if CORS exposes it', async () => {
    const cors = new CORSPlugin({ exposeHeaders: ['x-orpc-durable-iterator'] })
    const response = await answer([cors, new DurableIteratorHandlerPlugin()], 'follow')
    expect(response.headers.get('access-control-expose-headers')).toBe('x-orpc-durable-iterator')
    expect(response.headers.get('x-orpc-durable-iterator')).toBe('1')
  })

  test('must be installed: without it, the token is not disclosed, and the error names the plugin', async () => {
    await expect(answer([], 'follow')).rejects.toThrow('add the DurableIteratorHandlerPlugin to the plugins of the handler')
  })
})

test('on the server the iterator has a token, and iteration fails with a clear error', async () => {
  const iterator = await call(router.follow, undefined)
  expect(parseDurableIteratorToken(getClientDurableIteratorToken(iterator))).toMatchObject({ chn: 'some-room' })
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

  const url = (): URL => new URL('/upgrade/USUAL', journals.url)

  test("works with oRPC's batch and retry plugins", async () => {
    const plugins = [
      new BatchLinkPlugin({ groups: [{ condition: () => true, context: {} }] }),
      new ClientRetryPlugin({ default: { retry: 3, retryDelay: 1 } }),
    ]
    const client = app.follower({ url: url() }, { plugins })
    const [one, other, plain] = await Promise.all([client.follow('second-batch'), client.follow('second-batch-2'), client.plain()])
    expect(plain).toBe('no token')
    const reader = new Reader(one)
    await journals.stub('USUAL', 'second-batch', 'publish', { n: 1 })
    expect(await reader.count(1)).toEqual([{ n: 1 }])
    expect(await other.whoAmI()).toBe('me')
    await Promise.all([one.return(), other.return()])
  })

  test('passes interceptors and plugins to the calls over the socket, but not to token refreshes', async () => {
    const calls: string[] = []
    const interceptors = [
      async ({ path, next }: { path: readonly string[]; next: () => Promise<unknown> }) => {
        calls.push(path.join('/'))
        return next()
      },
    ]
    app.policy.tokenTTLSeconds = 4
    const renewing = { refreshTokenBeforeExpireInSeconds: 3.6, refreshTokenDelayInSeconds: 0.1 }
    const client = app.follower({ url: url(), ...renewing, interceptors, plugins: [new ClientRetryPlugin()] })
    const iterator = await client.follow('second-intercepted')
    await iterator.whoAmI(undefined, { context: { retry: 1 } })
    await expect.poll(() => app.issued.length).toBeGreaterThan(1)
    await iterator.whoAmI()
    await iterator.return()
    expect(calls).toEqual(['call', 'call'])
  })
})

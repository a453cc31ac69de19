// A Worker in TypeScript that routes to the Rust Durable Object of another script.

import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { upgradeDurableEventIteratorRequest, upgradeDurableIteratorRequest } from '../../npm/durable-event-iterator/src/stub/index.ts'
import type { UpgradeDurableIteratorRequestInterceptor } from '../../npm/durable-event-iterator/src/stub/index.ts'
import { signToken } from '../../npm/durable-event-iterator/src/token/token.ts'
import { SIGNING_KEY, token } from '../support/client.ts'
import { startJournals } from '../support/journals.ts'
import type { Journals } from '../support/journals.ts'
import { upgradeAnswer } from '../support/socket.ts'
import { startApplication, Reader } from './support/app.ts'

const WORKER = `
  import { upgradeDurableEventIteratorRequest, upgradeDurableIteratorRequest } from './npm/durable-event-iterator/src/stub/index.ts'

  const onlyForMe = async ({ payload, next }) =>
    payload.att === 'me' ? next() : new Response('Not for you.', { status: 403 })

  export default {
    async fetch(request, env) {
      const { pathname } = new URL(request.url)
      const interceptors = pathname.endsWith('/mine') ? [onlyForMe] : []
      const upgrade = pathname.startsWith('/second') ? upgradeDurableIteratorRequest : upgradeDurableEventIteratorRequest
      return upgrade(request, { signingKey: env.KEYS, namespace: env.ROOM, interceptors })
    },
  }`

let journals: Journals
let at: URL
beforeAll(async () => {
  const { outputFiles } = await build({
    stdin: { contents: WORKER, resolveDir: new URL('../..', import.meta.url).pathname, loader: 'ts' },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
  })
  journals = await startJournals({
    workers: [
      {
        name: 'router',
        source: outputFiles[0]!.text,
        variables: { KEYS: [SIGNING_KEY, 'another'] },
        durableObjects: { ROOM: { className: 'UsualJournal', scriptName: 'objects' } },
      },
    ],
  })
  at = new URL(await journals.urlOf('router'))
  at.protocol = 'ws:'
})
afterAll(() => journals.dispose())

const upgrade = (query: string, path = '/'): Promise<unknown> => upgradeAnswer(new URL(`${path}?${query}`, at))

test('a request without a WebSocket upgrade is rejected', async () => {
  const response = await journals.fetch(new URL(`/?token=${await token({ chn: 'a' })}`, await journals.urlOf('router')))
  expect([response.status, await response.text()]).toEqual([426, 'Expected WebSocket upgrade'])
})

test('a request without a WebSocket upgrade is first rejected for an invalid token, readable by pages of any origin', async () => {
  for (const [query, status, text] of [
    [`token=${await token({ chn: 'a' }, 'unknown')}`, 401, 'Invalid Token'],
    [`token=${await token({ chn: 'a' })}&id=a%20b`, 400, 'Invalid ID'],
    ['', 426, 'Expected WebSocket upgrade'],
  ] as const) {
    const response = await journals.fetch(new URL(`/?${query}`, await journals.urlOf('router')))
    expect([response.status, await response.text()]).toEqual([status, text])
    expect(response.headers.get('access-control-allow-origin')).toBe('*')
  }
})

test.each<[string, () => Promise<string> | string, number, string]>([
  ['no token', () => '', 401, 'Token is required'],
  ['an empty token', () => 'token=', 401, 'Token is required'],
  ['an empty token after a valid one', async () => `token=${await token({ chn: 'a' })}&token=`, 401, 'Token is required'],
  ['garbage', () => 'token=garbage', 401, 'Invalid Token'],
  ['a token of an unknown signing key', async () => `token=${await token({ chn: 'a' }, 'unknown')}`, 401, 'Invalid Token'],
  ['an expired token', async () => `token=${await token({ chn: 'a', iat: 0, exp: 1 })}`, 401, 'Invalid Token'],
  ['an invalid id', async () => `token=${await token({ chn: 'a' })}&id=a%20b`, 400, 'Invalid ID'],
  ['a valid token', async () => `token=${await token({ chn: 'a' })}`, 101, ''],
  ['several tokens, the last of which is valid', async () => `token=garbage&token=${await token({ chn: 'a' })}&id=some-id`, 101, ''],
  ['a token of a signing key that the Durable Object does not have', async () => `token=${await token({ chn: 'a' }, 'another')}`, 401, 'Invalid Token'],
])('%s', async (_, query, status, text) => {
  expect(await upgrade(await query())).toEqual({ status, text })
})

/** Signs a `DurableIterator` token, including those that the public function would reject. */
const second = (claims: object = {}, key = SIGNING_KEY): Promise<string> => {
  const iat = Math.floor(Date.now() / 1_000)
  return signToken({ chn: 'a', iat, exp: iat + 60, ...claims }, key, 'DurableIterator')
}
const query = async (signed: Promise<string>, id?: string): Promise<string> =>
  new URLSearchParams({ token: await signed, ...(id === undefined ? {} : { id }) }).toString()

describe.each(['/', '/second'])('with a DurableIterator token at %s', (path) => {
  test.each<[string, () => Promise<string>, number, string]>([
    ['a token without an id', () => query(second()), 401, 'ID is required'],
    ['a token with an empty id', () => query(second(), ''), 401, 'ID is required'],
    ['a token with an invalid id', () => query(second(), 'a b'), 400, 'Invalid ID'],
    ['a token of an unknown signing key', () => query(second({}, 'unknown'), 'id'), 401, 'Invalid Token'],
    ['an expired token', () => query(second({ exp: 1 }), 'id'), 401, 'Invalid Token'],
    ['eleven tags', () => query(second({ tags: Array.from({ length: 11 }, (_, n) => `${n}`) }), 'id'), 400, 'Invalid tags: expected at most 10 tags of 1-256 UTF-8 bytes'],
    ['a tag of 300 bytes', () => query(second({ tags: ['漢'.repeat(100)] }), 'id'), 400, 'Invalid tags: expected at most 10 tags of 1-256 UTF-8 bytes'],
    ['a valid token', () => query(second({ tags: ['t'] }), 'id'), 101, ''],
    ['a valid DurableEventIterator token', () => query(token({ chn: 'a' })), 101, ''],
  ])('%s', async (_, at, status, text) => {
    expect(await upgrade(await at(), path)).toEqual({ status, text })
  })
})

test('an interceptor of upgradeDurableIteratorRequest receives the claims too', async () => {
  expect(await upgrade(await query(second({ att: 'me' }), 'id'), '/second/mine')).toEqual({ status: 101, text: '' })
  expect(await upgrade(await query(second(), 'id'), '/second/mine')).toEqual({ status: 403, text: 'Not for you.' })
})

test('an interceptor receives the claims and can return another response', async () => {
  expect(await upgrade(`token=${await token({ chn: 'a', att: 'me' })}`, '/mine')).toEqual({ status: 101, text: '' })
  expect(await upgrade(`token=${await token({ chn: 'a', att: 'you' })}`, '/mine')).toEqual({ status: 403, text: 'Not for you.' })
})

test('clients of both kinds subscribe and call through it', async () => {
  const app = await startApplication()
  const iterators = [
    await app.client({ url: at }).onEvent('routed'),
    await app.follower({ url: new URL('/second', at) }).follow('routed'),
  ]
  const readers = iterators.map((iterator) => new Reader(iterator))
  await journals.stub('USUAL', 'routed', 'publish', { n: 1 })
  for (const reader of readers) expect(await reader.count(1)).toEqual([{ n: 1 }])
  for (const iterator of iterators) {
    expect(await iterator.whoAmI()).toBe('me')
    await iterator.return()
  }
  await app.dispose()
})

describe('without a Worker', () => {
  const request = async (): Promise<Request> =>
    new Request(`https://example.com/?token=${await token({ chn: 'a' })}`, { headers: { upgrade: 'WebSocket' } })

  test.each(['retryable', 'overloaded'])('a failure that is %s is 503 with Retry-After, other failures are thrown', async (flag) => {
    const failing = (error: unknown) => ({ idFromName: (name: string) => ({ name }), get: () => ({ fetch: () => Promise.reject(error) }) })
    const options = { signingKey: SIGNING_KEY, namespace: failing(Object.assign(new Error('by a test'), { [flag]: true })) }
    const response = await upgradeDurableIteratorRequest(await request(), options)
    expect([response.status, await response.text(), response.headers.get('retry-after')]).toEqual([503, 'Service Unavailable', '2'])
    for (const error of [new Error('by a test'), undefined, null, 'text']) {
      await expect(upgradeDurableIteratorRequest(await request(), { ...options, namespace: failing(error) })).rejects.toBe(error)
    }
  })

  test('the Durable Object receives the unchanged request, and the first interceptor is the outermost', async () => {
    const steps: string[] = []
    const step = (name: string): UpgradeDurableIteratorRequestInterceptor => async ({ payload, next }) => {
      steps.push(`${name} ${payload.chn}`)
      const response = await next()
      steps.push(`${name} ${response.status}`)
      return response
    }
    const asked = await request()
    const namespace = {
      idFromName: (name: string) => ({ name }),
      get: (id: { name: string }, got?: { locationHint: string }) => ({
        fetch: async (forwarded: Request) => {
          steps.push(`object ${id.name} ${got?.locationHint} ${forwarded === asked}`)
          return new Response(null, { status: 204 })
        },
      }),
    }
    const namespaceGetOptions = { locationHint: 'weur' }
    const options = { signingKey: SIGNING_KEY, namespace, namespaceGetOptions, interceptors: [step('outer'), step('inner')] }
    expect((await upgradeDurableEventIteratorRequest(asked, options)).status).toBe(204)
    expect((await upgradeDurableIteratorRequest(asked, options)).status).toBe(204)
    expect(steps.splice(0, 5)).toEqual(steps)
    expect(steps).toEqual(['outer a', 'inner a', 'object a weur true', 'inner 204', 'outer 204'])
  })
})

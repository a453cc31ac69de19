// A Worker in TypeScript that routes to the Rust object of another script.

import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { upgradeDurableEventIteratorRequest } from '../../npm/src/durable-object/index.ts'
import type { UpgradeDurableEventIteratorRequestInterceptor } from '../../npm/src/durable-object/index.ts'
import { SIGNING_KEY, token } from '../support/client.ts'
import { startJournals } from '../support/journals.ts'
import type { Journals } from '../support/journals.ts'
import { upgradeAnswer } from '../support/socket.ts'
import { startApplication, Reader } from './support/app.ts'

const WORKER = `
  import { upgradeDurableEventIteratorRequest } from './npm/src/durable-object/index.ts'

  const onlyForMe = async ({ payload, next }) =>
    payload.att === 'me' ? next() : new Response('Not for you.', { status: 403 })

  export default {
    async fetch(request, env) {
      const interceptors = new URL(request.url).pathname === '/mine' ? [onlyForMe] : []
      return upgradeDurableEventIteratorRequest(request, { signingKey: env.KEYS, namespace: env.ROOM, interceptors })
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

test('a request that asks for no WebSocket is told so', async () => {
  const response = await journals.fetch(new URL(`/?token=${await token({ chn: 'a' })}`, await journals.urlOf('router')))
  expect([response.status, await response.text()]).toEqual([426, 'Expected WebSocket upgrade'])
})

test.each<[string, () => Promise<string> | string, number, string]>([
  ['no token', () => '', 401, 'Token is required'],
  ['an empty token', () => 'token=', 401, 'Token is required'],
  ['an empty token after a good one', async () => `token=${await token({ chn: 'a' })}&token=`, 401, 'Token is required'],
  ['garbage', () => 'token=garbage', 401, 'Invalid Token'],
  ['a token of a key that is not known', async () => `token=${await token({ chn: 'a' }, 'unknown')}`, 401, 'Invalid Token'],
  ['an expired token', async () => `token=${await token({ chn: 'a', iat: 0, exp: 1 })}`, 401, 'Invalid Token'],
  ['an id that is none', async () => `token=${await token({ chn: 'a' })}&id=a%20b`, 400, 'Invalid ID'],
  ['a good token', async () => `token=${await token({ chn: 'a' })}`, 101, ''],
  ['the last token good', async () => `token=garbage&token=${await token({ chn: 'a' })}&id=some-id`, 101, ''],
  ['a token of a key that only the Worker knows: the object decides', async () => `token=${await token({ chn: 'a' }, 'another')}`, 401, 'Invalid Token'],
])('%s', async (_, query, status, text) => {
  expect(await upgrade(await query())).toEqual({ status, text })
})

test('an interceptor sees what the token says and may answer in place of the object', async () => {
  expect(await upgrade(`token=${await token({ chn: 'a', att: 'me' })}`, '/mine')).toEqual({ status: 101, text: '' })
  expect(await upgrade(`token=${await token({ chn: 'a', att: 'you' })}`, '/mine')).toEqual({ status: 403, text: 'Not for you.' })
})

test('a client subscribes and calls through it', async () => {
  const app = await startApplication()
  const iterator = await app.client({ url: at }).onEvent('routed')
  const reader = new Reader(iterator)
  await journals.stub('USUAL', 'routed', 'publish', { n: 1 })
  expect(await reader.count(1)).toEqual([{ n: 1 }])
  expect(await iterator.whoAmI()).toBe('me')
  await iterator.return()
  await app.dispose()
})

describe('without a Worker', () => {
  const request = async (): Promise<Request> =>
    new Request(`https://example.com/?token=${await token({ chn: 'a' })}`, { headers: { upgrade: 'WebSocket' } })

  test('the object gets the request as it came, and interceptors go from the first to the last and back', async () => {
    const steps: string[] = []
    const step = (name: string): UpgradeDurableEventIteratorRequestInterceptor => async ({ payload, next }) => {
      steps.push(`${name} ${payload.chn}`)
      const response = await next()
      steps.push(`${name} ${response.status}`)
      return response
    }
    const asked = await request()
    const namespace = {
      idFromName: (name: string) => ({ name }),
      get: (id: { name: string }) => ({
        fetch: async (forwarded: Request) => {
          steps.push(`object ${id.name} ${forwarded === asked}`)
          return new Response(null, { status: 204 })
        },
      }),
    }
    const options = { signingKey: SIGNING_KEY, namespace, interceptors: [step('outer'), step('inner')] }
    expect((await upgradeDurableEventIteratorRequest(asked, options)).status).toBe(204)
    expect(steps).toEqual(['outer a', 'inner a', 'object a true', 'inner 204', 'outer 204'])
  })
})

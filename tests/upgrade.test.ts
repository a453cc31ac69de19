import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { SIGNING_KEY, token } from './support/client.ts'
import { token as durableIteratorToken } from './support/durable-iterator.ts'
import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket, upgradeAnswer } from './support/socket.ts'

let journals: Journals
const log: string[] = []
beforeAll(async () => {
  journals = await startJournals({ onLog: (line) => log.push(line) })
})
afterAll(() => journals.dispose())

const url = (query: string, path = '/upgrade/USUAL'): URL => new URL(path + query, journals.url.href.replace('http', 'ws'))
const now = (): number => Date.now() / 1000
const base64url = (text: string): string => Buffer.from(text).toString('base64url')

test('a request without a WebSocket upgrade is rejected', async () => {
  const response = await journals.fetch(`/upgrade/USUAL?token=${await token({ chn: 'a' })}`)
  expect([response.status, await response.text()]).toEqual([426, 'Expected WebSocket upgrade'])
})

test('a request without a WebSocket upgrade is first rejected for an invalid token, readable by pages of any origin', async () => {
  for (const [query, status, text] of [
    [`token=${await token({ chn: 'a' }, 'another key')}`, 401, 'Invalid Token'],
    [`token=${await token({ chn: 'a' })}&id=a%20b`, 400, 'Invalid ID'],
    ['', 426, 'Expected WebSocket upgrade'],
  ] as const) {
    const response = await journals.fetch(`/upgrade/USUAL?${query}`)
    expect([response.status, await response.text()]).toEqual([status, text])
    expect(response.headers.get('access-control-allow-origin')).toBe('*')
  }
})

describe('an upgrade is rejected', () => {
  const required = { status: 401, text: 'Token is required' }
  const invalid = { status: 401, text: 'Invalid Token' }
  test.each<[string, () => Promise<string> | string, { status: number; text: string }]>([
    ['without a token', () => '', required],
    ['with an empty token', () => '?token=', required],
    ['with garbage', () => '?token=garbage', invalid],
    ['with a token signed by another key', async () => `?token=${await token({ chn: 'a' }, 'another key')}`, invalid],
    ['with an expired token', async () => `?token=${await token({ chn: 'a', iat: now() - 100, exp: Math.floor(now()) - 1 })}`, invalid],
    ['with a changed token', async () => `?token=${(await token({ chn: 'a' })).replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))}`, invalid],
    [
      'with a token that says it needs no signature',
      async () => `?token=${base64url('{"alg":"none"}')}.${(await token({ chn: 'a' })).split('.')[1]}.`,
      invalid,
    ],
    ['with claims of the wrong types', async () => `?token=${await token({ chn: 7 as unknown as string })}`, invalid],
    ['when the last of several tokens is invalid', async () => `?token=${await token({ chn: 'a' })}&token=garbage`, invalid],
    ['with an invalid connection id', async () => `?token=${await token({ chn: 'a' })}&id=${'x'.repeat(129)}`, { status: 400, text: 'Invalid ID' }],
    [
      'with a token of more than 8 KiB',
      async () => `?token=${await token({ chn: 'a', att: 'x'.repeat(6_100) })}`,
      invalid,
    ],
  ])('%s', async (_, query, answer) => {
    expect(await upgradeAnswer(url(await query()))).toEqual(answer)
  })
})

test.each([
  ['a valid token', async () => `?token=${await token({ chn: 'a' })}`],
  ['several tokens, the last of which is valid', async () => `?token=garbage&token=${await token({ chn: 'a' })}`],
  ['a token and a connection id', async () => `?token=${await token({ chn: 'a' })}&id=some-id`],
])('an upgrade with %s opens a socket', async (_, query) => {
  expect(await upgradeAnswer(url(await query()))).toEqual({ status: 101, text: '' })
})

test('the upgrade header is case-insensitive', async () => {
  const { request } = await import('node:http')
  const status = await new Promise((resolve, reject) => {
    const headers = {
      Connection: 'Upgrade',
      Upgrade: 'WebSocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    }
    token({ chn: 'a' }).then((good) => {
      const upgrade = request(new URL(`/upgrade/USUAL?token=${good}`, journals.url), { headers })
      upgrade.on('upgrade', (response, socket) => {
        socket.destroy()
        resolve(response.statusCode)
      })
      upgrade.on('response', (response) => resolve(response.statusCode))
      upgrade.on('error', reject)
      upgrade.end()
    }, reject)
  })
  expect(status).toBe(101)
})

test('a channel can have any name', async () => {
  for (const chn of ['ünï/cödé?&=#', ' ', '__proto__', 'x'.repeat(500)]) {
    expect(await upgradeAnswer(url(`?token=${await token({ chn })}`))).toEqual({ status: 101, text: '' })
  }
})

test('an inspection receives the claims and can reject them', async () => {
  const upgrade = async (att: unknown): Promise<unknown> => upgradeAnswer(url(`?token=${await token({ chn: 'a', att })}`, '/guarded/USUAL'))
  expect(await upgrade('sesame')).toEqual({ status: 101, text: '' })
  expect(await upgrade('please')).toEqual({ status: 403, text: 'Say the word.' })
  expect(await upgrade(7)).toEqual({ status: 500, text: 'Internal server error' })
  await expect.poll(() => log.join('\n')).toMatch(/the inspection of an upgrade request failed: INTERNAL_SERVER_ERROR/)
})

test('a jurisdiction is passed to the runtime, for upgrades and for publishing', async () => {
  // The local runtime does not support jurisdictions: its error shows that the jurisdiction was passed.
  const upgrade = await upgradeAnswer(url(`?token=${await token({ chn: 'confined' })}`, '/eu/upgrade/USUAL'))
  expect(upgrade.status).toBe(500)
  await expect.poll(() => log.join('\n')).toMatch(/jurisdiction/i)
  const body = JSON.stringify({ json: { n: 1 } })
  const published = await journals.fetch('/eu/relay/USUAL/confined', { method: 'POST', body })
  expect(published.status).toBe(500)
  expect(await published.text()).toBe('INTERNAL_SERVER_ERROR Internal server error')
})

test('the Durable Object itself rejects a request that a Worker forwards without verification', async () => {
  const forwarder = `export default {
    fetch(request, env) { return env.USUAL.getByName('not-that-one').fetch(request) }
  }`
  const workers = await startJournals({
    workers: [{ name: 'forwarder', source: forwarder, durableObjects: { USUAL: { className: 'UsualJournal', scriptName: 'objects' } } }],
  })
  try {
    const at = new URL(await workers.urlOf('forwarder'))
    at.protocol = 'ws:'
    at.search = `token=${await token({ chn: 'this-one' })}`
    expect(await upgradeAnswer(at)).toEqual({ status: 401, text: 'Invalid Token' })
    at.search = `token=${await token({ chn: 'not-that-one' }, 'another key')}`
    expect(await upgradeAnswer(at)).toEqual({ status: 401, text: 'Invalid Token' })
    at.search = `token=${await token({ chn: 'not-that-one' })}`
    expect(await upgradeAnswer(at)).toEqual({ status: 101, text: '' })
  } finally {
    await workers.dispose()
  }
})

describe('a Durable Object that is accessed by an id without a name, as from another dev process', () => {
  const FORWARDER = `export default {
    async fetch(request, env) {
      const { pathname } = new URL(request.url)
      const [, name, method] = pathname.split('/')
      const stub = env.USUAL.get(env.USUAL.idFromString(env.USUAL.idFromName(name).toString()))
      return method ? Response.json(await stub[method](await request.json())) : stub.fetch(request)
    }
  }`
  const start = (scriptName: string): Promise<Journals> =>
    startJournals({
      onLog: (line) => log.push(line),
      workers: [
        { name: 'forwarder', source: FORWARDER, durableObjects: { USUAL: { className: 'UsualJournal', scriptName } } },
        // Defines the classes without a binding.
        { name: 'unbound', crate: 'tests/worker', variables: { SIGNING_KEY } },
      ],
    })
  const address = async (workers: Journals, name: string, signed: string): Promise<URL> => {
    const at = new URL(`/${name}`, await workers.urlOf('forwarder'))
    at.protocol = 'ws:'
    at.search = `token=${signed}&id=some-id`
    return at
  }

  test('serves its channel if its Worker binds its namespace, also after hibernation, and with token refreshes', async () => {
    const workers = await start('objects')
    try {
      const socket = await BareSocket.open(await address(workers, 'here', await durableIteratorToken({ chn: 'here' })))
      socket.send({ i: 's', p: { u: '/subscribe', b: {} } })
      await socket.frames(1)
      const at = new URL('/here/publish', await workers.urlOf('forwarder'))
      await workers.fetch(at, { method: 'POST', body: '{"n":1}' })
      expect((await socket.frames(2))[1]).toMatchObject({ p: { d: { json: { n: 1 } } } })
      const renew = async (i: string, chn: string): Promise<void> =>
        socket.send({ i, p: { u: '/updateToken', b: { json: { token: await durableIteratorToken({ chn }) } } } })
      await renew('1', 'elsewhere')
      expect((await socket.frames(3))[2]).toMatchObject({ i: '1', p: { s: 401 } })
      await renew('2', 'here')
      expect((await socket.frames(4))[3]).toEqual({ i: '2', p: { b: {} } })
      socket.vanish()
      expect(await upgradeAnswer(await address(workers, 'here', await token({ chn: 'elsewhere' })))).toEqual({ status: 401, text: 'Invalid Token' })
      // A Durable Object without an earlier request does not know its name.
      expect(await upgradeAnswer(await address(workers, 'there', await token({ chn: 'elsewhere' })))).toMatchObject({ status: 500 })
      expect(await upgradeAnswer(await address(workers, 'there', await token({ chn: 'there' })))).toEqual({ status: 101, text: '' })
    } finally {
      await workers.dispose()
    }
  })

  test('reports what to do if its name cannot be verified', async () => {
    const workers = await start('unbound')
    try {
      const { status, text } = await upgradeAnswer(await address(workers, 'here', await token({ chn: 'here' })))
      expect(status).toBe(500)
      expect(text).toMatch(/^This Durable Object has no name.*wrangler dev -c a\/wrangler.toml -c b\/wrangler.toml/)
      await expect.poll(() => log.some((line) => line.includes(text))).toBe(true)
    } finally {
      await workers.dispose()
    }
  })
})

test.each<[string, string[]]>([
  ['eleven tags', Array.from({ length: 11 }, (_, n) => `tag ${n}`)],
  ['a tag of 100 characters that are 300 bytes', ['漢'.repeat(100)]],
  ['an empty tag', ['']],
])('a token with %s is rejected with the limit', async (_, tags) => {
  const answer = await upgradeAnswer(url(`?token=${await durableIteratorToken({ chn: 'tags', tags })}&id=some-id`))
  expect(answer).toEqual({ status: 400, text: 'Invalid tags: expected at most 10 tags of 1-256 UTF-8 bytes' })
})

test('a token with the maximum number and length of tags opens a socket', async () => {
  const tags = Array.from({ length: 10 }, (_, n) => `${n}${'漢'.repeat(85)}`)
  expect(await upgradeAnswer(url(`?token=${await durableIteratorToken({ chn: 'tags', tags })}&id=some-id`))).toEqual({ status: 101, text: '' })
})

test('neither a token nor the signing key is in the log', async () => {
  const good = await token({ chn: 'secret' })
  await upgradeAnswer(url(`?token=${good}`))
  await upgradeAnswer(url(`?token=${good}x`))
  const socket = await BareSocket.open(url(`?token=${good}`))
  socket.send('{"i":"1","p":{"u":"/call","b":{"json":{"path":["nope"]}}}}')
  await socket.frames(1)
  socket.vanish()
  expect(log.filter((line) => line.includes(SIGNING_KEY) || line.includes(good.slice(-20)))).toEqual([])
})

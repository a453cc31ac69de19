// Reading channels over HTTP: pages, server-sent events, long polling and calls.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createORPCClient } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { ClientRetryPlugin } from '@orpc/client/plugins'

import { CLIENT_VERSIONS, token } from './support/client.ts'
import type { Claims } from './support/client.ts'
import { EventStream } from './support/event-stream.ts'
import { token as durableIteratorToken } from './support/durable-iterator.ts'
import { isRust, startJournals } from './support/journals.ts'
import type { Binding, Journals } from './support/journals.ts'

const READ_KEY = 'the read key of the tests'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

const publish = (chn: string, event: object, ...options: [object?]): Promise<string> => journals.stub('USUAL', chn, 'publish', event, ...options)

async function publishNumbers(chn: string, count: number): Promise<string[]> {
  const ids: string[] = []
  for (let n = 1; n <= count; n++) ids.push(await publish(chn, { n }))
  return ids
}

function url(chn: string, query: Record<string, string | number> = {}, binding: Binding = 'USUAL', last = 'events'): URL {
  const address = new URL(`/http/${binding}/${encodeURIComponent(chn)}/${last}`, journals.url)
  for (const [name, value] of Object.entries(query)) address.searchParams.append(name, `${value}`)
  return address
}

const bearer = async (claims: Claims): Promise<Record<string, string>> => ({ authorization: `Bearer ${await token(claims)}` })

async function page(chn: string, query: Record<string, string | number> = {}, binding: Binding = 'USUAL', claims: object = {}): Promise<any> {
  const response = await journals.fetch(url(chn, query, binding), { headers: await bearer({ chn, ...claims }) })
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json'])
  return response.json()
}

async function stream(chn: string, query: Record<string, string | number> = {}, headers: object = {}, binding: Binding = 'USUAL'): Promise<EventStream> {
  return EventStream.open(url(chn, query, binding), { headers: { ...(await bearer({ chn })), ...headers } })
}

const numbers = ({ events }: any): number[] => events.map(({ json }: any) => json.n)
const ns = ({ messages }: EventStream): number[] => messages.map(({ n }) => n)

/** Resolves when a Durable Object has this number of open sockets. */
async function sockets(chn: string, number: number): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const open = (await journals.stub('USUAL', chn, 'kept')).length
    if (open === number) return
    if (attempt > 200) throw new Error(`${open} sockets`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

describe('a page', () => {
  test('has the events after a position, with a token in the header or the query', async () => {
    const chn = 'a page/ü'
    const ids = await publishNumbers(chn, 3)
    expect(await page(chn)).toEqual({ events: ids.map((id, n) => ({ id, json: { n: n + 1 } })), next: ids[2], gap: null, more: false })
    expect(await page(chn, { limit: 1 })).toMatchObject({ next: ids[0], more: true })
    expect(numbers(await page(chn, { after: ids[0]! }))).toEqual([2, 3])
    expect(numbers(await page(chn, { since: Number(ids[1]) / 1e6 }))).toEqual([2, 3])
    expect(numbers(await page(chn, { since: new Date(0).toISOString() }))).toEqual([1, 2, 3])
    expect(numbers(await page(chn, { last: 1 }))).toEqual([3])
    const response = await journals.fetch(url(chn, { token: await token({ chn }), last: 0 }))
    expect([response.headers.get('cache-control'), await response.json()]).toEqual(['no-store', { events: [], next: ids[2], gap: null, more: false }])
  })

  test('has only the events of its reader', async () => {
    const chn = 'page-audiences'
    await publish(chn, { n: 1 })
    await publish(chn, { n: 2 }, { to: ['anna'] })
    expect(numbers(await page(chn))).toEqual([1])
    expect(numbers(await page(chn, { id: 'anna' }))).toEqual([1, 2])
    expect(numbers(await page(chn, {}, 'USUAL', { 'dei:audience': 'every' }))).toEqual([1, 2])
    const response = await journals.fetch(url(chn), { headers: { authorization: `Bearer ${READ_KEY}` } })
    expect(numbers(await response.json())).toEqual([1, 2])
  })

  test('reports a gap', async () => {
    for (let n = 1; n <= 20; n++) await journals.stub('FEW', 'page-gap', 'publish', { n })
    expect((await page('page-gap', { after: '1' }, 'FEW')).gap).toMatch(/^\d+$/)
  })
})

describe('server-sent events', () => {
  test('are the events since the token, then live events, in oRPC\u2019s format', async () => {
    const chn = 'sse'
    const first = await publish(chn, { n: 1 })
    const events = await stream(chn)
    const headers = (name: string) => events.response.headers.get(name)
    expect([headers('content-type'), headers('cache-control')]).toEqual(['text/event-stream', 'no-store, no-transform'])
    const second = await publish(chn, { n: 2 }, { retry: 7, comments: ['a', 'b: "m":{'] })
    await events.count(2)
    expect(events.received).toEqual([
      { comment: '' },
      { event: 'message', id: first, data: { json: { n: 1 } } },
      { event: 'message', id: second, retry: 7, comment: 'a\nb: "m":{', data: { json: { n: 2 } } },
    ])
    await events.close()
  })

  test('begin at a position, and resume by Last-Event-ID', async () => {
    const chn = 'sse-position'
    const ids = await publishNumbers(chn, 4)
    const read = async (query: Record<string, string | number>, headers: object = {}): Promise<number[]> => {
      const events = await stream(chn, query, headers)
      await publish(chn, { n: 0 })
      await events.until(({ messages }) => messages.at(-1)?.n === 0)
      await events.close()
      return ns(events).filter((n) => n !== 0)
    }
    expect(await read({ after: ids[1]! })).toEqual([3, 4])
    expect(await read({ since: Number(ids[2]) / 1e6 })).toEqual([3, 4])
    expect(await read({ last: 0 })).toEqual([])
    expect(await read({ after: ids[0]! }, { 'last-event-id': ids[2]! })).toEqual([4])
    const events = await stream(chn, { last: 9 })
    await events.count(8)
    expect(ns(events).slice(0, 5)).toEqual([1, 2, 3, 4, 0])
    await events.close()
  })

  test('report a gap in a header and as an event', async () => {
    const chn = 'sse-gap'
    for (let n = 1; n <= 20; n++) await journals.stub('FEW', chn, 'publish', { n })
    for (const query of [{ after: '1' }, { since: 0 }]) {
      const events = await stream(chn, query, {}, 'FEW')
      await events.count(1)
      const gap = events.response.headers.get('x-durable-event-gap')
      expect(Number(gap)).toBeLessThanOrEqual(Number(events.events[1]!.id))
      expect(events.events[0]).toEqual({ event: 'gap', data: { json: { nextEventId: gap } } })
      await events.close()
    }
  })

  test('report a gap in the middle of a stream', async () => {
    const chn = 'sse-gap-later'
    const events = await stream(chn)
    await publish(chn, { n: 1 })
    await events.count(1)
    await journals.stub('USUAL', chn, 'wipe')
    await journals.evict({ worker: 'objects', className: 'UsualJournal', name: chn }, 'close')
    await events.until(({ events }) => events.length === 2)
    const last = await publish(chn, { n: 2 })
    await events.count(2)
    expect(events.events.map(({ event }) => event)).toEqual(['message', 'gap', 'message'])
    expect(Number(events.events[1]!.data.json.nextEventId)).toBeLessThanOrEqual(Number(last))
    expect(events.response.headers.get('x-durable-event-gap')).toBeNull()
    await events.close()
  })

  test('continue when the Durable Object is evicted or has closed the connection', async () => {
    const chn = 'sse-evicted'
    const events = await stream(chn)
    await publish(chn, { n: 1 })
    await events.count(1)
    await journals.hibernate('USUAL', chn)
    await publish(chn, { n: 2 })
    await events.count(2)
    for (let n = 3; n <= 5; n++) {
      await journals.evict({ worker: 'objects', className: 'UsualJournal', name: chn }, 'close')
      await publish(chn, { n })
      await events.count(n)
    }
    expect(ns(events)).toEqual([1, 2, 3, 4, 5])
    await events.close()
  })

  test('end with the token', async () => {
    const chn = 'sse-expiry'
    const exp = Math.floor(Date.now() / 1000) + 2
    const events = await EventStream.open(url(chn), { headers: await bearer({ chn, exp }) })
    await publish(chn, { n: 1 })
    await events.count(1)
    await new Promise((resolve) => setTimeout(resolve, exp * 1000 - Date.now() + 10))
    await publish(chn, { n: 2 })
    await events.end()
    expect(events.events.slice(1)).toEqual([{ event: 'done', data: {} }])
  })

  test('that the client closes close the socket of the Durable Object, with the next event or keep-alive', async () => {
    const chn = 'sse-abort'
    const [first, second] = [await stream(chn), await stream(chn)]
    await first.read()
    await sockets(chn, 2)
    await first.close()
    await publish(chn, { n: 1 })
    await sockets(chn, 1)
    const aborted = new AbortController()
    const third = await EventStream.open(url(chn), { headers: await bearer({ chn }), signal: aborted.signal })
    await sockets(chn, 2)
    aborted.abort()
    await publish(chn, { n: 2 })
    await sockets(chn, 1)
    await Promise.all([second.close(), third.close()])
    await publish(chn, { n: 3 })
    await sockets(chn, 0)
  })

  test('with the read key begin with the next event, and include every audience', async () => {
    const chn = 'sse-key'
    await publish(chn, { n: 1 })
    const events = await EventStream.open(url(chn), { headers: { authorization: `Bearer ${READ_KEY}` } })
    await publish(chn, { n: 2 }, { to: ['anna'] })
    await events.count(1)
    expect(ns(events)).toEqual([2])
    await events.close()
  })
})

describe('a long poll', () => {
  test('responds when an event arrives', async () => {
    const chn = 'poll'
    const [id] = await publishNumbers(chn, 1)
    const waiting = page(chn, { after: id!, wait: 20 })
    await sockets(chn, 1)
    const second = await publish(chn, { n: 2 })
    expect(await waiting).toEqual({ events: [{ id: second, json: { n: 2 } }], next: second, gap: null, more: false })
    await sockets(chn, 0)
  })

  test('responds at once if there are events, and with an empty page after its time', async () => {
    const chn = 'poll-now'
    const [id] = await publishNumbers(chn, 1)
    expect(numbers(await page(chn, { wait: 20 }))).toEqual([1])
    const before = Date.now()
    expect(await page(chn, { after: id!, wait: 1 })).toEqual({ events: [], next: id, gap: null, more: false })
    expect(Date.now() - before).toBeGreaterThanOrEqual(950)
  })

  test.for([
    ['the newest events', { last: 0 }],
    ['a later time', { since: 4e9 }],
  ] as const)('contains the first event of a channel, also if it starts with %s', async ([kind, query]) => {
    const chn = `poll-first ${kind}`
    const waiting = page(chn, { ...query, wait: 20 })
    await sockets(chn, 1)
    const id = await publish(chn, { n: 1 })
    expect(await waiting).toEqual({ events: [{ id, json: { n: 1 } }], next: id, gap: null, more: false })
  })

  test('contains no event from after the end of the token', async () => {
    const chn = 'poll-expiry'
    const exp = Math.floor(Date.now() / 1000) + 2
    const waiting = page(chn, { wait: 20 }, 'USUAL', { exp })
    await sockets(chn, 1)
    await new Promise((resolve) => setTimeout(resolve, exp * 1000 - Date.now() + 10))
    await publish(chn, { n: 1 })
    expect((await waiting).events).toEqual([])
  })

  test('loses no event that is published at the same time', async () => {
    const chn = 'poll-race'
    const wanted = 60
    let after: string | null = null
    const read: number[] = []
    const publishing = (async () => {
      for (let n = 1; n <= wanted; n++) await publish(chn, { n })
    })()
    while (read.length < wanted) {
      const { events, next } = await page(chn, { wait: 5, limit: 7, ...(after !== null && { after }) })
      read.push(...events.map(({ json }: any) => json.n))
      after = next
    }
    await publishing
    expect(read).toEqual(Array.from({ length: wanted }, (_, n) => n + 1))
  })
})

describe('a call', () => {
  const rpc = ['router', 'extra', 'whoAmI', 'publishMessage']
  const chn = 'calls'

  async function post(body: BodyInit | undefined, headers: object = {}, claims: object = {}): Promise<Response> {
    const authorization = await bearer({ chn, rpc, att: { userId: 'user-1' }, ...claims })
    return journals.fetch(url(chn, {}, 'CALLS', 'call'), { method: 'POST', headers: { ...authorization, ...headers }, ...(body !== undefined && { body }) })
  }
  const call = (path: string[], input?: unknown): Promise<Response> =>
    post(JSON.stringify({ json: { path, input } }), { 'content-type': 'application/json' })

  test('responds as over a socket', async () => {
    const pong = await call(['router', 'ping'])
    expect([pong.status, pong.headers.get('content-type'), await pong.json()]).toEqual([200, 'application/json', { json: 'pong' }])
    expect(await (await call(['router', 'echo'], { text: 'a "b": {c}' })).json()).toEqual({ json: 'Echo: a "b": {c}' })
    const forbidden = await call(['secret'])
    expect([forbidden.status, ((await forbidden.json()) as any).json.code]).toEqual([403, 'FORBIDDEN'])
    const teapot = await call(['extra', 'throwTeapot'])
    expect([teapot.status, ((await teapot.json()) as any).json]).toMatchObject([418, { code: 'MY_CODE', message: 'teapot' }])
    const types: any = await (await call(['extra', 'types'])).json()
    expect(types.json.big).toBe('12345678901234567890')
  })

  test.each(['{"json":', '{"json":{"path":["router","ping"]}}},"t":4,"x":{{', '{}},"i":"2"', '\xff', '[]', 'null', '5'])('with the body %j is an error and changes no other', async (body) => {
    const response = await post(body, { 'content-type': 'application/json' })
    expect([400, 404]).toContain(response.status)
    expect((await (await call(['router', 'ping'])).json() as any).json).toBe('pong')
  })

  test('rejects other methods, tokens, types and the read key', async () => {
    const status = async (init: RequestInit): Promise<number> => (await journals.fetch(url(chn, {}, 'CALLS', 'call'), init)).status
    expect(await status({ headers: await bearer({ chn, rpc }) })).toBe(405)
    expect(await status({ method: 'POST' })).toBe(401)
    expect(await status({ method: 'POST', headers: { authorization: `Bearer ${READ_KEY}` } })).toBe(403)
    expect((await post('x', { 'content-type': 'text/event-stream' })).status).toBe(415)
    expect((await post(JSON.stringify({ json: 'x'.repeat(2_000_000) }), { 'content-type': 'application/json' })).status).toBe(413)
  })

  /** A client of an unmodified oRPC link. */
  function client(claims: object = {}): any {
    const link = new RPCLink({
      url: url(chn, {}, 'CALLS', '').href,
      headers: () => bearer({ chn, rpc, att: { userId: 'user-1' }, ...claims }),
    })
    return createORPCClient(link)
  }
  const run = (path: string[], input?: unknown, options?: object): Promise<any> => client().call(input === undefined ? { path } : { path, input }, options)

  test('works with oRPC\u2019s fetch link: values, files, errors and streams', async () => {
    expect(await run(['router', 'ping'])).toBe('pong')
    const everything = await run(['extra', 'types'])
    expect(everything.set.has('two')).toBe(true)
    expect(everything.big).toBe(12345678901234567890n)
    const file = await run(['extra', 'getFile'])
    expect([file.name, file.size, file.type]).toEqual(['näme "q".bin', 6, 'application/x-test'])
    const described = await run(['extra', 'fileInObject'], { d: new File(['some text'], 'f.txt', { type: 'text/plain' }) })
    expect(described).toEqual({ d: 'File:f.txt:text/plain:9', text: 'some text' })
    await expect(run(['extra', 'throwOrpc'])).rejects.toMatchObject({ code: 'CONFLICT', status: 409, data: { n: 1n } })
    await expect(run(['extra', 'throwPlain'])).rejects.toMatchObject({ code: 'INTERNAL_SERVER_ERROR', message: 'Internal server error' })
    const items: unknown[] = []
    for await (const item of await run(['extra', 'stream'])) items.push(item)
    expect(items).toEqual([{ n: 1 }, { n: 2, when: new Date(0) }, 3])
    const failing = await run(['extra', 'failing'], 'HALF')
    expect(await failing.next()).toMatchObject({ value: 1 })
    await expect(failing.next()).rejects.toMatchObject({ code: 'HALF', data: new Date(0) })
    const resumed: unknown[] = []
    for await (const { n } of await run(['extra', 'resumed'], undefined, { lastEventId: '1' })) resumed.push(n)
    expect(resumed).toEqual([2, 3])
  })
})

describe('with oRPC\u2019s fetch link', () => {
  test.each(CLIENT_VERSIONS)('of %s, `subscribe` is an iterator over the events, which the retry plugin resumes', async (version) => {
    const chn = `fetch-link-${version}`
    const [{ RPCLink }, { createORPCClient }, { ClientRetryPlugin }] = await Promise.all([
      import(`orpc-client-${version}/fetch`), import(`orpc-client-${version}`), import(`orpc-client-${version}/plugins`),
    ])
    let requests = 0
    let cut = (): void => {}
    const link = new RPCLink({
      url: url(chn, {}, 'USUAL', '').href,
      headers: () => bearer({ chn }),
      plugins: [new ClientRetryPlugin({ default: { retry: Number.POSITIVE_INFINITY, retryDelay: 10 } })],
      // Each response can be cut, as by a lost connection.
      fetch: async (request: Request) => {
        requests++
        const response = await fetch(request)
        const lost = new Promise<never>((_, reject) => {
          cut = () => reject(new TypeError('network error'))
        })
        lost.catch(() => {})
        const reader = response.body!.getReader()
        const body = new ReadableStream({
          pull: async (controller) => {
            const { done, value } = await Promise.race([reader.read(), lost])
            if (done) controller.close()
            else controller.enqueue(value)
          },
        })
        return new Response(body, response)
      },
    })
    const iterator = await (createORPCClient(link) as any).subscribe()
    const seen: number[] = []
    const take = async (): Promise<void> => void seen.push((await iterator.next()).value.n)
    await publish(chn, { n: 1 })
    await take()
    for (let n = 2; n <= 4; n++) {
      cut()
      await publish(chn, { n })
      await take()
    }
    expect([seen, requests]).toEqual([[1, 2, 3, 4], 4])
    await iterator.return?.()
  })

  test('by GET too', async () => {
    const chn = 'fetch-link-get'
    const link = new RPCLink({ url: url(chn, {}, 'USUAL', '').href, headers: () => bearer({ chn }), method: 'GET', plugins: [new ClientRetryPlugin()] })
    const iterator: any = await (createORPCClient(link) as any).subscribe()
    await publish(chn, { n: 1 })
    expect((await iterator.next()).value).toEqual({ n: 1 })
    await iterator.return?.()
  })
})

describe('a request is rejected', () => {
  const chn = 'rejected'

  async function rejected(query: Record<string, string>, headers: object = {}, last = 'events'): Promise<[number, string]> {
    const response = await journals.fetch(url(chn, query, 'USUAL', last), { headers: { ...(await bearer({ chn })), ...headers } })
    const { json } = (await response.json()) as any
    expect(json).toMatchObject({ defined: false, status: response.status })
    return [response.status, json.message]
  }

  test.each([
    [{ limit: '0' }, 'limit: expected an integer from 1 to 1000'],
    [{ limit: '1e2' }, 'limit'],
    [{ wait: '0' }, 'wait: expected an integer from 1 to 60'],
    [{ wait: '61' }, 'wait'],
    [{ last: '1001' }, 'last: expected an integer from 0 to 1000'],
    [{ since: 'yesterday' }, 'since: expected seconds since 1970, or a date and time such as 2026-01-31T12:00:00Z'],
    [{ after: '' }, 'after: expected the id of an event'],
    [{ after: '1', last: '1' }, 'last: expected at most one of after, since and last'],
    [{ last: '1', limit: '1' }, 'limit: it does not apply to last'],
    [{ id: 'a b' }, 'id: expected a connection id of 1–128 visible ASCII characters'],
    [{ channel: 'x' }, 'channel: the path contains the channel already'],
    [{ Last: '1' }, 'Unknown query parameter "Last"'],
    [{ data: '{}' }, 'Unknown query parameter "data"'],
  ])('with the parameters %j', async (query, message) => {
    const [status, text] = await rejected(query)
    expect([status, text]).toEqual([400, expect.stringContaining(message)])
  })

  test.each([[{ limit: '1' }, 'limit'], [{ wait: '1' }, 'wait']])('with parameters of pages for server-sent events: %j', async (query, message) => {
    expect(await rejected(query, { accept: 'text/event-stream' })).toEqual([400, `${message}: it does not apply to server-sent events`])
  })

  test('with a repeated parameter', async () => {
    const address = url(chn, { after: '1' })
    address.searchParams.append('after', '2')
    const response = await journals.fetch(address, { headers: await bearer({ chn }) })
    expect(((await response.json()) as any).json.message).toBe('after: expected at most one value')
  })

  test.each(['text/event-stream', 'application/json'])('without a valid token, for %s', async (accept) => {
    const status = async (authorization?: string, query = {}): Promise<number> =>
      (await journals.fetch(url(chn, query), { headers: { accept, ...(authorization !== undefined && { authorization }) } })).status
    expect(await status()).toBe(401)
    expect(await status(undefined, { token: '' })).toBe(401)
    for (const text of ['Bearer', 'Bearer x', 'Basic eA==', `Bearer ${await token({ chn })}x`, await token({ chn }), 'Bearer the read key of the test']) {
      expect(await status(text), text).toBe(401)
    }
    const past = Math.floor(Date.now() / 1000) - 10
    expect(await status(`Bearer ${await token({ chn, iat: past - 10, exp: past })}`)).toBe(401)
    expect(await status(`Bearer ${await token({ chn: 'other' })}`)).toBe(403)
    expect(await status(`Bearer ${await token({ chn }, 'another key')}`)).toBe(401)
    // The key is no token, and the header counts if there are both.
    expect(await status(undefined, { token: READ_KEY })).toBe(401)
    expect(await status('Bearer x', { token: await token({ chn }) })).toBe(401)
    const second = await durableIteratorToken({ chn })
    expect(await status(`Bearer ${second}`)).toBe(400)
  })

  test('with another path or method', async () => {
    const headers = await bearer({ chn })
    const status = async (path: string, method = 'GET'): Promise<number> => (await journals.fetch(path, { headers, method })).status
    for (const path of ['/http/USUAL', '/http/USUAL/', '/http/USUAL/a/b/events', '/http/USUAL/rejected', '/http/USUAL/rejected/', '/http/USUAL/rejected/event', '/http/USUAL//events']) {
      expect(await status(path), path).toBe(404)
    }
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) if (method !== 'OPTIONS') expect(await status('/http/USUAL/rejected/events', method)).toBe(405)
    expect(await status('/http/USUAL/%FF/events')).toBe(400)
    expect(await status(`/http/USUAL/${'x'.repeat(600)}/events`)).toBe(400)
    expect(await status('/http/USUAL/events?channel=')).toBe(400)
  })
})

test('a channel of any name is read by the query', async () => {
  for (const chn of ['.', '..', 'a/b', 'ü ?&=+']) {
    await publish(chn, { n: 1 })
    const address = new URL('/http/USUAL/events', journals.url)
    address.searchParams.set('channel', chn)
    const response = await journals.fetch(address, { headers: await bearer({ chn }) })
    expect(numbers(await response.json()), chn).toEqual([1])
  }
})

test('HEAD responds with the headers', async () => {
  const chn = 'head'
  const head = async (accept: string): Promise<unknown[]> => {
    const response = await journals.fetch(url(chn), { method: 'HEAD', headers: { ...(await bearer({ chn })), accept } })
    return [response.status, response.headers.get('content-type'), await response.text()]
  }
  expect(await head('*/*')).toEqual([200, 'application/json', ''])
  expect(await head('text/event-stream')).toEqual([200, 'text/event-stream', ''])
  expect((await journals.fetch(url(chn), { method: 'HEAD' })).status).toBe(401)
})

test('pages of allowed origins may read, errors too', async () => {
  const chn = 'cors'
  const origin = 'https://friend.example'
  const preflight = await journals.fetch(url(chn), {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization,last-event-id' },
  })
  expect(preflight.status).toBe(204)
  const of = (response: Response) => ['allow-origin', 'allow-credentials', 'allow-headers', 'max-age'].map((name) => response.headers.get(`access-control-${name}`))
  expect(of(preflight)).toEqual([origin, 'true', 'authorization,last-event-id', '60'])
  const headers = await bearer({ chn })
  for (const accept of ['text/event-stream', 'application/json']) {
    const response = await journals.fetch(url(chn), { headers: { ...headers, origin, accept } })
    expect(response.headers.get('access-control-allow-origin')).toBe(origin)
    expect(response.headers.get('access-control-expose-headers')).toContain('x-durable-event-gap')
    await response.body?.cancel()
    const other = await journals.fetch(url(chn), { headers: { ...headers, origin: 'https://evil.example', accept } })
    expect([other.headers.get('access-control-allow-origin'), other.headers.get('vary')]).toEqual([null, 'origin'])
    await other.body?.cancel()
  }
  const rejected = await journals.fetch(url(chn), { headers: { origin } })
  expect([rejected.status, rejected.headers.get('access-control-allow-origin')]).toEqual([401, origin])
})

/** Counts the characters that are sent over WebSockets. */
const COUNTING = `
export * from './index.js'
import * as worker from './index.js'
let sent = 0
const { send } = WebSocket.prototype
WebSocket.prototype.send = function (message) {
  sent += message.length ?? message.byteLength
  return send.call(this, message)
}
const own = worker.default
const handle = (request, env, ctx) => (typeof own === 'function' ? new own(ctx, env).fetch(request) : own.fetch(request, env, ctx))
export default {
  fetch: (request, env, ctx) => (new URL(request.url).pathname === '/sent' ? Response.json(sent) : handle(request, env, ctx)),
}`

test('a reader that does not read is sent a bounded amount, and receives everything when it reads', { timeout: 60_000 }, async () => {
  const counting = await startJournals({ front: COUNTING })
  try {
    const chn = 'slow'
    const count = 200
    const events = await EventStream.open(new URL(`/http/ROOMY/${chn}/events`, counting.url), { headers: await bearer({ chn }) })
    await events.read()
    const text = 'x'.repeat(100_000)
    for (let n = 1; n <= count; n++) await counting.stub('ROOMY', chn, 'publish', { n, text })
    // Also what the network buffers: some megabytes.
    const sent = (await (await counting.fetch('/sent')).json()) as number
    expect(sent).toBeLessThan(12_000_000)
    await events.count(count)
    expect(ns(events)).toEqual(Array.from({ length: count }, (_, n) => n + 1))
    await events.close()
  } finally {
    await counting.dispose()
  }
})

test('a client resumes by the id of its last event after the runtime was killed', { timeout: 60_000 }, async () => {
  const persistence = await mkdtemp(join(tmpdir(), 'http-reading-'))
  const lasting = await startJournals({ persistence })
  try {
    const chn = 'killed'
    const read = async (headers: object = {}): Promise<EventStream> => {
      const address = new URL(`/http/USUAL/${chn}/events`, lasting.url)
      return EventStream.open(address, { headers: { ...(await bearer({ chn })), ...headers } })
    }
    const first = await read()
    await lasting.stub('USUAL', chn, 'publish', { n: 1 })
    await first.count(1)
    const id = first.events[0]!.id!
    await lasting.kill()
    await expect(first.end()).rejects.toThrow()
    await lasting.stub('USUAL', chn, 'publish', { n: 2 })
    const second = await read({ 'last-event-id': id })
    await second.count(1)
    expect([ns(second), second.response.headers.get('x-durable-event-gap')]).toEqual([[2], null])
    await second.close()
  } finally {
    await lasting.dispose()
    await rm(persistence, { recursive: true })
  }
})

test('a stream without events has a comment every 15 seconds', async () => {
  const events = await stream('quiet')
  const before = Date.now()
  await events.until(({ received }) => received.length === 3)
  expect(events.received).toEqual([{ comment: '' }, { comment: '' }, { comment: '' }])
  expect(Math.round((Date.now() - before) / 15_000)).toBe(2)
  await events.close()
}, 45_000)

if (isRust) {
  describe('a Worker in Rust', () => {
    /** Reads lines of `relay::events` until the condition is met. */
    async function lines(chn: string, wanted: object, until: (lines: string[]) => boolean, started: () => Promise<void> = async () => {}, binding: Binding = 'USUAL'): Promise<string[]> {
      const relay = await journals.urlOf('relay')
      const response = await fetch(new URL(`/relay-events/${binding}/${chn}`, relay), { method: 'POST', body: JSON.stringify(wanted) })
      if (response.status !== 200) return [`${response.status} ${await response.text()}`]
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
      const begun = started()
      let text = ''
      while (!until(text.split('\n').slice(0, -1))) {
        const { done, value } = await reader.read()
        if (done) return text.split('\n')
        text += value
      }
      await begun
      await reader.cancel().catch(() => {})
      return text.split('\n').slice(0, -1)
    }

    test('subscribes to events, and resumes after each loss', async () => {
      const chn = 'rust-stream'
      await publish(chn, { n: 0 })
      const ids: string[] = []
      const read = await lines(chn, {}, ({ length }) => length >= 4, async () => {
        await sockets(chn, 1)
        ids.push(await publish(chn, { n: 1 }))
        await journals.hibernate('USUAL', chn)
        ids.push(await publish(chn, { n: 2 }, { retry: 5, comments: ['a', 'b'] }))
        await journals.evict({ worker: 'objects', className: 'UsualJournal', name: chn }, 'close')
        ids.push(await publish(chn, { n: 3 }))
        await publish(chn, { n: 9 }, { to: ['anna'] })
        ids.push(await publish(chn, { n: 4 }))
      })
      expect(read).toEqual([`${ids[0]} {"n":1} None `, `${ids[1]} {"n":2} Some(5ms) a|b`, `${ids[2]} {"n":3} None `, `${ids[3]} {"n":4} None `])
      await publish(chn, { n: 5 })
      await sockets(chn, 0)
    })

    test('begins at a position, for an audience', async () => {
      const chn = 'rust-positions'
      const ids = await publishNumbers(chn, 3)
      await publish(chn, { n: 4 }, { tags: ['staff'] })
      const read = async (wanted: object, count: number): Promise<number[]> =>
        (await lines(chn, wanted, ({ length }) => length >= count)).map((line) => JSON.parse(line.split(' ')[1]!).n)
      expect(await read({ last: 2 }, 2)).toEqual([2, 3])
      expect(await read({ after: ids[0] }, 2)).toEqual([2, 3])
      expect(await read({ since: Number(ids[2]) / 1e6, everyAudience: true }, 2)).toEqual([3, 4])
      expect(await read({ last: 2, tags: ['staff'] }, 2)).toEqual([3, 4])
    })

    test('receives a gap', async () => {
      const chn = 'rust-gap'
      for (let n = 1; n <= 20; n++) await journals.stub('FEW', chn, 'publish', { n })
      const [first, second] = await lines(chn, { after: '1' }, ({ length }) => length >= 2, undefined, 'FEW')
      expect(first).toMatch(/^gap \d+$/)
      expect(Number(first!.split(' ')[1])).toBeLessThanOrEqual(Number(second!.split(' ')[0]))
    })

    test('reads pages', async () => {
      const chn = 'rust-pages'
      const ids = await publishNumbers(chn, 3)
      const [first, second, end] = await lines(chn, { page: true, after: ids[0], limit: 2 }, () => false)
      expect([first, second, end]).toEqual([`${ids[1]} {"n":2} None `, `${ids[2]} {"n":3} None `, `Some("${ids[2]}") None false`])
    })

    test('receives an error for invalid options', async () => {
      const tooMany = Array.from({ length: 11 }, (_, n) => `t${n}`)
      for (const wanted of [{ last: 1001 }, { tags: tooMany }, { page: true, limit: 0 }]) {
        expect((await lines('rust-invalid', wanted, () => true))[0]).toMatch(/^400 .*BAD_REQUEST/)
      }
    })
  })
}

// Access keys: secrets with rights on the channels of a prefix, and the requests that need them.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { Client, SIGNING_KEY, token } from './support/client.ts'
import { connect as connectDurableIterator } from './support/durable-iterator.ts'
import type { Journals } from './support/journals.ts'
import { startWorkers } from './support/workerd.ts'
import type { RunningWorkers, WorkerDefinition } from './support/workerd.ts'

const PUBLISH_KEY = 'the publish key of the tests'
const READ_KEY = 'the read key of the tests'
const INSPECT_KEY = 'the inspect key of the tests'
const ACCESS_KEYS = [
  { key: 'billing secret', name: 'billing', prefix: 'orders/', rights: ['publish'] },
  { key: 'monitor secret', name: 'monitor', rights: ['stats'] },
  { key: 'moderator secret', prefix: 'rööms/', rights: ['disconnect', 'read'] },
  { key: 'two entries', prefix: 'a/', rights: ['read'] },
  { key: 'two entries', prefix: 'b/', rights: ['publish'] },
]

const variables = { SIGNING_KEY, PUBLISH_KEY, READ_KEY, INSPECT_KEY, ACCESS_KEYS: JSON.stringify(ACCESS_KEYS) }

interface Endpoint {
  definition: Omit<WorkerDefinition, 'name' | 'variables'>
  prefix: string
}

/** The endpoint in a Worker in Rust, and in one in TypeScript. */
const ENDPOINTS: [string, Endpoint][] = [
  [
    'the generic Worker',
    {
      definition: { crate: '.', durableObjects: { CHANNEL: { className: 'DurableEventIteratorObject' } } } as Endpoint['definition'],
      prefix: '/channels',
    },
  ],
  [
    'a Worker in TypeScript',
    {
      definition: {
        entry: 'tests/worker-typescript/index.ts',
        define: { BASE_CLASS: '"DurableIteratorObject"' },
        durableObjects: { USUAL: { className: 'UsualJournal' } },
      } as Endpoint['definition'],
      prefix: '/keys/USUAL',
    },
  ],
]

const start = (definition: Endpoint['definition'], values: object, onLog?: (line: string) => void): Promise<RunningWorkers> =>
  startWorkers({
    workers: [{ name: 'worker', ...definition, variables: values as Record<string, string> } as WorkerDefinition],
    ...(onLog === undefined ? {} : { onLog }),
  })

/** The requests that need a right: method, last segment of the path, and body. */
const REQUESTS = {
  publish: [['POST', '/events', '{}'], ['POST', '/batch', '[{"event":{}}]']],
  read: [['GET', '/events', undefined], ['GET', '/presence', undefined]],
  stats: [['GET', '', undefined], ['GET', '/connections', undefined]],
  disconnect: [['POST', '/disconnect', '{"everyone":true}'], ['POST', '/revoke', '{"subject":"nobody"}']],
} as const
type Right = keyof typeof REQUESTS
const RIGHTS = Object.keys(REQUESTS) as Right[]

describe.each(ENDPOINTS)('%s', (_, { definition, prefix }) => {
  let worker: RunningWorkers
  const log: string[] = []
  beforeAll(async () => {
    worker = await start(definition, variables, (line) => log.push(line))
  })
  afterAll(() => worker.dispose())

  const request = (key: string | undefined, method: string, channel: string, last: string, body?: string): Promise<Response> =>
    worker.fetch(`${prefix}/${encodeURIComponent(channel)}${last}`, {
      method,
      headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
      ...(body === undefined ? {} : { body }),
    })
  const problem = async (response: Response): Promise<unknown[]> => {
    const { json } = (await response.json()) as { json: { code: string } }
    return [response.status, json.code]
  }

  test.each([
    [PUBLISH_KEY, 'any', ['publish']],
    [READ_KEY, 'any', ['read']],
    [INSPECT_KEY, 'any', RIGHTS],
    ['billing secret', 'orders/7', ['publish']],
    ['billing secret', 'orders/', ['publish']],
    ['billing secret', 'orders', []],
    ['billing secret', 'Orders/7', []],
    ['billing secret', 'x/orders/7', []],
    ['billing secret', 'orders%2F7', []],
    ['monitor secret', 'orders/7', ['stats']],
    ['moderator secret', 'rööms/1', ['disconnect', 'read']],
    ['moderator secret', 'rooms/1', []],
    ['two entries', 'a/1', ['read']],
    ['two entries', 'b/1', ['publish']],
    ['two entries', 'c/1', []],
  ] as [string, string, Right[]][])('the key %j has on the channel %j the rights %j', async (key, channel, rights) => {
    for (const right of RIGHTS) {
      for (const [method, last, body] of REQUESTS[right]) {
        const response = await request(key, method, channel, last, body)
        if (rights.includes(right)) {
          // The Durable Object has responded: presence, for example, may be off.
          expect([200, 201, 404, 501], `${method} ${last}`).toContain(response.status)
          await response.body?.cancel()
        } else {
          expect(await problem(response), `${method} ${last}`).toEqual([403, 'FORBIDDEN'])
        }
      }
    }
  })

  test.each([
    undefined,
    '',
    ' ',
    'a guess',
    ` ${PUBLISH_KEY}`,
    PUBLISH_KEY.slice(1),
    `${PUBLISH_KEY}x`,
    PUBLISH_KEY.toUpperCase(),
    SIGNING_KEY,
    JSON.stringify(ACCESS_KEYS),
    'x'.repeat(300),
  ])('the key %j is unknown', async (key) => {
    for (const [method, last, body] of Object.values(REQUESTS).flat()) {
      expect(await problem(await request(key, method, 'orders/7', last, body)), `${method} ${last}`).toEqual([401, 'UNAUTHORIZED'])
    }
  })

  test("a client's token reads, and allows nothing that needs a key", async () => {
    const signed = await token({ chn: 'any' })
    for (const [method, last, body] of Object.values(REQUESTS).flat()) {
      const response = await request(signed, method, 'any', last, body)
      expect(response.status, `${method} ${last}`).toBe(method === 'GET' && last === '/events' ? 200 : 401)
      await response.body?.cancel()
    }
    // A key in the query is not read: it would be in logs.
    const inQuery = await worker.fetch(`${prefix}/any?token=${encodeURIComponent(INSPECT_KEY)}`)
    expect(inQuery.status).toBe(401)
  })

  test('a rejected key is named, and its secret is neither in the response nor in the log', async () => {
    const response = await request('billing secret', 'GET', 'orders/7', '')
    const { json } = (await response.json()) as any
    expect(json.message).toBe('The access key "billing" does not have the right `stats` on this channel.')
    expect(log.join('\n')).not.toMatch(/secret|of the tests/)
  })

  test('the channel can be in the query, and must be one of the key', async () => {
    const publish = (query: string): Promise<Response> =>
      worker.fetch(`${prefix}/events?${query}`, { method: 'POST', body: '{}', headers: { authorization: 'Bearer billing secret' } })
    expect((await publish('channel=orders%2F7')).status).toBe(201)
    expect((await publish('channel=rooms')).status).toBe(403)
    expect((await publish('channel=orders%2F7&channel=rooms')).status).toBe(400)
    expect((await publish('')).status).toBe(400)
    const stats = await worker.fetch(`${prefix}/stats?channel=orders%2F7`, { headers: { authorization: 'Bearer billing secret' } })
    expect(stats.status).toBe(403)
    const path = await worker.fetch(`${prefix}/orders%2F7/events?channel=rooms`, {
      method: 'POST',
      body: '{}',
      headers: { authorization: 'Bearer billing secret' },
    })
    expect(path.status).toBe(400)
  })

  test.each([
    ['GET', '/batch'],
    ['PUT', '/batch'],
    ['POST', ''],
    ['DELETE', ''],
    ['POST', '/connections'],
    ['POST', '/presence'],
    ['GET', '/disconnect'],
    ['GET', '/revoke'],
  ])('%s %s is not supported', async (method, last) => {
    expect((await request(INSPECT_KEY, method, 'any', last)).status).toBe(405)
  })

  test.each([
    ['GET', '?limit=1'],
    ['GET', '?timeline=0'],
    ['GET', '?timeline=241'],
    ['GET', '?timeline=1&timeline=1'],
    ['GET', '/connections?limit=0'],
    ['GET', '/connections?limit=1001'],
    ['GET', '/connections?after='],
    ['GET', '/presence?limit=1'],
    ['POST', '/disconnect', 'not JSON'],
    ['POST', '/disconnect', '[]'],
    ['POST', '/disconnect', 'null'],
    ['POST', '/revoke', ''],
    ['POST', '/revoke?subject=anna', '{"subject":"anna"}'],
  ])('%s %s with the body %j is rejected', async (method, last, body?: string) => {
    expect(await problem(await request(INSPECT_KEY, method, 'any', last, body))).toEqual([400, 'BAD_REQUEST'])
  })

  test('a body of options that is too large is rejected unread', async () => {
    const body = JSON.stringify({ to: ['x'.repeat(100_000)] })
    expect(await problem(await request(INSPECT_KEY, 'POST', 'any', '/disconnect', body))).toEqual([413, 'PAYLOAD_TOO_LARGE'])
  })

  test('an event is published with an audience, a retry delay and comments', async () => {
    const channel = 'with options'
    const connect = (id: string, tags: string[]): Promise<Client> =>
      prefix === '/channels'
        ? connectTo(worker, channel, id, tags)
        : connectDurableIterator({ url: worker.url } as Journals, 'USUAL', { chn: channel, tags }, { id })
    const [anna, bert] = [await connect('anna', ['staff']), await connect('bert', [])]
    const [ofAnna, ofBert] = [await anna.subscribe(), await bert.subscribe()]
    const publish = async (query: string, n: number): Promise<void> => {
      const response = await request(PUBLISH_KEY, 'POST', channel, `/events?${query}`, JSON.stringify({ n }))
      expect(response.status, query).toBe(201)
      await response.body?.cancel()
    }
    await publish('to=anna', 1)
    await publish('to=bert&to=nobody', 2)
    await publish('tags=staff', 3)
    await publish('except=anna', 4)
    await publish('retry=1234&comments=one&comments=two', 5)
    const last = (n: number) => (subscription: typeof ofAnna) => subscription.events.at(-1)?.n === n
    await ofAnna.until(last(5))
    await ofBert.until(last(5))
    expect(ofAnna.events.map(({ n }) => n)).toEqual([1, 3, 5])
    expect(ofBert.events.map(({ n }) => n)).toEqual([2, 4, 5])
    expect(ofBert.received.at(-1)?.meta).toMatchObject({ retry: 1234, comments: ['one', 'two'] })
    for (const client of [anna, bert]) client.close()
  })

  test('the inspector is served without a key', async () => {
    const page = prefix === '/channels' ? await worker.fetch('/inspect') : undefined
    if (page === undefined) return // the test Worker has no route for it
    expect([page.status, page.headers.get('content-type')]).toEqual([200, expect.stringContaining('text/html')])
    expect(await page.text()).not.toContain(INSPECT_KEY)
    expect((await worker.fetch('/inspect/no-such-asset')).status).toBe(404)
  })
})

describe.each(ENDPOINTS)('%s without keys', (_, { definition, prefix }) => {
  let worker: RunningWorkers
  beforeAll(async () => {
    worker = await start(definition, { SIGNING_KEY })
  })
  afterAll(() => worker.dispose())

  test('serves none of the requests that need one', async () => {
    const status = async (method: string, last: string): Promise<number> => {
      const headers = { authorization: 'Bearer x' }
      const response = await worker.fetch(`${prefix}/any${last}`, { method, headers, ...(method === 'POST' ? { body: '{}' } : {}) })
      await response.body?.cancel()
      return response.status
    }
    for (const last of ['', '/stats', '/connections', '/presence']) expect(await status('GET', last), last).toBe(404)
    for (const last of ['/batch', '/disconnect', '/revoke']) expect(await status('POST', last), last).toBe(404)
    expect((await worker.fetch('/inspect')).status).toBe(404)
    // The generic Worker expects a publish key, and logs that it is missing.
    expect(await status('POST', '/events')).toBe(prefix === '/channels' ? 500 : 405)
  })
})

describe.each(ENDPOINTS)('%s with invalid access keys', (_, { definition, prefix }) => {
  test.each([
    ['geheim', 'expected JSON, found a syntax error at line 1, column 1'],
    ['[{"key":"geheim","rights":["write"]}]', '[0].rights[0]: expected "publish", "read", "disconnect" or "stats"'],
    ['[{"key":"geheim","rights":["read"]},{"geheim":1}]', '[1].rights: expected a non-empty array of publish, read, disconnect and stats'],
  ])('reports the problem in the log, without the key: %j', async (json, expected) => {
    const log: string[] = []
    const worker = await start(definition, { ...variables, ACCESS_KEYS: json }, (line) => log.push(line))
    try {
      for (const [method, last, body] of Object.values(REQUESTS).flat()) {
        const response = await worker.fetch(`${prefix}/any${last}`, {
          method,
          headers: { authorization: `Bearer ${INSPECT_KEY}` },
          ...(body === undefined ? {} : { body }),
        })
        expect([response.status, await response.text()], `${method} ${last}`).toEqual([500, expect.not.stringContaining('geheim')])
      }
      const text = log.join('\n')
      expect(text).toContain(`the access keys (the secret ACCESS_KEYS) are invalid: ${expected}`)
      expect(text).not.toContain('geheim')
      // Clients with a token are served.
      const read = await worker.fetch(`${prefix}/any/events`, { headers: { authorization: `Bearer ${await token({ chn: 'any' })}` } })
      expect(read.status).toBe(200)
    } finally {
      await worker.dispose()
    }
  })
})

/** Connects a `DurableIterator` client to the generic Worker, whose upgrades are at its root. */
async function connectTo(worker: RunningWorkers, chn: string, id: string, tags: string[]): Promise<Client> {
  const { token: sign } = await import('./support/durable-iterator.ts')
  const url = new URL(worker.url)
  url.protocol = 'ws:'
  url.searchParams.set('token', await sign({ chn, tags }))
  url.searchParams.set('id', id)
  return Client.connect(url.href, { version: '1.16.1' })
}

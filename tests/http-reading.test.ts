// Reading channels over HTTP: pages, server-sent events, long polling and calls.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { token } from './support/client.ts'
import type { Claims } from './support/client.ts'
import { EventStream } from './support/event-stream.ts'
import { startJournals } from './support/journals.ts'
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

  test('that the client closes close the socket of the Durable Object', async () => {
    const chn = 'sse-abort'
    const [first, second] = [await stream(chn), await stream(chn)]
    await first.read()
    await sockets(chn, 2)
    await first.close()
    await sockets(chn, 1)
    const aborted = new AbortController()
    const third = await EventStream.open(url(chn), { headers: await bearer({ chn }), signal: aborted.signal })
    await sockets(chn, 2)
    aborted.abort()
    await sockets(chn, 1)
    await Promise.all([second.close(), third.close()])
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

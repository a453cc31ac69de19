// Batches: several events in one call, stored in order, all or none.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { SIGNING_KEY } from './support/client.ts'
import { connect } from './support/durable-iterator.ts'
import { startFaultyJournals } from './support/faults.ts'
import type { FaultyJournals } from './support/faults.ts'
import { isRust, objectsCode, startJournals, UNDEFINED_OPTION } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'
import { startWorkers } from './support/workerd.ts'
import type { RunningWorkers } from './support/workerd.ts'

interface Published {
  id: string
  duplicate: boolean
}

let journals: Journals
let keyed: RunningWorkers
beforeAll(async () => {
  // The faults are in a module in front of the Worker in Rust.
  journals = isRust ? await startFaultyJournals() : await startJournals()
  keyed = await startWorkers({
    workers: [
      {
        name: 'objects',
        ...objectsCode(),
        variables: { SIGNING_KEY, PUBLISH_KEY: 'publish key' },
        durableObjects: { USUAL: { className: 'UsualJournal' }, LEDGER: { className: 'LedgerObject' } },
      },
    ],
  })
})
afterAll(async () => {
  await journals.dispose()
  await keyed.dispose()
})

const events = (from: number, to: number): { n: number }[] => Array.from({ length: to - from + 1 }, (_, n) => ({ n: from + n }))
const batch = (chn: string, ...args: unknown[]): Promise<Published[]> => journals.stub('USUAL', chn, 'publishBatch', ...args)
const rejection = (chn: string, ...args: unknown[]): Promise<Error & { code?: string; failure?: string }> =>
  batch(chn, ...args).then(
    () => expect.fail('it was published'),
    (error) => error,
  )

/** Subscribes a client that receives the retained events. */
async function subscriber(chn: string): Promise<BareSocket> {
  const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn, rpc: ['kept'], iat: Date.now() / 1000 - 100 }))
  socket.send({ i: 's', p: { u: '/subscribe', b: {} } })
  await socket.frames(1)
  return socket
}

/** Returns the events that a socket has received before the response to a new call. */
async function received(socket: BareSocket): Promise<{ n: number; id: string }[]> {
  const id = `c${socket.messages.length}`
  socket.send({ i: id, p: { u: '/call', b: { json: { path: ['kept'] } } } })
  await socket.until((messages) => messages.some((text) => JSON.parse(text).i === id))
  const items = socket.messages.map((text) => JSON.parse(text)).filter(({ i, p }) => i === 's' && p.e === 'message')
  return items.map(({ p }) => ({ n: p.d.json.n, id: p.m.id }))
}

async function stored(chn: string): Promise<{ n: number; id: string }[]> {
  const socket = await subscriber(chn)
  const all = await received(socket)
  socket.vanish()
  return all
}

describe('by a stub', () => {
  test('all events are stored and sent in order, with the returned ids', async () => {
    const live = await subscriber('order')
    const published = await batch('order', events(1, 100))
    expect(published.map(({ duplicate }) => duplicate)).toEqual(Array(100).fill(false))
    const expected = published.map(({ id }, n) => ({ n: n + 1, id }))
    expect(await received(live)).toEqual(expected)
    expect(await stored('order')).toEqual(expected)
    const ids = published.map(({ id }) => Number(id))
    expect(ids).toEqual([...ids].sort((a, b) => a - b))
    await journals.hibernate('USUAL', 'order')
    const more = await batch('order', events(101, 103))
    expect(await received(live)).toEqual([...expected, ...more.map(({ id }, n) => ({ n: 101 + n, id }))])
    live.vanish()
  })

  test('concurrent publishes do not come between the events of a batch', async () => {
    const live = await subscriber('concurrent')
    await Promise.all([
      batch('concurrent', events(1, 50)),
      ...events(1001, 1010).map((event) => journals.stub('USUAL', 'concurrent', 'publish', event)),
      batch('concurrent', events(51, 100)),
      ...events(1011, 1020).map((event) => journals.stub('USUAL', 'concurrent', 'publish', event)),
    ])
    const all = await received(live)
    expect(all).toEqual(await stored('concurrent'))
    expect(all).toHaveLength(120)
    for (const first of [1, 51]) {
      const start = all.findIndex(({ n }) => n === first)
      expect(all.slice(start, start + 50).map(({ n }) => n)).toEqual(events(first, first + 49).map(({ n }) => n))
    }
    live.vanish()
  })

  test('options apply to all events, or to one each', async () => {
    const clients = await Promise.all(
      ['anna', 'bert'].map((id) => connect(journals, 'USUAL', { chn: 'options', tags: [`tag of ${id}`] }, { id })),
    )
    const [anna, bert] = await Promise.all(clients.map((client) => client.subscribe()))
    await batch('options', events(1, 2), { to: ['anna'], retry: 77, comments: ['a comment'] })
    await batch('options', events(3, 5), [{ to: ['bert'] }, { tags: ['tag of anna'] }, { except: ['bert'] }])
    await batch('options', events(6, 6))
    await anna!.until(({ events }) => events.at(-1)?.n === 6)
    await bert!.until(({ events }) => events.at(-1)?.n === 6)
    expect(anna!.events.map(({ n }) => n)).toEqual([1, 2, 4, 5, 6])
    expect(bert!.events.map(({ n }) => n)).toEqual([3, 6])
    expect(anna!.received[1]?.meta).toMatchObject({ retry: 77, comments: ['a comment'] })
    for (const client of clients) client.close()
  })

  test('a shared idempotency key makes the whole batch idempotent, also in part', async () => {
    const first = await batch('keys', events(1, 3), { idempotencyKey: 'k' })
    const again = await batch('keys', events(11, 13), { idempotencyKey: 'k' })
    expect(again).toEqual(first.map(({ id }) => ({ id, duplicate: true })))
    // A longer batch publishes only the rest, also after hibernation.
    await journals.hibernate('USUAL', 'keys')
    const longer = await batch('keys', events(21, 25), { idempotencyKey: 'k' })
    expect(longer.map(({ duplicate }) => duplicate)).toEqual([true, true, true, false, false])
    // The keys are those of single events.
    expect(await journals.publish('USUAL', 'keys', { n: 99 }, { idempotencyKey: 'k#4' })).toEqual({ id: longer[4]!.id, duplicate: true })
    expect((await stored('keys')).map(({ n }) => n)).toEqual([1, 2, 3, 24, 25])
  })

  test('each event can have its own key, and a key twice in a batch is a duplicate', async () => {
    const own = ['a', 'b', 'a'].map((idempotencyKey) => ({ idempotencyKey }))
    const [a, b, duplicate] = await batch('own keys', events(1, 3), own)
    expect([a!.duplicate, b!.duplicate, duplicate]).toEqual([false, false, { id: a!.id, duplicate: true }])
    expect((await stored('own keys')).map(({ n }) => n)).toEqual([1, 2])
  })

  test('repeated concurrent batches with one key are stored once', async () => {
    const all = await Promise.all(Array.from({ length: 6 }, () => batch('races', events(1, 20), { idempotencyKey: 'race' })))
    expect(all.filter(([first]) => !first!.duplicate)).toHaveLength(1)
    expect(new Set(all.map((published) => published.map(({ id }) => id).join())).size).toBe(1)
    expect(await stored('races')).toHaveLength(20)
  })

  test.each<[string, unknown[], string, RegExp]>([
    ['no events', [[]], 'BAD_REQUEST', /^a batch must have 1–1000 events, got none$/],
    ['1,001 events', [events(1, 1_001)], 'BAD_REQUEST', /^a batch must have 1–1000 events, got more$/],
    ['an object', [{ n: 1 }], 'BAD_REQUEST', /^a batch must be an array of events$/],
    ['a text', ['events'], 'BAD_REQUEST', /^a batch must be an array of events$/],
    ['a number among the events', [[{ n: 1 }, 2, { n: 3 }]], 'BAD_REQUEST', /^events\[1\]: event must be an object or an array$/],
    ['null among the events', [[{ n: 1 }, null]], 'BAD_REQUEST', /^events\[1\]: event must be an object or an array$/],
    ['an event that is too large', [[{ n: 1 }, { x: 'x'.repeat(2_000_000) }]], 'PAYLOAD_TOO_LARGE', /^events\[1\]: event must be at most/],
    [
      'a shared audience of more than 8 MiB',
      [Array(1_000).fill({ n: 1 }), { to: Array.from({ length: 2_000 }, (_, n) => `connection-${n}`) }],
      'PAYLOAD_TOO_LARGE', /^a batch must have at most 8388608 bytes/,
    ],
    ['more than 8 MiB', [Array(5).fill({ x: 'x'.repeat(1_900_000) })], 'PAYLOAD_TOO_LARGE', /^a batch must have at most 8388608 bytes/],
    ['too few options', [events(1, 2), [{}]], 'BAD_REQUEST', /expected one object, or an array with an object for each of 2 events, got 1/],
    ['null as options', [events(1, 2), null], 'BAD_REQUEST', /Invalid publish options/],
    ['null as the options of an event', [events(1, 2), [{}, null]], 'BAD_REQUEST', /^events\[1\]: Invalid publish options: invalid input: expected an object, found null/],
    ['an audience of null', [events(1, 2), [{}, { to: null }]], 'BAD_REQUEST', /^events\[1\]: Invalid publish options: .*to/],
    ['an empty audience', [events(1, 2), { tags: [] }], 'BAD_REQUEST', /Invalid publish options: .*tags/],
    ['a misspelt option', [events(1, 2), [{ tag: ['x'] }, {}]], 'BAD_REQUEST', /^events\[0\]: Invalid publish options: invalid input: unknown property/],
    ['an invalid key', [events(1, 2), [{}, { idempotencyKey: 'a b' }]], 'BAD_REQUEST', /^events\[1\]: idempotency key must be 1–255/],
    ['a shared key that is too long', [events(1, 1), { idempotencyKey: 'k'.repeat(252) }], 'BAD_REQUEST', /idempotency key of a batch must be 1–251/],
    ['a retry delay that is too long', [events(1, 2), [{}, { retry: 2 ** 31 }]], 'BAD_REQUEST', /^events\[1\]: .*retry/],
  ])('%s are rejected, and nothing is stored or sent', async (name, args, code, message) => {
    const live = await subscriber(name)
    const error = await rejection(name, ...args)
    expect(error).toMatchObject({ name: 'ORPCError', code })
    expect(error.message).toMatch(message)
    await batch(name, [{ n: 'last' }])
    expect((await received(live)).map(({ n }) => n)).toEqual(['last'])
    live.vanish()
  })

  test('undefined as an audience of all events is rejected', async () => {
    const error = await batch('undefined', UNDEFINED_OPTION, events(1, 2), 'to').catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'BAD_REQUEST', message: expect.stringContaining('to') })
  })

  test('the largest batch is stored', async () => {
    const padding = 'x'.repeat(8_000)
    const published = await batch('largest', events(1, 1_000).map((event) => ({ ...event, padding })))
    expect(published).toHaveLength(1_000)
    expect(new Set(published.map(({ id }) => id)).size).toBe(1_000)
  })
})

test.each(['1.6.6', '1.9.4', '1.16.1'] as const)('clients of oRPC %s receive all events in order, live and on replay', async (version) => {
  const chn = `oRPC ${version}`
  const client = await connect(journals, 'USUAL', { chn }, { id: 'client', version })
  const live = await client.subscribe()
  // One after the other: the order of concurrent requests is not defined.
  const published = [...(await batch(chn, events(1, 40))), ...(await batch(chn, events(41, 80)))]
  expect(await live.count(80)).toEqual(events(1, 80))
  expect(live.received.map(({ id }) => id)).toEqual(published.map(({ id }) => id))
  // Interrupted between two batches.
  client.cut()
  await batch(chn, events(81, 120))
  expect(await live.count(120)).toEqual(events(1, 120))
  client.close()
})

describe('by a Worker in Rust', () => {
  const relay = async (chn: string, items: object[]): Promise<Response> =>
    journals.fetch(new URL(`/relay-batch/USUAL/${chn}`, await journals.urlOf('relay')), { method: 'POST', body: JSON.stringify(items) })

  test('each event has its options', async () => {
    const client = await connect(journals, 'USUAL', { chn: 'relay', tags: ['staff'] }, { id: 'anna' })
    const subscription = await client.subscribe()
    const items = [{ event: { n: 1 } }, { event: { n: 2 }, to: 'bert' }, { event: { n: 3 }, tag: 'staff' }, { event: { n: 4 }, key: 'k' }]
    const published = (await (await relay('relay', items)).json()) as Published[]
    const again = (await (await relay('relay', [{ event: { n: 5 }, key: 'k' }, { event: { n: 6 } }])).json()) as Published[]
    expect(again[0]).toEqual({ id: published[3]!.id, duplicate: true })
    expect((await subscription.count(4)).map(({ n }) => n)).toEqual([1, 3, 4, 6])
    client.close()
  })

  test('an error has the index of the event', async () => {
    const response = await relay('relay errors', [{ event: { n: 1 } }, { event: 7 }])
    expect([response.status, await response.text()]).toEqual([400, 'BAD_REQUEST events[1]: event must be an object or an array'])
    const large = await relay('relay errors', [{ event: { x: 'x'.repeat(2_000_000) } }])
    expect([large.status, await large.text()]).toEqual([413, expect.stringMatching(/^PAYLOAD_TOO_LARGE events\[0\]: .* EventTooLarge$/)])
    const none = await relay('relay errors', [])
    expect([none.status, await none.text()]).toEqual([400, 'BAD_REQUEST a batch must have 1–1000 events, got none'])
    expect(await stored('relay errors')).toEqual([])
  })
})

describe('inside the Durable Object', () => {
  test('a batch is published with and without keys', async () => {
    const live = await subscriber('inside')
    const published: Published[] = await journals.stub('USUAL', 'inside', 'publishInBatch', events(1, 3), ['', 'a', 'a'].slice(1))
    expect(published.map(({ duplicate }) => duplicate)).toEqual([false, true, false])
    expect((await received(live)).map(({ n }) => n)).toEqual([1, 3])
    live.vanish()
  })

  test('an invalid event is named, and nothing is published', async () => {
    const error = await journals.stub('USUAL', 'inside errors', 'publishInBatch', [{ n: 1 }, 'x'], []).catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'BAD_REQUEST', message: 'events[1]: event must be an object or an array' })
    expect(await stored('inside errors')).toEqual([])
  })

  test.each(['transact', 'transactSlowly'])('in a transaction (%s), a batch is sent after the commit, and never after a rollback', async (method) => {
    const live = await subscriber(method)
    const run = (...steps: object[]): Promise<[string[], string | null]> =>
      journals.stub('USUAL', method, method, steps, ...(method === 'transact' ? [] : ['']))
    const [ids, error] = await run({ publish: { n: 1 } }, { batch: events(2, 4) }, { publish: { n: 5 } })
    expect([ids.length, error]).toEqual([5, null])
    const [lost, failed] = await run({ batch: events(6, 7) }, { fail: 'Changed its mind.' })
    expect([lost.length, failed]).toEqual([2, expect.stringContaining('Changed its mind.')])
    const [rest] = await run({ nested: [{ batch: events(8, 9) }, { fail: 'x' }] }, { batch: events(10, 11) })
    const all = await received(live)
    expect(all.map(({ n }) => n)).toEqual([1, 2, 3, 4, 5, 10, 11])
    expect(all.slice(0, 5).map(({ id }) => id)).toEqual(ids)
    expect(Number(rest.at(-1))).toBeGreaterThan(Number(lost.at(-1)))
    expect(await stored(method)).toEqual(all)
    live.vanish()
  })
})

describe.runIf(isRust)('with a storage that fails', () => {
  test.each(['CREATE', 'INSERT'])('a batch whose %s fails stores and sends nothing, and is no gap', async (start) => {
    const chn = `failing ${start}`
    const live = await subscriber(chn)
    if (start === 'INSERT') await batch(chn, events(1, 2), { idempotencyKey: 'before' })
    await (journals as FaultyJournals).set({ statement: { name: chn, start, message: 'database or disk is full: SQLITE_FULL', times: 1 } })
    const error = await rejection(chn, events(91, 93), { idempotencyKey: 'k' })
    expect(error).toMatchObject({ code: 'INTERNAL_SERVER_ERROR', failure: 'StorageFailure' })
    expect(error.message).not.toContain('SQLITE')
    const published = await batch(chn, events(3, 5), { idempotencyKey: 'k' })
    expect(published.map(({ duplicate }) => duplicate)).toEqual([false, false, false])
    const all = await received(live)
    expect(all.map(({ n }) => n)).toEqual(start === 'INSERT' ? [1, 2, 3, 4, 5] : [3, 4, 5])
    expect(await stored(chn)).toEqual(all)
    live.vanish()
  })
})

describe('over HTTP', () => {
  const post = (chn: string, body: string, headers: Record<string, string> = {}, binding = 'USUAL'): Promise<Response> =>
    keyed.fetch(`/keys/${binding}/${encodeURIComponent(chn)}/batch`, {
      method: 'POST',
      body,
      headers: { authorization: 'Bearer publish key', ...headers },
    })
  const read = async (chn: string): Promise<any[]> => {
    const { token } = await import('./support/client.ts')
    const headers = { authorization: `Bearer ${await token({ chn, iat: Date.now() / 1000 - 100 })}` }
    const response = await keyed.fetch(`/keys/USUAL/${encodeURIComponent(chn)}/events`, { headers })
    return ((await response.json()) as any).events
  }

  test('all events are published, each with its options', async () => {
    const items = [{ event: { n: 1 } }, { event: { n: 2 }, to: ['nobody'] }, { event: [3], retry: 5, comments: ['c'] }, { event: { n: 4 }, idempotencyKey: 'k' }]
    const response = await post('http', JSON.stringify(items))
    expect([response.status, response.headers.get('content-type')]).toEqual([201, expect.stringContaining('application/json')])
    const { published } = (await response.json()) as { published: Published[] }
    expect(published.map(({ duplicate }) => duplicate)).toEqual([false, false, false, false])
    const readable = await read('http')
    expect(readable.map(({ json }) => json)).toEqual([{ n: 1 }, [3], { n: 4 }])
    expect(readable.map(({ id }) => id)).toEqual([0, 2, 3].map((n) => published[n]!.id))
    // 200 if all are duplicates, 201 if some are new.
    const again = await post('http', JSON.stringify([items[3]]))
    expect([again.status, await again.json()]).toEqual([200, { published: [{ id: published[3]!.id, duplicate: true }] }])
    expect((await post('http', JSON.stringify([items[3], { event: { n: 5 } }]))).status).toBe(201)
  })

  test('the header Idempotency-Key makes the whole batch idempotent', async () => {
    const body = JSON.stringify(events(1, 3).map((event) => ({ event })))
    const [first, second] = [await post('header', body, { 'idempotency-key': 'h' }), await post('header', body, { 'idempotency-key': 'h' })]
    expect([first.status, second.status]).toEqual([201, 200])
    const ids = async (response: Response): Promise<string[]> => ((await response.json()) as any).published.map(({ id }: Published) => id)
    expect(await ids(first)).toEqual(await ids(second))
    expect(await read('header')).toHaveLength(3)
    const both = await post('header', JSON.stringify([{ event: {}, idempotencyKey: 'own' }]), { 'idempotency-key': 'h2' })
    expect(both.status).toBe(400)
  })

  test("an array in oRPC's serialized form keeps its types", async () => {
    const body = { json: [{ event: { at: '2020-01-02T03:04:05.678Z' } }, { event: { big: '7' }, retry: 9 }], meta: [[1, 0, 'event', 'at'], [0, 1, 'event', 'big']] }
    const response = await post('types', JSON.stringify(body), { 'content-type': 'application/vnd.orpc+json' })
    expect(response.status).toBe(201)
    expect(await read('types')).toMatchObject([
      { json: { at: '2020-01-02T03:04:05.678Z' }, meta: [[1, 'at']] },
      { json: { big: '7' }, meta: [[0, 'big']] },
    ])
  })

  test.each<[string, string, Record<string, string>, number, RegExp]>([
    ['no JSON', '[', {}, 400, /Malformed request/],
    ['an object', '{"event":{}}', {}, 400, /Malformed request/],
    ['no items', '[]', {}, 400, /a batch must have 1–1000 events, got none/],
    ['1,001 items', JSON.stringify(Array(1_001).fill({ event: {} })), {}, 400, /got more/],
    ['an item without an event', '[{"event":{}},{}]', {}, 400, /^events\[1\]: .*expected an event/],
    ['an item that is no object', '[{"event":{}},[]]', {}, 400, /^events\[1\]: .*expected an object/],
    ['an event that is a text', '[{"event":{}},{"event":"x"}]', {}, 400, /^events\[1\]: event must be an object or an array/],
    ['a misspelt audience', '[{"event":{},"tag":["x"]}]', {}, 400, /^events\[0\]: Invalid publish options: invalid input: unknown property/],
    ['an internal option', '[{"event":{},"serialized":true}]', {}, 400, /^events\[0\]: Invalid publish options: invalid input: unknown property/],
    ['an audience of null', '[{"event":{},"to":null}]', {}, 400, /^events\[0\]: Invalid publish options: .*to/],
    ['an invalid key', '[{"event":{},"idempotencyKey":""}]', {}, 400, /^events\[0\]: idempotency key must be/],
    ['a shared key that is too long', '[{"event":{}}]', { 'idempotency-key': 'k'.repeat(252) }, 400, /idempotency key of a batch must be 1–251/],
    ['an event that is too large', JSON.stringify([{ event: {} }, { event: { x: 'x'.repeat(2_000_000) } }]), {}, 413, /^events\[1\]: event must be at most/],
    ['more properties in the serialized form', '{"json":[{"event":{}}],"to":["x"]}', { 'content-type': 'application/vnd.orpc+json' }, 400, /Malformed request/],
    ['a plain array with the serialized type', '[{"event":{}}]', { 'content-type': 'application/vnd.orpc+json' }, 400, /Malformed request/],
    ['too many values', `{"json":[{"event":[${'0,'.repeat(1_000_000)}0]}]}`, { 'content-type': 'application/vnd.orpc+json' }, 413, /at most 8388608 bytes/],
  ])('a body with %s is rejected, and nothing is stored', async (name, body, headers, status, message) => {
    const response = await post(name, body, headers)
    const { json } = (await response.json()) as any
    expect([response.status, json.message]).toEqual([status, expect.stringMatching(message)])
    expect(await read(name)).toEqual([])
  })

  test('a body of more than 8 MiB is rejected unread', async () => {
    // The runtime may close the connection before the client has sent all of it.
    const response = await post('too many bytes', JSON.stringify([{ event: { x: 'x'.repeat(8_400_000) } }])).catch(() => undefined)
    if (response !== undefined) expect(response.status).toBe(413)
    expect(await read('too many bytes')).toEqual([])
  })

  test('invalid UTF-8 is rejected', async () => {
    const response = await keyed.fetch('/keys/USUAL/utf8/batch', {
      method: 'POST',
      body: new Uint8Array([0x5b, 0xff, 0x5d]),
      headers: { authorization: 'Bearer publish key' },
    })
    expect(response.status).toBe(400)
  })

  test.runIf(isRust)('the events of a class with a type are checked', async () => {
    const response = await post('typed', JSON.stringify([{ event: { not: 'a posting' } }]), {}, 'LEDGER')
    expect([response.status, ((await response.json()) as any).json.message]).toEqual([400, expect.stringMatching(/^events\[0\]: /)])
  })
})

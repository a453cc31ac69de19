// Pages and tokens for Workers: the RPC methods `~read` and `~token`, which a Worker calls through `~settle`.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { SIGNING_KEY, token } from './support/client.ts'
import { startJournals } from './support/journals.ts'
import type { Binding, Journals } from './support/journals.ts'
import { BareSocket, upgradeAnswer } from './support/socket.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

interface Page {
  events: { id: string; json: any; meta?: unknown[]; retry?: number; comments?: string[] }[]
  next: string | null
  gap: string | null
  more: boolean
}

const settle = (binding: Binding, chn: string, method: string, argument?: unknown): Promise<any> =>
  journals.stub(binding, chn, '~settle', method, argument === undefined ? [] : [argument])

async function read(chn: string, query: object = {}, binding: Binding = 'USUAL'): Promise<Page> {
  const { value, error } = await settle(binding, chn, '~read', query)
  expect(error).toBeUndefined()
  return JSON.parse(value)
}

const publish = (chn: string, event: object, ...options: [object?]): Promise<string> => journals.stub('USUAL', chn, 'publish', event, ...options)

async function publishNumbers(chn: string, count: number): Promise<string[]> {
  const ids: string[] = []
  for (let n = 1; n <= count; n++) ids.push(await publish(chn, { n }))
  return ids
}

const numbers = ({ events }: Page): number[] => events.map(({ json }) => json.n)

describe('a page', () => {
  test('contains the events after a cursor, up to a limit', async () => {
    const ids = await publishNumbers('cursor', 5)
    const first = await read('cursor', { limit: 2 })
    expect(first).toEqual({
      events: [{ id: ids[0], json: { n: 1 } }, { id: ids[1], json: { n: 2 } }],
      next: ids[1],
      gap: null,
      more: true,
    })
    const second = await read('cursor', { after: first.next, limit: 2 })
    expect([numbers(second), second.next, second.more]).toEqual([[3, 4], ids[3], true])
    const third = await read('cursor', { after: second.next })
    expect([numbers(third), third.next, third.more]).toEqual([[5], ids[4], false])
    expect(await read('cursor', { after: ids[4] })).toEqual({ events: [], next: ids[4], gap: null, more: false })
  })

  test('contains the events since a time, to the microsecond', async () => {
    const ids = await publishNumbers('times', 3)
    const since = (micros: number): Promise<Page> => read('times', { since: micros / 1e6 })
    expect(numbers(await since(Number(ids[1])))).toEqual([2, 3])
    expect(numbers(await since(Number(ids[1]) + 1))).toEqual([3])
    expect(numbers(await since(0))).toEqual([1, 2, 3])
    const future = await since(Number(ids[2]) + 60_000_000)
    expect(future).toEqual({ events: [], next: ids[2], gap: null, more: false })
  })

  test('contains the last events, oldest first', async () => {
    const ids = await publishNumbers('last', 5)
    const last = await read('last', { last: 2 })
    expect([numbers(last), last.next, last.more]).toEqual([[4, 5], ids[4], false])
    expect(numbers(await read('last', { last: 1000 }))).toEqual([1, 2, 3, 4, 5])
    expect(await read('last', { last: 0 })).toEqual({ events: [], next: ids[4], gap: null, more: false })
  })

  test('of a channel without events has no cursor', async () => {
    for (const query of [{}, { last: 5 }, { since: 0 }]) expect(await read('never', query)).toEqual({ events: [], next: null, gap: null, more: false })
  })

  test('contains types and meta', async () => {
    const id = await journals.stub('USUAL', 'types', 'publish', { at: 'now' }, { retry: 5, comments: ['a', 'b'] })
    const { events } = await read('types')
    expect(events).toEqual([{ id, retry: 5, comments: ['a', 'b'], json: { at: 'now' } }])
  })

  test('reports a gap, and its cursor has none', async () => {
    const chn = 'gap'
    for (let n = 1; n <= 20; n++) await journals.stub('FEW', chn, 'publish', { n })
    const page = await read(chn, { after: '1' }, 'FEW')
    expect(page.gap).toMatch(/^\d+$/)
    expect(Number(page.gap)).toBeLessThanOrEqual(Number(page.events[0]!.id))
    expect((await read(chn, { after: page.next }, 'FEW')).gap).toBeNull()
    expect((await read(chn, { since: 0 }, 'FEW')).gap).toBe(page.gap)
    // Without a position, and for the last events, nothing was missed.
    expect((await read(chn, {}, 'FEW')).gap).toBeNull()
    expect((await read(chn, { last: 3 }, 'FEW')).gap).toBeNull()
    for (const after of ['', 'x', '-1', '99999999999999999999', `${page.next}0`]) expect((await read(chn, { after }, 'FEW')).gap).toBe(page.gap)
  })

  test('contains only events for its reader, and its cursor passes the others', async () => {
    const chn = 'audiences'
    await publish(chn, { n: 1 })
    await publish(chn, { n: 2 }, { tags: ['staff'] })
    await publish(chn, { n: 3 }, { to: ['anna'] })
    await publish(chn, { n: 4 }, { except: ['anna'] })
    const last = await publish(chn, { n: 5 }, { to: ['nobody'] })
    const of = async (reader: object, more = {}): Promise<number[]> => {
      const page = await read(chn, { reader, ...more })
      expect([page.next, page.more]).toEqual([last, false])
      return numbers(page)
    }
    expect(await of({})).toEqual([1, 4])
    expect(await of({ tags: ['staff'] })).toEqual([1, 2, 4])
    expect(await of({ id: 'anna' })).toEqual([1, 3])
    expect(await of({ id: 'anna', tags: ['staff', 'other'] })).toEqual([1, 2, 3])
    expect(await of({ everyAudience: true })).toEqual([1, 2, 3, 4, 5])
    // The limit counts events for the reader.
    expect(await of({}, { last: 2 })).toEqual([1, 4])
    const limited = await read(chn, { reader: {}, limit: 2 })
    expect([numbers(limited), limited.more]).toEqual([[1, 4], true])
  })

  test('begins at the issue of a token, like a socket', async () => {
    const chn = 'issued'
    const ids = await publishNumbers(chn, 2)
    const issuedAt = Math.floor(Number(ids[0]) / 1e6)
    expect(numbers(await read(chn, { reader: { issuedAt, expiresAt: issuedAt + 60 } }))).toEqual([1, 2])
    expect(numbers(await read(chn, { reader: { issuedAt: issuedAt + 10, expiresAt: issuedAt + 60 } }))).toEqual([1, 2])
    const live = await read(chn, { reader: { issuedAt, isDurableIterator: true } }, 'LIVE')
    expect(live.events).toEqual([])
  })

  test('is bounded in size, and contains at least one event', async () => {
    const chn = 'large'
    const text = 'x'.repeat(1_500_000)
    for (let n = 1; n <= 5; n++) await journals.stub('ROOMY', chn, 'publish', { n, text })
    const sizes: number[] = []
    let after: string | undefined
    for (let more = true; more; ) {
      const page = await read(chn, { ...(after && { after }), limit: 1000 }, 'ROOMY')
      sizes.push(page.events.length)
      after = page.next!
      more = page.more
    }
    expect(sizes.reduce((sum, size) => sum + size)).toBe(5)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(3)
    expect((await read(chn, { last: 5 }, 'ROOMY')).events.map(({ json }) => json.n)).toEqual([3, 4, 5])
  })

  test.each([
    [{ limit: 0 }, /limit must be 1 to 1000, got 0/],
    [{ limit: 1001 }, /limit must be 1 to 1000, got 1001/],
    [{ limit: 1.5 }, /limit/],
    [{ limit: '5' }, /limit/],
    [{ last: 1001 }, /last must be 0 to 1000, got 1001/],
    [{ last: -1 }, /last/],
    [{ last: 5, limit: 5 }, /limit does not apply to last/],
    [{ last: 5, after: '1' }, /at most one of after, since and last/],
    [{ since: 1, after: '1' }, /at most one of after, since and last/],
    [{ since: -1 }, /since must be a number of seconds since 1970/],
    [{ after: 5 }, /after/],
    [{ reader: { tag: ['x'] } }, /tag/],
    [{ reader: { everyAudience: 'yes' } }, /everyAudience/],
    [{ reader: null }, /reader/],
    [{ other: 1 }, /other/],
    ['text', /read query/],
    [[1], /read query/],
  ])('of an invalid query %j is an error that names the property', async (query, message) => {
    const { error } = await settle('USUAL', 'invalid', '~read', query)
    expect(error).toMatchObject({ name: 'ORPCError', code: 'BAD_REQUEST', message: expect.stringMatching(message) })
  })
})

describe('a token for a Worker', () => {
  const issue = async (chn: string, options?: object): Promise<string> => (await settle('USUAL', chn, '~token', options)).value.token

  async function subscribe(value: string, id?: string): Promise<BareSocket> {
    const url = new URL(await journals.upgrade('USUAL', { chn: 'x' }))
    url.searchParams.set('token', value)
    if (id !== undefined) url.searchParams.set('id', id)
    const socket = await BareSocket.open(url)
    socket.send({ i: '0', p: { u: '/subscribe', b: {} } })
    await socket.frames(1)
    return socket
  }

  test('gives the events for everyone, and no procedure', async () => {
    const socket = await subscribe(await issue('trusted'))
    await publish('trusted', { n: 1 }, { tags: ['staff'] })
    await publish('trusted', { n: 2 })
    expect((await socket.frames(2))[1].p.d).toEqual({ json: { n: 2 } })
    socket.send({ i: '1', p: { u: '/call', b: { json: { path: ['kept'] } } } })
    expect((await socket.frames(3))[2]).toMatchObject({ i: '1', p: { s: 403 } })
    socket.vanish()
  })

  test('gives the events of every audience, live, on replay and after hibernation', async () => {
    const chn = 'trusted-all'
    const value = await issue(chn, { everyAudience: true })
    await publish(chn, { n: 1 }, { to: ['anna'] })
    const socket = await subscribe(value)
    await publish(chn, { n: 2 }, { tags: ['staff'] })
    await journals.hibernate('USUAL', chn)
    await publish(chn, { n: 3 }, { to: ['anna'], except: ['bert'] })
    expect((await socket.frames(4)).slice(1).map(({ p }) => p.d.json.n)).toEqual([1, 2, 3])
    socket.vanish()
  })

  test('with tags gives the events for these tags', async () => {
    const chn = 'trusted-tags'
    const socket = await subscribe(await issue(chn, { tags: ['staff', 'Nächte'] }), 'worker-1')
    await publish(chn, { n: 1 }, { tags: ['other'] })
    await publish(chn, { n: 2 }, { tags: ['Nächte'] })
    expect((await socket.frames(2))[1].p.d).toEqual({ json: { n: 2 } })
    socket.vanish()
  })

  test('is for its own channel, for one hour', async () => {
    const value = await issue('trusted-own')
    const claims = JSON.parse(Buffer.from(value.split('.')[1]!, 'base64url').toString())
    expect(claims).toEqual({ chn: 'trusted-own', rpc: [], iat: expect.any(Number), exp: claims.iat + 3600 })
  })

  test.each([
    [{ tags: 'staff' }, /tags/],
    [{ tags: [''] }, /tag/],
    [{ tags: Array.from({ length: 11 }, (_, n) => `t${n}`) }, /tags/],
    [{ everyAudience: 1 }, /everyAudience/],
    [{ rpc: ['kept'] }, /rpc/],
  ])('with invalid options %j is an error that names the option', async (options, message) => {
    const { error } = await settle('USUAL', 'invalid', '~token', options)
    expect(error).toMatchObject({ name: 'ORPCError', code: 'BAD_REQUEST', message: expect.stringMatching(message) })
  })

  test('a client cannot request one, nor read a page', async () => {
    const rpc = ['~token', '~read', '~settle', 'kept']
    const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn: 'outside', rpc }))
    const paths = [['~token'], ['~read'], ['~settle'], ['~settle', '~token'], ['kept', '~token']]
    for (const [n, path] of paths.entries()) socket.send({ i: `${n}`, p: { u: '/call', b: { json: { path, input: ['~token', []] } } } })
    for (const { p } of await socket.frames(paths.length)) expect(p.s).toBe(404)
    for (const [n, u] of ['/~token', '/~read', '/~settle'].entries()) socket.send({ i: `u${n}`, p: { u, b: {} } })
    for (const { p } of (await socket.frames(paths.length + 3)).slice(paths.length)) expect(p.s).toBe(404)
    socket.vanish()
  })

  test('a claim of another audience grants nothing', async () => {
    const chn = 'claims'
    for (const audience of ['Every', true, ['every'], 'all', null]) {
      const value = await token({ chn, 'dei:audience': audience } as never, SIGNING_KEY)
      const socket = await subscribe(value)
      await publish(chn, { n: 1 }, { tags: ['staff'] })
      await publish(chn, { n: 2 })
      expect((await socket.frames(2))[1].p.d).toEqual({ json: { n: 2 } })
      socket.vanish()
      await publish(chn, { end: true }, { to: ['nobody'] })
    }
    expect((await upgradeAnswer(`${await journals.upgrade('USUAL', { chn })}x`)).status).toBe(401)
  })
})

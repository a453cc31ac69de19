// `DurableIterator` clients (oRPC 1.9–1.16) on the same Durable Objects.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { Client, DURABLE_EVENT_ITERATOR_VERSIONS, DURABLE_ITERATOR_VERSIONS, token as durableEventIteratorToken } from './support/client.ts'
import { connect, seconds, token, upgradeUrl } from './support/durable-iterator.ts'
import type { Claims } from './support/durable-iterator.ts'
import { startJournals } from './support/journals.ts'
import type { Binding, Journals } from './support/journals.ts'
import { BareSocket, upgradeAnswer } from './support/socket.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

async function url(claims: Claims | string, id?: string): Promise<string> {
  return upgradeUrl(journals, 'USUAL', typeof claims === 'string' ? claims : await token(claims), id)
}

const publish = (chn: string, n: number, binding: Binding = 'USUAL'): Promise<string> =>
  journals.stub(binding, chn, 'publish', { n })

/** The lifetime of a token that expires during a test, in seconds: enough to connect on a busy machine. */
const LIFETIME = 3

/**
 * Resolves when a token that expires at this second has expired: a `DurableIterator` token is still valid at the instant of
 * `exp`.
 */
const afterEnd = (exp: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, exp * 1000 - Date.now() + 10))

/** The times at which the client's socket opened. */
function openings(client: Client): { count: number } {
  const opened = { count: 0 }
  client.socket.addEventListener('open', () => opened.count++)
  return opened
}

describe.each(DURABLE_ITERATOR_VERSIONS)('with oRPC %s', (version) => {
  test('clients of both kinds receive the same events of a channel', async () => {
    const chn = `both-${version}`
    const first = DURABLE_EVENT_ITERATOR_VERSIONS.map((version) => journals.client('USUAL', { chn }, { version }))
    const clients = await Promise.all([...first, connect(journals, 'USUAL', { chn }, { id: 'second', version })])
    const subscriptions = await Promise.all(clients.map((client) => client.subscribe()))
    const ids = []
    for (let n = 1; n <= 3; n++) ids.push(await publish(chn, n))
    clients.forEach((client) => client.cut())
    for (let n = 4; n <= 6; n++) ids.push(await publish(chn, n))
    for (const subscription of subscriptions) {
      expect(await subscription.count(6)).toEqual([1, 2, 3, 4, 5, 6].map((n) => ({ n })))
      expect(subscription.received.map(({ id }) => id)).toEqual(ids)
    }
    for (const client of clients) client.close()
  })

  test('a client that refreshes its token on the open socket stays connected after its first token has expired', async () => {
    const chn = `renewed-${version}`
    const exp = seconds() + LIFETIME
    const first = await token({ chn, exp, tags: ['t'], rpc: ['kept'] }, { version })
    let latest = first
    const client = await Client.connect(() => upgradeUrl(journals, 'USUAL', latest, 'id'), { version })
    const opened = openings(client)
    const subscription = await client.subscribe()
    await publish(chn, 1)
    await expect(client.call(['whoAmI'])).rejects.toMatchObject({ code: 'FORBIDDEN' })
    latest = await token({ chn, tags: ['t'], rpc: ['whoAmI'], att: 'renewed' }, { version })
    expect(await client.raw.updateToken({ token: latest })).toBeUndefined()
    await publish(chn, 2)
    await afterEnd(exp)
    await publish(chn, 3)
    await journals.hibernate('USUAL', chn)
    await publish(chn, 4)
    await journals.stub('USUAL', chn, 'publish', { n: 5 }, { tags: ['t'] })
    expect(await subscription.count(5)).toEqual([1, 2, 3, 4, 5].map((n) => ({ n })))
    // The claims are those of the new token.
    expect(await client.call(['whoAmI'])).toBe('renewed')
    await expect(client.call(['kept'])).rejects.toMatchObject({ code: 'FORBIDDEN' })
    expect(opened.count).toBe(1)
    // The first token cannot open a socket any more, the new one can.
    expect(await upgradeAnswer(await url(first, 'id'))).toEqual({ status: 401, text: 'Invalid Token' })
    client.cut()
    await publish(chn, 6)
    await subscription.count(6)
    expect(subscription.events.at(-1)).toEqual({ n: 6 })
    client.close()
  })

  test('a token refresh during a long replay takes effect, and the replay continues', async () => {
    const chn = `renewed-amid-${version}`
    const COUNT = 4_000
    await journals.stub('ROOMY', chn, 'publishMany', COUNT, 400)
    const iat = seconds() - 60
    const client = await connect(journals, 'ROOMY', { chn, iat, tags: ['t'] }, { id: 'id', version })
    const opened = openings(client)
    const subscription = await client.subscribe()
    await subscription.count(1)
    await client.raw.updateToken({ token: await token({ chn, tags: ['t'], rpc: ['whoAmI'], att: 'new' }, { version }) })
    expect(await client.call(['whoAmI'])).toBe('new')
    await publish(chn, COUNT + 1, 'ROOMY')
    await subscription.count(COUNT + 1)
    expect(subscription.events.map(({ n }) => n)).toEqual(Array.from({ length: COUNT + 1 }, (_, n) => n + 1))
    expect(await client.call(['whoAmI'])).toBe('new')
    expect(opened.count).toBe(1)
    client.close()
  })

  test('invalid token refreshes are rejected with the errors of oRPC, and change nothing', async () => {
    const chn = `wrong-renewals-${version}`
    const client = await connect(journals, 'USUAL', { chn, tags: ['a', 'b'], rpc: ['kept'] }, { id: 'id', version })
    const opened = openings(client)
    const subscription = await client.subscribe()
    const renew = (renewed: string): Promise<unknown> => client.raw.updateToken({ token: renewed })
    const refused = (message: string): object => ({ code: 'UNAUTHORIZED', status: 401, message })
    const invalid = refused('Invalid Token')
    const otherChannel = refused('Updated token must have the same channel with the original token')
    const otherTags = refused('Updated token must have the exact same tags with the original token')
    const otherSubject = refused('Updated token must have the same subject as the original token')
    const tags = ['a', 'b']
    await expect(renew(await token({ chn: 'another', tags }))).rejects.toMatchObject(otherChannel)
    await expect(renew(await token({ chn, tags: ['b', 'a'] }))).rejects.toMatchObject(otherTags)
    await expect(renew(await token({ chn, tags: ['a'] }))).rejects.toMatchObject(otherTags)
    await expect(renew(await token({ chn, tags: [...tags, 'c'] }))).rejects.toMatchObject(otherTags)
    await expect(renew(await token({ chn }))).rejects.toMatchObject(otherTags)
    await expect(renew(await token({ chn, tags, sub: 'user' }))).rejects.toMatchObject(otherSubject)
    await expect(renew(await token({ chn, tags, exp: seconds() - 2 }))).rejects.toMatchObject(invalid)
    await expect(renew(await token({ chn, tags }, { key: 'another key' }))).rejects.toMatchObject(invalid)
    await expect(renew((await token({ chn, tags })).replace('"b"', '"c"'))).rejects.toMatchObject(invalid)
    await expect(renew(await durableEventIteratorToken({ chn }))).rejects.toMatchObject(invalid)
    await expect(renew('garbage')).rejects.toMatchObject(invalid)
    await expect(client.raw.updateToken({})).rejects.toMatchObject({ code: 'BAD_REQUEST' })
    await publish(chn, 1)
    expect(await subscription.count(1)).toEqual([{ n: 1 }])
    expect(await client.call(['kept'])).toBeUndefined()
    expect(opened.count).toBe(1)
    client.close()
  })

  test('a client whose token expires is closed, reconnects with the next token and misses nothing', async () => {
    const chn = `ended-${version}`
    const exp = seconds() + LIFETIME
    const tokens = [await token({ chn, exp }, { version }), await token({ chn }, { version })]
    let next = 0
    const client = await Client.connect(() => upgradeUrl(journals, 'USUAL', tokens[Math.min(next++, 1)]!, 'id'), { version })
    const codes: number[] = []
    client.socket.addEventListener('close', ({ code }) => codes.push(code))
    const subscription = await client.subscribe()
    await publish(chn, 1)
    await subscription.count(1)
    await afterEnd(exp)
    for (let n = 2; n <= 4; n++) await publish(chn, n)
    expect(await subscription.count(4)).toEqual([1, 2, 3, 4].map((n) => ({ n })))
    expect(codes).toEqual([1008])
    client.close()
  })

  test('a client without a cursor starts at the issue of its token, or live, as the class is configured', async () => {
    const chn = `begin-${version}`
    const iat = seconds() - 60
    const received = async (binding: Binding, client: Client, last: number): Promise<number[]> => {
      const subscription = await client.subscribe()
      await publish(chn, last, binding)
      await subscription.until(({ events }) => events.some(({ n }) => n === last))
      client.close()
      return subscription.events.map(({ n }) => n)
    }
    for (const [binding, second] of [['USUAL', [1, 2, 3]], ['LIVE', [3]]] as const) {
      for (let n = 1; n <= 2; n++) await publish(chn, n, binding)
      expect(await received(binding, await connect(journals, binding, { chn, iat }, { id: 'id', version }), 3)).toEqual(second)
    }
    // `DurableEventIterator` clients are not affected.
    expect(await received('LIVE', await journals.client('LIVE', { chn, iat }), 4)).toEqual([1, 2, 3, 4])
  })

  test('clients that start live resume like others', async () => {
    const chn = `resumed-${version}`
    await publish(chn, 1, 'LIVE')
    const client = await connect(journals, 'LIVE', { chn }, { id: 'id', version })
    const subscription = await client.subscribe()
    await publish(chn, 2, 'LIVE')
    await subscription.count(1)
    client.cut()
    await publish(chn, 3, 'LIVE')
    await journals.hibernate('LIVE', chn)
    await publish(chn, 4, 'LIVE')
    expect(await subscription.count(3)).toEqual([2, 3, 4].map((n) => ({ n })))
    client.close()
  })
})

test.each<[string, () => Promise<string>, { status: number; text: string }]>([
  ['without an id', () => url({ chn: 'a' }), { status: 401, text: 'ID is required' }],
  ['with an invalid id', () => url({ chn: 'a' }, 'with space'), { status: 400, text: 'Invalid ID' }],
  ['with a changed token', async () => url((await token({ chn: 'a' })).replace('"a"', '"b"'), 'id'), { status: 401, text: 'Invalid Token' }],
  ['with an expired token', () => url({ chn: 'a', exp: seconds() - 2 }, 'id'), { status: 401, text: 'Invalid Token' }],
  ['with eleven tags', () => url({ chn: 'a', tags: Array.from({ length: 11 }, (_, n) => `${n}`) }, 'id'), { status: 400, text: 'Invalid tags: expected at most 10 tags of 1-256 UTF-8 bytes' }],
  ['with a tag that is too long', () => url({ chn: 'a', tags: ['x'.repeat(257)] }, 'id'), { status: 400, text: 'Invalid tags: expected at most 10 tags of 1-256 UTF-8 bytes' }],
  ['with a valid token and id', () => url({ chn: 'a', tags: ['x'.repeat(256)] }, 'id'), { status: 101, text: '' }],
])('an upgrade %s', async (_, at, answer) => {
  expect(await upgradeAnswer(await at())).toEqual(answer)
})

test('a socket whose token has expired is closed with 1008 and receives no more events', async () => {
  const chn = 'expired'
  const exp = seconds() + LIFETIME
  const socket = await BareSocket.open(await url({ chn, exp }, 'id'))
  socket.send({ i: '0', p: { u: '/subscribe', b: {} } })
  await socket.frames(1)
  await afterEnd(exp)
  await publish(chn, 1)
  expect(await socket.end()).toEqual({ code: 1008, reason: 'Token expired' })
  expect(socket.messages).toHaveLength(1)
})

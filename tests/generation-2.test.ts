// Clients of generation 2 ("durable iterator", oRPC 1.9 and later) on the same objects.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { sign } from 'orpc-server-1.16.1/helpers'

import { Client, SIGNING_KEY, token as firstGeneration } from './support/client.ts'
import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket, upgradeAnswer } from './support/socket.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

interface Claims {
  chn: string
  rpc?: string[]
  att?: unknown
  tags?: string[]
  exp?: number
}

const seconds = (): number => Math.floor(Date.now() / 1000)

/** A token as oRPC's own helper signs it. */
const token = (claims: Claims, key = SIGNING_KEY): Promise<string> =>
  sign(JSON.stringify({ iat: seconds(), exp: seconds() + 86_400, ...claims }), key)

async function url(claims: Claims | string, id?: string): Promise<string> {
  const at = new URL('/upgrade/USUAL', journals.url)
  at.protocol = 'ws:'
  at.searchParams.set('token', typeof claims === 'string' ? claims : await token(claims))
  if (id !== undefined) at.searchParams.set('id', id)
  return at.href
}

test('both generations on one channel get the same events', async () => {
  const chn = 'both'
  const first = await journals.client('USUAL', { chn })
  const second = await Client.connect(await url({ chn }, 'second'), { version: '1.16.1' })
  const subscriptions = await Promise.all([first.subscribe(), second.subscribe()])
  for (let n = 1; n <= 3; n++) await journals.stub('USUAL', chn, 'publish', { n })
  for (const subscription of subscriptions) {
    expect(await subscription.count(3)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
  }
  expect(subscriptions[0]!.received.map(({ id }) => id)).toEqual(subscriptions[1]!.received.map(({ id }) => id))
  first.close()
  second.close()
})

test.each<[string, () => Promise<string>, { status: number; text: string }]>([
  ['without an id', () => url({ chn: 'a' }), { status: 401, text: 'ID is required' }],
  ['with an id that is none', () => url({ chn: 'a' }, 'with space'), { status: 400, text: 'Invalid ID' }],
  ['with a changed token', async () => url((await token({ chn: 'a' })).replace('"a"', '"b"'), 'id'), { status: 401, text: 'Invalid Token' }],
  ['with an expired token', () => url({ chn: 'a', exp: seconds() - 2 }, 'id'), { status: 401, text: 'Invalid Token' }],
  ['with ten tags', () => url({ chn: 'a', tags: Array.from({ length: 10 }, (_, n) => `${n}`) }, 'id'), { status: 400, text: 'Invalid tags' }],
  ['with a tag that is too long', () => url({ chn: 'a', tags: ['x'.repeat(257)] }, 'id'), { status: 400, text: 'Invalid tags' }],
  ['as it should be', () => url({ chn: 'a', tags: ['x'.repeat(256)] }, 'id'), { status: 101, text: '' }],
])('an upgrade %s', async (_, at, answer) => {
  expect(await upgradeAnswer(await at())).toEqual(answer)
})

test('tags are honoured live and on replay', async () => {
  const chn = 'tags'
  const connect = async (id: string, tags: string[]): Promise<Client> => Client.connect(await url({ chn, tags }, id))
  const staff = await connect('s', ['staff', 'night'])
  const guest = await connect('g', ['guest'])
  const live = await Promise.all([staff.subscribe(), guest.subscribe()])
  await journals.stub('USUAL', chn, 'publish', { n: 1 }, { tags: ['staff'] })
  await journals.stub('USUAL', chn, 'publish', { n: 2 }, { tags: ['guest', 'night'] })
  await journals.stub('USUAL', chn, 'publish', { n: 3 }, { tags: ['staff', 'guest'], except: ['s'] })
  await journals.stub('USUAL', chn, 'publish', { n: 4 })
  const late = await Promise.all([connect('s', ['staff', 'night']), connect('g', ['guest'])])
  const replayed = await Promise.all(late.map((client) => client.subscribe()))
  for (const [ofStaff, ofGuest] of [live, replayed] as const) {
    expect(await ofStaff!.count(3)).toEqual([{ n: 1 }, { n: 2 }, { n: 4 }])
    expect(await ofGuest!.count(3)).toEqual([{ n: 2 }, { n: 3 }, { n: 4 }])
  }
  for (const client of [staff, guest, ...late]) client.close()
})

test('a token renewed on the open socket counts from then on, and nothing is missed beyond the first one', async () => {
  const chn = 'renewed'
  const exp = seconds() + 2
  const client = await Client.connect(await url({ chn, exp, tags: ['t'] }, 'id'))
  let opened = 0
  client.socket.addEventListener('open', () => opened++)
  const subscription = await client.subscribe()
  await journals.stub('USUAL', chn, 'publish', { n: 1 })
  await client.raw.updateToken({ token: await token({ chn, tags: ['t'], rpc: ['whoAmI'], att: 'renewed' }) })
  await new Promise((resolve) => setTimeout(resolve, (exp + 1) * 1000 - Date.now()))
  await journals.hibernate('USUAL', chn)
  await journals.stub('USUAL', chn, 'publish', { n: 2 })
  expect(await subscription.count(2)).toEqual([{ n: 1 }, { n: 2 }])
  expect(await client.call(['whoAmI'])).toBe('renewed')
  expect(opened).toBe(1)
  client.close()
})

test('wrong renewals are refused, and change nothing', async () => {
  const chn = 'wrong-renewals'
  const client = await Client.connect(await url({ chn, tags: ['a', 'b'], rpc: ['kept'] }, 'id'))
  const renew = (renewed: string): Promise<unknown> => client.raw.updateToken({ token: renewed })
  const refused = (message: string): object => ({ code: 'UNAUTHORIZED', status: 401, message })
  const [invalid, otherChannel, otherTags] = [
    'Invalid Token',
    'Updated token must have the same channel with the original token',
    'Updated token must have the exact same tags with the original token',
  ].map(refused)
  await expect(renew(await token({ chn: 'another', tags: ['a', 'b'] }))).rejects.toMatchObject(otherChannel!)
  await expect(renew(await token({ chn, tags: ['b', 'a'] }))).rejects.toMatchObject(otherTags!)
  await expect(renew(await token({ chn, tags: ['a'] }))).rejects.toMatchObject(otherTags!)
  await expect(renew(await token({ chn }))).rejects.toMatchObject(otherTags!)
  await expect(renew(await token({ chn, tags: ['a', 'b'], exp: seconds() - 2 }))).rejects.toMatchObject(invalid!)
  await expect(renew(await token({ chn, tags: ['a', 'b'] }, 'another key'))).rejects.toMatchObject(invalid!)
  await expect(renew(await firstGeneration({ chn }))).rejects.toMatchObject(invalid!)
  await expect(renew('garbage')).rejects.toMatchObject(invalid!)
  await expect(client.raw.updateToken({})).rejects.toMatchObject({ code: 'BAD_REQUEST' })
  expect(await client.call(['kept'])).toBeUndefined()
  client.close()
})

test('an expired socket is closed with 1008, so that its client comes back with the next token', async () => {
  const chn = 'expired'
  const exp = seconds() + 1
  const socket = await BareSocket.open(await url({ chn, exp }, 'id'))
  socket.send({ i: '0', p: { u: '/subscribe', b: {} } })
  await socket.frames(1)
  await new Promise((resolve) => setTimeout(resolve, exp * 1000 - Date.now() + 10))
  await journals.stub('USUAL', chn, 'publish', { n: 1 })
  expect(await socket.end()).toEqual({ code: 1008, reason: 'Token expired' })
  expect(socket.messages).toHaveLength(1)
})

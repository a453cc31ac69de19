// Presence on the real runtime: who is a member, through hibernation, kills and lost instances, for unmodified oRPC clients and ours.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { isPresenceEvent, PresenceMembers, subscribe } from '../npm/durable-event-iterator/src/client/index.ts'
import { token } from './support/client.ts'
import { connect, seconds } from './support/durable-iterator.ts'
import { FLOW_HEADER } from './support/flow.ts'
import { IMPLEMENTATION, isRust, startJournals } from './support/journals.ts'
import type { Binding, Journals } from './support/journals.ts'
import { MemberSocket } from './support/members.ts'
import type { JoinOptions } from './support/members.ts'
import { Publisher, publisherWorker } from './support/publisher.ts'
import { BareSocket } from './support/socket.ts'

/** The grace period of the classes, in milliseconds. */
const GRACE = 500

/**
 * Counts the instances of a class, and removes what a version without presence would not have written. Timers of a minute, which are
 * those of the class with a long grace period, never fire, and do not delay an eviction: as if the runtime had ended the isolate.
 */
const FRONT = `
import * as worker from './index.js'
export * from './index.js'
const { setTimeout } = globalThis
globalThis.setTimeout = (call, delay, ...rest) => (delay > 55_000 ? 0 : setTimeout(call, delay, ...rest))
let constructed = 0
export class PresentObject extends worker.PresentObject {
  constructor(ctx, env) {
    super(ctx, env)
    constructed++
    this.sockets = () => ctx.getWebSockets()
  }
  constructed() {
    return constructed
  }
  /** Makes the attachments of the sockets of a client unreadable. */
  spoil(subject) {
    for (const ws of this.sockets()) {
      const attachment = new TextDecoder().decode(ws.deserializeAttachment())
      if (attachment.includes(JSON.stringify(subject))) ws.serializeAttachment('not an attachment')
    }
  }
  removeMembers() {
    for (const ws of this.sockets()) {
      const { member, ...session } = JSON.parse(new TextDecoder().decode(ws.deserializeAttachment()))
      ws.serializeAttachment(new TextEncoder().encode(JSON.stringify(session)))
    }
  }
}
export default worker.default
`

const isDurableIterator = IMPLEMENTATION === 'DurableIteratorObject'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals({ front: FRONT, workers: [publisherWorker()] })
})
afterAll(() => journals.dispose())
const opened: MemberSocket[] = []
afterEach(() => {
  for (const { socket } of opened.splice(0)) socket.vanish()
})

async function join(chn: string, name: string, options: JoinOptions & { binding?: Binding } = {}): Promise<MemberSocket> {
  const { binding = 'PRESENT', ...rest } = options
  const member = await MemberSocket.join(journals, binding, chn, name, rest)
  opened.push(member)
  return member
}

const membersOf = async (chn: string, binding: Binding = 'PRESENT'): Promise<any[]> => (await journals.stub(binding, chn, 'members')).members
const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Longer than the interval between two updates. */
const quiet = (): Promise<void> => pause(150)

test('a newcomer receives the list in the same turn as its subscription, and the others that it has joined', async () => {
  const anna = await join('join', 'anna')
  expect(anna.events()).toEqual([{ type: 'presence', self: 'anna', members: [{ id: 'anna' }] }])
  await quiet()
  const bert = await join('join', 'bert')
  // The message after the response.
  expect(JSON.parse(bert.socket.messages[1]!)).toEqual({
    i: 's0',
    t: 3,
    p: { e: 'message', d: { json: { type: 'presence', members: [{ id: 'anna' }, { id: 'bert' }], self: 'bert' } } },
  })
  await anna.untilIds('anna', 'bert')
  expect(anna.events().at(-1)).toEqual({ type: 'presence', joined: [{ id: 'bert' }] })
  expect(await membersOf('join')).toEqual([{ id: 'anna', connections: 1 }, { id: 'bert', connections: 1 }])
})

test('a member leaves after the grace period, and a reconnect within it causes no event', async () => {
  const anna = await join('leave', 'anna')
  const bert = await join('leave', 'bert')
  await bert.call('setPresence', { mood: 'fine' })
  await anna.until((members) => members.get('bert')?.state !== undefined)
  const before = anna.length
  await bert.close()
  const again = await join('leave', 'bert')
  expect(again.members.get('bert')).toEqual({ id: 'bert', state: { mood: 'fine' } })
  await pause(GRACE * 2)
  expect(anna.events(before)).toEqual([])
  again.socket.vanish()
  await anna.untilIds('anna')
  expect(anna.events(before)).toEqual([{ type: 'presence', left: ['bert'] }])
  expect(await membersOf('leave')).toEqual([{ id: 'anna', connections: 1 }])
})

test('a state is set by the procedure, by the server and before the join', async () => {
  const anna = await join('state', 'anna', { att: { state: 'from the token' } })
  expect(anna.members.get('anna')).toEqual({ id: 'anna', state: 'from the token' })
  expect(await anna.call('setPresence', { since: 1, list: [null] })).toEqual({ b: {} })
  await anna.until((members) => typeof members.get('anna')?.state === 'object')
  expect(anna.events().at(-1)).toEqual({ type: 'presence', changed: [{ id: 'anna', state: { since: 1, list: [null] } }] })
  await journals.stub('PRESENT', 'state', 'setStates', 'by the server')
  await anna.until((members) => members.get('anna')?.state === 'by the server')
  expect(await membersOf('state')).toEqual([{ id: 'anna', state: 'by the server', connections: 1 }])
  // A call without an input removes it.
  anna.socket.send({ i: 'none', p: { u: '/call', b: { json: { path: ['setPresence'] } } } })
  await anna.until((members) => members.get('anna')?.state === undefined)
})

test('an invalid state is rejected, and the previous one stays', async () => {
  const anna = await join('invalid', 'anna')
  await anna.call('setPresence', 'valid')
  expect((await anna.call('setPresence', 'x'.repeat(1_022))).s).toBeUndefined()
  const tooLarge = await anna.call('setPresence', 'x'.repeat(1_023))
  expect(tooLarge).toMatchObject({
    s: 413,
    b: { json: { code: 'PAYLOAD_TOO_LARGE', message: 'A presence state must be at most 1024 bytes of JSON, got 1025.' } },
  })
  const client = await journals.client('PRESENT', { chn: 'invalid', sub: 'anna', rpc: ['setPresence'] })
  await expect(client.call(['setPresence'], { file: new Blob(['x']) })).rejects.toMatchObject({
    code: 'BAD_REQUEST',
    message: 'A presence state cannot contain a file or blob.',
  })
  client.close()
  expect((await membersOf('invalid'))[0].state).toBe('x'.repeat(1_022))
  const unlisted = await join('invalid', 'bert', { rpc: [] })
  expect((await unlisted.call('setPresence', 1)).s).toBe(403)
})

test('a call over HTTP sets the state of a member in its grace period, and is rejected for a client that is not a member', async () => {
  const options = { binding: 'PATIENT' } as const
  const watch = await join('http', 'watch', options)
  const bert = await join('http', 'bert', options)
  await watch.until((members) => members.size === 2)
  const setPresence = async (id: string, state: string): Promise<unknown[]> => {
    const authorization = `Bearer ${await token({ chn: 'http', sub: 'any', rpc: ['setPresence'] })}`
    const response = await journals.fetch(new URL(`/http/PATIENT/http/call?id=${id}`, journals.url), {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify({ json: { path: ['setPresence'], input: state } }),
    })
    return [response.status, ((await response.json()) as any).json?.code]
  }
  const states = (): unknown[] => [...watch.members].map(({ state }) => state).filter((state) => state !== undefined)
  expect(await setPresence('bert-id', 'here')).toEqual([200, undefined])
  await watch.until(() => states().includes('here'))
  await bert.close()
  await expect.poll(async () => (await membersOf('http', 'PATIENT')).map(({ connections }) => connections).sort()).toEqual([0, 1])
  expect(await setPresence('bert-id', 'away')).toEqual([200, undefined])
  await watch.until(() => states().includes('away'))
  expect(await setPresence('carl-id', 'lost')).toEqual([409, 'CONFLICT'])
  const again = await join('http', 'bert', options)
  expect([...again.members].map(({ state }) => state)).toContain('away')
  await quiet()
  await journals.hibernate('PATIENT', 'http')
  expect((await membersOf('http', 'PATIENT')).filter(({ state }) => state !== undefined)).toMatchObject([{ state: 'away', connections: 1 }])
})

test('an own procedure of the class replaces the built-in one', async () => {
  const anna = await join('own', 'anna', { binding: 'OWN_PRESENT' })
  await anna.call('setPresence', 'fine')
  await anna.until((members) => members.get('anna')?.state === 'own: fine')
})

test('without presence there are no events, no procedure and no members', async () => {
  const client = await MemberSocket.connect(journals, 'ABSENT', 'off', 'anna')
  opened.push(client)
  client.subscribe()
  await client.socket.frames(1)
  expect((await client.call('setPresence', 1)).s).toBe(404)
  await journals.stub('ABSENT', 'off', 'publish', { type: 'message', n: 1, text: null })
  await client.socket.frames(3)
  expect(client.all()).toEqual([{ type: 'message', n: 1, text: null }])
  await expect(journals.stub('ABSENT', 'off', 'members')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await expect(journals.stub('ABSENT', 'off', 'setStates', 1)).rejects.toThrow()
})

test('a member has all sockets with its key', async () => {
  const watch = await join('several', 'watch')
  const phone = await join('several', 'anna', { id: 'phone' })
  const laptop = await join('several', 'anna', { id: 'laptop' })
  await laptop.call('setPresence', 'laptop')
  await watch.until((members) => members.get('anna')?.state === 'laptop')
  expect((await membersOf('several'))[0]).toEqual({ id: 'anna', state: 'laptop', connections: 2 })
  const before = watch.length
  await laptop.close()
  await pause(GRACE * 2)
  expect(watch.events(before)).toEqual([])
  expect((await membersOf('several'))[0]).toEqual({ id: 'anna', state: 'laptop', connections: 1 })
  await phone.close()
  await watch.untilIds('watch')
})

test('keys are a property of the token attachment, or a digest of the connection id', async () => {
  const [anna, other] = [
    await join('keys', 'x', { binding: 'ATTACHED', att: { userId: 'anna' } }),
    await join('keys', 'y', { binding: 'ATTACHED', id: 'secret' }),
  ]
  expect(anna.members.self).toBe('anna')
  expect(other.members.self).toMatch(/^[\w-]{22}$/)
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode('secret')))
  expect(other.members.self).toBe(Buffer.from(hash).toString('base64url').slice(0, 22))
  const anonymous = await Promise.all([1, 2].map(() => join('keys', 'z', { binding: 'ATTACHED', id: null })))
  const ids = anonymous.map(({ members }) => members.self)
  expect(new Set([...ids, other.members.self]).size).toBe(3)
  await anna.until((members) => members.size === 4)
  await quiet()
  await journals.hibernate('ATTACHED', 'keys')
  expect((await membersOf('keys', 'ATTACHED')).map(({ id }) => id).sort()).toEqual(anna.ids)
})

test('an abort leaves, and a subscription that on_subscribed rejects does not join', async () => {
  const anna = await join('abort', 'anna')
  const bert = await join('abort', 'bert')
  await anna.untilIds('anna', 'bert')
  bert.socket.send({ i: 's0', t: 4 })
  await anna.untilIds('anna')
  bert.subscribe()
  await anna.untilIds('anna', 'bert')
  const failing = await MemberSocket.connect(journals, 'PRESENT', 'abort', 'carl', { att: { manner: 'failSubscribed' } })
  opened.push(failing)
  failing.subscribe()
  await failing.socket.frames(2)
  expect(failing.events()).toEqual([])
  expect((await membersOf('abort')).map(({ id }) => id)).toEqual(['anna', 'bert'])
})

test('a member whose token has expired leaves', async () => {
  const anna = await join('expiry', 'anna')
  const exp = seconds() + 2
  await join('expiry', 'bert', { exp })
  await anna.untilIds('anna', 'bert')
  await pause(exp * 1_000 - Date.now() + 50)
  await journals.stub('PRESENT', 'expiry', 'publish', { type: 'message', n: 1, text: null })
  await anna.untilIds('anna')
})

test('a parked member whose token has expired leaves, and not before', async () => {
  const chn = 'parked expiry'
  const publish = (n: number, text: string | null): Promise<unknown> => journals.stub('PRESENT', chn, 'publish', { type: 'message', n, text })
  const anna = await join(chn, 'anna')
  const exp = seconds() + 4
  const slow = await join(chn, 'slow', { exp, headers: { [FLOW_HEADER]: '1' } })
  for (let n = 0; n < 6; n++) await publish(n, 'x'.repeat(60_000))
  await slow.socket.until((messages) => messages.at(-1)!.includes('"parked"'))
  await anna.socket.until(() => anna.ids.includes('slow') && anna.all().some(({ n }) => n === 5))
  await journals.hibernate('PRESENT', chn)
  const before = anna.length
  await publish(7, null)
  await pause(exp * 1_000 - Date.now() + 50)
  await publish(8, null)
  await anna.untilIds('anna')
  const events = anna.all(before).map(({ n, left }) => n ?? left)
  expect(events).toEqual([7, 8, ['slow']])
})

describe('hibernation', () => {
  test('changes nothing, and members who have left meanwhile leave', async () => {
    const anna = await join('hibernation', 'anna')
    const bert = await join('hibernation', 'bert')
    const carl = await join('hibernation', 'carl')
    await bert.call('setPresence', 'kept')
    await anna.until((members) => members.size === 3 && members.get('bert')?.state === 'kept')
    await quiet()
    const before = anna.length
    await journals.hibernate('PRESENT', 'hibernation')
    await journals.stub('PRESENT', 'hibernation', 'publish', { type: 'message', n: 1, text: null })
    await anna.socket.frames(before + 1)
    expect(anna.all(before)).toEqual([{ type: 'message', n: 1, text: null }])
    await journals.hibernate('PRESENT', 'hibernation')
    // Both close while the Durable Object is not loaded.
    await carl.close()
    bert.socket.vanish()
    await anna.untilIds('anna')
    expect(anna.events(before).every(({ members }) => members === undefined)).toBe(true)
    await journals.hibernate('PRESENT', 'hibernation')
    const dora = await join('hibernation', 'dora')
    expect(dora.ids).toEqual(['anna', 'dora'])
    await anna.untilIds('anna', 'dora')
  })

  test.each(['publish', 'join', 'close'])('an eviction during a grace period is made up for by the full list: %s', async (wake) => {
    const chn = `eviction ${wake}`
    const id = async (name: string): Promise<string> => {
      const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(`${name}-id`)))
      return Buffer.from(hash).toString('base64url').slice(0, 22)
    }
    const ids = await Promise.all(['anna', 'bert', 'carl', 'dora'].map(id)) as [string, string, string, string]
    const options = { binding: 'PATIENT' } as const
    const [anna, bert, carl] = [await join(chn, 'anna', options), await join(chn, 'bert', options), await join(chn, 'carl', options)]
    await anna.untilIds(...ids.slice(0, 3))
    await carl.close()
    await expect.poll(async () => (await membersOf(chn, 'PATIENT')).filter(({ connections }) => connections === 0).length).toBe(1)
    const before = anna.length
    await journals.hibernate('PATIENT', chn)
    if (wake === 'publish') await journals.stub('PATIENT', chn, 'publish', { type: 'message', n: 1, text: null })
    else if (wake === 'join') await join(chn, 'dora', options)
    else await bert.close()
    await anna.until((members) => !members.has(ids[2]))
    expect(anna.events(before).filter(({ members }) => members !== undefined)).toHaveLength(1)
    expect(anna.members.has(ids[1])).toBe(true)
    expect(anna.members.has(ids[3])).toBe(wake === 'join')
  })

  test('sockets of a version without presence are members', async () => {
    const anna = await join('before', 'anna')
    const bert = await join('before', 'bert')
    await anna.untilIds('anna', 'bert')
    await quiet()
    await journals.stub('PRESENT', 'before', 'removeMembers')
    await journals.hibernate('PRESENT', 'before')
    const carl = await join('before', 'carl')
    expect(carl.ids).toEqual(['anna', 'bert', 'carl'])
    await bert.call('setPresence', 'here')
    await bert.close()
    await anna.untilIds('anna', 'carl')
    await journals.hibernate('PRESENT', 'before')
    expect((await membersOf('before')).map(({ id }) => id)).toEqual(['anna', 'carl'])
  })

  test('an idle channel hibernates', { timeout: 60_000 }, async () => {
    const anna = await join('idle', 'anna')
    const bert = await join('idle', 'bert')
    await anna.untilIds('anna', 'bert')
    await bert.call('setPresence', 'idle')
    await anna.until((members) => members.get('bert')?.state === 'idle')
    const before = await journals.stub('PRESENT', 'idle counter', 'constructed')
    // Longer than the time after which the runtime unloads an idle Durable Object, with the end of the batch.
    await pause(14_000)
    await journals.stub('PRESENT', 'idle', 'publish', { type: 'message', n: 1, text: null })
    await anna.socket.until(() => anna.all().some(({ type }) => type === 'message'))
    // This one, and the counter's, which has hibernated too.
    expect(await journals.stub('PRESENT', 'idle counter', 'constructed')).toBe(before + 2)
    expect(anna.ids).toEqual(['anna', 'bert'])
  })
})

test('a member whose attachment cannot be read after hibernation leaves, also if the list was built while its socket closed', async () => {
  const anna = await join('spoiled', 'anna')
  const bert = await join('spoiled', 'bert')
  await anna.until(({ size }) => size === 2)
  await quiet()
  await journals.stub('PRESENT', 'spoiled', 'spoil', 'bert')
  await journals.hibernate('PRESENT', 'spoiled')
  // The publish closes the socket, and the list is read before its client has answered.
  await Promise.all([journals.stub('PRESENT', 'spoiled', 'publish', { type: 'message', n: 1, text: null }), membersOf('spoiled')])
  expect(await bert.socket.end()).toMatchObject({ code: 1012 })
  await anna.untilIds('anna')
})

// Code of the application in TypeScript cannot break the instance.
describe.skipIf(!isRust)('the loss of the WebAssembly instance', () => {
  const lose = (): Promise<unknown> => journals.stub('FAULTY', 'losing', 'publishAndFail', 1, 'panic').catch(() => {})

  test('during a grace period: everyone receives the full list', async () => {
    const anna = await join('lost grace', 'anna')
    const bert = await join('lost grace', 'bert')
    await anna.untilIds('anna', 'bert')
    await quiet()
    const before = anna.length
    await bert.close()
    await expect.poll(async () => (await membersOf('lost grace'))[1]?.connections).toBe(0)
    await lose()
    await anna.untilIds('anna')
    expect(anna.events(before)).toEqual([{ type: 'presence', members: [{ id: 'anna' }] }])
    // The next member joins as always.
    await quiet()
    await join('lost grace', 'carl')
    await anna.untilIds('anna', 'carl')
  })

  test('during a batch: everyone receives the full list', async () => {
    const anna = await join('lost batch', 'anna')
    await quiet()
    await join('lost batch', 'bert')
    await join('lost batch', 'carl')
    await lose()
    await anna.untilIds('anna', 'bert', 'carl')
  })

  test('in on_subscribed: a member that returns within the grace period has joined', async () => {
    const options = { binding: 'PATIENT' } as const
    const anna = await join('lost subscribed', 'anna', options)
    await quiet()
    const socket = await BareSocket.open(await journals.upgrade('PATIENT', { chn: 'lost subscribed', att: { manner: 'panicSubscribed' } }, 'bert-id'))
    socket.send({ i: 's', p: { u: '/subscribe', b: {} } })
    await socket.end()
    const bert = await join('lost subscribed', 'bert', options)
    await anna.until(({ size }) => size === 2)
    expect([...bert.members].map(({ id }) => id)).toEqual([...anna.members].map(({ id }) => id))
  })

  test('in on_closed: the member leaves', async () => {
    const anna = await join('lost closed', 'anna')
    const bert = await join('lost closed', 'bert', { att: { manner: 'panicClosed' } })
    await anna.untilIds('anna', 'bert')
    await quiet()
    bert.socket.vanish()
    await anna.untilIds('anna')
  })
})

test('a parked subscription stays a member', async () => {
  const anna = await join('slow', 'anna')
  const slow = await join('slow', 'slow', { headers: { 'x-durable-event-flow': '1' } })
  await anna.untilIds('anna', 'slow')
  const before = anna.length
  for (let n = 0; n < 4; n++) await journals.stub('PRESENT', 'slow', 'publish', { type: 'message', n, text: 'x'.repeat(100_000) })
  await slow.socket.until((messages) => messages.some((message) => message.includes('"e":"parked"')))
  await pause(GRACE * 2)
  await journals.hibernate('PRESENT', 'slow')
  expect((await membersOf('slow')).map(({ id }) => id)).toEqual(['anna', 'slow'])
  expect(anna.events(before)).toEqual([])
  // It receives the list again when it subscribes again.
  slow.subscribe({ 'x-durable-event-flow': '1' })
  await slow.socket.until(() => slow.events().filter(({ self }) => self !== undefined).length === 2)
  slow.socket.vanish()
  await anna.untilIds('anna')
})

test('publishers’ subscribers receive no presence events and are no members', async () => {
  const publisher = await Publisher.of(journals)
  const subscriber = await publisher.subscribed('PUBLISHED_PRESENT', 'published')
  const anna = await join('published', 'anna', { binding: 'PUBLISHED_PRESENT' })
  await join('published', 'bert', { binding: 'PUBLISHED_PRESENT' })
  await anna.untilIds('anna', 'bert')
  await quiet()
  await journals.stub('PUBLISHED_PRESENT', 'published', 'publish', { type: 'message', n: 1, text: null })
  await subscriber.until(({ received }) => received.length > 0)
  expect(subscriber.received.map(({ payload }) => payload)).toEqual([{ type: 'message', n: 1, text: null }])
  expect(await membersOf('published', 'PUBLISHED_PRESENT')).toHaveLength(2)
})

test('1,000 members: a newcomer receives the list in parts', { timeout: 240_000 }, async () => {
  const names = Array.from({ length: 1_000 }, (_, n) => `member-${String(n).padStart(4, '0')}`)
  const att = { state: 'x'.repeat(200) }
  const watch = await join('many', 'watch')
  // They subscribe together, and do not parse their lists.
  for (let n = 0; n < names.length; n += 100) {
    const batch = names.slice(n, n + 100).map((name) => MemberSocket.connect(journals, 'PRESENT', 'many', name, { att }))
    opened.push(...(await Promise.all(batch)))
  }
  for (const member of opened.slice(1)) member.subscribe()
  await watch.until(({ size }) => size === 1_001)
  const newcomer = await join('many', 'newcomer')
  const parts = newcomer.events()
  expect(parts.length).toBeGreaterThan(3)
  expect(parts[0]!.members!.length + parts.slice(1).reduce((sum, { joined }) => sum + (joined?.length ?? 0), 0)).toBe(1_002)
  expect(parts.map(({ self }) => self)).toEqual([...parts.slice(1).map(() => undefined), 'newcomer'])
  expect(newcomer.members.size).toBe(1_002)
  for (const { socket } of opened.splice(1)) socket.vanish()
  await watch.untilIds('watch')
})

describe('clients', () => {
  type Case = { version: '1.6.6' | '1.9.4' | '1.16.1' }
  const stock: Case[] = isDurableIterator ? [{ version: '1.9.4' }, { version: '1.16.1' }] : [{ version: '1.6.6' }]
  const versions: Case[] = isRust ? [{ version: '1.6.6' }, { version: '1.9.4' }, { version: '1.16.1' }] : stock
  test.each(versions)('oRPC $version', async ({ version }) => {
    const chn = `stock ${version}`
    const watch = await join(chn, 'watch', { id: null })
    const claims = { chn, sub: 'anna', rpc: ['setPresence'] }
    const client =
      version === '1.6.6' ? await journals.client('PRESENT', claims, { version }) : await connect(journals, 'PRESENT', claims, { id: 'c-1', version })
    const subscription = await client.subscribe()
    await subscription.count(1)
    expect(subscription.events[0]).toEqual({ type: 'presence', self: 'anna', members: [{ id: 'anna' }, { id: 'watch' }] })
    await watch.untilIds('anna', 'watch')
    await client.call(['setPresence'], { date: new Date(0) })
    await watch.until((members) => members.get('anna')?.state !== undefined)
    // The state may arrive with the member, if the batch is still open.
    const isDated = ({ joined = [], changed = [] }: any): boolean => [...joined, ...changed].some(({ state }) => state?.date instanceof Date)
    await subscription.until(({ events }) => events.some(isDated))
    await quiet()
    const before = watch.length
    const since = Date.now()
    client.cut()
    await subscription.until(({ events }) => events.filter(({ self }) => self !== undefined).length === 2)
    // On a busy machine, the reconnect may take longer.
    const isWithin = Date.now() - since < GRACE
    await pause(GRACE * 2)
    if (isWithin) expect(watch.events(before)).toEqual([])
    expect(watch.ids).toEqual(['anna', 'watch'])
    // A published event still has its id, and the presence events have none.
    const id = await journals.stub('PRESENT', chn, 'publish', { type: 'message', n: 1, text: null })
    await subscription.until(({ events }) => events.some(({ type }) => type === 'message'))
    expect(subscription.received.filter(({ id }) => id !== undefined).map(({ id }) => id)).toEqual([id])
    // The generator of oRPC 1.6 first waits for its next event, and that of oRPC 1.16 rejects if its socket has closed.
    const returned = Promise.resolve(subscription.iterator.return?.()).catch(() => {})
    if (version !== '1.6.6') await Promise.race([returned, pause(1_000)])
    client.close()
    await watch.untilIds('watch')
  })

  test('ours, with the list of members', async () => {
    const watch = await join('ours', 'watch')
    const events = subscribe<any>({
      url: new URL('/upgrade/PRESENT', journals.url),
      token: () => token({ chn: 'ours', sub: 'anna', rpc: ['setPresence'] }),
    })
    const members = new PresenceMembers<{ typing: boolean }>()
    const seen: unknown[] = []
    const reading = (async () => {
      for await (const event of events) {
        if (isPresenceEvent<{ typing: boolean }>(event)) members.apply(event)
        else seen.push(event)
      }
    })()
    await watch.untilIds('anna', 'watch')
    await events.call(['setPresence'], { typing: true })
    await watch.until((all) => (all.get('anna')?.state as any)?.typing === true)
    await journals.stub('PRESENT', 'ours', 'publish', { type: 'message', n: 1, text: null })
    await expect.poll(() => seen).toEqual([{ type: 'message', n: 1, text: null }])
    expect(members.self).toBe('anna')
    await expect.poll(() => [...members]).toEqual([{ id: 'anna', state: { typing: true } }, { id: 'watch' }])
    events.close()
    await reading.catch(() => {})
    await watch.untilIds('watch')
  })
})

describe('a kill of the runtime', () => {
  const folder = mkdtempSync(joinPath(tmpdir(), 'presence-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('leaves no ghosts', { timeout: 60_000 }, async () => {
    const own = await startJournals({ persistence: folder })
    try {
      const before = [await MemberSocket.join(own, 'PRESENT', 'killed', 'anna'), await MemberSocket.join(own, 'PRESENT', 'killed', 'bert')]
      await before[0]!.untilIds('anna', 'bert')
      const closing = await MemberSocket.join(own, 'PRESENT', 'killed', 'carl')
      await closing.close()
      await own.kill()
      await Promise.all(before.map(({ socket }) => socket.end()))
      const bert = await MemberSocket.join(own, 'PRESENT', 'killed', 'bert')
      const dora = await MemberSocket.join(own, 'PRESENT', 'killed', 'dora')
      await bert.untilIds('bert', 'dora')
      expect(dora.ids).toEqual(['bert', 'dora'])
      await pause(GRACE * 2)
      expect((await own.stub('PRESENT', 'killed', 'members')).members.map(({ id }: any) => id)).toEqual(['bert', 'dora'])
      bert.socket.vanish()
      dora.socket.vanish()
    } finally {
      await own.dispose()
    }
  })
})

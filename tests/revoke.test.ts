// Revoking tokens before they expire: which tokens, the immediate effect, persistence, and every way to use a token.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { CLIENT_VERSIONS, token } from './support/client.ts'
import type { Claims } from './support/client.ts'
import { connect, token as durableIteratorToken, upgradeUrl } from './support/durable-iterator.ts'
import { EventStream } from './support/event-stream.ts'
import { startFaultyJournals } from './support/faults.ts'
import type { FaultyJournals } from './support/faults.ts'
import { isRust, PUBLISH, startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket, upgradeAnswer } from './support/socket.ts'

const lines: string[] = []
let journals: Journals
/** Sets the faults of the runtime, on which only classes in Rust run. */
let set: (faults: Parameters<FaultyJournals['set']>[0]) => Promise<unknown> = async () => {}
beforeAll(async () => {
  const onLog = (line: string): unknown => lines.push(line)
  if (!isRust) return void (journals = await startJournals({ onLog }))
  const faulty = await startFaultyJournals({ onLog })
  journals = faulty
  set = faulty.set
})
afterEach(() => set({ ahead: 0 }))
afterAll(() => journals.dispose())

const seconds = (): number => Math.floor(Date.now() / 1000)
/** Moves the clock of the Durable Objects, or waits for two seconds. Returns the time of issue of a token that is issued then. */
async function later(by: number): Promise<number> {
  const start = seconds()
  if (!isRust) await expect.poll(seconds, { timeout: 5_000 }).toBeGreaterThanOrEqual(start + 2)
  await set({ ahead: by * 1_000 })
  return isRust ? seconds() + by : seconds()
}

const revoke = async (chn: string, options: unknown, of: Journals = journals): Promise<number> => (await of.stub('USUAL', chn, 'revoke', options)).disconnected
const publish = (chn: string, n: number, of: Journals = journals): Promise<string> => of.stub('USUAL', chn, 'publish', { n })

const RPC = [PUBLISH, 'kept']
const urlOf = async (claims: Claims, id?: string, of: Journals = journals): Promise<string> => of.upgrade('USUAL', { rpc: RPC, ...claims }, id)

async function subscribed(url: string): Promise<BareSocket> {
  const socket = await BareSocket.open(url)
  socket.send({ i: '1', p: { u: '/subscribe', b: {} } })
  await socket.frames(1)
  return socket
}

const REJECTED = { status: 401, text: 'Token revoked' }
const CLOSED = { code: 1008, reason: 'Token revoked' }

describe('tokens', () => {
  test.each([
    ['of a subject', { subject: 'anna' }, [true, true, false, false]],
    ['of a connection id', { connection: 'a' }, [true, false, true, false]],
    ['issued before a time', {}, [true, true, true, true]],
  ])('%s are rejected until new ones are issued', async (_, selection, expected) => {
    const options = Object.keys(selection).length > 0 ? selection : { issuedBefore: seconds() + 1 }
    const chn = `revoked ${JSON.stringify(options)}`
    const clients: [sub: string | undefined, id: string | undefined][] = [['anna', 'a'], ['anna', undefined], ['bert', 'a'], [undefined, 'b']]
    const urls = await Promise.all(clients.map(([sub, id]) => urlOf({ chn, ...(sub !== undefined && { sub }) }, id)))
    const sockets = await Promise.all(urls.map(subscribed))
    expect(await revoke(chn, options)).toBe(expected.filter((isRevoked) => isRevoked).length)
    await publish(chn, 1)
    for (const hibernates of [false, true]) {
      if (hibernates) await journals.hibernate('USUAL', chn)
      for (const [n, isRevoked] of expected.entries()) {
        if (isRevoked) {
          expect(await sockets[n]!.end()).toEqual(CLOSED)
          expect(sockets[n]!.messages).toHaveLength(1)
          expect(await upgradeAnswer(urls[n]!)).toEqual(REJECTED)
        } else {
          await sockets[n]!.frames(2)
          expect((await upgradeAnswer(urls[n]!)).status).toBe(101)
        }
      }
    }
    sockets.forEach((socket) => socket.vanish())
    const iat = await later(8)
    for (const [n, [sub, id]] of clients.entries()) {
      if (expected[n]) expect(await upgradeAnswer(urls[n]!)).toEqual(REJECTED)
      const renewed = await urlOf({ chn, iat, ...(sub !== undefined && { sub }) }, id)
      expect((await upgradeAnswer(renewed)).status).toBe(101)
    }
  })

  test('of the same second are rejected too', async () => {
    const chn = 'same second'
    await revoke(chn, { subject: 'anna' })
    expect(await upgradeAnswer(await urlOf({ chn, sub: 'anna' }))).toEqual(REJECTED)
    expect((await upgradeAnswer(await urlOf({ chn, sub: 'anna', iat: await later(2) }))).status).toBe(101)
  })

  test.runIf(isRust)('of an issuer whose clock is ahead are rejected', async () => {
    const chn = 'clock ahead'
    const ahead = await urlOf({ chn, sub: 'anna', iat: seconds() + 60 })
    const slightly = await urlOf({ chn, sub: 'bert', iat: seconds() + 2 })
    const sockets = [await subscribed(ahead), await subscribed(slightly)]
    for (const subject of ['anna', 'bert']) expect(await revoke(chn, { subject })).toBe(1)
    for (const socket of sockets) expect(await socket.end()).toEqual(CLOSED)
    for (const by of [0, 3, 61, 300]) {
      await later(by)
      for (const url of [ahead, slightly]) expect(await upgradeAnswer(url)).toEqual(REJECTED)
    }
    expect((await upgradeAnswer(await urlOf({ chn, sub: 'anna', iat: (await later(200)) + 60 }))).status).toBe(101)
  })

  test.each([
    [{}, 'exactly one of connection, subject and issuedBefore'],
    [undefined, 'expected an object'],
    [null, 'expected an object'],
    ['anna', 'expected an object'],
    [{ subject: 'anna', connection: 'a' }, 'exactly one of'],
    [{ subject: '' }, '/subject'],
    [{ subject: null }, '/subject'],
    [{ subject: ['anna'] }, '/subject'],
    [{ subject: 'x'.repeat(257) }, '/subject'],
    [{ connection: 'a b' }, '/connection'],
    [{ issuedBefore: 'yesterday' }, '/issuedBefore'],
    [{ issuedBefore: Date.now() }, 'a number is in seconds'],
    [{ issuedBefore: -1 }, '/issuedBefore'],
    [{ issuedBefore: null }, '/issuedBefore'],
    [{ subject: 'anna', everyone: true }, '/everyone'],
    [{ subject: 'anna', reason: 7 }, '/reason'],
  ])('are not revoked by the invalid options %j', async (options, expected) => {
    const chn = 'hostile revocations'
    const socket = await subscribed(await urlOf({ chn, sub: 'anna' }, 'a'))
    const error = await revoke(chn, options).catch((error) => error)
    expect([error.code, error.message]).toEqual(['BAD_REQUEST', expect.stringContaining(expected)])
    await publish(chn, 1)
    await socket.frames(2)
    socket.vanish()
  })

  test('are accepted again after all storage was deleted', async () => {
    const chn = 'wiped'
    const url = await urlOf({ chn, sub: 'anna' })
    await revoke(chn, { subject: 'anna' })
    expect(await upgradeAnswer(url)).toEqual(REJECTED)
    await journals.stub('USUAL', chn, 'wipe')
    expect((await upgradeAnswer(url)).status).toBe(101)
    await revoke(chn, { subject: 'anna' })
    expect(await upgradeAnswer(url)).toEqual(REJECTED)
  })

  test.runIf(isRust)('are not accepted while the storage fails', async () => {
    const chn = 'failing storage'
    const url = await urlOf({ chn, sub: 'anna' })
    await revoke(chn, { subject: 'anna' })
    const socket = await subscribed(await urlOf({ chn, sub: 'bert' }))
    const refreshing = await BareSocket.open(upgradeUrl(journals, 'USUAL', await durableIteratorToken({ chn, sub: 'carl' }), 'c'))
    await set({ thrown: { call: 'sql', value: 'Error', times: 1_000, name: chn } })
    try {
      expect(await upgradeAnswer(url)).toEqual({ status: 503, text: 'Service Unavailable', retryAfter: '2' })
      const authorization = `Bearer ${await token({ chn, sub: 'anna' })}`
      for (const accept of ['application/json', 'text/event-stream']) {
        const response = await journals.fetch(new URL(`/http/USUAL/${encodeURIComponent(chn)}/events`, journals.url), { headers: { authorization, accept } })
        const { json } = (await response.json()) as any
        expect([response.status, json.code, response.headers.get('retry-after')]).toEqual([503, 'SERVICE_UNAVAILABLE', '2'])
      }
      refreshing.send({ i: '1', p: { u: '/updateToken', b: { json: { token: await durableIteratorToken({ chn, sub: 'carl' }) } } } })
      const [{ p }] = await refreshing.frames(1)
      expect([p.s, p.b.json.code]).toEqual([503, 'SERVICE_UNAVAILABLE'])
      refreshing.vanish()
      // Nothing is done by halves: the socket stays open.
      expect((await revoke(chn, { subject: 'bert' }).catch((error) => error)).code).toBe('INTERNAL_SERVER_ERROR')
    } finally {
      await set({ thrown: null })
    }
    await publish(chn, 1)
    await socket.frames(2)
    socket.vanish()
    expect(await upgradeAnswer(url)).toEqual(REJECTED)
  })

  test('are not written to the log', async () => {
    const chn = 'secret'
    const signed = await token({ chn, sub: 'anna' })
    await revoke(chn, { subject: 'anna', reason: 'a secret reason' })
    await upgradeAnswer(upgradeUrl(journals, 'USUAL', signed))
    await revoke(chn, { subjects: 'anna' }).catch(() => {})
    expect(lines.filter((line) => line.includes(signed) || line.includes('a secret reason'))).toEqual([])
  })
})

test('an event that is published in the same turn is not received', async () => {
  const chn = 'same turn'
  const [anna, bert] = [await subscribed(await urlOf({ chn, sub: 'anna' })), await subscribed(await urlOf({ chn, sub: 'bert' }))]
  expect(await journals.stub('USUAL', chn, 'revokeAndPublish', 'anna', { n: 1 })).toBe(1)
  await bert.frames(2)
  bert.vanish()
  expect(await anna.end()).toEqual({ code: 1008, reason: 'Revoked by the test' })
  expect(anna.messages).toHaveLength(1)
})

test('revocations survive SIGKILL and a restart', async () => {
  const persistence = await mkdtemp(join(tmpdir(), 'revocations-'))
  const lasting = await startJournals({ persistence })
  try {
    const chn = 'killed'
    const [anna, bert] = [{ chn, sub: 'anna' }, { chn, sub: 'bert' }]
    const signed = await Promise.all([token(anna), token(bert)])
    const socket = await BareSocket.open(upgradeUrl(lasting, 'USUAL', signed[0]!))
    await revoke(chn, { subject: 'anna' }, lasting)
    await socket.end()
    await lasting.kill()
    expect(await upgradeAnswer(upgradeUrl(lasting, 'USUAL', signed[0]!))).toEqual(REJECTED)
    expect((await upgradeAnswer(upgradeUrl(lasting, 'USUAL', signed[1]!))).status).toBe(101)
  } finally {
    await lasting.dispose()
    await rm(persistence, { recursive: true, force: true })
  }
})

test('a revoked token cannot refresh the token of an open socket', async () => {
  const chn = 'refresh'
  const revoked = await durableIteratorToken({ chn, sub: 'anna' })
  await revoke(chn, { subject: 'anna' })
  const iat = await later(5)
  const socket = await BareSocket.open(upgradeUrl(journals, 'USUAL', await durableIteratorToken({ chn, sub: 'anna', iat }), 'a'))
  socket.send({ i: '1', p: { u: '/updateToken', b: { json: { token: revoked } } } })
  const [{ p }] = await socket.frames(1)
  expect([p.s, p.b.json.message]).toEqual([401, 'Token revoked'])
  socket.vanish()
})

test.each(CLIENT_VERSIONS)('an unmodified client connects again with a new token: %s', async (version) => {
  const chn = `revoked ${version}`
  const isDurableIterator = !version.startsWith('1.6') && !version.startsWith('1.8')
  const claims = { chn, rpc: RPC, sub: 'anna' }
  const client = isDurableIterator
    ? await connect(journals, 'USUAL', claims, { id: 'a', version })
    : await journals.client('USUAL', claims, { version })
  const subscription = await client.subscribe()
  await publish(chn, 1)
  await subscription.count(1)
  const closed = new Promise<CloseEvent>((resolve) => client.socket.addEventListener('close', resolve as never, { once: true }))
  expect(await revoke(chn, { subject: 'anna', reason: 'Bye' })).toBe(1)
  expect(await closed).toMatchObject({ code: 1008, reason: 'Bye' })
  await publish(chn, 2)
  expect(subscription.events).toEqual([{ n: 1 }])
  client.close()
  const renewed = { ...claims, iat: await later(5) }
  const again = isDurableIterator
    ? await connect(journals, 'USUAL', renewed, { id: 'a', version })
    : await journals.client('USUAL', renewed, { version })
  const resumed = await again.subscribe({ lastEventId: subscription.received[0]!.id! })
  expect(await resumed.count(1)).toEqual([{ n: 2 }])
  again.close()
})

describe('over HTTP', () => {
  const address = (chn: string, last = 'events', query = ''): URL => new URL(`/http/USUAL/${encodeURIComponent(chn)}/${last}${query}`, journals.url)
  const REJECTED_HEADER = 'x-durable-event-token-expired'

  async function rejection(response: Response): Promise<unknown[]> {
    const { json } = (await response.json()) as any
    return [response.status, json.code, json.message, response.headers.get(REJECTED_HEADER)]
  }
  const EXPECTED = [401, 'UNAUTHORIZED', 'Token revoked', '1']

  test('pages, streams, long polls and calls are rejected', async () => {
    const chn = 'http revoked'
    const headers = { authorization: `Bearer ${await token({ chn, sub: 'anna', rpc: RPC })}` }
    await publish(chn, 1)
    const get = (query = '', more: object = {}): Promise<Response> => journals.fetch(address(chn, 'events', query), { headers: { ...headers, ...more } })
    expect((await get()).status).toBe(200)
    await revoke(chn, { subject: 'anna' })
    expect(await rejection(await get())).toEqual(EXPECTED)
    expect(await rejection(await get('?last=1'))).toEqual(EXPECTED)
    expect(await rejection(await get('?wait=5'))).toEqual(EXPECTED)
    expect(await rejection(await get('', { accept: 'text/event-stream' }))).toEqual(EXPECTED)
    expect(await rejection(await get('?last=1', { accept: 'text/event-stream' }))).toEqual(EXPECTED)
    const call = { path: [PUBLISH], input: { n: 2 } }
    const body = JSON.stringify({ json: call })
    const called = await journals.fetch(address(chn, 'call'), { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body })
    expect(await rejection(called)).toEqual(EXPECTED)
    // Other readers are not affected.
    const other = { authorization: `Bearer ${await token({ chn, sub: 'bert' })}` }
    const { events } = (await (await journals.fetch(address(chn, 'events', '?since=0'), { headers: other })).json()) as any
    expect(events.map(({ json }: any) => json)).toEqual([{ n: 1 }])
  })

  test('a page is rejected by its connection id and its time of issue', async () => {
    const chn = 'http parts'
    const headers = { authorization: `Bearer ${await token({ chn })}` }
    await revoke(chn, { connection: 'a' })
    expect(await rejection(await journals.fetch(address(chn, 'events', '?id=a'), { headers }))).toEqual(EXPECTED)
    expect((await journals.fetch(address(chn, 'events', '?id=b'), { headers })).status).toBe(200)
    await revoke(chn, { issuedBefore: new Date(Date.now() + 2_000).toISOString() })
    expect(await rejection(await journals.fetch(address(chn, 'events', '?id=b'), { headers }))).toEqual(EXPECTED)
  })

  test('a server with the read key is not affected', async () => {
    const chn = 'http read key'
    const headers = { authorization: 'Bearer the read key of the tests' }
    const events = await EventStream.open(address(chn), { headers })
    expect(await revoke(chn, { issuedBefore: Date.now() / 1_000 + 1 })).toBe(1)
    await publish(chn, 1)
    await events.count(1)
    await revoke(chn, { issuedBefore: Date.now() / 1_000 + 1 })
    // A new stream waits until its token is accepted.
    const later = await EventStream.open(address(chn, 'events', '?since=0'), { headers })
    await later.count(1)
    expect((await journals.fetch(address(chn), { headers })).status).toBe(200)
    for (const stream of [events, later]) await stream.close()
  })

  test('an open stream and a waiting long poll end', async () => {
    const chn = 'http open'
    const headers = { authorization: `Bearer ${await token({ chn, sub: 'anna' })}` }
    const events = await EventStream.open(address(chn), { headers })
    const waiting = journals.fetch(address(chn, 'events', '?wait=20'), { headers })
    await publish(chn, 1)
    await events.count(1)
    await waiting // it has the event
    const { next } = (await (await journals.fetch(address(chn, 'events', '?since=0'), { headers })).json()) as any
    const polled = journals.fetch(address(chn, 'events', `?wait=20&after=${next}`), { headers })
    for (let open = 0; open < 2; ) open = (await journals.stub('USUAL', chn, 'kept')).length
    expect(await revoke(chn, { subject: 'anna' })).toBe(2)
    await publish(chn, 2)
    await events.end()
    expect(events.messages).toEqual([{ n: 1 }])
    expect(await rejection(await polled)).toEqual(EXPECTED)
  })
})

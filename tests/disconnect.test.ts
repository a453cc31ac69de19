// Disconnecting clients: the selection, the immediate effect, and the return of clients.

import type { Socket } from 'node:net'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { CLIENT_VERSIONS, token } from './support/client.ts'
import { connect, token as durableIteratorToken, upgradeUrl } from './support/durable-iterator.ts'
import { EventStream } from './support/event-stream.ts'
import { FLOW_HEADER } from './support/flow.ts'
import { PUBLISH, startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { Publisher, publisherWorker } from './support/publisher.ts'
import { BareSocket } from './support/socket.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals({ workers: [publisherWorker()] })
})
afterAll(() => journals.dispose())

const disconnect = async (chn: string, options: unknown): Promise<number> => (await journals.stub('USUAL', chn, 'disconnect', options)).disconnected
const publish = (chn: string, n: number): Promise<string> => journals.stub('USUAL', chn, 'publish', { n })

/** Subscribes a client with tags and a connection id on a plain WebSocket. */
async function subscribed(chn: string, id: string, tags: string[] = []): Promise<BareSocket> {
  const signed = await durableIteratorToken({ chn, tags, rpc: [PUBLISH] })
  const socket = await BareSocket.open(upgradeUrl(journals, 'USUAL', signed, id))
  socket.send({ i: '1', p: { u: '/subscribe', b: {} } })
  await socket.frames(1)
  return socket
}

const CLOSED = { code: 4001, reason: 'Disconnected' }

describe('the selection', () => {
  test.each([
    [{ to: ['a'] }, ['a']],
    [{ to: ['a', 'c', 'unknown'] }, ['a', 'c']],
    [{ tags: ['y'] }, ['b', 'c']],
    [{ tags: ['x', 'z'] }, ['a', 'c']],
    [{ to: ['a', 'b'], tags: ['y'] }, ['b']],
    [{ tags: ['y'], except: ['b'] }, ['c']],
    [{ everyone: true }, ['a', 'b', 'c']],
    [{ everyone: true, except: ['a', 'b'] }, ['c']],
    [{ to: ['unknown'] }, []],
  ])('%j', async (options, expected) => {
    for (const hibernates of [false, true]) {
      const chn = `selected ${JSON.stringify(options)} ${hibernates}`
      const sockets = { a: await subscribed(chn, 'a', ['x']), b: await subscribed(chn, 'b', ['y']), c: await subscribed(chn, 'c', ['x', 'y']) }
      if (hibernates) await journals.hibernate('USUAL', chn)
      expect(await disconnect(chn, options)).toBe(expected.length)
      await publish(chn, 1)
      for (const [id, socket] of Object.entries(sockets)) {
        if (expected.includes(id)) {
          expect(await socket.end()).toEqual(CLOSED)
          expect(socket.messages).toHaveLength(1)
        } else {
          await socket.frames(2)
          socket.vanish()
        }
      }
    }
  })

  test.each([
    [{}, 'expected to, tags or everyone: true'],
    [undefined, 'expected an object'],
    [null, 'expected an object'],
    [[], 'expected an object'],
    ['everyone', 'expected an object'],
    [{ reason: 'x' }, 'expected to, tags or everyone: true'],
    [{ except: ['a'] }, 'expected to, tags or everyone: true'],
    [{ to: [] }, '/to'],
    [{ to: null }, '/to'],
    [{ to: 'a' }, '/to'],
    [{ to: ['a b'] }, '/to/0'],
    [{ tags: [] }, '/tags'],
    [{ tags: [7] }, '/tags/0'],
    [{ everyone: false }, '/everyone'],
    [{ everyone: true, to: ['a'] }, '/everyone'],
    [{ everyone: true, except: null }, '/except'],
    [{ everyone: true, exept: ['a'] }, '/exept'],
    [{ everyone: true, reason: 7 }, '/reason'],
  ])('%j is rejected, and nobody is disconnected', async (options, expected) => {
    const chn = 'hostile selection'
    const socket = await subscribed(chn, 'a')
    const error = await disconnect(chn, options).catch((error) => error)
    expect([error.code, error.message]).toEqual(['BAD_REQUEST', expect.stringContaining(expected)])
    await publish(chn, 1)
    await socket.frames(2)
    socket.vanish()
  })

  test('publishers\u2019 subscribers stay connected', async () => {
    const publisher = await Publisher.of(journals)
    const subscriber = await publisher.subscribed('PUBLISHED', 'kept-publishers')
    expect(await journals.stub('PUBLISHED', 'kept-publishers', 'disconnect', { everyone: true })).toEqual({ disconnected: 0 })
    const issuedBefore = Date.now() / 1_000 + 60
    expect(await journals.stub('PUBLISHED', 'kept-publishers', 'revoke', { issuedBefore })).toEqual({ disconnected: 0 })
    await journals.stub('PUBLISHED', 'kept-publishers', 'publish', { n: 1 })
    await subscriber.count(1)
  })
})

describe('the effect', () => {
  test('an event that is published in the same turn is not received, and a resume has it', async () => {
    const chn = 'same turn'
    const [socket, other] = [await subscribed(chn, 'a'), await subscribed(chn, 'b')]
    const first = await publish(chn, 1)
    await Promise.all([socket, other].map((socket) => socket.frames(2)))
    expect(await journals.stub('USUAL', chn, 'disconnectAndPublish', 'a', { n: 2 })).toBe(1)
    await other.frames(3)
    other.vanish()
    expect(await socket.end()).toEqual({ code: 4001, reason: 'Disconnected by the test' })
    expect(socket.messages).toHaveLength(2)
    const again = await BareSocket.open(upgradeUrl(journals, 'USUAL', await durableIteratorToken({ chn }), 'a'))
    again.send({ i: '1', p: { u: '/subscribe', h: { 'last-event-id': first }, b: {} } })
    const [response, event] = await again.frames(2)
    expect([response.p.h?.['x-durable-event-gap'], event.p.d.json]).toEqual([undefined, { n: 2 }])
    again.vanish()
  })

  test.each([false, true])('messages that arrive after the close frame was sent are not handled (hibernating: %s)', async (hibernates) => {
    const chn = `late messages ${hibernates}`
    const [socket, other] = [await subscribed(chn, 'a'), await subscribed(chn, 'b')]
    // The client does not read the close frame, so that its connection stays open.
    const tcp = (socket.socket as unknown as { _socket: Socket })._socket
    tcp.pause()
    expect(await disconnect(chn, { to: ['a'] })).toBe(1)
    if (hibernates) await journals.hibernate('USUAL', chn)
    for (const i of ['2', '3']) socket.send({ i, p: { u: '/call', b: { json: { path: [PUBLISH], input: { n: Number(i) } } } } })
    await publish(chn, 9)
    other.send({ i: '2', p: { u: '/call', b: { json: { path: [PUBLISH], input: { n: 10 } } } } })
    await other.until((messages) => messages.some((text) => JSON.parse(text).i === '2'))
    tcp.resume()
    expect(await socket.end()).toEqual(CLOSED)
    expect(socket.messages).toHaveLength(1)
    await publish(chn, 11)
    const ns = (await other.frames(4)).flatMap(({ p }) => p.d?.json?.n ?? [])
    expect(ns).toEqual([9, 11])
    other.vanish()
  })

  test('a running call is aborted', async () => {
    const chn = 'running call'
    const signed = await durableIteratorToken({ chn, rpc: ['hold'] })
    const socket = await BareSocket.open(upgradeUrl(journals, 'USUAL', signed, 'a'))
    for (let n = 0; n < 64; n++) socket.send({ i: `h${n}`, p: { u: '/call', b: { json: { path: ['hold'], input: n } } } })
    socket.send({ i: 's', p: { u: '/subscribe', b: {} } })
    await socket.frames(1)
    expect(await disconnect(chn, { everyone: true })).toBe(1)
    await socket.end()
    expect(socket.messages).toHaveLength(1)
  })

  test('a call that disconnects its own client is aborted, and uses no memory afterwards', async () => {
    const chn = 'leaving'
    const url = async (id: string): Promise<string> => upgradeUrl(journals, 'USUAL', await durableIteratorToken({ chn, rpc: ['leave', 'hold'] }), id)
    const megabyte = 'x'.repeat(999_000)
    // Each of these calls uses 3 MB. All calls together may use 24 MiB, beside a reserve for small ones.
    for (let n = 0; n < 8; n++) {
      const socket = await BareSocket.open(await url(`${n}`))
      socket.send({ i: '1', p: { u: '/leave', h: { 'content-type': 'text/event-stream', 'x-large': megabyte } } })
      expect(await socket.end()).toMatchObject({ code: 4001 })
      expect(socket.messages).toEqual([])
    }
    const other = await BareSocket.open(await url('other'))
    for (const i of ['1', '2']) other.send({ i, p: { u: '/call', b: { json: { path: ['hold'], input: megabyte } } } })
    // Calls that are not allowed are rejected in the order of the messages.
    other.send({ i: '3', p: { u: '/call', b: { json: { path: ['unknown'] } } } })
    const [{ i, p }] = await other.frames(1)
    expect([i, p.s]).toEqual(['3', 403])
    other.vanish()
  })

  test('a parked client is disconnected', async () => {
    const chn = 'parked'
    const socket = await BareSocket.open(upgradeUrl(journals, 'USUAL', await durableIteratorToken({ chn }), 'a'))
    socket.send({ i: '1', p: { u: '/subscribe', h: { [FLOW_HEADER]: '1' }, b: {} } })
    await socket.frames(1)
    await journals.stub('USUAL', chn, 'publishMany', 60, 10_000)
    await socket.until((messages) => messages.at(-1)!.includes('"parked"'))
    expect(await disconnect(chn, { to: ['a'] })).toBe(1)
    expect(await socket.end()).toEqual(CLOSED)
  })

  test('a client in the middle of a replay is disconnected, and resumes', async () => {
    const chn = 'replaying'
    await journals.stub('ROOMY', chn, 'publishMany', 400, 10_000)
    const url = upgradeUrl(journals, 'ROOMY', await durableIteratorToken({ chn, iat: 0 }), 'a')
    const socket = await BareSocket.open(url)
    socket.send({ i: '1', p: { u: '/subscribe', b: {} } })
    await socket.frames(2)
    await journals.stub('ROOMY', chn, 'disconnect', { to: ['a'], reason: 'Enough' })
    expect(await socket.end()).toEqual({ code: 4001, reason: 'Enough' })
    // Without the item that ends a part of the replay, which may have been sent.
    const seen = socket.messages.slice(1).map((text) => JSON.parse(text).p).filter(({ e }) => e === 'message')
    expect(seen.length).toBeLessThan(400)
    const again = await BareSocket.open(url)
    again.send({ i: '1', p: { u: '/subscribe', h: { 'last-event-id': seen.at(-1).m.id }, b: {} } })
    const next = (await again.frames(2))[1].p
    expect(next.d.json.n).toBe(seen.at(-1).d.json.n + 1)
    again.vanish()
  })

  test('a long reason is truncated to 123 bytes', async () => {
    const chn = 'long reason'
    const socket = await subscribed(chn, 'a')
    await disconnect(chn, { everyone: true, reason: 'é'.repeat(100) })
    expect(await socket.end()).toEqual({ code: 4001, reason: 'é'.repeat(61) })
  })
})

describe('the return', () => {
  test.each(CLIENT_VERSIONS)('an unmodified client reconnects and resumes without loss: %s', async (version) => {
    const chn = `returns ${version}`
    const isDurableIterator = !version.startsWith('1.6') && !version.startsWith('1.8')
    const client = isDurableIterator
      ? await connect(journals, 'USUAL', { chn, rpc: [PUBLISH] }, { id: 'a', version })
      : await journals.client('USUAL', { chn, rpc: [PUBLISH] }, { version })
    const subscription = await client.subscribe()
    await publish(chn, 1)
    await subscription.count(1)
    const closed = new Promise<CloseEvent>((resolve) => client.socket.addEventListener('close', resolve as never, { once: true }))
    expect(await disconnect(chn, { everyone: true, reason: 'A break' })).toBe(1)
    expect(await closed).toMatchObject({ code: 4001, reason: 'A break' })
    await publish(chn, 2)
    await subscription.count(2)
    await publish(chn, 3)
    expect((await subscription.count(3)).map(({ n }) => n)).toEqual([1, 2, 3])
    await client.call([PUBLISH], { n: 4 })
    client.close()
  })

  test('a stream of server-sent events continues', async () => {
    const chn = 'stream returns'
    const headers = { authorization: `Bearer ${await token({ chn })}` }
    const events = await EventStream.open(new URL(`/http/USUAL/${encodeURIComponent(chn)}/events`, journals.url), { headers })
    await publish(chn, 1)
    await events.count(1)
    expect(await disconnect(chn, { everyone: true })).toBe(1)
    await publish(chn, 2)
    await events.count(2)
    expect(events.messages.map(({ n }) => n)).toEqual([1, 2])
    await events.close()
  })
})

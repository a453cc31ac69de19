// The client's peer and the wire of a Durable Object in Rust: the corpus, files, streams and errors, as in `tests/golden`.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { Peer } from '../../../npm/durable-event-iterator/src/client/wire/peer.ts'
import type { PeerResponse, PeerStream } from '../../../npm/durable-event-iterator/src/client/wire/peer.ts'
import { Serializer } from '../../../npm/durable-event-iterator/src/client/wire/serializer.ts'
import { Candidates } from '../../golden/candidates.ts'
import { corpus, customJsonSerializers, describeValue, file } from '../../golden/corpus.ts'
import { startServer } from '../../golden/server.ts'
import type { Frames, Server, Socket } from '../../golden/server.ts'

const serializer = new Serializer(customJsonSerializers)

let server: Server
let socket: Socket & { sent: readonly unknown[]; received: readonly unknown[] }
let peer: Peer

beforeAll(() => {
  server = startServer()
  socket = server.connect()
  peer = new Peer((message) => socket.send(message))
  socket.addEventListener('message', ({ data }) => peer.receive(data as string | ArrayBuffer))
}, 300_000)
afterAll(() => server?.close())

const call = (name: string, input?: unknown, headers = {}): Promise<PeerResponse> =>
  peer.request({ url: `/${name}`, headers, body: serializer.serialize(input) })

async function output(name: string, input?: unknown, headers = {}): Promise<unknown> {
  const { status, body } = await call(name, input, headers)
  expect(status).toBe(200)
  return serializer.deserialize(body)
}

async function itemsOf({ body }: PeerResponse): Promise<unknown[]> {
  const items: unknown[] = []
  for await (const { event, data, meta } of body as PeerStream) items.push([event, serializer.deserialize(data), meta])
  return items
}

const bodyText = (message: unknown): string => JSON.stringify(JSON.parse(message as string).p.b)

test.each(Object.entries(corpus))('restores the value that the client sent, and the value is restored again: %s', async (_, value) => {
  expect(await describeValue(await output('echo', value))).toEqual(await describeValue(value))
  expect(bodyText(socket.received.at(-1))).toBe(bodyText(socket.sent.at(-1)))
})

test('sends and receives files', async () => {
  const bytes = new Uint8Array([0, 1, 0xfe, 0xff, 13, 10, 45, 45])
  const files = { binary: file('é.bin', [bytes], 'application/x-test'), list: [file('empty', [], 'text/plain'), { date: new Date(0) }] }
  expect(await describeValue(await output('echo', files))).toEqual(await describeValue(files))
  const alone = file('a', ['x'], 'text/plain')
  expect(await describeValue(await output('echo', alone))).toEqual(await describeValue(alone))
})

test('receives errors', async () => {
  const { status, body } = await call('throw', { code: 'OUT_OF_STOCK', status: 409, message: 'none "left"', data: { when: new Date(0), n: 1n, list: [undefined] } })
  expect(status).toBe(409)
  expect(serializer.deserialize(body)).toEqual({
    defined: false, code: 'OUT_OF_STOCK', status: 409, message: 'none "left"', data: { when: new Date(0), n: 1n, list: [undefined] },
  })
  expect(await call('unknown')).toMatchObject({ status: 404, body: 'No procedure matched' })
})

describe('a stream', () => {
  test('is received, with meta', async () => {
    const events = [{ n: 1n }, [new Set([new Date(0)])]]
    const meta = { retry: 4321, comments: ['a'] }
    expect(await itemsOf(await call('replay', { events, ...meta }))).toEqual([
      ['message', events[0], { id: '1', ...meta }], ['message', events[1], { id: '2', ...meta }], ['done', undefined, undefined],
    ])
  })

  test('is received with an error', async () => {
    const items = await itemsOf(await call('fail'))
    expect(items.at(-1)).toMatchObject(['error', { code: 'CONFLICT', message: 'in the middle' }, undefined])
  })
})

test('sends the last event id as a header', async () => {
  expect(await output('headers', undefined, { 'last-event-id': '17' })).toEqual({ 'last-event-id': ['17'] })
})

test('restores every body that the wire of a Durable Object accepts', async () => {
  let accepted = 0
  for (let seed = 1; seed <= 500; seed += 1) {
    const body = new Candidates(seed).fittingBody()
    const [frames] = (await server.ask({ candidate: { body } })) as [Frames]
    if (frames.output === null) continue
    accepted += 1
    const received = JSON.parse(frames.output).p.b
    expect(() => new Serializer().deserialize(received), `seed ${seed}: ${body}`).not.toThrow()
  }
  expect(accepted).toBeGreaterThan(200)
})

import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

import { createORPCClient as createClient16 } from 'orpc-client-1.16.1'
import { RPCLink as Link16 } from 'orpc-client-1.16.1/websocket'
import { createORPCClient as createClient6 } from 'orpc-client-1.6.6'
import { experimental_RPCLink as Link6 } from 'orpc-client-1.6.6/websocket'
import { createORPCClient as createClient8 } from 'orpc-client-1.8.8'
import { RPCLink as Link8 } from 'orpc-client-1.8.8/websocket'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { corpus, customJsonSerializers, describeValue, file } from './corpus.ts'
import { type Server, type Socket, startServer } from './server.ts'

interface EventMeta {
  id?: string
  retry?: number
  comments?: string[]
}

/** The part of a version that the tests use. The types of different versions are not compatible. */
interface Version {
  connect(socket: Socket): Record<string, (input?: unknown, options?: { lastEventId?: string }) => Promise<unknown>>
  getEventMeta(value: unknown): EventMeta | undefined
  withEventMeta<T extends object>(value: T, meta: EventMeta): T
}

const versions: Record<string, Version> = {
  '1.6.6': await version('orpc-client-1.6.6', createClient6, Link6),
  '1.8.8': await version('orpc-client-1.8.8', createClient8, Link8),
  '1.16.1': await version('orpc-client-1.16.1', createClient16, Link16),
}

async function version(
  name: string,
  create: (link: never) => unknown,
  Link: new (options: never) => unknown,
): Promise<Version> {
  // Older clients do not export the function that reads event meta, and another copy of the package cannot read it.
  const inner = createRequire(createRequire(import.meta.url).resolve(name)).resolve('@orpc/standard-server')
  const { getEventMeta, withEventMeta } = (await import(pathToFileURL(inner).href)) as Omit<Version, 'connect'>
  return {
    connect: (websocket) =>
      create(new Link({ websocket, customJsonSerializers } as never) as never) as ReturnType<Version['connect']>,
    getEventMeta,
    withEventMeta,
  }
}

let server: Server

beforeAll(() => {
  server = startServer()
}, 300_000)

afterAll(() => server?.close())

/** Returns the unparsed JSON text of a frame's body. */
function bodyText(frame: string | Uint8Array | undefined): string {
  if (typeof frame !== 'string') throw new Error('expected a text frame')
  return JSON.stringify((JSON.parse(frame) as { p: { b: unknown } }).p.b)
}

describe.each(Object.entries(versions))('the oRPC client %s', (_, { connect, getEventMeta, withEventMeta }) => {
  test.each(Object.entries(corpus))('receives the value that it sent: %s', async (_, value) => {
    const socket = server.connect()
    const output = await connect(socket).echo?.(value)
    expect(await describeValue(output)).toEqual(await describeValue(value))
    // The same bytes that the client writes, including the order of `meta`.
    expect(bodyText(socket.received[0])).toBe(bodyText(socket.sent[0]))
    expect(String(socket.received[0])).toContain(String(socket.sent[0]).replace(/^.*?"b":/, ''))
  })

  test('receives null for numbers that JSON cannot represent', async () => {
    const output = await connect(server.connect()).echo?.([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0])
    expect(await describeValue(output)).toEqual([null, null, 'number:0'])
  })

  test('sends and receives files', async () => {
    const bytes = new Uint8Array([0, 1, 0xfe, 0xff, 13, 10, 45, 45])
    const files = {
      named: file('héllo "x".txt', ['file body é'], 'text/plain'),
      binary: file('a.bin', [bytes], 'application/x-test'),
      list: [file('empty', [], 'text/plain'), { date: new Date(0), again: file('\n', ['x'], 'a/b') }],
    }
    const socket = server.connect()
    const output = await connect(socket).echo?.(files)
    expect(await describeValue(output)).toEqual(await describeValue(files))
    expect(socket.sent[0]).toBeInstanceOf(Uint8Array)
    expect(socket.received[0]).toBeInstanceOf(Uint8Array)
  })

  test('sends and receives a file alone', async () => {
    const alone = file('a', ['x'], 'text/plain')
    const output = await connect(server.connect()).echo?.(alone)
    expect(await describeValue(output)).toEqual(await describeValue(alone))
  })

  test('receives an error with its data', async () => {
    const thrown = { code: 'OUT_OF_STOCK', status: 409, message: 'none "left"', data: { when: new Date(0), n: 1n, list: [undefined] } }
    const error = await connect(server.connect()).throw?.(thrown).catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'OUT_OF_STOCK', status: 409, message: 'none "left"', defined: false })
    expect(await describeValue((error as { data: unknown }).data)).toEqual(await describeValue(thrown.data))
  })

  test('receives a defined error, with a default message and without data', async () => {
    const error = await connect(server.connect()).throw?.({ code: 'NOT_FOUND', status: 404, defined: true }).catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'NOT_FOUND', status: 404, message: 'Not Found', defined: true, data: undefined })
  })

  test('receives the paths of invalid input', async () => {
    const error = await connect(server.connect()).number?.('x').catch((error: unknown) => error)
    expect(error).toMatchObject({
      code: 'BAD_REQUEST',
      message: 'Input validation failed',
      data: { issues: [{ message: 'expected an integer from 0 to 255, found a string', path: [] }] },
    })
  })

  test('receives an error for an unknown procedure', async () => {
    await expect(connect(server.connect()).other?.()).rejects.toThrow()
  })

  test('receives the events of a log, with their ids', async () => {
    const events = Object.values(corpus).filter((value) => Array.isArray(value) || Object.getPrototypeOf(value ?? 0) === Object.prototype)
    const stream = await connect(server.connect()).replay?.({ events, retry: 4321, comments: ['a', 'b\nc'] })
    const received: unknown[] = []
    const metas: unknown[] = []
    for await (const event of stream as AsyncIterable<unknown>) {
      received.push(event)
      metas.push(getEventMeta(event))
    }
    expect(await describeValue(received)).toEqual(await describeValue(events))
    expect(metas).toEqual(events.map((_, n) => ({ id: String(n + 1), retry: 4321, comments: ['a', 'b', 'c'] })))
  })

  test('ends a stream without a result', async () => {
    const stream = (await connect(server.connect()).replay?.({ events: [] })) as AsyncIterator<unknown>
    expect(await stream.next()).toEqual({ done: true, value: undefined })
  })

  test('receives an error in the middle of a stream', async () => {
    const stream = (await connect(server.connect()).fail?.()) as AsyncIterator<unknown>
    await expect(stream.next()).rejects.toMatchObject({ code: 'CONFLICT', message: 'in the middle' })
  })

  test('sends a stream, with all types and meta', async () => {
    const sent = [{ n: 1 }, withEventMeta({ at: new Date(0), set: new Set([1n]) }, { id: 'x', retry: 5, comments: ['c'] }), 'text', undefined]
    async function* upload() {
      yield* sent
      return { end: true }
    }
    const stream = (await connect(server.connect()).upload?.(upload())) as AsyncGenerator<unknown, unknown>
    const received: unknown[] = []
    let next = await stream.next()
    for (; !next.done; next = await stream.next()) received.push(next.value)
    expect(await describeValue(received)).toEqual(await describeValue(sent))
    expect(getEventMeta(received[1])).toEqual({ id: 'x', retry: 5, comments: ['c'] })
    expect(next.value).toEqual({ end: true })
  })

  test('sends the last event id as a header', async () => {
    const headers = await connect(server.connect()).headers?.(undefined, { lastEventId: '17' })
    expect(headers).toEqual({ 'last-event-id': ['17'] })
  })
})

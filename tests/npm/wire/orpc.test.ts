// The client's peer and oRPC's server peers and client peers of five versions: every response is received, and the bytes of
// requests are the same.

import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

import { describe, expect, test } from 'vitest'

import { Peer } from '../../../npm/durable-event-iterator/src/client/wire/peer.ts'
import type { PeerRequest, PeerStream, WireMessage } from '../../../npm/durable-event-iterator/src/client/wire/peer.ts'
import { Serializer } from '../../../npm/durable-event-iterator/src/client/wire/serializer.ts'
import { corpus, customJsonSerializers, describeValue, file } from '../../golden/corpus.ts'
import { frameOf, idle, recordingHandler, VERSIONS } from './support.ts'

/** The origin that each version's link and peer leave out of URLs. */
const ORIGINS = { '1.6.6': 'orpc:', '1.8.8': 'orpc:', '1.9.4': 'orpc://localhost', '1.14.6': 'http://orpc', '1.16.1': 'http://orpc' }

const ours = new Serializer(customJsonSerializers)

interface Request {
  url: URL
  method: string
  headers: Record<string, string | string[] | undefined>
  body: any
  signal: AbortSignal
}
type Response = { status: number; headers: Request['headers']; body: unknown }

describe.each(VERSIONS)('oRPC %s', async (version) => {
  const peers = await import(`orpc-standard-server-peer-${version}`)
  const inner = createRequire(createRequire(import.meta.url).resolve(`orpc-standard-server-peer-${version}`)).resolve('@orpc/standard-server')
  const { ErrorEvent, withEventMeta, getEventMeta } = await import(pathToFileURL(inner).href)
  const { StandardRPCJsonSerializer, StandardRPCSerializer } = await import(`orpc-client-${version}/standard`)
  const theirs = new StandardRPCSerializer(new StandardRPCJsonSerializer({ customJsonSerializers }))

  /** A peer that is connected to oRPC's server peer. */
  function connect(handle: (request: Request) => Response['body'] | Promise<Response['body']>): { peer: Peer; sent: WireMessage[] } {
    const sent: WireMessage[] = []
    const server = new peers.ServerPeer(async (message: string | ArrayBuffer | Uint8Array<ArrayBuffer>) =>
      peer.receive(ArrayBuffer.isView(message) ? message.slice().buffer : message),
    )
    const peer = new Peer((message) => {
      sent.push(message)
      void server.message(message).then(async ([id, request]: [string, Request | undefined]) => {
        if (request === undefined) return
        const body = await handle(request)
        await server.response(id, { status: 200, headers: { custom: ['a', 'b'] }, body })
      })
    })
    return { peer, sent }
  }

  const echo = ({ body }: Request): unknown => theirs.serialize(theirs.deserialize(body))

  test.each(Object.entries(corpus))('restores the value that the client sent, and the value is restored again: %s', async (_, value) => {
    const { body, headers } = await connect(echo).peer.request({ url: '/echo', body: ours.serialize(value) })
    expect(await describeValue(ours.deserialize(body))).toEqual(await describeValue(value))
    expect(headers).toEqual({ custom: ['a', 'b'] })
  })

  test('receives and sends files in forms', async () => {
    const value = { files: [file('é.txt', ['é'], 'text/plain'), file('b', [new Uint8Array([0xff, 0, 0xff])], 'a/b')], at: new Date(0) }
    const { body } = await connect(echo).peer.request({ url: '/echo', body: ours.serialize(value) })
    expect(body).toBeInstanceOf(FormData)
    expect(await describeValue(ours.deserialize(body))).toEqual(await describeValue(value))
  })

  test('receives a request with method, headers and URL', async () => {
    let received: Request | undefined
    const handle = (request: Request): unknown => (received = request) && undefined
    const headers = { 'last-event-id': '7', list: ['a', 'b'] }
    const { body } = await connect(handle).peer.request({ url: '/a%20b/c?d=e', method: 'GET', headers })
    expect(body).toBe(undefined)
    expect(received).toMatchObject({ method: 'GET', headers, body: undefined })
    expect(received?.url.href).toMatch(/\/a%20b\/c\?d=e$/)
  })

  test('sends a stream, with meta', async () => {
    async function* items() {
      yield theirs.serialize(1n)
      yield withEventMeta(theirs.serialize({ at: new Date(0) }), { id: 'a', retry: 5, comments: ['c'] })
      return theirs.serialize('end')
    }
    const { body } = await connect(() => items()).peer.request({ url: '/x' })
    const received: unknown[] = []
    for await (const { event, data, meta } of body as PeerStream) received.push([event, ours.deserialize(data), meta])
    expect(received).toEqual([
      ['message', 1n, undefined], ['message', { at: new Date(0) }, { id: 'a', retry: 5, comments: ['c'] }], ['done', 'end', undefined],
    ])
  })

  test('sends a stream with an error', async () => {
    async function* items() {
      yield { json: 1 }
      throw new ErrorEvent({ data: { json: { code: 'X' } } })
    }
    const { body } = await connect(() => items()).peer.request({ url: '/x' })
    const received: unknown[] = []
    for await (const { event, data } of body as PeerStream) received.push([event, data])
    expect(received).toEqual([['message', { json: 1 }], ['error', { json: { code: 'X' } }]])
  })

  test('ends a stream once when the client returns', async () => {
    let ended = 0
    async function* items() {
      try {
        for (let n = 0; ; n += 1) {
          yield { json: n }
          await idle()
        }
      } finally {
        ended += 1
      }
    }
    const { peer, sent } = connect(() => items())
    const { body } = await peer.request({ url: '/x' })
    for await (const { data } of body as PeerStream) if ((data as { json: number }).json === 2) break
    for (let n = 0; n < 10; n += 1) await idle()
    expect([ended, sent.map(frameOf).filter(({ t }) => t === 4).length, peer.size]).toEqual([1, 1, 0])
  })

  test('aborts a request when the client aborts', async () => {
    let signal: AbortSignal | undefined
    const { peer } = connect((request) => ((signal = request.signal), new Promise(() => {})))
    const controller = new AbortController()
    const call = peer.request({ url: '/x' }, controller.signal).catch((error: unknown) => error)
    await idle()
    controller.abort('enough')
    await idle()
    expect([await call, signal?.aborted]).toEqual(['enough', true])
  })

  describe('the messages of a request are the same as of its client peer', () => {
    /** The messages of oRPC's client peer, without the ids. */
    async function messages(request: PeerRequest): Promise<unknown[]> {
      const sent: (string | ArrayBuffer | Uint8Array)[] = []
      const peer = new peers.ClientPeer((message: string) => void sent.push(message))
      peer.request({ method: 'POST', headers: {}, ...request, url: new URL(`${ORIGINS[version]}${request.url}`) }).catch(() => {})
      for (let n = 0; n < 10; n += 1) await idle()
      peer.close({ reason: new Error('over') })
      return sent.map(comparable)
    }

    const comparable = (message: string | ArrayBuffer | Uint8Array): unknown =>
      Buffer.from(message as Uint8Array).toString('latin1').replace(/"i":"."/, '"i":""').replaceAll(/-{4}formdata-undici-\d+/g, 'boundary')

    const requests: [string, () => PeerRequest][] = [
      ['JSON', () => ({ url: '/call', body: ours.serialize({ path: ['a'], input: new Date(0) }) })],
      ['nothing', () => ({ url: '/subscribe', body: {}, headers: { 'last-event-id': '7' } })],
      ['no body', () => ({ url: '/x', method: 'GET', headers: { list: ['a', 'b'] } })],
      ['null', () => ({ url: '/x', body: null })],
      ['a form', () => ({ url: '/x', body: ours.serialize({ file: file('a', ['x'], 'a/b'), n: [undefined, 1n] }) })],
    ]
    test.each(requests)('%s', async (_, make) => {
      const sent: unknown[] = []
      new Peer((message) => sent.push(comparable(message))).open(make(), recordingHandler())
      for (let n = 0; n < 10; n += 1) await idle()
      expect(sent).toHaveLength(1)
      expect(sent).toEqual(await messages(make()))
    })
  })
})

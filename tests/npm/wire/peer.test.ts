// The client's peer without a server: streams, aborts, lost connections, and malformed messages.

import { describe, expect, test, vi } from 'vitest'

import { BodyError } from '../../../npm/durable-event-iterator/src/client/wire/body-error.ts'
import { Peer } from '../../../npm/durable-event-iterator/src/client/wire/peer.ts'
import type { PeerStream, StreamItem } from '../../../npm/durable-event-iterator/src/client/wire/peer.ts'
import { random } from '../../golden/candidates.ts'
import { bytesOf, idle, recordingHandler, recordingPeer } from './support.ts'

const STREAM = '{"i":"1","p":{"h":{"content-type":"text/event-stream"}}}'
const item = (e: string, d?: unknown, i = '1'): string => JSON.stringify({ i, t: 3, p: { e, d } })

describe('a call', () => {
  test('is sent before `open` returns, and each call has another id', () => {
    const { peer, sent } = recordingPeer()
    for (let n = 0; n < 40; n += 1) peer.open({ url: '/x', body: {} }, recordingHandler())
    expect(sent[0]).toBe('{"i":"1","p":{"u":"/x","b":{}}}')
    expect(new Set(sent).size).toBe(40)
    expect(peer.size).toBe(40)
  })

  test('sends the method and the headers, without the headers of another body', () => {
    const { peer, sent } = recordingPeer()
    const headers = { 'content-type': 'a/b', 'content-disposition': 'inline', 'last-event-id': '7', list: ['a', 'b'] }
    peer.open({ url: '/x', method: 'GET', headers }, recordingHandler())
    peer.open({ url: '/x', method: 'POST', headers: {} }, recordingHandler())
    expect(sent).toEqual(['{"i":"1","p":{"u":"/x","h":{"last-event-id":"7","list":["a","b"]},"m":"GET"}}', '{"i":"2","p":{"u":"/x"}}'])
    expect(headers).toHaveProperty('content-type')
  })

  test('receives its response synchronously, and only once', () => {
    const { peer } = recordingPeer()
    const handler = recordingHandler()
    peer.open({ url: '/x' }, handler)
    peer.receive('{"i":"1","p":{"s":201,"b":{"json":1}}}')
    peer.receive('{"i":"1","p":{"b":{"json":2}}}')
    expect(handler.calls).toEqual([['response', 201, { json: 1 }, false]])
    expect(peer.size).toBe(0)
  })

  test('receives a response in a binary message', async () => {
    const { peer } = recordingPeer()
    const response = peer.request({ url: '/x' })
    peer.receive(bytesOf('{"i":"1","p":{"b":"é"}}'))
    expect((await response).body).toBe('é')
  })

  test('fails if its response is malformed', async () => {
    const { peer } = recordingPeer()
    const calls = ['1', '2', '3'].map(() => peer.request({ url: '/x' }))
    const settled = Promise.allSettled(calls)
    peer.receive(bytesOf('{"i":"1","p":{"h":{"content-type":"multipart/form-data; boundary=x"}}}', [0xff, 1, 2]))
    peer.receive('{"i":"2","p":{"h":{"content-type":"multipart/form-data"}}}')
    peer.receive('{"i":"3","p":{"h":{"content-type":{"toString":1}}}}')
    for (const { status, reason } of (await settled) as PromiseRejectedResult[]) {
      expect(status).toBe('rejected')
      expect(reason).toBeInstanceOf(BodyError)
      expect(reason.message).toMatch(/^malformed response: /)
    }
    expect(peer.size).toBe(0)
  })

  test('fails if its body cannot be encoded', async () => {
    const { peer, sent } = recordingPeer()
    const error = await peer.request({ url: '/x', body: { n: 1n } }).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(BodyError)
    expect([sent, peer.size]).toEqual([[], 0])
  })

  test('fails if the connection does not accept the request', async () => {
    const peer = new Peer(() => {
      throw new Error('not connected')
    })
    await expect(peer.request({ url: '/x' })).rejects.toThrow(/^not connected$/)
    await expect(peer.request({ url: '/x', body: new FormData() })).rejects.toThrow(/^not connected$/)
    expect(peer.size).toBe(0)
  })

  test('fails when the connection is lost', async () => {
    const { peer } = recordingPeer()
    const handler = recordingHandler()
    peer.open({ url: '/x' }, handler)
    const later = recordingHandler()
    peer.open({ url: '/x' }, { ...handler, onFailed: () => peer.open({ url: '/y' }, later) })
    peer.lose('lost')
    peer.receive('{"i":"1","p":{"b":1}}')
    expect([handler.calls, later.calls, peer.size]).toEqual([[['failed', 'lost']], [], 1])
  })

  test('can have a body without a file in an environment without the classes of files', () => {
    const { peer, sent } = recordingPeer()
    const handler = recordingHandler()
    for (const name of ['Blob', 'File', 'FormData', 'URL', 'URLSearchParams', 'Response', 'TextDecoder']) vi.stubGlobal(name, undefined)
    try {
      peer.open({ url: '/x', body: { json: 1 } }, handler)
      peer.receive('{"i":"1","p":{"b":{"json":1}}}')
      peer.open({ url: '/x' }, handler)
      peer.receive(bytesOf('{"i":"2"}'))
    } finally {
      vi.unstubAllGlobals()
    }
    expect(sent).toHaveLength(2)
    expect(handler.calls[0]).toEqual(['response', 200, { json: 1 }, false])
  })
})

describe('an abort', () => {
  test('sends one frame of type 4, and nothing is received afterwards', () => {
    const { peer, sent } = recordingPeer()
    const handler = recordingHandler()
    const call = peer.open({ url: '/x' }, handler)
    peer.receive(STREAM)
    call.abort()
    call.abort()
    peer.receive(item('message', 1))
    peer.lose('lost')
    expect(sent.slice(1)).toEqual(['{"i":"1","t":4}'])
    expect(handler.calls).toEqual([['response', 200, undefined, true]])
  })

  test('sends nothing after the call is over', () => {
    const { peer, sent } = recordingPeer()
    const call = peer.open({ url: '/x' }, recordingHandler())
    peer.receive('{"i":"1","p":{}}')
    call.abort()
    expect(sent).toHaveLength(1)
  })

  test('during the encoding of a form prevents the request', async () => {
    const { peer, frames } = recordingPeer()
    const handler = recordingHandler()
    peer.open({ url: '/x', body: new FormData() }, handler).abort()
    await idle()
    await idle()
    expect(frames().filter(({ p }) => p !== undefined)).toEqual([])
    expect(handler.calls).toEqual([])
  })

  test('during the decoding of a form prevents the response', async () => {
    const { peer } = recordingPeer()
    const handler = recordingHandler()
    const call = peer.open({ url: '/x' }, handler)
    const body = new Response(new FormData())
    const head = JSON.stringify({ i: '1', p: { h: { 'content-type': body.headers.get('content-type') } } })
    peer.receive(bytesOf(head, [0xff, ...new Uint8Array(await body.arrayBuffer())]))
    call.abort()
    await idle()
    expect(handler.calls).toEqual([])
  })

  test('rejects the request with the reason of the signal', async () => {
    const { peer, sent } = recordingPeer()
    const controller = new AbortController()
    const call = peer.request({ url: '/x' }, controller.signal)
    controller.abort('enough')
    await expect(call).rejects.toBe('enough')
    await expect(peer.request({ url: '/x' }, controller.signal)).rejects.toBe('enough')
    expect([sent.length, peer.size]).toEqual([2, 0])
  })

  test('while the request is being sent rejects the request', async () => {
    const controller = new AbortController()
    const sent: unknown[] = []
    const peer = new Peer((message) => {
      sent.push(message)
      controller.abort('enough')
    })
    await expect(peer.request({ url: '/x' }, controller.signal)).rejects.toBe('enough')
    expect([sent[1], peer.size]).toEqual(['{"i":"1","t":4}', 0])
  })

  test('has no effect once the stream is over', async () => {
    const { peer, sent } = recordingPeer()
    const controller = new AbortController()
    const remove = vi.spyOn(controller.signal, 'removeEventListener')
    const call = peer.request({ url: '/x' }, controller.signal)
    peer.receive(STREAM)
    peer.receive(item('done', {}))
    controller.abort()
    const stream = (await call).body as PeerStream
    expect((await stream.next()).value).toMatchObject({ event: 'done' })
    expect(remove).toHaveBeenCalledTimes(1)
    expect(sent).toHaveLength(1)
  })
})

describe('the stream of a response', () => {
  test('passes items synchronously, until the last one', () => {
    const { peer } = recordingPeer()
    const handler = recordingHandler()
    peer.open({ url: '/x' }, handler)
    peer.receive(item('message', 0))
    peer.receive(STREAM)
    peer.receive(STREAM)
    peer.receive('{"i":"1","p":{"b":1}}')
    peer.receive('{"i":"1","t":4}')
    peer.receive('{"i":"1","t":3,"p":{"e":"message","d":{"json":1},"m":{"id":"a"}}}')
    peer.receive(item('unknown', 1))
    peer.receive(item('error', 2))
    peer.receive(item('message', 3))
    expect(handler.calls).toEqual([
      ['response', 200, undefined, true], ['message', { json: 1 }, { id: 'a' }], ['error', 2, undefined],
    ])
    expect(peer.size).toBe(0)
  })

  test('passes the size of the message with each item', () => {
    const { peer } = recordingPeer()
    const onItem = vi.fn()
    peer.open({ url: '/x' }, { ...recordingHandler(), onItem })
    const message = item('message', 'x'.repeat(100))
    peer.receive(STREAM)
    peer.receive(message)
    peer.receive(bytesOf(message))
    expect(onItem.mock.calls.map(([, bytes]) => bytes)).toEqual([message.length, message.length])
  })

  test('can be iterated, with buffered items and the last one', async () => {
    const { peer, sent } = recordingPeer()
    const call = peer.request({ url: '/x' })
    peer.receive(STREAM)
    peer.receive(item('message', 1))
    const events: unknown[] = []
    for await (const { event, data } of (await call).body as PeerStream) {
      events.push([event, data])
      if (data === 1) peer.receive(item('done', 2))
    }
    expect(events).toEqual([['message', 1], ['done', 2]])
    expect(sent).toHaveLength(1)
  })

  test('can be read as values, with a result or an error', async () => {
    const read = ({ event, data }: StreamItem): IteratorResult<unknown> => {
      if (data === 'bad') throw new Error('bad item')
      return { done: event === 'done', value: [data] }
    }
    for (const [items, expected] of [
      [[item('message', 1), item('done', 2)], [{ done: false, value: [1] }, { done: true, value: [2] }]],
      [[item('message', 1), item('message', 'bad'), item('message', 3)], [{ done: false, value: [1] }, new Error('bad item')]],
      [[item('error', 'bad')], [new Error('bad item')]],
    ] as const) {
      const { peer, sent } = recordingPeer()
      const call = peer.request({ url: '/x' }, undefined, read)
      peer.receive(STREAM)
      for (const message of items) peer.receive(message)
      const stream = (await call).body as PeerStream
      for (const result of expected) expect(await stream.next().catch((error: unknown) => error)).toEqual(result)
      expect((await stream.next()).done).toBe(true)
      expect([peer.size, sent.length]).toEqual([0, items.length === 3 ? 2 : 1])
    }
  })

  test('sends one frame of type 4 when the iteration stops', async () => {
    const { peer, sent } = recordingPeer()
    const call = peer.request({ url: '/x' })
    peer.receive(STREAM)
    peer.receive(item('message', 1))
    const stream = (await call).body as PeerStream
    for await (const _ of stream) break
    await stream.return()
    peer.receive(item('message', 2))
    expect(await stream.next()).toEqual({ done: true, value: undefined })
    expect(sent.slice(1)).toEqual(['{"i":"1","t":4}'])
  })

  test('rejects when the connection is lost, after the buffered items', async () => {
    const { peer } = recordingPeer()
    const call = peer.request({ url: '/x' })
    peer.receive(STREAM)
    peer.receive(item('message', 1))
    peer.lose('lost')
    const stream = (await call).body as PeerStream
    expect((await stream.next()).value).toMatchObject({ data: 1 })
    await expect(stream.next()).rejects.toBe('lost')
    expect((await stream.next()).done).toBe(true)
  })

  test('rejects when the signal is aborted, without the buffered items', async () => {
    const { peer } = recordingPeer()
    const controller = new AbortController()
    const call = peer.request({ url: '/x' }, controller.signal)
    peer.receive(STREAM)
    peer.receive(item('message', 1))
    controller.abort('enough')
    await expect(((await call).body as PeerStream).next()).rejects.toBe('enough')
  })
})

describe('a malformed message', () => {
  const messages = [
    '', '{', 'pong', 'null', '1', '[]', '"1"', '{}', '{"i":null}', '{"i":1,"p":{}}', '{"i":"2","p":{}}', '{"i":["1"],"p":{}}', '{"i":"1"}',
    '{"i":"1","p":null}', '{"i":"1","p":1}', '{"i":"1","t":3}', '{"i":"1","t":3,"p":{}}', '{"i":"1","t":3,"p":{"e":"done"}}',
    '{"i":"1","t":4,"p":{"b":1}}', '{"i":"1","t":5,"p":{"b":1}}', '{"i":"1","t":"3","p":{"e":"done"}}', '{"i":"1","p":{"s":"200"}}',
    '{"i":"__proto__","p":{}}', '{"__proto__":{"i":"1"},"t":3}', '{"i":"constructor","t":4}', '['.repeat(100_000),
  ]

  test.each(messages.map((message) => [message.slice(0, 60), message]))('is ignored: %s', (_, message) => {
    const { peer } = recordingPeer()
    const handler = recordingHandler()
    peer.open({ url: '/x' }, handler)
    peer.receive(message)
    peer.receive(bytesOf(message))
    peer.receive(bytesOf(message, [0xff, 1]))
    expect(handler.calls).toEqual([])
  })

  test('never throws, whatever its content', async () => {
    const next = random(20_261_201)
    const below = (limit: number): number => Math.floor(next() * limit)
    const parts = ['{"i":"1"', '"t":3', '"t":4', '"p":{', '}', '}}', ',', '"e":"message"', '"h":{"content-type":"multipart/form-data; boundary=a"', '"h":', '"s":', 'null', '[', ']', '"content-disposition":"filename*=%"', '"b":', '"text/event-stream"', '\xff', '__proto__']
    for (let run = 0; run < 5_000; run += 1) {
      const { peer } = recordingPeer()
      const call = peer.request({ url: '/x' }).catch(() => {})
      if (below(2) === 0) peer.receive(STREAM)
      const text = Array.from({ length: below(9) + 1 }, () => parts[below(parts.length)]).join('')
      peer.receive(text)
      peer.receive(Uint8Array.from(text, (character) => character.charCodeAt(0)).buffer)
      peer.lose('over')
      await call
    }
    expect(Object.keys(Object.prototype)).toEqual([])
  })
})

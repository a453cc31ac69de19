// The fallback to HTTP with an endpoint that is not one: captive portals, proxies, other servers, and garbage. Nothing hangs, reaches
// the application as an event, or fills the memory.

import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { DurableEventIteratorConnectionError, subscribe } from '../../../npm/durable-event-iterator/src/client/index.ts'
import type { SubscribeOptions, Subscription, Transport } from '../../../npm/durable-event-iterator/src/client/index.ts'
import { httpFallback } from '../../../npm/durable-event-iterator/src/http/index.ts'
import { token } from '../../support/client.ts'

type Respond = (response: ServerResponse, request: IncomingMessage) => void

const html: Respond = (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Log in</title>')
const stream =
  (...parts: string[]): Respond =>
  (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const part of parts) response.write(part)
  }
const json =
  (body: string, status = 200): Respond =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)

/** Writes the text without end, and without end of line if it has none. */
const endless =
  (start: string, text: string, type: string): Respond =>
  (response) => {
    response.writeHead(200, { 'content-type': type }).write(start)
    const chunk = text.repeat(65_536 / text.length)
    const write = (): void => {
      while (!response.destroyed) {
        written += chunk.length
        if (!response.write(chunk)) return void response.once('drain', write)
      }
    }
    write()
  }

let answer: { head: Respond; stream: Respond; page: Respond; call: Respond }
/** The number of characters that `endless` has written. */
let written: number
/** The requests to another server, to which redirects lead. */
let elsewhere: IncomingMessage[]
let servers: ReturnType<typeof createServer>[]
let url: URL
const opened: Subscription<unknown>[] = []

async function listen(server: ReturnType<typeof createServer>): Promise<URL> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
}

let other: URL
beforeEach(async () => {
  written = 0
  elsewhere = []
  servers = []
  const ok = json('{"events":[],"next":null,"gap":null,"more":false}')
  answer = { head: ok, stream: stream(': \n\n'), page: ok, call: ok }
  other = await listen(createServer((request, response) => (elsewhere.push(request), response.end())))
  const server = createServer((request, response) => {
    const isCall = request.url!.includes('/call')
    const isStream = request.headers.accept === 'text/event-stream'
    const kind = request.method === 'HEAD' ? 'head' : isCall ? 'call' : isStream ? 'stream' : 'page'
    if (request.method === 'GET' && request.url!.startsWith('/room')) return void response.writeHead(426).end('Expected WebSocket upgrade')
    answer[kind](response, request)
  })
  server.on('upgrade', (_, socket) => socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n'))
  url = await listen(server)
})
afterEach(() => {
  for (const events of opened.splice(0)) events.close()
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
})

function open(options: Partial<SubscribeOptions> = {}): Subscription<unknown> {
  const events = subscribe<unknown>({
    url: new URL('/room', url),
    token: () => token({ chn: 'channel', rpc: ['ping'] }),
    fallback: httpFallback({ url: new URL('/channels', url) }),
    minReconnectionDelay: 10,
    maxReconnectionDelay: 50,
    openTimeout: 1_000,
    ...options,
  })
  opened.push(events)
  return events
}

const failure = (promise: Promise<unknown>): Promise<Error> => promise.then((value) => expect.fail(`resolved: ${JSON.stringify(value)}`), (error) => error)

/** Responses to the check of the endpoint, or to the request for the stream, with the reason that the error states. */
const FOREIGN: [string, Respond, RegExp][] = [
  ['a page of a captive portal', html, /the server responds with 200 \(text\/html\)/],
  ['a redirect', (response) => response.writeHead(302, { location: other.href }).end(), /the server responds with a redirect/],
  ['an error page', (response) => response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>'), /the server responds with 502 \(text\/html\)/],
  ['an empty response', (response) => response.writeHead(204).end(), /the server responds with 204 \(no content type\)/],
  ['an error that is not one of the endpoint', json('{"message":"no"}', 403), /the server responds with 403 \(application\/json\)/],
  ['malformed JSON as an error', json('{"json":', 500), /the server responds with 500/],
  ['a cut connection', (response) => response.destroy(), /no connection to http/],
]

describe('a subscription that cannot open ends with a typed error', () => {
  test.each(FOREIGN)('the check receives %s', async (_, respond, reason) => {
    answer.head = respond
    const error = await failure(open().next())
    expect(error).toBeInstanceOf(DurableEventIteratorConnectionError)
    expect(error.message).toMatch(/the iterator did not open within 1000 ms|after \d attempts/)
    expect(error.message).toMatch(reason)
    expect(error.message).not.toContain('token=')
    expect(elsewhere).toEqual([])
  })

  test.each(FOREIGN)('the stream is %s', async (_, respond, reason) => {
    answer.stream = respond
    const error = await failure(open().next())
    expect(error).toBeInstanceOf(DurableEventIteratorConnectionError)
    expect(error.message).toMatch(reason)
    expect(elsewhere).toEqual([])
  })

})

/** Three streams that end at once: the client changes to long polling. */
const short: Respond = (response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).end(': \n\n')

/** Resolves with the reason of `recovering` after the subscription was open with this transport. */
async function lossOf(transport: Transport): Promise<Error> {
  const states: [state: string, transport: Transport | undefined, error: unknown][] = []
  const events = open({ onStateChange: (state, details) => states.push([state, details.transport, details.error]) })
  const next = failure(events.next())
  const loss = (): number => states.findIndex(([state], index) => state === 'recovering' && states[index - 1]?.[1] === transport)
  await expect.poll(loss, { timeout: 15_000 }).toBeGreaterThan(0)
  await events.throw(new Error('enough')).catch(() => {})
  // Nothing has arrived.
  await next.catch(() => {})
  return states[loss()]![2] as Error
}

test.each(FOREIGN)('long polling receives %s: the connection is lost', async (_, respond, reason) => {
  answer.stream = short
  let pages = 0
  answer.page = (response, request) => (pages++ === 0 ? json('{"events":[],"next":"5","gap":null,"more":false}')(response, request) : respond(response, request))
  const error = await lossOf('long-polling')
  expect(error).toBeInstanceOf(DurableEventIteratorConnectionError)
  expect(error.message).toMatch(reason)
  expect(elsewhere).toEqual([])
})

const GARBAGE: [string, Respond][] = [
  ['data that is not JSON', stream(': \n\nid: 1\ndata: <html>\n\n')],
  ['data that would end a frame', stream(': \n\nid: 1\ndata: 1}},"i":"2"\n\n')],
  ['data that is no object', stream(': \n\nid: 1\ndata: 7\n\n')],
  ['a malformed gap', stream(': \n\nevent: gap\ndata: {"json":{"nextEventId":7}}\n\n')],
  ['a gap without data', stream(': \n\nevent: gap\n\n')],
  ['an endless line', endless(': \n\ndata: ', 'x', 'text/event-stream')],
  ['an endless event', endless(': \n\n', 'data: x\n', 'text/event-stream')],
  ['an endless field without a name', endless(': \n\n', '\0', 'text/event-stream')],
]

test.each(GARBAGE)('a stream with %s is a lost connection, and nothing arrives', { timeout: 20_000 }, async (_, respond) => {
  answer.stream = respond
  expect(await lossOf('sse')).toBeInstanceOf(DurableEventIteratorConnectionError)
  // The response is not read further than to the limit.
  expect(written).toBeLessThan(100 * 2 ** 20)
})

const PAGES: [string, Respond][] = [
  ['is not a page', json('[]')],
  ['has an event without an id', json('{"events":[{"json":{}}],"next":"1","gap":null,"more":false}')],
  ['has no list of events', json('{"events":{"length":1},"next":"1","gap":null,"more":false}')],
  ['has an invalid cursor', json('{"events":[],"next":7,"gap":null,"more":false}')],
  ['has no end', endless('{"events":["', 'x', 'application/json')],
]

test.each(PAGES)('a page that %s is an error, and nothing arrives', { timeout: 20_000 }, async (_, respond) => {
  answer.stream = short
  let pages = 0
  answer.page = (response, request) => (pages++ === 0 ? json('{"events":[],"next":"5","gap":null,"more":false}')(response, request) : respond(response, request))
  expect(await lossOf('long-polling')).toBeInstanceOf(DurableEventIteratorConnectionError)
  expect(written).toBeLessThan(100 * 2 ** 20)
})

test('an endpoint that never responds is given up, also within a response', { timeout: 20_000 }, async () => {
  const reasons: Respond[] = [() => {}, (response) => response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()]
  for (const page of reasons) {
    answer.stream = () => {}
    answer.page = page
    const error = await failure(open({ openTimeout: 6_500 }).next())
    expect(error).toMatchObject({ reason: 'unavailable' })
  }
})

const CALLS: [string, Respond][] = [
  ...FOREIGN.filter(([name]) => !name.includes('JSON')).map(([name, respond]): [string, Respond] => [name, respond]),
  ['malformed JSON', json('{"json":')],
  ['an endless body', endless('{"json":"', 'x', 'application/json')],
  ['a stream that is cut', (response) => (response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': \n\n'), setTimeout(() => response.destroy(), 50))],
  ['a stream of garbage', stream('event: message\ndata: }\n\n')],
  ['a form that is none', (response) => response.writeHead(200, { 'content-type': 'multipart/form-data; boundary=x' }).end('nothing')],
]

test.each(CALLS)('a call that receives %s fails once, with a typed error', { timeout: 20_000 }, async (name, respond) => {
  let calls = 0
  answer.call = (response, request) => {
    calls += 1
    respond(response, request)
  }
  const events = open()
  await events.opened()
  expect(events.transport).toBe('sse' satisfies Transport)
  const error = await failure(
    (async () => {
      const output = await events.call(['ping'])
      if (name.startsWith('a stream')) for await (const _ of output as AsyncIterable<unknown>);
    })(),
  )
  expect(error.name).toMatch(/^(DurableEventIteratorConnectionError|BodyError|ProcedureError)$/)
  if (error.name === 'DurableEventIteratorConnectionError') expect(error).toMatchObject({ reason: 'lost' })
  expect(calls).toBe(1)
  expect(elsewhere).toEqual([])
})

test('a gap that only the stream reports reaches the application once', async () => {
  let streams = 0
  answer.stream = (response, request) => {
    streams += 1
    stream(': \n\nevent: gap\ndata: {"json":{"nextEventId":"5"}}\n\nid: 5\ndata: {"json":{"n":5}}\n\n')(response, request)
  }
  const gaps: unknown[] = []
  const events = open({ lastEventId: '1', onGap: (gap) => gaps.push(gap) })
  expect((await events.next()).value).toEqual({ n: 5 })
  expect([gaps, streams]).toEqual([[{ lastEventId: '1', nextEventId: '5' }], 2])
})

test('a stream that reports one gap after the other causes one notification', async () => {
  let gaps = 0
  answer.stream = (response, request) => stream(`: \n\nevent: gap\ndata: {"json":{"nextEventId":"${++gaps}"}}\n\nevent: gap\ndata: {"json":{"nextEventId":"${++gaps}"}}\n\nid: 9\ndata: {"json":{"n":9}}\n\n`)(response, request)
  const seen: unknown[] = []
  const events = open({ lastEventId: '1', onGap: (gap) => seen.push(gap) })
  expect((await events.next()).value).toEqual({ n: 9 })
  expect([seen, gaps]).toEqual([[{ lastEventId: '1', nextEventId: '1' }], 4])
})

test('an endpoint that does not wait for events is not asked without a pause', async () => {
  answer.stream = short
  let pages = 0
  const page = answer.page
  answer.page = (response, request) => {
    pages += 1
    page(response, request)
  }
  const events = open()
  await expect.poll(() => events.transport, { timeout: 5_000 }).toBe('long-polling')
  // Otherwise the number would grow by more between two checks.
  await expect.poll(() => pages, { timeout: 5_000 }).toBe(3)
})

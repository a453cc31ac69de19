// The oRPC server in Rust, with unmodified clients over `fetch` and with manual requests.

import { readFileSync } from 'node:fs'

import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { CLIENT_VERSIONS, eventMetaReader } from './support/client.ts'
import type { ClientVersion } from './support/client.ts'
import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'

/** The limit that `tests/worker` sets, in bytes. */
const MAX_BODY = 1 << 16
/** The origin that may send cookies. */
const FRIEND = 'https://friend.example'

let workers: Journals
beforeAll(async () => {
  workers = await startJournals()
})
afterAll(() => workers.dispose())

const json = { 'content-type': 'application/json' }
const post = (path: string, body?: BodyInit, headers: Record<string, string> = json): Promise<Response> =>
  workers.fetch(path, { method: 'POST', headers, ...(body === undefined ? {} : { body }) })

interface RecordedExchange {
  kind: string
  request: { method: string; url: string; headers: Record<string, string>; body: string }
  response: { status: number; headers: Record<string, string>; body: string }
}

describe.each(['01-subscribe', '52-http-forms'])('the responses equal those recorded from oRPC: %s', (name) => {
  const recording = JSON.parse(readFileSync(new URL(`frames/${name}.json`, import.meta.url), 'utf8'))
  const exchanges = (recording.exchanges as RecordedExchange[]).filter(({ kind }) => kind === 'http')

  test.each(exchanges.map((exchange) => [`${exchange.request.method} ${exchange.request.url} ${exchange.request.body}`, exchange]))(
    '%s',
    async (_, { request, response }) => {
      const contentType = request.headers['content-type']
      const answer = await workers.fetch(request.url, {
        method: request.method,
        headers: contentType === undefined ? {} : { 'content-type': contentType },
        ...(request.body === '' ? {} : { body: request.body }),
      })
      expect(answer.status).toBe(response.status)
      expect(answer.headers.get('content-type')).toBe(response.headers['content-type'])
      expect(answer.headers.get('x-orpc-dei')).toBe(response.headers['x-orpc-dei'] ?? null)
      const body = await answer.text()
      if (response.headers['x-orpc-dei'] !== undefined) {
        const [given, recorded] = [body, response.body].map((text) => decodeJwt(JSON.parse(text).json))
        expect({ ...given, iat: 0, exp: given!.exp! - given!.iat! }).toEqual({
          ...recorded,
          iat: 0,
          exp: recorded!.exp! - recorded!.iat!,
        })
      } else if (response.body.includes('"issues"')) {
        // The messages of issues depend on the validator. Their number and paths are those of oRPC.
        const [given, recorded] = [body, response.body].map((text) => JSON.parse(text).json)
        expect({ ...given, data: undefined }).toEqual({ ...recorded, data: undefined })
        expect(given.data.issues).toEqual([{ message: expect.any(String), path: ['message'] }])
      } else {
        expect(body).toBe(response.body)
      }
    },
  )
})

describe.each(CLIENT_VERSIONS)('an RPCLink over fetch of oRPC %s', (version: ClientVersion) => {
  let client: any
  let getEventMeta: (event: unknown) => { id?: string } | undefined
  let ORPCError: any
  const headers: Record<string, string> = {}

  /** In an object, since a client looks like a promise: every name on it is a procedure. */
  const connect = async (options: object = {}): Promise<{ client: any }> => {
    const [{ RPCLink }, { createORPCClient }] = await Promise.all([
      import(`orpc-client-${version}/fetch`),
      import(`orpc-client-${version}`),
    ])
    const link = new RPCLink({ url: new URL('/rpc', workers.url).href, headers: () => headers, ...options })
    return { client: createORPCClient(link) }
  }
  beforeAll(async () => {
    ;({ client } = await connect())
    ;({ ORPCError } = await import(`orpc-client-${version}`))
    getEventMeta = await eventMetaReader(version)
  })

  test('all types are supported as input and output', async () => {
    const value = {
      date: new Date('2020-01-02T03:04:05.678Z'),
      badDate: new Date(Number.NaN),
      big: 12_345_678_901_234_567_890n,
      nan: Number.NaN,
      list: [undefined, null, 1.5, 'ü"\n'],
      url: new URL('https://example.com/a?b=c#d'),
      re: /a\/b+(c)/gi,
      set: new Set(['one', new Map([[1, 2n]])]),
    }
    expect(await client.echo(value)).toEqual(value)
    expect(await client.echo()).toBeUndefined()
    expect(await client.echo(null)).toBeNull()
  })

  test('files are supported as input and output', async () => {
    const file = new File(['file body é'], 'é "x".txt', { type: 'text/html' })
    const answer = await client.file({ note: 'seen', file })
    expect(await answer.text()).toBe('seen: 12 bytes of text/html')
    expect([answer.name, answer.type]).toEqual(['answer.txt', 'text/plain'])
    const [same] = await client.echo([file])
    expect([await same.text(), same.name, same.type]).toEqual(['file body é', file.name, file.type])
  })

  test('a nested procedure receives the application, the headers and the last event id', async () => {
    headers['x-own'] = 'mine'
    expect(await client.app.name(undefined, { lastEventId: '7' })).toEqual(['the app', 'mine', '7'])
    delete headers['x-own']
    expect(await client.app.name()).toEqual(['the app', null, null])
  })

  test('errors arrive as ORPCErrors, and internal errors are not disclosed', async () => {
    const outOfStock = await client.fail().catch((error: unknown) => error)
    expect(outOfStock).toBeInstanceOf(ORPCError)
    expect(outOfStock).toMatchObject({
      code: 'OUT_OF_STOCK', status: 409, message: 'None left', defined: true, data: { just: 'data' },
    })
    expect(await client.leak().catch((error: unknown) => error)).toMatchObject({
      code: 'INTERNAL_SERVER_ERROR', message: 'Internal server error', data: undefined,
    })
    expect(await client.sendMessage({ message: 1 }).catch((error: unknown) => error)).toMatchObject({
      code: 'BAD_REQUEST', message: 'Input validation failed',
    })
    expect(await client.nowhere().catch((error: unknown) => error)).toBeInstanceOf(Error)
  })

  test('GET requests reach only procedures that allow them', async () => {
    const { client: getter } = await connect({ method: 'GET' })
    const value = { when: new Date(0), text: 'ü+ &=' }
    expect(await getter.echo(value)).toEqual(value)
    expect(await getter.echo()).toBeUndefined()
    expect(await getter.app.name()).toEqual(['the app', null, null])
    expect(await getter.plain().catch((error: unknown) => error)).toMatchObject({ code: 'METHOD_NOT_SUPPORTED', status: 405 })
  })

  test('a stream yields its items with ids, and its return value', async () => {
    const iterator = await client.count(3)
    const seen = []
    let item = await iterator.next()
    for (; !item.done; item = await iterator.next()) seen.push([item.value.number, getEventMeta(item.value)?.id])
    expect(seen).toEqual([[1, '1'], [2, '2'], [3, '3']])
    expect(item.value).toBe('done')

    const resumed = []
    for await (const { number } of await client.count(3, { lastEventId: '2' })) resumed.push(number)
    expect(resumed).toEqual([3])
  })

  test('a stream that fails ends with its error', async () => {
    const seen: unknown[] = []
    const failure = await (async () => {
      for await (const item of await client.failing()) seen.push(item)
    })().catch((error: unknown) => error)
    expect(seen).toEqual([1])
    expect(failure).toMatchObject({ code: 'CONFLICT', message: 'In the middle' })
  })

  test('when the client ends a stream, it is dropped with its timer', async () => {
    const left = await client.silent()
    expect(await left.next()).toMatchObject({ value: 'hush' })
    const controller = new AbortController()
    const aborted = await client.silent(undefined, { signal: controller.signal })
    expect(await aborted.next()).toMatchObject({ value: 'hush' })
    const waiting = aborted.next().catch((error: unknown) => error)
    expect(await client.silentStreams()).toBe(2)
    await left.return()
    controller.abort()
    await waiting
    await expect.poll(() => client.silentStreams(), { timeout: 10_000 }).toBe(0)
  })
})

test('a stream sends a comment at once, and then periodically', { timeout: 20_000 }, async () => {
  const response = await post('/rpc/silent')
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  while (!text.endsWith('"hush"}\n\n: \n\n')) text += (await reader.read()).value
  expect(text).toBe(': \n\nevent: message\ndata: {"json":"hush"}\n\n: \n\n')
  await reader.cancel()
})

test('only a token as the whole output sets the header of an iterator', async () => {
  const wrapped = await post('/rpc/wrapped')
  expect((await wrapped.json()).json).toEqual([expect.stringMatching(/^eyJ/)])
  expect(wrapped.headers.has('x-orpc-dei')).toBe(false)
  const second = await post('/rpc/second')
  expect((await second.json()).json).toMatch(/^\{"chn":"some-room"/)
  expect([...second.headers.keys()].filter((name) => name.startsWith('x-orpc'))).toEqual(['x-orpc-durable-iterator'])
  const unnamed = await post('/rpc/open', '{"json":{"chn":""}}')
  expect([unnamed.status, (await unnamed.json()).json.code]).toEqual([400, 'BAD_REQUEST'])
  expect(unnamed.headers.has('x-orpc-dei')).toBe(false)
})

test('a procedure sets headers, also with an error', async () => {
  expect((await post('/rpc/fail')).headers.get('retry-after')).toBe('3')
})

test('a body that is too large is rejected, with or without a content-length', async () => {
  const fits = `{"json":"${'x'.repeat(MAX_BODY - 11)}"}`
  expect((await post('/rpc/echo', fits)).status).toBe(200)
  const whole = await post('/rpc/echo', `${fits} `)
  expect([whole.status, (await whole.json()).json.code]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
  // One byte too many, and no end before the response: the runtime closes the connection of a client that is still sending.
  let end = (): void => {}
  const chunks = new ReadableStream({
    start(controller) {
      controller.enqueue(new Uint8Array(MAX_BODY))
      controller.enqueue(new Uint8Array(1))
      end = () => controller.close()
    },
  })
  const streamed = await workers.fetch('/rpc/echo', { method: 'POST', body: chunks, duplex: 'half' } as RequestInit)
  expect([streamed.status, (await streamed.json()).json.code]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
  end()
})

test('invalid calls are rejected with the errors of oRPC', async () => {
  const answer = async (response: Promise<Response>): Promise<unknown[]> => {
    const { status, headers } = await response
    return [status, headers.get('content-type')]
  }
  const form = 'multipart/form-data; boundary=x'
  for (const [body, type] of [['--x', form], ['--x--', form], ['[]', 'text/plain'], ['{"json":1}', 'text/plain'], ['[', 'application/json']]) {
    expect(await answer(post('/rpc/echo', body, { 'content-type': type! }))).toEqual([400, 'application/json'])
  }
  const stream = await post('/rpc/echo', 'event: done\n\n', { 'content-type': 'text/event-stream' })
  expect([stream.status, (await stream.json()).json.code]).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE'])
  expect((await post('/rpc/echo', '[1]', { ...json, 'content-disposition': 'inline; filename="a"' })).status).toBe(400)
  expect((await workers.fetch('/rpc/echo?data=%7B')).status).toBe(400)
  expect((await workers.fetch('/rpc/echo', { method: 'HEAD' })).status).toBe(405)
  for (const path of ['/rpc', '/rpc/', '/rpc//echo', '/rpc/app', '/rpc/app/name/more', '/rpc/%FF', '/rpc/toString']) {
    expect(await answer(post(path))).toEqual([404, 'text/plain;charset=UTF-8'])
  }
  expect((await post('/rpc/app/name/')).status).toBe(200)
})

test('a byte order mark before a body is ignored, as by oRPC’s server', async () => {
  for (const headers of [json, {}]) {
    const answer = await post('/rpc/echo', new Blob(['\ufeff{"json":"x"}']), headers)
    expect([answer.status, await answer.text()]).toEqual([200, '{"json":"x"}'])
  }
})

describe('cross-site request forgery', () => {
  const cookie = { cookie: 'session=1' }
  const evil = { origin: 'https://evil.example' }
  const form = (): FormData => {
    const form = new FormData()
    form.set('data', '{"json":"forged"}')
    return form
  }
  const bodies: [string, () => BodyInit | undefined, Record<string, string>][] = [
    ['a Blob without a type', () => new Blob(['{"json":"forged"}']), {}],
    ['a form', form, {}],
    ['no body', () => undefined, {}],
    ['text', () => '{"json":"forged"}', { 'content-type': 'text/plain' }],
    ['URL-encoded data', () => new URLSearchParams({ data: '{"json":"forged"}' }), {}],
  ]
  const send = (body: BodyInit | undefined, headers: Record<string, string>, path = '/rpc/echo'): Promise<Response> =>
    post(path, body, headers)

  test.each(bodies)('a request of another site without a preflight cannot run a procedure: %s', async (_, body, type) => {
    for (const headers of [{ ...cookie, ...evil }, evil, cookie, { ...cookie, origin: 'null' }, { ...evil, 'sec-fetch-site': 'cross-site' }]) {
      const response = await send(body(), { ...type, ...headers } as Record<string, string>)
      const { json } = (await response.json()) as any
      expect([response.status, json.code]).toEqual([403, 'FORBIDDEN'])
      expect(json.message).toContain('x-csrf-token: orpc')
    }
  })

  test.each([
    ['the same origin', () => ({ origin: workers.url.origin })],
    ['the same origin by Sec-Fetch-Site', () => ({ ...evil, 'sec-fetch-site': 'same-origin' })],
    ['the configured origin', () => ({ origin: FRIEND })],
    ["oRPC's header", () => ({ ...evil, 'x-csrf-token': 'orpc' })],
  ])('a form with cookies is accepted from %s', async (_, headers) => {
    const response = await send(form(), { ...cookie, ...headers() })
    expect([response.status, await response.text()]).toEqual([200, '{"json":"forged"}'])
  })

  test('cookies are rejected if any origin is allowed', async () => {
    expect((await send(form(), evil, '/open/echo')).status).toBe(200)
    expect((await send(form(), { ...evil, ...cookie }, '/open/echo')).status).toBe(403)
  })

  test('a GET with cookies that the browser calls cross-site is rejected', async () => {
    const get = async (headers: Record<string, string>): Promise<number> =>
      (await workers.fetch('/rpc/echo?data=%7B%7D', { headers: { ...cookie, ...headers } })).status
    expect(await get({})).toBe(200)
    expect(await get({ 'sec-fetch-site': 'same-origin' })).toBe(200)
    expect(await get({ 'sec-fetch-site': 'cross-site' })).toBe(403)
    expect(await get(evil)).toBe(403)
  })

  test.each(CLIENT_VERSIONS)('clients of oRPC %s work with cookies on pages of the configured origin, files included', async (version) => {
    const [{ RPCLink }, { createORPCClient }, { SimpleCsrfProtectionLinkPlugin }] = await Promise.all([
      import(`orpc-client-${version}/fetch`),
      import(`orpc-client-${version}`),
      import(`orpc-client-${version}/plugins`),
    ])
    const url = new URL('/rpc', workers.url).href
    const connect = (headers: object, plugins: object[] = []): any =>
      createORPCClient(new RPCLink({ url, headers: () => ({ ...cookie, ...headers }), plugins }))
    const file = new File(['x'], 'x.txt', { type: 'text/plain' })
    for (const client of [connect({ origin: FRIEND }), connect(evil, [new SimpleCsrfProtectionLinkPlugin()])]) {
      expect(await client.echo('x')).toBe('x')
      expect(await client.echo()).toBeUndefined()
      expect(await (await client.echo(file)).text()).toBe('x')
    }
    await expect(connect(evil).echo(file)).rejects.toMatchObject({ code: 'FORBIDDEN', status: 403 })
  })
})

describe('pages of other origins', () => {
  const allow = (response: Response, name: string): string | null => response.headers.get(`access-control-${name}`)

  test('of a configured origin may send cookies, and can read the header of an iterator', async () => {
    const preflight = await workers.fetch('/rpc/onMessage', {
      method: 'OPTIONS',
      headers: {
        origin: FRIEND,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type,x-own',
      },
    })
    expect(preflight.status).toBe(204)
    expect(allow(preflight, 'allow-origin')).toBe(FRIEND)
    expect(allow(preflight, 'allow-methods')).toContain('POST')
    expect(allow(preflight, 'allow-headers')).toBe('content-type,x-own')
    expect(allow(preflight, 'allow-credentials')).toBe('true')
    expect(allow(preflight, 'max-age')).toBe('60')

    const answer = await post('/rpc/onMessage', undefined, { origin: FRIEND })
    expect(allow(answer, 'allow-origin')).toBe(FRIEND)
    expect(allow(answer, 'expose-headers')).toContain('x-orpc-dei')
    expect(answer.headers.get('vary')).toBe('origin')
    expect(allow(await post('/rpc/nowhere', undefined, { origin: FRIEND }), 'allow-origin')).toBe(FRIEND)
    expect(allow(await post('/rpc/fail', undefined, { origin: FRIEND }), 'allow-origin')).toBe(FRIEND)
  })

  test('of another origin may not', async () => {
    const origin = 'https://other.example'
    // After a preflight, which allows nothing, and without one.
    for (const [answer, status] of [[await post('/rpc/onMessage', '{}', { ...json, origin }), 200], [await post('/rpc/onMessage', undefined, { origin }), 403]] as const) {
      expect(answer.status).toBe(status)
      expect([...answer.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
    }
  })

  test('of any origin may if the server allows it', async () => {
    const answer = await post('/open/onMessage', undefined, { origin: 'https://other.example' })
    expect(allow(answer, 'allow-origin')).toBe('*')
    expect(allow(answer, 'expose-headers')).toContain('x-orpc-dei')
    expect(allow(await post('/open/silent', undefined, { origin: 'https://other.example' }), 'allow-origin')).toBe('*')
  })
})

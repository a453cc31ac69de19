// Procedures over the socket: unmodified clients, then messages that no real client sends.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { CLIENT_VERSIONS } from './support/client.ts'
import type { Claims, Client, ClientVersion, ConnectOptions } from './support/client.ts'
import { isOrpc2, isRust, PUBLISH, startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

/** The procedures that the tokens allow. */
const rpc = ['publishMessage', 'whoAmI', 'context', 'anything', 'diary', 'refused', 'router', 'extra', 'upload']

const connect = (chn: string, options: ConnectOptions = {}, claims: Partial<Claims> = {}): Promise<Client> =>
  journals.client('CALLS', { chn, rpc, ...claims }, options)
const connectBare = async (chn: string, claims: Partial<Claims> = {}): Promise<BareSocket> =>
  BareSocket.open(await journals.upgrade('CALLS', { chn, rpc, ...claims }))

/** Resolves when the diary of the Durable Object has the line. */
const until = (chn: string, line: string): Promise<unknown> => journals.stub('CALLS', chn, 'until', line)
const write = (chn: string, line: string): Promise<unknown> => journals.stub('CALLS', chn, 'write', line)
const diary = (chn: string): Promise<string[]> => journals.stub('CALLS', chn, 'diary')

/** Sends a call as a request frame. */
const call = (i: string, path: unknown, input?: unknown): object => ({ i, p: { u: '/call', b: { json: { path, input } } } })
const ping = (i: string): object => call(i, ['router', 'ping'])
const pong = (i: string): object => ({ i, p: { b: { json: 'pong' } } })

/** Returns the error of a promise. */
const rejection = (promise: Promise<unknown>): Promise<any> =>
  promise.then(
    (value) => Promise.reject(new Error('It was not rejected', { cause: value })),
    (error: unknown) => error,
  )

class User {
  name: string
  age: number
  constructor(name: string, age: number) {
    this.name = name
    this.age = age
  }
}

const customJsonSerializers = [
  {
    type: 21,
    condition: (value: unknown) => value instanceof User,
    serialize: ({ name, age }: User) => ({ name, age }),
    deserialize: ({ name, age }: User) => new User(name, age),
  },
]

const INVALID_ITEM_OF_ORPC = isOrpc2
  ? { code: 'ASYNC_ITERATOR_OBJECT_VALIDATION_FAILED', message: 'AsyncIteratorObject validation failed', data: undefined }
  : { code: 'EVENT_ITERATOR_VALIDATION_FAILED', message: 'Event iterator validation failed', data: undefined }

/** The errors for an invalid item of a stream. oRPC has one of its own. */
const INVALID_ITEM = isRust
  ? {
      ofOutput: { code: 'INTERNAL_SERVER_ERROR', message: 'Output validation failed' },
      ofInput: {
        code: 'BAD_REQUEST',
        message: 'Input validation failed',
        data: { issues: [{ message: 'expected a number, found a string', path: [] }] },
      },
    }
  : { ofOutput: INVALID_ITEM_OF_ORPC, ofInput: INVALID_ITEM_OF_ORPC }

/** Collects the frames that a client's socket receives from now on. */
function framesOf(client: Client): string[] {
  const frames: string[] = []
  client.socket.addEventListener('message', ({ data }) => frames.push(String(data)))
  return frames
}

describe.each(CLIENT_VERSIONS)('with @orpc/client %s', (version: ClientVersion) => {
  const channel = (name: string): string => `${name}-${version}`

  test('calls without input, with undefined and with null have the same result', async () => {
    const client = await connect(channel('ping'), { version })
    expect(await client.call(['router', 'ping'])).toBe('pong')
    expect(await client.call(['router', 'ping'], undefined)).toBe('pong')
    expect(await client.call(['router', 'ping'], null)).toBe('pong')
    expect(await client.call(['router', 'echo'], { text: 'Hello' })).toBe('Echo: Hello')
    expect(await client.call(['router', 'deep', 'er'])).toBe('deeper')
    // By its own path, like a client of a plain WebSocket server.
    expect(await client.raw.router.ping()).toBe('pong')
    client.close()
  })

  test('publishMessage reads and writes attachments, and publishes to all other clients', async () => {
    const chn = channel('publish')
    const [anna, bert, carl] = await Promise.all(
      ['anna', 'bert', 'carl'].map((userId) => connect(chn, { version }, { att: { userId } })),
    )
    const subscriptions = await Promise.all([anna!, bert!, carl!].map((client) => client.subscribe()))
    expect(await anna!.call(['publishMessage'], { message: 'from anna' })).toBeUndefined()
    expect(await bert!.call(['publishMessage'], { message: 'from bert' })).toBeUndefined()
    await Promise.all([1, 1, 2].map((count, n) => subscriptions[n]!.count(count)))
    expect(subscriptions.map(({ events }) => events.map(({ message }) => message))).toEqual([
      ['from bert'],
      ['from anna'],
      ['from anna', 'from bert'],
    ])
    expect(await anna!.call(['whoAmI'])).toEqual(['anna', 'of anna'])
    expect(await carl!.call(['whoAmI'])).toEqual(['carl', null])
    for (const client of [anna!, bert!, carl!]) client.close()
  })

  test('an event that a call publishes arrives before its response', async () => {
    const chn = channel('order')
    const [caller, other] = await Promise.all([connect(chn, { version }), connect(chn, { version })])
    const subscription = await other.subscribe()
    const frames = framesOf(other)
    await caller.call(['publishMessage'], { message: 'first' })
    await other.call(['router', 'ping'])
    expect(frames.map((frame) => JSON.parse(frame).t)).toEqual([3, undefined])
    expect(subscription.events).toEqual([{ message: 'first' }])
    caller.close()
    other.close()
  })

  test('procedures that the token does not allow are forbidden, and unknown procedures are not found', async () => {
    const client = await connect(channel('gate'), { version }, { rpc: ['router', 'nothing'] })
    const { ORPCError } = await import(`orpc-client-${version}`)
    const forbidden = await rejection(client.call(['publishMessage'], { message: 'x' }))
    expect(forbidden).toBeInstanceOf(ORPCError)
    expect(forbidden).toMatchObject({
      code: 'FORBIDDEN', status: 403, message: 'Method "publishMessage" is not allowed.', defined: false,
    })
    const missing = { code: 'NOT_FOUND', status: 404, message: 'Not Found', defined: false }
    for (const path of [['nothing'], ['router', 'nothing'], ['router', 'ping', 'deeper'], ['router']]) {
      expect(await rejection(client.call(path))).toMatchObject(missing)
    }
    expect(await rejection(client.raw.nothing.at.all())).toMatchObject({ code: 'NOT_FOUND', status: 404 })
    expect(await rejection(client.raw.publishMessage({ message: 'x' }))).toMatchObject({ code: 'FORBIDDEN' })
    expect(await client.call(['router', 'ping'])).toBe('pong')
    client.close()
  })

  test('all types are supported as output', async () => {
    const client = await connect(channel('types-out'), { version, link: { customJsonSerializers } })
    const output = await client.call(['extra', 'types'])
    const epoch = new Date(0)
    expect(output).toEqual({
      date: new Date('2020-01-02T03:04:05.678Z'),
      badDate: new Date(Number.NaN),
      big: 12345678901234567890n,
      nul: null,
      nan: Number.NaN,
      inf: null,
      url: new URL('https://example.com/a?b=c#d'),
      re: /a\/b+(c)/gi,
      set: new Set([1, 'two', epoch, undefined]),
      map: new Map<unknown, unknown>([['k', 1n], [epoch, new Set([Number.NaN])]]),
      arr: [1, undefined, null, Number.NaN, [2n]],
      nested: { a: { b: [{ c: new Date(1) }] } },
      user: new User('Ann', 30),
      str: 'é漢😀\u2028"\\\n\u0000',
      num: [0, 0, 1e21, 1.5, 5e-324, 9007199254740991],
      empty: {},
      emptyArr: [],
    })
    expect('undef' in output).toBe(false)
    expect(output.user).toBeInstanceOf(User)
    client.close()
  })

  test('all types are supported as input, typed and untyped', async () => {
    const client = await connect(channel('types-in'), { version, link: { customJsonSerializers } })
    const everything = {
      date: new Date('2020-01-02T03:04:05.678Z'),
      badDate: new Date(Number.NaN),
      big: -(2n ** 200n),
      nan: Number.NaN,
      nothing: null,
      url: new URL('https://example.com/ä?b=c#d'),
      re: /a\/b+(c)/gi,
      set: new Set(['one', 'two']),
      map: new Map([[1, new Date(0)], [2, new Date(1)]]),
      user: new User('Ann', 30),
    }
    expect(await client.call(['extra', 'everything'], everything)).toEqual(everything)
    const anything = { ...everything, list: [undefined, null, new Map([[{ a: 1n }, new Set([Number.NaN])]])], text: 'é漢😀\u2028\u0000' }
    expect(await client.call(['anything'], anything)).toEqual(anything)
    for (const root of [undefined, null, true, -1.5, 'text', [], {}, 5n, new Date(0), new Set([1]), new Map([[1, 2]]), /x/u]) {
      expect(await client.call(['anything'], root)).toEqual(root)
    }
    const older = await client.call(['extra', 'older'], new User('Ann', 30))
    expect(older).toBeInstanceOf(User)
    expect(older).toEqual(new User('Ann', 31))
    client.close()
  })

  test('errors arrive as ORPCErrors, and internal errors are not disclosed', async () => {
    const client = await connect(channel('errors'), { version })
    const { ORPCError } = await import(`orpc-client-${version}`)
    const internal = { code: 'INTERNAL_SERVER_ERROR', status: 500, message: 'Internal server error', defined: false, data: undefined }
    for (const [name, expected] of [
      ['throwPlain', internal],
      ['throwTypeError', internal],
      ['badOutput', { ...internal, message: 'Output validation failed' }],
      ['throwOrpc', {
        code: 'CONFLICT', status: 409, message: 'already there', defined: false,
        data: { a: 1, when: new Date('2020-01-01T00:00:00.000Z'), n: 1n },
      }],
      ['throwTeapot', { code: 'MY_CODE', status: 418, message: 'teapot', defined: false, data: undefined }],
      ['throwDefined', { code: 'RATE_LIMITED', status: 429, message: 'slow down', defined: false, data: { retryAfter: 60 } }],
      ['throwDeclared', {
        code: 'OUT_OF_STOCK', status: 409, message: isOrpc2 ? 'Out Of Stock' : 'OUT_OF_STOCK', defined: true, data: undefined,
      }],
    ] as const) {
      const error = await rejection(client.call(['extra', name]))
      expect(error, name).toBeInstanceOf(ORPCError)
      const { code, status, message, defined, data } = error
      expect({ code, status, message, defined, data }, name).toEqual(expected)
    }
    client.close()
  })

  test('invalid input is rejected with its path and the reason', async () => {
    const client = await connect(channel('issues'), { version })
    for (const [path, input, issues] of [
      [['extra', 'needsNumber'], { n: 'x' }, [{ message: 'expected a number, found a string', path: ['n'] }]],
      [['extra', 'needsNumber'], { n: 1 }, [{ message: 'expected at least 3', path: ['n'] }]],
      [['extra', 'needsNumber'], {}, [{ message: 'missing', path: ['n'] }]],
      [['extra', 'needsNumber'], 'no object', [{ message: 'expected an object, found a string', path: [] }]],
      [['extra', 'needsNumber'], undefined, [{ message: 'expected an object, found undefined', path: [] }]],
      [['extra', 'needsName'], { name: ' ' }, [{ message: 'expected a name', path: ['name'] }]],
      [
        ['extra', 'needsPeriod'],
        { start: new Date(1), end: new Date(0), members: ['Ann', '', 'Bert', ''] },
        [
          { message: 'ends before it starts', path: [] },
          { message: 'expected a name', path: ['members', 1] },
          { message: 'expected a name', path: ['members', 3] },
        ],
      ],
      [['extra', 'needsPeriod'], { start: '1970' }, [{ message: 'expected a Date, found a string', path: ['start'] }]],
      [['extra', 'needsShapes'], { tagged: 1 }, [{ message: expect.stringMatching(/^expected an object/), path: ['tagged'] }]],
      [
        ['extra', 'needsShapes'],
        { tagged: { kind: 'square' } },
        [{ message: 'expected one of circle', path: expect.arrayContaining(['tagged']) }],
      ],
      [
        ['extra', 'needsShapes'],
        { tagged: { kind: 'circle', radius: 1 }, untagged: {} },
        [{ message: 'does not match any alternative', path: ['untagged'] }],
      ],
      [['router', 'ping'], 5, [{ message: expect.stringMatching(/^expected .*, found a number$/), path: [] }]],
    ] as const) {
      expect(await rejection(client.call([...path], input))).toMatchObject({
        code: 'BAD_REQUEST', status: 400, message: 'Input validation failed', defined: false, data: { issues },
      })
    }
    expect(await client.call(['extra', 'needsNumber'], { n: 4 })).toBe(8)
    expect(await client.call(['extra', 'needsShapes'], { tagged: { kind: 'circle', radius: 1 }, untagged: 'x' })).toBe('1 x')
    client.close()
  })

  test('invalid data other than the input is an internal error', async () => {
    const client = await connect(channel('stored'), { version })
    for (const what of ['value', 'issue', 'json', 'serialized', 'date', 'bigint', 'url', 'regexp', 'output']) {
      const { code, status, message, data } = await rejection(client.call(['extra', 'readStored'], what))
      expect({ code, status, message, data }, what).toEqual({
        code: 'INTERNAL_SERVER_ERROR', status: 500, message: 'Internal server error', data: undefined,
      })
    }
    // Unless the procedure reports it as invalid input.
    const issue = { message: 'expected an integer from 0 to 255, found a string', path: ['seats'] }
    const invalid = { code: 'BAD_REQUEST', status: 400, message: 'Input validation failed', data: { issues: [issue] } }
    expect(await rejection(client.call(['extra', 'readStored'], 'input'))).toMatchObject(invalid)
    expect(await rejection(client.call(['extra', 'takesSeats'], { seats: 'x' }))).toMatchObject(invalid)
    client.close()
  })

  test('a stream yields its items with their meta, then its return value', async () => {
    const client = await connect(channel('stream'), { version })
    const { getEventMeta } = client.library
    const iterator = await client.call(['extra', 'stream'])
    const items = []
    for (;;) {
      const { value, done } = await iterator.next()
      items.push([value, getEventMeta(value), done])
      if (done) break
    }
    expect(items).toMatchObject([
      [{ n: 1 }, undefined, false],
      [{ n: 2, when: new Date(0) }, { id: 'ev-2', retry: 1234, comments: ['hello', 'world'] }, false],
      [3, undefined, false],
      [{ end: true }, { id: 'end-id' }, true],
    ])
    // By its own path, and with a last event id.
    const resumed = []
    for await (const { n } of await client.raw.extra.resumed(undefined, { lastEventId: '1' })) resumed.push(n)
    expect(resumed).toEqual([2, 3])
    client.close()
  })

  test('an error of a stream ends it and reaches the client', async () => {
    const client = await connect(channel('failing'), { version })
    const { ORPCError } = await import(`orpc-client-${version}`)
    const failure = async (input?: string): Promise<[unknown[], any]> => {
      const items: unknown[] = []
      const iterator = await client.call(['extra', 'failing'], input)
      const error = await rejection((async () => {
        for await (const item of iterator) items.push(item)
      })())
      return [items, error]
    }
    const [items, error] = await failure('HALF_WAY')
    expect(items).toEqual([1])
    expect(error).toBeInstanceOf(ORPCError)
    expect(error).toMatchObject({ code: 'HALF_WAY', status: 409, message: 'half way', data: new Date(0) })
    expect(await failure()).toMatchObject([[1], { code: 'INTERNAL_SERVER_ERROR', message: 'Internal server error' }])
    const unwritable = await client.call(['extra', 'badItem'])
    expect(await rejection(unwritable.next())).toMatchObject(INVALID_ITEM.ofOutput)
    // If it fails before the first item, the call fails.
    expect(await rejection(client.call(['extra', 'refusedStream']))).toMatchObject({ code: 'FORBIDDEN', message: 'No stream for you.' })
    client.close()
  })

  // On a busy machine, many items that the server has sent arrive before the response to the ping.
  test('when the client ends a stream, it is dropped at once and nothing more is sent', { timeout: 90_000 }, async () => {
    const chn = channel('endless')
    const client = await connect(chn, { version })
    let count = 0
    for await (const item of await client.call(['extra', 'endless'])) {
      expect(item).toBe(count)
      // During an endless stream, other calls are served.
      if (count === 100) expect(await client.call(['router', 'ping'])).toBe('pong')
      count += 1
      if (count === 200) break
    }
    await until(chn, 'endless dropped')
    await client.call(['router', 'ping'])
    const frames = framesOf(client)
    await client.call(['router', 'ping'])
    await client.call(['router', 'ping'])
    expect(frames).toHaveLength(2)
    client.close()
  })

  test('a call that the client aborts is cancelled without a response', async () => {
    const chn = channel('abort')
    const client = await connect(chn, { version })
    const frames = framesOf(client)
    const controller = new AbortController()
    const slow = rejection(client.raw.call({ path: ['extra', 'slow'] }, { signal: controller.signal }))
    await until(chn, 'slow began')
    expect(await diary(chn)).toEqual(['slow began'])
    controller.abort()
    expect((await slow).name).toBe('AbortError')
    await until(chn, "slow's call is aborted: true")
    expect(await diary(chn)).toEqual(['slow began', 'slow dropped', "slow's call is aborted: true"])
    await client.call(['router', 'ping'])
    expect(frames).toHaveLength(1)
    client.close()
  })

  test('a stream is supported as input', async () => {
    const client = await connect(channel('upload'), { version })
    async function* numbers(to: number): AsyncGenerator<number> {
      for (let number = 1; number <= to; number++) yield number
    }
    expect(await client.raw.upload.sum(numbers(0))).toBe(0)
    expect(await client.raw.upload.sum(numbers(100))).toBe(5050)
    let stopped = (): void => {}
    const stop = new Promise<void>((resolve) => (stopped = resolve))
    async function* dates(): AsyncGenerator<Date> {
      try {
        for (;;) {
          yield new Date(0)
          // Yields to the event loop, since the client would otherwise never receive the abort.
          await new Promise((resolve) => setImmediate(resolve))
        }
      } finally {
        stopped()
      }
    }
    // The procedure responds after the first item, which ends the client's generator.
    expect(await client.raw.upload.first(dates())).toEqual(new Date(0))
    await stop
    async function* wrong(): AsyncGenerator<unknown> {
      yield 1
      yield 'two'
    }
    expect(await rejection(client.raw.upload.sum(wrong()))).toMatchObject(INVALID_ITEM.ofInput)
    expect(await rejection(client.raw.upload.sum(5))).toMatchObject({
      code: 'BAD_REQUEST', message: isRust ? 'This procedure requires a stream as input' : 'Input validation failed',
    })
    expect(await rejection(client.raw.router.ping(numbers(1)))).toMatchObject({
      code: 'BAD_REQUEST', message: isRust ? 'This procedure does not accept a stream as input' : 'Input validation failed',
    })
    client.close()
  })

  test('files and blobs are supported as input and output, alone, in objects and in arrays', async () => {
    const client = await connect(channel('files'), { version })
    const file = new File(['file body é'], 'héllo "x".txt', { type: 'text/plain' })
    expect(await client.call(['extra', 'file'], file)).toEqual({ d: 'File:héllo "x".txt:text/plain:12', text: 'file body é' })
    expect(await client.call(['extra', 'fileInObject'], { d: file })).toEqual({ d: 'File:héllo "x".txt:text/plain:12', text: 'file body é' })
    expect(await client.call(['extra', 'file'], new Blob(['x'], { type: 'a/b' }))).toEqual({ d: 'File:blob:a/b:1', text: 'x' })
    expect(await client.raw.extra.file(new File([], 'empty'))).toMatchObject({ d: 'File:empty:application/octet-stream:0' })
    const all = Uint8Array.from({ length: 256 }, (_, n) => n)
    const names = ['a\r\nb', '"%22"', '日本語 😀.txt', '.', '', '../../x', "a'b;c=d\\"]
    const sent = names.map((name) => new File([all], name, { type: 'application/x-test' }))
    const back: File[] = await client.call(['extra', 'files'], sent)
    for (const returned of back) {
      expect([...(await returned.bytes())]).toEqual([...all])
      expect(returned.type).toBe('application/x-test')
    }
    const escaped = (name: string): string => name.replaceAll('%22', '"')
    expect(back.map(({ name }) => escaped(name)).toReversed()).toEqual(names.map(escaped))

    const got: File = await client.call(['extra', 'getFile'])
    expect(got).toBeInstanceOf(File)
    expect([got.name, got.type, [...(await got.bytes())]]).toEqual(['näme "q".bin', 'application/x-test', [0, 1, 0xfe, 0xff, 0x7b, 0x22]])
    const blob: Blob = await client.call(['extra', 'getBlob'])
    expect([blob.type, await blob.text()]).toEqual(['text/plain', 'blob body'])
    const empty: File = await client.call(['extra', 'getEmptyFile'])
    expect([empty.name, empty.type, empty.size]).toEqual(['empty.txt', 'text/plain', 0])
    const form = await client.call(['extra', 'getForm'])
    expect({ ...form, file: await form.file.text() }).toEqual({ note: 'with file', at: new Date(0), file: 'file in object' })
    expect(form.file.name).toBe('f.txt')
    expect(await rejection(client.call(['extra', 'file'], 'no file'))).toMatchObject({
      data: { issues: [{ message: 'expected a Blob, found a string', path: [] }] },
    })
    client.close()
  })

  test('64 calls in flight are responded to in any order, and one more is rejected', async () => {
    const chn = channel('many')
    const client = await connect(chn, { version })
    const lines = Array.from({ length: 64 }, (_, n) => `call ${n}`)
    const answered: string[] = []
    const calls = lines.map((line) =>
      client.call(['extra', 'wait', 'value'], line).then((answer: string) => answered.push(answer)),
    )
    await until(chn, 'call 63 began')
    expect(await rejection(client.call(['router', 'ping']))).toMatchObject({
      code: 'TOO_MANY_REQUESTS', status: 429, message: 'Too Many Requests',
    })
    // The limit applies to each socket separately.
    const other = await connect(chn, { version })
    expect(await other.call(['router', 'ping'])).toBe('pong')
    // In steps of 27, which is coprime to 64: each one once, in an irregular order.
    const order = lines.map((_, n) => lines[(n * 27) % 64]!)
    for (const line of order) {
      await write(chn, `go ${line}`)
      await calls[lines.indexOf(line)]
    }
    expect(answered).toEqual(order)
    expect(await client.call(['router', 'ping'])).toBe('pong')
    client.close()
    other.close()
  })

  test('calls and attachments work after hibernation', async () => {
    const chn = channel('hibernated')
    const [client, other] = await Promise.all(['anna', 'bert'].map((userId) => connect(chn, { version }, { att: { userId } })))
    const subscription = await other!.subscribe()
    await client!.call(['publishMessage'], { message: 'before' })
    await journals.hibernate('CALLS', chn)
    expect(await client!.call(['router', 'ping'])).toBe('pong')
    await journals.hibernate('CALLS', chn)
    expect(await client!.call(['whoAmI'])).toEqual(['anna', 'of anna'])
    await journals.hibernate('CALLS', chn)
    await client!.call(['publishMessage'], { message: 'after' })
    expect(await subscription.count(2)).toEqual([{ message: 'before' }, { message: 'after' }])
    await journals.hibernate('CALLS', chn)
    const items = []
    for await (const item of await client!.call(['extra', 'stream'])) items.push(item)
    expect(items).toHaveLength(3)
    client!.close()
    other!.close()
  })

  test('a procedure receives the headers, the last event id and the allowed procedures', async () => {
    const link = { headers: { 'Accept-Language': 'de' } }
    const client = await connect(channel('context'), { version, link })
    const context = await client.raw.call({ path: ['context'] }, { lastEventId: 'abc' })
    expect(context).toEqual(['abc', ['de'], rpc])
    expect(await client.raw.context()).toEqual([null, ['de'], rpc])
    client.close()
  })
})

describe('access control', () => {
  /** Names of JavaScript, the Workers runtime and the library that the Durable Object does not declare. */
  const strange = [
    'constructor', 'toString', 'valueOf', 'hasOwnProperty', '__proto__', 'prototype', 'fetch', 'alarm', 'webSocketMessage',
    'webSocketClose', 'publish', 'until', 'free', 'then', 'call', 'subscribe', '__dispatch', 'intercept', '', ' ', '/',
    'router.ping', 'router/ping', 'Router', 'ping',
  ]

  test('undeclared names cannot be called, even if the token lists them', async () => {
    const listed = await connectBare('strange', { rpc: [...strange, ...rpc] })
    const unlisted = await connectBare('strange')
    for (const [n, name] of strange.entries()) {
      for (const path of [[name], [name, name], [name, 'constructor'], ['router', name === 'ping' ? 'Ping' : name]]) listed.send(call('x', path))
      for (const path of [[name], [name, name]]) unlisted.send(call('x', path))
      const answers = await listed.frames(4 * (n + 1))
      for (const answer of answers.slice(-4)) {
        expect(answer.p, name).toEqual({ s: 404, b: { json: { defined: false, code: 'NOT_FOUND', status: 404, message: 'Not Found' } } })
      }
      const refusals = await unlisted.frames(2 * (n + 1))
      for (const refusal of refusals.slice(-2)) {
        expect(refusal.p.b.json).toEqual({ defined: false, code: 'FORBIDDEN', status: 403, message: `Method "${name}" is not allowed.` })
      }
    }
    listed.vanish()
    unlisted.vanish()
  })

  test('undeclared paths of a request cannot be called', async () => {
    const socket = await connectBare('direct', { rpc: [...strange, ...rpc] })
    const paths = ['/', '//', '/nope', '/router', '/router/', '/router/ping/', '/router%2Fping', '/router/%FF', '/constructor', '/__proto__', '/Call', '/call/']
    // The procedures of a class in TypeScript are known only when one is called, so a path that is not allowed is forbidden.
    const status = (u: string): number => (isRust || ['', ...strange, ...rpc].includes(decodeURIComponent(u.split('/')[1]!)) ? 404 : 403)
    for (const [n, u] of paths.entries()) {
      socket.send({ i: `${n}`, p: { u, b: {} } })
      const { i, p } = (await socket.frames(n + 1))[n]
      expect([i, p.s], u).toEqual([`${n}`, status(u)])
      expect(p.b, u).toEqual(isRust ? 'No procedure matched' : { json: expect.objectContaining({ status: status(u) }) })
    }
    socket.send({ i: 'x', p: { u: '/r%6Futer/ping?a=b', b: {} } })
    expect((await socket.frames(paths.length + 1)).at(-1)).toEqual(pong('x'))
    socket.vanish()
  })

  test('an invalid path is rejected with its position', async () => {
    const socket = await connectBare('paths', { rpc: ['', '0', 'router', ...rpc] })
    const issue = (path: unknown, message?: string): object => ({ message: message ?? expect.any(String), path })
    const bodies: [unknown, object][] = [
      [{ path: [] }, issue(['path', 0], 'expected a procedure name')],
      [{ path: [1] }, issue(['path', 0])],
      [{ path: ['router', null] }, issue(['path', 1])],
      [{ path: [['router']] }, issue(['path', 0])],
      [{ path: 'router' }, issue(['path'])],
      [{ path: { 0: 'router' } }, issue(['path'])],
      [{ path: null }, issue(['path'])],
      [{}, issue(['path'], 'missing')],
      [null, issue([], 'expected an object, found null')],
      ['router', issue([], 'expected an object, found a string')],
      [['router'], issue([], 'expected an object, found an array')],
    ]
    for (const [n, [json, expected]] of bodies.entries()) {
      socket.send({ i: 'x', p: { u: '/call', b: { json } } })
      const answer = (await socket.frames(n + 1))[n]
      expect(answer, JSON.stringify(json)).toEqual({
        i: 'x',
        p: { s: 400, b: { json: { defined: false, code: 'BAD_REQUEST', status: 400, message: 'Input validation failed', data: { issues: [expected] } } } },
      })
    }
    socket.vanish()
  })
})

describe('an interceptor', () => {
  test('wraps every allowed call, and receives its result', async () => {
    const chn = 'intercepted'
    const client = await connect(chn)
    await client.call(['router', 'echo'], { text: 'x' })
    await client.raw.router.echo({ text: 'x' })
    await rejection(client.call(['router', 'echo'], { text: 5 }))
    const stranger = await connect(chn, {}, { rpc: [] })
    await rejection(stranger.call(['router', 'echo'], { text: 'x' }))
    expect(await diary(chn)).toEqual(['router.echo ok', 'router.echo ok', 'router.echo failed'])
    client.close()
    stranger.close()
  })

  test('can reject a call', async () => {
    const client = await connect('intercepted')
    expect(await rejection(client.call(['refused']))).toMatchObject({ code: 'UNAUTHORIZED', status: 401, message: 'Not today.' })
    client.close()
  })
})

describe('a call whose socket closes', () => {
  test.each([
    ['closes', (socket: BareSocket): void => socket.socket.close(1000)],
    ['vanishes', (socket: BareSocket): void => socket.vanish()],
  ])('is cancelled when it %s', async (how, end) => {
    const chn = `gone-${how}`
    const socket = await connectBare(chn)
    socket.send(call('1', ['extra', 'slow']))
    socket.send(call('2', ['extra', 'wait', 'value'], 'a value'))
    socket.send(call('3', ['extra', 'wait', 'stream'], 'a stream'))
    socket.send({ i: '4', p: { u: '/upload/held', h: { 'content-type': 'text/event-stream' } } })
    socket.send(call('5', ['extra', 'endless']))
    const running = ['slow', 'a value', 'a stream', 'held', 'endless']
    for (const what of running) await until(chn, `${what} began`)
    const neighbour = await connectBare(chn)
    neighbour.send(call('1', ['extra', 'wait', 'value'], 'a neighbour'))
    await until(chn, 'a neighbour began')
    end(socket)
    for (const what of running) await until(chn, `${what} dropped`)
    await until(chn, "slow's call is aborted: true")
    // A call of the same id on another socket is another call.
    await write(chn, 'go a neighbour')
    expect(await neighbour.frames(1)).toEqual([{ i: '1', p: { b: { json: 'a neighbour' } } }])
    neighbour.vanish()
  })
})

describe('limits', () => {
  test('aborted calls do not count', async () => {
    const chn = 'places'
    const socket = await connectBare(chn)
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 64; n++) socket.send(call(`${n}`, ['extra', 'wait', 'value'], `${round} ${n}`))
      for (let n = 0; n < 64; n++) socket.send({ i: `${n}`, t: 4 })
    }
    socket.send(ping('x'))
    expect(await socket.frames(1)).toEqual([pong('x')])
    socket.vanish()
  })

  test('aborted uploads release the memory of their unread items', async () => {
    const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn: 'abandoned', rpc: ['holdItems', PUBLISH] }))
    const text = 'x'.repeat(200 * 1024)
    // Together 40 MiB, of which the calls of a Durable Object may hold 32 MiB.
    for (let n = 0; n < 200; n++) {
      socket.send({ i: `${n}`, p: { u: '/holdItems', h: { 'content-type': 'text/event-stream' } } })
      socket.send({ i: `${n}`, t: 3, p: { e: 'message', d: { json: text } } })
      socket.send({ i: `${n}`, t: 4 })
    }
    socket.send(call('x', [PUBLISH], { text }))
    expect(await socket.frames(1)).toEqual([{ i: 'x', p: { b: { json: expect.stringMatching(/^\d+$/) } } }])
    socket.vanish()
  })

  test('a call id that is in use closes the socket, since the responses would be ambiguous', async () => {
    const chn = 'duplicates'
    const subscribe = (i: string): object => ({ i, p: { u: '/subscribe', b: {} } })
    const slow = call('1', ['extra', 'slow'])
    for (const [first, second] of [[slow, ping('1')], [slow, subscribe('1')], [subscribe('1'), ping('1')], [subscribe('1'), subscribe('1')]]) {
      const socket = await connectBare(chn)
      socket.send(first!)
      socket.send(second!)
      expect(await socket.end()).toEqual({ code: 1008, reason: 'Call id in use' })
    }
    await until(chn, 'slow dropped')
    const socket = await connectBare(chn)
    for (let n = 0; n < 3; n++) {
      socket.send(ping('1'))
      expect((await socket.frames(n + 1))[n]).toEqual(pong('1'))
    }
    socket.vanish()
  })

  test('a frame above the limit closes the socket, a frame at the limit does not', async () => {
    const limit = 256 * 1024
    const frame = (size: number, filling: string): string => {
      const empty = JSON.stringify(call('1', ['anything'], ''))
      return empty.replace('""', `"${filling.repeat((size - empty.length) / Buffer.byteLength(filling))}"`)
    }
    const fitting = await connectBare('frames')
    for (const sent of [frame(limit, 'x'), Buffer.from(frame(limit, 'x'))]) {
      fitting.send(sent)
    }
    for (const answer of await fitting.frames(2)) expect(answer.p.b.json).toMatch(/^x{262000}x*$/)
    fitting.vanish()
    const wide = frame(limit, 'x').replace('xx', 'é漢')
    for (const sent of [frame(limit + 1, 'x'), Buffer.from(frame(limit + 1, 'x')), wide]) {
      const socket = await connectBare('frames')
      socket.send(sent)
      expect(await socket.end()).toEqual({ code: 1009, reason: 'Frame too large' })
    }
    // The default.
    const usual = await BareSocket.open(await journals.upgrade('USUAL', { chn: 'frames', rpc: [] }))
    usual.send(frame(1024 * 1024, 'x'))
    expect((await usual.frames(1))[0].p.s).toBe(403)
    usual.send(frame(1024 * 1024 + 1, 'x'))
    expect((await usual.end()).code).toBe(1009)
  })

  test('a call id has at most 64 bytes; a longer or empty one closes the socket', async () => {
    const fitting = await connectBare('ids')
    for (const i of ['a'.repeat(64), 'é'.repeat(32), '\u0000"\\'.repeat(10)]) fitting.send(ping(i))
    expect((await fitting.frames(3)).map(({ i }) => i)).toEqual(['a'.repeat(64), 'é'.repeat(32), '\u0000"\\'.repeat(10)])
    fitting.vanish()
    for (const i of ['a'.repeat(65), 'é'.repeat(33), '']) {
      for (const sent of [ping(i), { i, t: 4 }, { i }]) {
        const socket = await connectBare('ids')
        socket.send(sent)
        expect(await socket.end(), JSON.stringify(sent)).toEqual({ code: 1008, reason: 'Invalid call id' })
      }
    }
  })

  test('an uploaded stream fails when its unread items exceed the size of a frame', async () => {
    const chn = 'overrun'
    const socket = await connectBare(chn)
    socket.send({ i: '1', p: { u: '/upload/held', h: { 'content-type': 'text/event-stream' } } })
    const item = { i: '1', t: 3, p: { e: 'message', d: { json: 'x'.repeat(100 * 1024) } } }
    for (let n = 0; n < 5; n++) socket.send(item)
    expect(await socket.frames(1)).toEqual([{ i: '1', t: 4 }])
    await write(chn, 'go held')
    expect((await socket.frames(2))[1]).toEqual({ i: '1', p: { b: { json: ['item', 'item', 'PAYLOAD_TOO_LARGE'] } } })
    socket.vanish()
  })
})

describe('an invalid frame', () => {
  const malformed = (i: string): object => ({
    i, p: { s: 400, b: { json: { defined: false, code: 'BAD_REQUEST', status: 400, message: 'Malformed frame.' } } },
  })

  test('receives BAD_REQUEST if its id can be read, and the socket stays open', async () => {
    const socket = await connectBare('readable')
    const frames: (string | Uint8Array)[] = [
      '{"i":"1"}', '{"i":"1","p":null}', '{"i":"1","p":[]}', '{"i":"1","p":{}}', '{"i":"1","p":{"u":5}}', '{"i":"1","p":{"u":""}}',
      '{"i":"1","p":{"u":"call"}}', '{"i":"1","t":9,"p":{"u":"/call"}}', '{"i":"1","t":"3","p":{}}', '{"i":"1","t":-1}',
      '{"i":"1","t":2,"p":{"s":200}}', '{"i":"1","p":{"u":"/call","b":"text"}}', '{"i":"1","p":{"u":"/call","b":[]}}',
      '{"i":"1","p":{"u":"/call","h":5,"b":{}}}', '{"i":"1","t":3}',
      '{"i":"1","t":3,"p":{"e":"other"}}', '{"i":"1","t":3,"p":{}}', Buffer.from('{"i":"1"}'), Buffer.from('{"i":"1"}\u00ff', 'latin1'),
      Buffer.from('{"i":"1","p":{"u":"/call","h":{"content-type":"multipart/form-data; boundary=b"}}}\u00ff--nothing', 'latin1'),
      Buffer.from('{"i":"1","p":{"u":"/call","h":{"content-type":"multipart/form-data"}}}\u00ff--b--', 'latin1'),
    ]
    for (const [n, frame] of frames.entries()) {
      socket.send(frame)
      expect((await socket.frames(n + 1))[n], String(frame)).toEqual(malformed('1'))
    }
    socket.send(ping('2'))
    expect((await socket.frames(frames.length + 1)).at(-1)).toEqual(pong('2'))
    socket.vanish()
  })

  test('closes the socket with 1007 if its id cannot be read', async () => {
    for (const frame of [
      '', 'no frame', '{', '[]', 'null', '5', '"ping"', '{}', '{"p":{"u":"/call"}}', '{"i":1,"p":{"u":"/call"}}', '{"i":null}', '{"i":["1"]}',
      '{"i":"1"', '{"i":"1"}}', 'PING', Buffer.from([0xff]), Buffer.from([0xc3, 0x28]), Buffer.from([]), Buffer.from([0xff, 0xff, 0x00]),
    ]) {
      const socket = await connectBare('unreadable')
      socket.send(frame)
      expect(await socket.end(), String(frame)).toEqual({ code: 1007, reason: 'Malformed frame' })
    }
  })

  test('differs from invalid input, which has its own error', async () => {
    const socket = await connectBare('unreadable-input')
    const body = (b: unknown): object => ({ i: '1', p: { u: '/call', b } })
    const json = { path: ['anything'], input: { a: 1 } }
    const deep = `${'['.repeat(200)}${']'.repeat(200)}`
    const frames = [
      body({ json, meta: [[1, 'input', 'b']] }), body({ json, meta: [[1, 'input', 'constructor']] }), body({ json, meta: [[0, 'input', 'a', '__proto__']] }),
      body({ json, meta: 'x' }), body({ json, meta: [[]] }), body({ json, meta: [['1', 'input']] }), body({ json, meta: [[6, 'input']] }),
      body({ json, meta: [[5, 'input', 'a']] }), `{"i":"1","p":{"u":"/call","b":{"json":{"path":["anything"],"input":${deep}}}}}`,
    ]
    for (const [n, frame] of frames.entries()) {
      socket.send(frame)
      expect((await socket.frames(n + 1))[n], JSON.stringify(frame)).toMatchObject({
        i: '1', p: { s: 400, b: { json: { code: 'BAD_REQUEST', message: expect.stringMatching(/^Malformed (request|frame)\./) } } },
      })
    }
    socket.send(ping('2'))
    expect((await socket.frames(frames.length + 1)).at(-1)).toEqual(pong('2'))
    socket.vanish()
  })

  test('items and aborts of unknown calls are ignored', async () => {
    const socket = await connectBare('unknown')
    socket.send({ i: '1', t: 3, p: { e: 'message', d: { json: 1 } } })
    socket.send({ i: '1', t: 3, p: { e: 'done' } })
    socket.send({ i: '1', t: 4 })
    socket.send(ping('1'))
    socket.send({ i: '1', t: 4 })
    socket.send({ i: '1', t: 4 })
    socket.send({ i: '1', t: 3, p: { e: 'error' } })
    socket.send(ping('2'))
    expect(await socket.frames(2)).toEqual([pong('1'), pong('2')])
    socket.vanish()
  })
})

describe('a stream as input', () => {
  const open = (i: string, u: string): object => ({ i, p: { u, h: { 'content-type': 'text/event-stream' } } })
  const item = (i: string, json: unknown): object => ({ i, t: 3, p: { e: 'message', d: { json } } })

  test('that fails on the client is an error that the procedure handles', async () => {
    const socket = await connectBare('upload-error')
    socket.send(open('1', '/upload/sum'))
    socket.send(item('1', 1))
    socket.send({ i: '1', t: 3, p: { e: 'error', d: { json: { secret: 1 } } } })
    expect(await socket.frames(1)).toMatchObject([{ i: '1', p: { s: 400, b: { json: { code: 'BAD_REQUEST', message: 'The stream has failed.' } } } }])
    socket.vanish()
  })

  test('ends at an item that cannot be read', async () => {
    const socket = await connectBare('upload-unreadable')
    socket.send(open('1', '/upload/sum'))
    socket.send({ i: '1', t: 3, p: { e: 'message', d: { json: 1, meta: [[1, 'x']] } } })
    const frames = await socket.frames(2)
    expect(frames).toContainEqual({ i: '1', t: 4 })
    expect(frames).toContainEqual({ i: '1', p: expect.objectContaining({ s: 400 }) })
    socket.vanish()
  })

  test('is rejected as input of `/call`, which has a body', async () => {
    const socket = await connectBare('upload-call')
    socket.send(open('1', '/call'))
    expect((await socket.frames(2))[0]).toMatchObject({ i: '1', p: { s: 400 } })
    socket.vanish()
  })
})

test('streams end when the token expires', async () => {
  const chn = 'expiring'
  const exp = Math.floor(Date.now() / 1000) + 2
  const socket = await connectBare(chn, { exp })
  const reading = { i: '2', p: { u: '/upload/sum', h: { 'content-type': 'text/event-stream' } } }
  socket.send(call('1', ['extra', 'wait', 'stream'], 'late'))
  socket.send(reading)
  expect(await socket.frames(2)).toMatchObject([{ i: '1' }, { i: '1', p: { d: { json: 'first' } } }])
  await new Promise((resolve) => setTimeout(resolve, exp * 1000 - Date.now() + 10))
  await write(chn, 'go late')
  expect((await socket.frames(3))[2]).toMatchObject({ i: '1', t: 3, p: { e: 'error', d: { json: { code: 'UNAUTHORIZED', message: 'Token expired' } } } })
  socket.send({ i: '2', t: 3, p: { e: 'message', d: { json: 1 } } })
  const frames = (await socket.frames(5)).slice(3)
  expect(frames).toContainEqual({ i: '2', t: 4 })
  expect(frames).toContainEqual({ i: '2', p: expect.objectContaining({ s: 401 }) })
  socket.vanish()
})

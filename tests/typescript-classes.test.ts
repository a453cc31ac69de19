// What only classes in TypeScript have: options of oRPC's handler, overridden methods, attachments by oRPC's names, and the
// audience of `publishEvent`.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { Client, CLIENT_VERSIONS, SIGNING_KEY, token as durableEventIteratorToken } from './support/client.ts'
import type { Claims, ClientVersion } from './support/client.ts'
import { seconds, token as durableIteratorToken } from './support/durable-iterator.ts'
import { isOrpc2, ORPC_OF_CLASSES } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'
import { startWorkers } from './support/workerd.ts'
import type { RunningWorkers } from './support/workerd.ts'

const CLASSES = {
  FIRST: { className: 'FirstFeatures' },
  SECOND: { className: 'SecondFeatures' },
  PLAIN: { className: 'PlainFeatures' },
  FIRST_OPTIONS: { className: 'FirstOptions' },
  SECOND_OPTIONS: { className: 'SecondOptions' },
}
type Binding = 'FIRST' | 'SECOND' | 'PLAIN'

/** Calls an RPC method of a stub with `callStub`, or directly. */
const CALLER = 'tests/worker-typescript/caller.ts'

let workers: RunningWorkers
beforeAll(async () => {
  const foreign = Object.fromEntries(Object.entries(CLASSES).map(([binding, { className }]) => [binding, { className, scriptName: 'objects' }]))
  workers = await startWorkers({
    workers: [
      { name: 'objects', entry: 'tests/worker-typescript/features.ts', orpc: ORPC_OF_CLASSES, variables: { SIGNING_KEY }, durableObjects: CLASSES },
      { name: 'caller', entry: CALLER, durableObjects: foreign },
      { name: 'relay', crate: 'tests/worker', durableObjects: foreign },
    ],
  })
})
afterAll(() => workers.dispose())

async function call(binding: string, name: string, method: string, ...args: unknown[]): Promise<any> {
  const body = JSON.stringify({ binding, name, method, args })
  const response = await workers.fetch(await workers.urlOf('caller'), { method: 'POST', body })
  const { result, error } = (await response.json()) as any
  if (error) throw Object.assign(new Error(error.message), error)
  return result
}

const publish = (binding: Binding, name: string, n: number, options?: object): Promise<{ id: string; duplicate: boolean }> =>
  options === undefined ? call(binding, name, 'publish', { n }) : call(binding, name, 'publish', { n }, options)

const RPC = ['echo', 'rejected', 'paint', 'whoAmI', 'procedures']

async function urlOf(binding: string, signed: string, id?: string): Promise<string> {
  const url = new URL(`/upgrade/${binding}`, workers.url)
  url.protocol = 'ws:'
  url.searchParams.set('token', signed)
  if (id !== undefined) url.searchParams.set('id', id)
  return url.href
}

/** Connects a client, with a connection id unless it is undefined. */
async function connect(binding: Binding, claims: Claims, id?: string, version: ClientVersion = '1.16.1'): Promise<Client> {
  return Client.connect(await urlOf(binding, await durableEventIteratorToken({ rpc: RPC, ...claims }), id), { version })
}

const numbers = (events: any[]): number[] => events.map(({ n }) => n)

describe.each(['FIRST', 'SECOND'] as const)('handler options of a class of %s', (binding) => {
  test.each(CLIENT_VERSIONS)('rootInterceptors, interceptors, clientInterceptors and plugins wrap each call, with oRPC %s', async (version) => {
    const name = `interceptors ${version}`
    const client = await connect(binding, { chn: name }, undefined, version)
    expect(await client.call(['echo'], { a: 1 })).toEqual({ a: 1 })
    await expect(client.call(['rejected'])).rejects.toMatchObject({ code: 'CONFLICT' })
    const oneCall = [
      'root begins', 'interceptor begins', 'context object websocket', 'plugin', 'client begins', 'client ends', 'interceptor ends', 'root ends',
    ]
    const seen = (await call(binding, name, 'seen')) as string[]
    expect(seen.filter((line) => !line.startsWith('message'))).toEqual(['plugin initialized', ...oneCall, ...oneCall])
    // Subscriptions and calls that the token does not allow are not calls of procedures.
    const stranger = await connect(binding, { chn: name, rpc: [] }, undefined, version)
    await stranger.subscribe()
    await expect(stranger.call(['echo'], 1)).rejects.toMatchObject({ code: 'FORBIDDEN' })
    expect(((await call(binding, name, 'seen')) as string[]).filter((line) => line === 'root begins')).toHaveLength(2)
    client.close()
    stranger.close()
  })
})

describe.each([['with', 'SECOND'], ['without', 'PLAIN']] as const)('procedures of a class %s interceptors', (_, binding) => {
  let client: Client
  beforeAll(async () => {
    client = await connect(binding, { chn: 'procedures' })
  })
  afterAll(() => client.close())

  const procedure = (name: string, input?: unknown): Promise<any> => client.call(['procedures', ...name.split('.')], input)

  test('receive the signal and the last event id', async () => {
    expect(await procedure('context')).toEqual([true, null])
    expect(await client.raw.procedures.context(undefined, { lastEventId: '5' })).toEqual([true, '5'])
  })

  test('receive and return files', async () => {
    const { file, at } = await procedure('file', new File(['a text'], 'a.txt'))
    expect([file.name, await file.text(), at]).toEqual(['upper-a.txt', 'A TEXT', new Date(0)])
  })

  test('receive and return streams', async () => {
    const { getEventMeta } = client.library
    const stream = await procedure('stream')
    const items = [await stream.next(), await stream.next(), await stream.next()]
    expect(items.map(({ value, done }) => [value, done, getEventMeta(value)])).toMatchObject([
      [{ n: 1n }, false, { id: 'one', retry: 5, comments: ['a'] }],
      [new Date(0), false, undefined],
      [{ end: true }, true, { id: 'end' }],
    ])
    const numbers = async function* () {
      yield 1n
      yield 2n
    }
    expect(await client.raw.procedures.sum(numbers())).toBe(3n)
  })

  test('end a stream with their error', async () => {
    const stream = await procedure('failingStream')
    expect(await stream.next()).toMatchObject({ value: 1 })
    await expect(stream.next()).rejects.toMatchObject({ code: 'CONFLICT', status: 409, message: 'half way' })
    const withFile = await procedure('itemWithFile')
    await expect(withFile.next()).rejects.toMatchObject({ code: 'INTERNAL_SERVER_ERROR', status: 500 })
  })

  test.each([
    ['declared', { code: 'CONFLICT', status: 409, defined: true, data: new Date(0) }],
    ['ofOtherVersions.v1', { code: 'CUSTOM', status: 418, message: 'of 1.x', data: new Date(0) }],
    ['ofOtherVersions.v2', { code: 'CONFLICT', status: 409, message: 'of 2.x', data: new Date(0), defined: false }],
    ['ofOtherVersions.withStatus', { code: 'CUSTOM', status: 418 }],
    ['plain', { code: 'INTERNAL_SERVER_ERROR', status: 500, message: 'Internal server error', data: undefined }],
    ['nothing', { code: 'INTERNAL_SERVER_ERROR', status: 500 }],
    ['circular', { code: 'INTERNAL_SERVER_ERROR', status: 500 }],
  ])('reject with the error of %s', async (name, error) => {
    await expect(procedure(name)).rejects.toMatchObject(error)
  })

  if (isOrpc2) test('reject with errors that they return, and with the statuses of the class', async () => {
    await expect(procedure('returned')).rejects.toMatchObject({ code: 'CONFLICT', status: 409, message: 'returned', defined: true })
    await expect(procedure('ofOtherVersions.mapped')).rejects.toMatchObject({ code: 'MAPPED', status: 423 })
  })
})

describe.each(['FIRST', 'SECOND'] as const)('overridden methods of a class of %s', (binding) => {
  test('fetch responds to other requests, and upgrades reach the library', async () => {
    expect(await (await workers.fetch(`/${binding}/overridden/own`)).text()).toBe('own response')
    expect((await workers.fetch(`/${binding}/overridden/other`)).status).toBe(426)
    const client = await connect(binding, { chn: 'overridden' })
    expect(await client.call(['echo'], 1)).toBe(1)
    client.close()
  })

  test('webSocketMessage receives each message before the library, also after hibernation', async () => {
    const name = 'messages'
    const socket = await BareSocket.open(await urlOf(binding, await durableEventIteratorToken({ chn: name, rpc: RPC })))
    for (let n = 0; n < 2; n++) {
      socket.send('hello')
      expect(await socket.message(2 * n)).toBe('hello of messages')
      socket.send(Buffer.from(JSON.stringify({ i: '1', p: { u: '/call', b: { json: { path: ['echo'], input: 7 } } } })))
      expect(JSON.parse(String(await socket.message(2 * n + 1)))).toEqual({ i: '1', p: { b: { json: 7 } } })
      const seen = ((await call(binding, name, 'seen')) as string[]).filter((line) => line.startsWith('message'))
      expect(seen).toEqual(['message of text', 'message of bytes'])
      await workers.evict({ worker: 'objects', className: CLASSES[binding].className, name })
    }
    socket.vanish()
  })

  test('webSocketClose is called when a client closes its socket, whose calls end', async () => {
    const name = 'closing'
    const socket = await BareSocket.open(await urlOf(binding, await durableEventIteratorToken({ chn: name, rpc: RPC })))
    socket.send({ i: 's', p: { u: '/subscribe', b: {} } })
    await socket.frames(1)
    socket.socket.close(4321, 'bye')
    expect(await socket.end()).toEqual({ code: 4321, reason: expect.any(String) })
    await expect.poll(() => call(binding, name, 'seen')).toContain('close 4321 bye')
    await expect(publish(binding, name, 1)).resolves.toMatchObject({ duplicate: false })
  })
})

describe.each(['FIRST', 'SECOND'] as const)('transactionSync in a class of %s', (binding) => {
  test.each([
    ['commits', [1, 2, 3, 4]],
    ['fails', [4]],
    ['inner fails', [1, 3, 4]],
  ])('that %s stores and sends state and events together', async (ending, expected) => {
    const chn = `transaction ${ending}`
    const client = await connect(binding, { chn })
    const subscription = await client.subscribe()
    expect(await call(binding, chn, 'transact', ending)).toEqual(expected)
    await subscription.until(({ events }) => events.at(-1)?.n === 4)
    expect(numbers(subscription.events)).toEqual(expected)
    // The stored events are those that were sent, with the same ids.
    await workers.evict({ worker: 'objects', className: CLASSES[binding].className, name: chn })
    const late = await connect(binding, { chn, iat: seconds() - 60 })
    const replay = await late.subscribe()
    await replay.count(expected.length)
    expect(replay.received.map(({ id }) => id)).toEqual(subscription.received.map(({ id }) => id))
    for (const one of [client, late]) one.close()
  })
})

test('a class that overrides alarm keeps it for itself, and one that does not has expired events deleted', async () => {
  await publish('FIRST', 'alarms', 1)
  expect(await call('FIRST', 'alarms', 'alarmTime')).toBeNull()
  const before = Date.now()
  await publish('SECOND', 'alarms', 1)
  // Events are kept for five minutes by default.
  expect((await call('SECOND', 'alarms', 'alarmTime')) - before).toBeGreaterThan(250_000)
})

describe('attachments', () => {
  test('of DurableEventIteratorObject contain the claims as `dei:token:payload`, and survive hibernation', async () => {
    const name = 'attachments'
    const claims = { chn: name, att: { userId: 'anna' }, sub: 'subject', iat: seconds() - 5, exp: seconds() + 600 }
    const client = await connect('FIRST', claims)
    const payload = { ...claims, rpc: RPC }
    expect(await client.call(['whoAmI'])).toEqual({ 'dei:token:payload': payload })
    await client.call(['paint'], 'red')
    const subscription = await client.subscribe()
    for (let n = 1; n <= 2; n++) {
      expect(await client.call(['whoAmI'])).toEqual({ color: 'red', since: new Date(0), 'dei:token:payload': payload })
      await workers.evict({ worker: 'objects', className: CLASSES.FIRST.className, name })
      expect(await call('FIRST', name, 'colors')).toEqual(['red'])
      await publish('FIRST', name, n)
    }
    expect(numbers(await subscription.count(2))).toEqual([1, 2])
    client.close()
  })

  test('of DurableIteratorObject are those of the wrapped sockets, beside `~orpc`, and survive hibernation', async () => {
    const name = 'attachments'
    const claims = { chn: name, att: { userId: 'anna' }, tags: ['staff'], rpc: RPC, iat: seconds() - 5, exp: seconds() + 600 }
    const client = await Client.connect(await urlOf('SECOND', await durableIteratorToken(claims), 'some-id'), { version: '1.16.1' })
    const view = { id: 'some-id', payload: claims, isWrapped: true, isListed: true, tags: ['staff'], tagged: 1 }
    expect(await client.call(['whoAmI'])).toEqual({ ...view, attachment: null })
    await client.call(['paint'], 'red')
    const subscription = await client.subscribe()
    for (let n = 1; n <= 2; n++) {
      expect(await client.call(['whoAmI'])).toEqual({ ...view, attachment: { color: 'red', since: new Date(0) }, hibernationId: expect.stringMatching(/./) })
      await workers.evict({ worker: 'objects', className: CLASSES.SECOND.className, name })
      expect(await call('SECOND', name, 'colors')).toEqual(['red'])
      await publish('SECOND', name, n)
    }
    expect(numbers(await subscription.count(2))).toEqual([1, 2])
    client.close()
  })

  test('`send` and `closeIfExpired` of a wrapped socket close it when its token has expired', async () => {
    const name = 'expiring'
    const exp = seconds() + 2
    const open = async (signed: string): Promise<BareSocket> => BareSocket.open(await urlOf('SECOND', signed, 'id'))
    const [ending, closing] = [await open(await durableIteratorToken({ chn: name, exp })), await open(await durableIteratorToken({ chn: `${name} too`, exp }))]
    const staying = await open(await durableIteratorToken({ chn: name }))
    await call('SECOND', name, 'sendToAll', 'early')
    expect(await Promise.all([ending.message(0), staying.message(0)])).toEqual(['early', 'early'])
    await new Promise((resolve) => setTimeout(resolve, exp * 1000 - Date.now() + 10))
    await call('SECOND', name, 'sendToAll', 'late')
    await call('SECOND', `${name} too`, 'closeExpired')
    expect(await staying.message(1)).toBe('late')
    for (const socket of [ending, closing]) expect(await socket.end()).toEqual({ code: 1008, reason: 'Token expired' })
    expect(ending.messages).toEqual(['early'])
    staying.vanish()
  })
})

describe('the sockets of publishEvent', () => {
  /** Connects clients by their names, and paints them: their colors are their names. */
  async function painted(binding: Binding, chn: string, ids: Record<string, string | undefined>) {
    const clients: Record<string, Client> = {}
    const events: Record<string, { subscription: Awaited<ReturnType<Client['subscribe']>> }> = {}
    for (const [name, id] of Object.entries(ids)) {
      clients[name] = await connect(binding, { chn }, id)
      events[name] = { subscription: await clients[name].subscribe() }
      await clients[name].call(['paint'], name)
    }
    const received = async (name: string, last: number): Promise<number[]> => {
      const { subscription } = events[name]!
      await subscription.until(({ events: all }) => all.at(-1)?.n === last)
      return numbers(subscription.events)
    }
    /** Returns the events that a client receives which was disconnected for all of them. */
    const replayed = async (id: string | undefined, last: number): Promise<number[]> => {
      const late = await connect(binding, { chn, iat: seconds() - 60 }, id)
      const subscription = await late.subscribe()
      await subscription.until(({ events: all }) => all.at(-1)?.n === last)
      late.close()
      return numbers(subscription.events)
    }
    return { received, replayed, close: () => Object.values(clients).forEach((client) => client.close()) }
  }

  test('of DurableEventIteratorObject exclude the connected clients that are not listed, and no others', async () => {
    const chn = 'exclusion'
    const { received, replayed, close } = await painted('FIRST', chn, { anna: 'anna', bert: 'bert', nameless: undefined })
    const publishTo = (colors: string[], n: number, options?: object): Promise<unknown> => call('FIRST', chn, 'publishTo', colors, { n }, ...(options ? [options] : []))
    await publishTo(['anna'], 1)
    await publishTo([], 2)
    await publishTo(['nameless'], 3)
    await publishTo(['anna', 'bert', 'nameless'], 4)
    await publishTo(['anna', 'bert', 'nameless'], 5, { tags: ['nobody'] })
    await publishTo(['bert'], 6, { onlyToSockets: true })
    await publishTo([], 7, { onlyToSockets: true })
    await call('FIRST', chn, 'publishToAll', { n: 8 })
    expect(await received('anna', 8)).toEqual([1, 4, 8])
    expect(await received('bert', 8)).toEqual([4, 6, 8])
    expect(await received('nameless', 8)).toEqual([3, 4, 8])
    await workers.evict({ worker: 'objects', className: CLASSES.FIRST.className, name: chn })
    // The exclusion is stored with the connection ids. Whoever was not connected was not excluded.
    expect(await replayed('anna', 8)).toEqual([1, 4, 8])
    expect(await replayed('bert', 8)).toEqual([4, 6, 8])
    expect(await replayed('carl', 8)).toEqual([1, 2, 3, 4, 8])
    // A client without a connection id is excluded from live events only.
    expect(await replayed(undefined, 8)).toEqual([1, 2, 3, 4, 8])
    close()
  })

  test('of DurableIteratorObject are targets and exclusions, by condition or list', async () => {
    const chn = 'targets'
    const { received, replayed, close } = await painted('SECOND', chn, { anna: 'anna', bert: 'bert', nameless: undefined })
    const publishTo = (colors: object, n: number, options?: object): Promise<unknown> => call('SECOND', chn, 'publishTo', colors, { n }, ...(options ? [options] : []))
    await publishTo({ targets: ['anna'] }, 1)
    await publishTo({ exclude: ['anna'] }, 2)
    await publishTo({ targets: ['anna', 'nameless'], exclude: ['nameless'] }, 3)
    await publishTo({ targets: [] }, 4)
    await publishTo({ exclude: [] }, 5)
    await publishTo({ targets: ['bert'] }, 6, { to: ['anna'] })
    await publishTo({}, 7, { except: ['anna'] })
    await publishTo({}, 8)
    expect(await received('anna', 8)).toEqual([1, 3, 5, 6, 8])
    expect(await received('bert', 8)).toEqual([2, 5, 6, 7, 8])
    expect(await received('nameless', 8)).toEqual([2, 5, 7, 8])
    expect(await replayed('anna', 8)).toEqual([1, 3, 5, 6, 8])
    expect(await replayed('carl', 8)).toEqual([2, 5, 7, 8])
    close()
  })

  test('`withEventMeta` sets the delay before a retry and the comments, which options replace', async () => {
    const chn = 'meta'
    const client = await connect('FIRST', { chn })
    const subscription = await client.subscribe()
    await call('FIRST', chn, 'publishWithMeta', { n: 1 }, { retry: 1234, comments: ['a', 'b'] })
    await call('FIRST', chn, 'publishToAll', { n: 2 }, { retry: 5 })
    await subscription.count(2)
    expect(subscription.received.map(({ meta }) => meta)).toMatchObject([{ retry: 1234, comments: ['a', 'b'] }, { retry: 5 }])
    client.close()
  })
})

describe.each(['FIRST', 'SECOND'] as const)('stubs of a class of %s', (binding) => {
  test('publish with each option', async () => {
    const chn = 'stub options'
    const [anna, bert] = [await connect(binding, { chn }, 'anna'), await connect(binding, { chn }, 'bert')]
    const subscriptions = [await anna.subscribe(), await bert.subscribe()]
    await publish(binding, chn, 1, { to: ['anna'] })
    await publish(binding, chn, 2, { except: ['anna'] })
    await publish(binding, chn, 3, { tags: ['nobody'] })
    await publish(binding, chn, 4, { retry: 77, comments: ['a comment'] })
    const first = await publish(binding, chn, 5, { idempotencyKey: 'key' })
    expect(await publish(binding, chn, 6, { idempotencyKey: 'key' })).toEqual({ id: first.id, duplicate: true })
    await publish(binding, chn, 7)
    for (const subscription of subscriptions) await subscription.until(({ events }) => events.at(-1)?.n === 7)
    expect(subscriptions.map(({ events }) => numbers(events))).toEqual([[1, 4, 5, 7], [2, 4, 5, 7]])
    expect(subscriptions[0]!.received[1]!.meta).toMatchObject({ retry: 77, comments: ['a comment'] })
    for (const client of [anna, bert]) client.close()
  })

  test('`callStub` throws errors of the library, and returns results of the class', async () => {
    await expect(call(binding, 'errors', 'publish', 'text')).rejects.toMatchObject({
      name: 'ORPCError', code: 'BAD_REQUEST', status: 400, failure: 'EventNotAnObject',
    })
    await expect(call(binding, 'errors', 'publish', { n: 1 }, { tagg: ['x'] })).rejects.toMatchObject({ code: 'BAD_REQUEST' })
    await expect(call(binding, 'errors', 'publish', { x: 'x'.repeat(2_000_000) })).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE', failure: 'EventTooLarge' })
    expect(await call(binding, 'errors', 'colors')).toEqual([])
    for (const method of ['nothing', 'constructor', 'ctx', 'dei', '__proto__']) {
      const error = await call(binding, 'errors', method).catch((thrown: unknown) => thrown)
      expect(error, method).toBeInstanceOf(Error)
      expect((error as Error).name, method).not.toBe('ORPCError')
    }
  })

  test('a Rust Worker publishes with an idempotency key', async () => {
    const relay = async (body: object): Promise<any> =>
      (await workers.fetch(new URL(`/relay/${binding}/relayed`, await workers.urlOf('relay')), {
        method: 'POST', body: JSON.stringify(body), headers: { 'idempotency-key': 'from-rust' },
      })).json()
    const client = await connect(binding, { chn: 'relayed' })
    const subscription = await client.subscribe()
    const first = await relay({ json: { at: '1970-01-01T00:00:00.000Z' }, meta: [[1, 'at']] })
    expect(await relay({ json: { n: 2 } })).toEqual({ id: first.id, duplicate: true })
    expect(await subscription.count(1)).toEqual([{ at: new Date(0) }])
    client.close()
  })
})

describe('invalid options', () => {
  test.each<[binding: 'FIRST_OPTIONS' | 'SECOND_OPTIONS', options: object, message: string]>([
    ['FIRST_OPTIONS', { maxCalls: 'many' }, 'maxCalls must be a number of at least 0, got many'],
    ['FIRST_OPTIONS', { maxCalls: -1 }, 'maxCalls must be a number of at least 0, got -1'],
    ['FIRST_OPTIONS', { maxCalls: 0 }, 'maxCalls must be'],
    ['FIRST_OPTIONS', { maxFrameBytes: 1e9 }, 'maxFrameBytes must be'],
    ['FIRST_OPTIONS', { maxSockets: 1e9 }, 'maxSockets must be'],
    ['FIRST_OPTIONS', { keepExpiredSockets: 'yes' }, 'keepExpiredSockets must be a boolean, got yes'],
    ['FIRST_OPTIONS', { eventRetentionSeconds: null }, 'eventRetentionSeconds must be a number of at least 0, got null'],
    ['SECOND_OPTIONS', { signingKey: 'key', resumeRetentionSeconds: '300' }, 'resumeRetentionSeconds must be a number of at least 0, got 300'],
    ['SECOND_OPTIONS', { signingKey: '' }, 'signingKey'],
    ['SECOND_OPTIONS', { signingKey: [] }, 'signingKey'],
    ['SECOND_OPTIONS', {}, 'signingKey'],
    ['SECOND_OPTIONS', { signingKey: 5 }, 'signingKey'],
    ['FIRST_OPTIONS', { eventRetentionSchemaPrefix: 5 }, 'eventRetentionSchemaPrefix'],
    ['FIRST_OPTIONS', { errorStatusMap: { SHY: 200 } }, 'errorStatusMap: the status of SHY must be an integer from 400 to 599, got 200'],
  ])('of %s, %j: the caller of a stub receives an error that names the option', async (binding, options, message) => {
    const error = await call(binding, JSON.stringify(options), 'publish', { n: 1 }).catch((thrown: unknown) => thrown)
    expect((error as Error).message).toContain(message)
  })

  test('valid ones at the limits are accepted', async () => {
    for (const options of [
      {}, { eventRetentionSeconds: 0 }, { maxCalls: 1 }, { maxFrameBytes: 32 * 1024 * 1024 }, { maxSockets: 32_768 }, { idempotencyWindowSeconds: 0 },
      { eventRetentionSchemaPrefix: 'My-App:' },
    ]) {
      expect(await call('FIRST_OPTIONS', JSON.stringify(options), 'publish', { n: 1 }), JSON.stringify(options)).toMatchObject({ duplicate: false })
    }
  })
})

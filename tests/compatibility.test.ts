// Compatibility dates of the Worker that defines the Durable Objects and of the one that calls them: the earliest that is
// supported, the last before errors keep their properties across stubs, the first from which on they do, and the newest that
// the runtime knows.

import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { Client, SIGNING_KEY, token } from './support/client.ts'
import { objectsCode } from './support/journals.ts'
import { startWorkers } from './support/workerd.ts'
import type { RunningWorkers, WorkerDefinition } from './support/workerd.ts'

/** The first date at which stubs have RPC methods, as documented. */
const EARLIEST = '2024-04-03'
const LAST_WITHOUT = '2026-04-20'
const FIRST_WITH = '2026-04-21'
const { compatibilityDate: NEWEST } = createRequire(import.meta.url)('workerd') as { compatibilityDate: string }

const PUBLISH_KEY = 'the publish key of the tests'
const TOO_LARGE = 2_000_000

/** Calls an RPC method of a stub, directly or with `callStub` of the package. */
const CALLER = `
  import { callStub } from './npm/durable-event-iterator/src/stub/index.ts'
  export default {
    async fetch(request, env) {
      const { way, method, args } = await request.json()
      const stub = env.USUAL.get(env.USUAL.idFromName('a'))
      try {
        const result = way === 'direct' ? await stub[method](...args) : await callStub(stub, method, ...args)
        return Response.json({ result })
      } catch ({ name, message, code, status, data, failure }) {
        const types = data && { since: data.since instanceof Date, count: typeof data.count }
        return Response.json({ error: { name, message, code, status, failure, types } })
      }
    },
  }`

const USUAL = { className: 'UsualJournal' }
const CHANNEL = { className: 'DurableEventIteratorObject' }

async function callerSource(): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: CALLER, resolveDir: new URL('..', import.meta.url).pathname, loader: 'ts' },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
  })
  return outputFiles[0]!.text
}

function objects(compatibilityDate: string): [WorkerDefinition, WorkerDefinition] {
  return [
    { name: 'objects', crate: 'tests/worker', variables: { SIGNING_KEY }, durableObjects: { USUAL }, compatibilityDate },
    { name: 'channels', crate: '.', variables: { SIGNING_KEY, PUBLISH_KEY }, durableObjects: { CHANNEL }, compatibilityDate },
  ]
}

function callers(compatibilityDate: string, source: string): [WorkerDefinition, WorkerDefinition, WorkerDefinition] {
  const foreign = { USUAL: { ...USUAL, scriptName: 'objects' } }
  return [
    { name: 'caller', source, durableObjects: foreign, compatibilityDate },
    { name: 'relay', crate: 'tests/worker', variables: { SIGNING_KEY }, durableObjects: foreign, compatibilityDate },
    {
      name: 'publisher',
      crate: '.',
      variables: { SIGNING_KEY, PUBLISH_KEY },
      durableObjects: { CHANNEL: { ...CHANNEL, scriptName: 'channels' } },
      compatibilityDate,
    },
  ]
}

/** All ways in which errors pass from a Durable Object to another Worker. */
function itKeepsErrors(running: () => RunningWorkers, keepsProperties: boolean): void {
  const call = async (way: 'direct' | 'helper', method: string, ...args: unknown[]): Promise<any> => {
    const body = JSON.stringify({ way, method, args })
    return (await running().fetch(await running().urlOf('caller'), { method: 'POST', body })).json()
  }
  const relay = async (path: string, body: string): Promise<Response> =>
    running().fetch(new URL(`/relay/USUAL/a${path}`, await running().urlOf('relay')), { method: 'POST', body })
  const publish = async (body: string, worker = 'publisher'): Promise<Response> =>
    running().fetch(new URL('/channels/a/events', await running().urlOf(worker)), {
      method: 'POST',
      body,
      headers: { authorization: `Bearer ${PUBLISH_KEY}` },
    })

  test('a Worker in Rust receives code, status, message, data and failure', async () => {
    const refused = await relay('/refuse', '[]')
    expect([refused.status, await refused.text()]).toEqual([409, 'CONFLICT Already there.'])
    expect(JSON.parse(refused.headers.get('x-error')!)).toMatchObject({
      code: 'CONFLICT',
      status: 409,
      data: { since: '1970-01-01T00:00:00.000Z', count: '1' },
    })
    const tooLarge = await relay('', JSON.stringify({ json: { x: 'x'.repeat(TOO_LARGE) } }))
    expect([tooLarge.status, (await tooLarge.text()).split(' ').at(-1)]).toEqual([413, 'EventTooLarge'])
    expect((await relay('/kept', '[]')).status).toBe(200)
    expect((await relay('', '{"json":{}}')).status).toBe(200)
  })

  test('a Worker in JavaScript receives them with `callStub`', async () => {
    expect(await call('helper', 'refuse')).toEqual({
      error: { name: 'ORPCError', message: 'Already there.', code: 'CONFLICT', status: 409, types: { since: true, count: 'bigint' } },
    })
    expect(await call('helper', 'publish', 'text')).toMatchObject({
      error: { name: 'ORPCError', code: 'BAD_REQUEST', status: 400, failure: 'EventNotAnObject' },
    })
    expect(await call('helper', 'publish', { n: 1 })).toEqual({ result: { id: expect.stringMatching(/^\d+$/), duplicate: false } })
    for (const method of ['nothing', 'constructor', '__enter', '__proto__']) {
      expect((await call('helper', method)).error.name, method).not.toBe('ORPCError')
    }
  })

  test(`a Worker in JavaScript that calls the stub directly receives ${keepsProperties ? 'them too' : 'only a message'}`, async () => {
    const { error } = await call('direct', 'refuse')
    if (keepsProperties) expect(error).toMatchObject({ name: 'ORPCError', message: 'Already there.', code: 'CONFLICT', status: 409 })
    else expect(error).toEqual({ name: 'Error', message: 'ORPCError: Already there.' })
  })

  test('publishing over HTTP responds with the statuses of its errors', async () => {
    for (const worker of ['publisher', 'channels']) {
      const [good, none, large] = [await publish('{}', worker), await publish('"text"', worker), await publish(JSON.stringify({ x: 'x'.repeat(TOO_LARGE) }), worker)]
      expect([good!.status, none!.status, large!.status]).toEqual([201, 400, 413])
      expect(((await large!.json()) as any).json.code).toBe('PAYLOAD_TOO_LARGE')
    }
  })
}

const pairs = [
  [EARLIEST, EARLIEST],
  [EARLIEST, NEWEST],
  [NEWEST, EARLIEST],
  [LAST_WITHOUT, FIRST_WITH],
  [FIRST_WITH, LAST_WITHOUT],
  [FIRST_WITH, FIRST_WITH],
  [NEWEST, NEWEST],
] as const

describe.each(pairs)('with Durable Objects of %s and callers of %s', (ofObjects, ofCallers) => {
  let workers: RunningWorkers
  beforeAll(async () => {
    workers = await startWorkers({ workers: [...objects(ofObjects), ...callers(ofCallers, await callerSource())] })
  })
  afterAll(() => workers.dispose())

  itKeepsErrors(() => workers, ofObjects >= FIRST_WITH && ofCallers >= FIRST_WITH)

  test('a client receives events, live and after hibernation, and its calls succeed', async () => {
    const url = new URL('/upgrade/USUAL', workers.url.href.replace('http', 'ws'))
    url.searchParams.set('token', await token({ chn: 'clients', rpc: ['whoAmI'], att: 'anna' }))
    const client = await Client.connect(url.href)
    const subscription = await client.subscribe()
    const publish = async (n: number): Promise<unknown> =>
      workers.fetch(new URL('/relay/USUAL/clients', await workers.urlOf('relay')), { method: 'POST', body: JSON.stringify({ json: { n } }) })
    await publish(1)
    await subscription.count(1)
    await workers.evict({ worker: 'objects', className: 'UsualJournal', name: 'clients' })
    await publish(2)
    expect(await subscription.count(2)).toEqual([{ n: 1 }, { n: 2 }])
    expect(await client.call(['whoAmI'])).toBe('anna')
    client.close()
  })
})

describe.each(['DurableEventIteratorObject', 'DurableIteratorObject'] as const)('with classes in TypeScript of 2024-04-03 that extend %s', (base) => {
  let workers: RunningWorkers
  beforeAll(async () => {
    const objects = { ...objectsCode(base), name: 'objects', variables: { SIGNING_KEY }, durableObjects: { USUAL } }
    const foreign = { USUAL: { ...USUAL, scriptName: 'objects' } }
    const compatibilityDate = EARLIEST
    const caller = { name: 'caller', source: await callerSource(), durableObjects: foreign, compatibilityDate }
    workers = await startWorkers({ workers: [{ ...objects, compatibilityDate }, caller] })
  })
  afterAll(() => workers.dispose())

  test('a client receives events, live and after hibernation, and its calls succeed', async () => {
    const url = new URL('/upgrade/USUAL', workers.url.href.replace('http', 'ws'))
    url.searchParams.set('token', await token({ chn: 'a', rpc: ['whoAmI'], att: 'anna' }))
    const client = await Client.connect(url.href)
    const subscription = await client.subscribe()
    const publish = async (n: number): Promise<unknown> =>
      workers.fetch(await workers.urlOf('caller'), { method: 'POST', body: JSON.stringify({ way: 'helper', method: 'publish', args: [{ n }] }) })
    await publish(1)
    await subscription.count(1)
    await workers.evict({ worker: 'objects', className: 'UsualJournal', name: 'a' })
    await publish(2)
    expect(await subscription.count(2)).toEqual([{ n: 1 }, { n: 2 }])
    expect(await client.call(['whoAmI'])).toBe('anna')
    client.close()
  })
})

/** A class in JavaScript, which has `publish` and RPC methods as ours do, but no `~settle`. */
const FOREIGN = `
  import { DurableObject } from 'cloudflare:workers'
  export class UsualJournal extends DurableObject {
    #kept = null
    publish({ json, n = JSON.parse(json).n }) { return { id: String(n), duplicate: false } }
    keep(value) { this.#kept = value }
    kept() { return this.#kept }
    refuse() { throw new Error('The error of ~settle’s own class.') }
  }
  export default { fetch: () => new Response() }`

describe.each([EARLIEST, NEWEST])('with a Durable Object class in JavaScript, at %s', (compatibilityDate) => {
  let workers: RunningWorkers
  beforeAll(async () => {
    const foreign = { USUAL: { ...USUAL, scriptName: 'objects' } }
    workers = await startWorkers({
      workers: [
        { name: 'caller', source: await callerSource(), durableObjects: foreign, compatibilityDate },
        { name: 'relay', crate: 'tests/worker', variables: { SIGNING_KEY }, durableObjects: foreign, compatibilityDate },
        { name: 'objects', source: FOREIGN, durableObjects: { USUAL }, compatibilityDate },
      ],
    })
  })
  afterAll(() => workers.dispose())

  test('a Worker in JavaScript calls its methods with `callStub`', async () => {
    const call = async (method: string, ...args: unknown[]): Promise<unknown> =>
      (await workers.fetch('/', { method: 'POST', body: JSON.stringify({ way: 'helper', method, args }) })).json()
    expect(await call('publish', { n: 7 })).toEqual({ result: { id: '7', duplicate: false } })
    await call('keep', 'a')
    expect(await call('kept')).toEqual({ result: 'a' })
    expect(await call('refuse')).toMatchObject({ error: { message: 'The error of ~settle’s own class.' } })
  })

  test('a Worker in Rust publishes and calls its methods', async () => {
    const relay = async (path: string, body: string): Promise<Response> =>
      workers.fetch(new URL(`/relay/USUAL/b${path}`, await workers.urlOf('relay')), { method: 'POST', body })
    expect(await (await relay('', '{"json":{"n":8}}')).json()).toEqual({ id: '8', duplicate: false })
    expect((await relay('/keep', '["b"]')).status).toBe(200)
    expect(await (await relay('/kept', '[]')).text()).toBe('"b"')
    expect((await relay('/refuse', '[]')).status).toBe(500)
  })
})

describe('between two development processes', () => {
  let registry: string
  let first: RunningWorkers
  let second: RunningWorkers
  beforeAll(async () => {
    registry = await mkdtemp(join(tmpdir(), 'registry-'))
    first = await startWorkers({ workers: objects(NEWEST), registry })
    second = await startWorkers({ workers: callers(NEWEST, await callerSource()), registry })
  })
  afterAll(async () => {
    await Promise.all([first?.dispose(), second?.dispose()])
    await rm(registry, { recursive: true, force: true })
  })

  itKeepsErrors(() => ({ ...second, urlOf: (worker) => (worker === 'channels' ? first : second).urlOf(worker) }), false)
})

// Values and event meta that clients cannot read: rejected as input, and harmless if an earlier version stored them.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { CLIENT_VERSIONS } from './support/client.ts'
import type { Client } from './support/client.ts'
import { startFaultyJournals } from './support/faults.ts'
import type { FaultyJournals } from './support/faults.ts'
import { oddCaller, oddly } from './support/odd-caller.ts'

let journals: FaultyJournals
const log: string[] = []
beforeAll(async () => {
  journals = await startFaultyJournals({ workers: [oddCaller], onLog: (line) => log.push(line) })
})
afterAll(() => journals.dispose())

/** The time of issue of all tokens, in seconds since 1970: a client that connects late receives all retained events. */
const iat = Date.now() / 1000

const publish = (chn: string, ...args: unknown[]): Promise<string> => oddly(journals, 'USUAL', chn, 'publish', ...args)

/** Changes a stored event, as if an earlier version had stored it. */
async function store(chn: string, id: string, columns: { json?: string; meta?: string; extra?: string }): Promise<void> {
  const [{ name: table }] = await journals.statement('USUAL', chn, "SELECT name FROM sqlite_master WHERE name GLOB 'dei_events_*'")
  const text = (value: string): string => `'${value.replaceAll("'", "''")}'`
  const changes = Object.entries(columns).map(([column, value]) => `${column} = ${text(value)}`)
  await journals.statement('USUAL', chn, `UPDATE "${table}" SET ${changes.join(', ')} WHERE id = ${id}`)
}

/** Serialized values that throw in some client versions, by the names of their errors. */
const POISON: Record<string, { json: unknown; meta: unknown[] }> = {
  'a URL with credentials and no host': { json: { x: 'foo://@/' }, meta: [[4, 'x']] },
  'a URL with a port and no host': { json: { x: 'foo://:80/' }, meta: [[4, 'x']] },
  'a file URL with a port': { json: { x: 'file://host:80/' }, meta: [[4, 'x']] },
  'a file URL with an invalid escape': { json: { x: 'file://a%b/' }, meta: [[4, 'x']] },
  'a URL with a backslash in its host': { json: { x: 'foo://a\\b/' }, meta: [[4, 'x']] },
  'a URL with an invalid international name': { json: { x: 'http://xn--a-0000/' }, meta: [[4, 'x']] },
  'a RegExp that is not closed': { json: { x: '/(/' }, meta: [[5, 'x']] },
  'a RegExp with an invalid escape': { json: { x: '/\\p{/u' }, meta: [[5, 'x']] },
  'a RegExp with an unknown flag': { json: { x: '/a/x' }, meta: [[5, 'x']] },
  'a RegExp nested 60,000 levels deep': { json: { x: `/${'('.repeat(60_000)}${')'.repeat(60_000)}/` }, meta: [[5, 'x']] },
  'a bigint of 4,301 digits': { json: { x: '9'.repeat(4_301) }, meta: [[0, 'x']] },
  'a bigint in hexadecimal': { json: { x: '0x10' }, meta: [[0, 'x']] },
  'a path that leads to nothing': { json: { x: 1 }, meta: [[1, 'y']] },
  'a path to a prototype': { json: { x: 1 }, meta: [[1, '__proto__', 'y']] },
  'a path into a Set': { json: { x: ['a'] }, meta: [[6, 'x'], [4, 'x', 0]] },
  'a Map of no pairs': { json: { x: [1] }, meta: [[7, 'x']] },
  'a Set of no array': { json: { x: 1 }, meta: [[6, 'x']] },
  'a date of a number': { json: { x: 5 }, meta: [[1, 'x']] },
  'a NaN of a number': { json: { x: 5 }, meta: [[2, 'x']] },
}

/** Serialized values that all client versions accept, with their results. */
const GOOD: Record<string, { json: unknown; meta: unknown[]; is: (x: any) => boolean }> = {
  'a URL': { json: { x: 'https://example.com/a?b=c#d' }, meta: [[4, 'x']], is: (x) => x.href === 'https://example.com/a?b=c#d' },
  'a URL with an international name': { json: { x: 'https://xn--bcher-kva.example/' }, meta: [[4, 'x']], is: (x) => x.host === 'xn--bcher-kva.example' },
  'a URL of an unknown scheme': { json: { x: 'foo://a%zz"b/' }, meta: [[4, 'x']], is: (x) => x.href === 'foo://a%zz"b/' },
  'a RegExp': { json: { x: '/a[/](?<n>b)\\p{L}{2,}/giu' }, meta: [[5, 'x']], is: (x) => x.flags === 'giu' && x.test('a/bxy') },
  'a bigint of 4,300 digits': { json: { x: '9'.repeat(4_300) }, meta: [[0, 'x']], is: (x) => x === 10n ** 4_300n - 1n },
  'a date that is none': { json: { x: null }, meta: [[1, 'x']], is: (x) => Number.isNaN(x.getTime()) },
  'a key __proto__': { json: JSON.parse('{"x":{"__proto__":"1"}}'), meta: [[0, 'x', '__proto__']], is: (x) => Object.getOwnPropertyDescriptor(x, '__proto__')?.value === 1n },
  'keys of other meanings': { json: { x: { toJSON: 1, then: '2', constructor: null } }, meta: [[0, 'x', 'then']], is: (x) => x.then === 2n && x.toJSON === 1 },
  'a custom type without a serializer': { json: { x: { name: 'Ann' } }, meta: [[21, 'x']], is: (x) => x.name === 'Ann' },
}

const serialized = ({ json, meta }: { json: unknown; meta: unknown[] }): object => ({ json: JSON.stringify(json), meta: JSON.stringify(meta) })

/** Counts the subscriptions of a client. */
function subscriptions({ socket }: Client): { count(): number } {
  let count = 0
  socket.addEventListener('message', ({ data }) => {
    if (String(data).includes('"text/event-stream"')) count++
  })
  return { count: () => count }
}

describe('a serialized value', () => {
  test.each(Object.keys(POISON))('%s is rejected by a stub, by a procedure and as a procedure’s output', async (name) => {
    const poison = POISON[name]!
    const chn = `rejected ${name}`
    await expect(publish(chn, serialized(poison), { serialized: true })).rejects.toMatchObject({ code: 'BAD_REQUEST' })
    const client = await journals.client('USUAL', { chn, iat, rpc: ['publish', 'keep'] })
    await client.open()
    const frames: any[] = []
    client.socket.addEventListener('message', ({ data }) => frames.push(JSON.parse(String(data))))
    for (const procedure of ['publish', 'keep']) {
      const input = { json: { path: [procedure], input: poison.json }, meta: poison.meta.map(([type, ...path]: any) => [type, 'input', ...path]) }
      client.socket.send(JSON.stringify({ i: procedure, p: { u: '/call', b: input } }))
    }
    const late = await journals.client('USUAL', { chn, iat, rpc: ['whoAmI'] })
    await late.call(['whoAmI'])
    await client.raw.call({ path: ['publish'], input: { n: 1 } })
    expect(frames.filter(({ i }) => i === 'publish' || i === 'keep').map(({ p }) => p.s)).toEqual([400, 400])
    const subscription = await late.subscribe()
    expect(await subscription.count(1)).toEqual([{ n: 1 }])
    client.close()
    late.close()
  })

  test.each(CLIENT_VERSIONS)('that is valid arrives unchanged, live and on replay, with @orpc/client %s', async (version) => {
    const chn = `good ${version}`
    const live = await journals.client('USUAL', { chn, iat }, { version })
    const first = await live.subscribe()
    for (const good of Object.values(GOOD)) await publish(chn, serialized(good), { serialized: true })
    const late = await journals.client('USUAL', { chn, iat }, { version })
    const second = await late.subscribe()
    for (const subscription of [first, second]) {
      const events = await subscription.count(Object.keys(GOOD).length)
      for (const [n, [name, { is }]] of Object.entries(GOOD).entries()) expect(is(events[n].x), name).toBe(true)
    }
    live.close()
    late.close()
  })

  test.each(CLIENT_VERSIONS)('that an earlier version stored does not stall @orpc/client %s', async (version) => {
    const chn = `stored ${version}`
    const stored = ['a URL with credentials and no host', 'a file URL with a port', 'a RegExp that is not closed', 'a bigint of 4,301 digits']
    const before = log.length
    await publish(chn, { n: 'first' })
    for (const name of stored) {
      const { json, meta } = POISON[name]!
      await store(chn, await publish(chn, { n: name }), { json: JSON.stringify(json), meta: JSON.stringify(meta) })
    }
    const mixed = { json: { url: 'http://[', at: '1970-01-01T00:00:00.000Z', re: '/a/g' }, meta: [[4, 'url'], [1, 'at'], [5, 're']] }
    await store(chn, await publish(chn, { n: 'mixed' }), { json: JSON.stringify(mixed.json), meta: JSON.stringify(mixed.meta) })
    for (const isAsleep of [false, true]) {
      if (isAsleep) await journals.hibernate('USUAL', chn)
      const client = await journals.client('USUAL', { chn, iat }, { version })
      const count = subscriptions(client)
      const subscription = await client.subscribe()
      await publish(chn, { n: 'last' })
      const events = await subscription.count(stored.length + 3 + (isAsleep ? 1 : 0))
      // Values that cannot be revived arrive in their JSON form.
      expect(events.slice(1, stored.length + 1)).toEqual(stored.map((name) => POISON[name]!.json))
      expect(events[stored.length + 1]).toMatchObject({ url: 'http://[', at: new Date(0) })
      expect(events[stored.length + 1].re.flags).toBe('g')
      expect(count.count()).toBe(1)
      client.close()
    }
    // Once per instance of the Durable Object.
    expect(log.slice(before).filter((line) => line.includes('that clients cannot read'))).toHaveLength(2)
  })
})

describe('event meta', () => {
  test.each(CLIENT_VERSIONS)('comments of several lines arrive as several comments with @orpc/client %s', async (version) => {
    const chn = `comments ${version}`
    const live = await journals.client('USUAL', { chn, iat }, { version })
    const first = await live.subscribe()
    await publish(chn, { n: 1 }, { comments: ['a\rb', 'c\r\nd\ne', '\u2028'], retry: 2_147_483_647 })
    await oddly(journals, 'USUAL', chn, 'publishWithMeta', { n: 2 }, 5, ['x\ry'])
    const late = await journals.client('USUAL', { chn, iat }, { version })
    const second = await late.subscribe()
    for (const subscription of [first, second]) {
      expect(await subscription.count(2)).toEqual([{ n: 1 }, { n: 2 }])
      expect(subscription.received.map(({ meta }) => meta)).toMatchObject([
        { comments: ['a', 'b', 'c', 'd', 'e', '\u2028'], retry: 2_147_483_647 },
        { comments: ['x', 'y'], retry: 5 },
      ])
    }
    live.close()
    late.close()
  })

  test.each(CLIENT_VERSIONS)('that an earlier version stored does not stall @orpc/client %s', async (version) => {
    const chn = `stored meta ${version}`
    const extras = [String.raw`"comments":["a\rb"]`, String.raw`"retry":4294967295,"comments":["c\r\n"]`, String.raw`"retry":7,"comments":["\\r"]`]
    for (const extra of extras) await store(chn, await publish(chn, { n: 1 }), { extra })
    const client = await journals.client('USUAL', { chn, iat }, { version })
    const count = subscriptions(client)
    const subscription = await client.subscribe()
    await publish(chn, { n: 2 })
    expect(await subscription.count(4)).toEqual([{ n: 1 }, { n: 1 }, { n: 1 }, { n: 2 }])
    expect(subscription.received.map(({ meta }) => [meta?.retry, meta?.comments])).toEqual([
      [undefined, ['a', 'b']],
      [undefined, ['c', '']],
      [7, ['\\r']],
      [undefined, undefined],
    ])
    expect(count.count()).toBe(1)
    client.close()
  })

  test.each(['an infinity', 'a negative infinity', 'NaN', '-1', '1.5', '2^31', '2^53 + 2', 'a bigint'])(
    'a retry that is %s is an error that names the member and the limit',
    async (odd) => {
      const error = await publish('retries', { n: 1 }, { retry: { odd } }).catch((error) => error)
      expect(error).toMatchObject({ code: 'BAD_REQUEST' })
      expect(`${error.message} ${JSON.stringify(error.data)}`).toMatch(/retry/)
      expect(`${error.message} ${JSON.stringify(error.data)}`).toMatch(/0 to 2147483647|finite number/)
    },
  )

  test('in Rust, a publish with a retry beyond the range of timers fails and stores nothing', async () => {
    const chn = 'retry in rust'
    await expect(oddly(journals, 'USUAL', chn, 'publishWithMeta', { n: 1 }, 2_147_483_648, [])).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      failure: 'InvalidMeta',
      message: expect.stringContaining('from 0 to 2147483647 (milliseconds), got 2147483648'),
    })
    await publish(chn, { n: 2 })
    const client = await journals.client('USUAL', { chn, iat })
    expect(await (await client.subscribe()).count(1)).toEqual([{ n: 2 }])
    client.close()
  })

  describe.each(CLIENT_VERSIONS)('of a stream’s items, with @orpc/client %s', (version) => {
    test('arrives split at line breaks', async () => {
      const client = await journals.client('CALLS', { chn: `items ${version}`, rpc: ['extra'] }, { version })
      const items = await client.call(['extra', 'withMeta'], { retry: 5, comments: ['a\rb\nc'], id: 'x y' })
      const { value } = await items.next()
      expect(client.library.getEventMeta(value)).toEqual({ id: 'x y', retry: 5, comments: ['a', 'b', 'c'] })
      expect((await items.next()).value).toBe(2)
      client.close()
    })

    test.each([{ id: 'a\rb' }, { id: 'a\n' }, { id: '漢' }, { id: ' a' }, { id: '\0' }, { id: 'x'.repeat(1_025) }, { retry: 2_147_483_648 }])(
      'that could not be read ends the stream with an error: %j',
      async (meta) => {
        const client = await journals.client('CALLS', { chn: `items ${version}`, rpc: ['extra'] }, { version })
        const before = log.length
        const items = await client.call(['extra', 'withMeta'], meta)
        await expect(items.next()).rejects.toMatchObject({ code: 'INTERNAL_SERVER_ERROR', message: 'Output validation failed' })
        expect(log.slice(before).join('\n')).toMatch(/event meta `(id|retry)` must/)
        client.close()
      },
    )
  })
})

describe("a stub's argument", () => {
  const LARGE = [
    'references shared in 24 levels', 'references shared in 40 levels', 'an array of 1e8 holes', 'an array of 4e9 holes', '30 MB of text',
    'a key of 3 MB', '3 million numbers', '1.2 million properties that are undefined', 'Sets of 1.2 million numbers',
    '100,000 dates below a key of 10 KB',
  ]

  test.each(LARGE)('as an event: %s is too large', async (odd) => {
    for (const event of [{ x: { odd } }, { odd }]) {
      await expect(publish('large', event)).rejects.toMatchObject({
        code: 'PAYLOAD_TOO_LARGE',
        failure: 'EventTooLarge',
        message: 'event must be at most 1998976 bytes, got more',
      })
    }
  })

  test.each(['30 MB of text', 'references shared in 40 levels'])('as a serialized event: %s is rejected', async (odd) => {
    const error = await publish('large', { json: { odd } }, { serialized: true }).catch((error) => error)
    expect(['PAYLOAD_TOO_LARGE', 'BAD_REQUEST']).toContain(error.code)
  })

  test.each(['comments', 'tags', 'to', 'except'])('a million texts as the option %s are too large', async (option) => {
    await expect(publish('large', { n: 1 }, { [option]: { odd: 'a million comments' } })).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      failure: 'EventTooLarge',
    })
  })

  test.each([...LARGE.filter((odd) => odd !== 'a key of 3 MB'), 'a million comments'])('of a method: %s is too large', async (odd) => {
    await expect(oddly(journals, 'USUAL', 'large', 'publishOnce', { x: { odd } }, 'key')).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      message: expect.stringMatching(/must have at most 8388608 bytes as JSON, and at most 1000000 values/),
    })
  })

  test.each([
    ['a value that contains itself', /contains itself/],
    ['128 levels', /127 levels/],
    ['a bigint of 4,301 digits', /4300 digits/],
    ['a bigint of a million bits', /4300 digits/],
    ['a RegExp of 20,000 characters', /10000 bytes/],
    ['bytes', /Uint8Array cannot be sent/],
    ['an Error', /Error cannot be sent/],
    ['a function', /cannot be sent/],
  ])('%s is rejected with a specific error', async (odd, message) => {
    for (const event of [{ x: { odd } }, [{ odd }]]) {
      if (Array.isArray(event) && odd !== 'bytes') continue
      await expect(publish('invalid', Array.isArray(event) ? { odd } : event)).rejects.toMatchObject({
        code: 'BAD_REQUEST',
        message: expect.stringMatching(message),
      })
    }
  })

  test('that is unusual and valid arrives unchanged', async () => {
    const chn = 'odd and valid'
    const client = await journals.client('USUAL', { chn, iat }, { version: '1.16.1' })
    const subscription = await client.subscribe()
    const odd = ['127 levels', 'references shared in 4 levels', 'an array with a hole', 'a bigint of 4,300 digits', 'a RegExp', 'an object with all kinds of names', 'an infinity']
    for (const name of odd) await publish(chn, { x: { odd: name } })
    const [levels, shared, hole, big, expression, names, infinity] = (await subscription.count(odd.length)).map(({ x }) => x)
    expect(JSON.stringify(levels)).toBe(`${'['.repeat(126)}1${']'.repeat(126)}`)
    expect(JSON.stringify(shared).match(/\{\}/g)).toHaveLength(16)
    expect(hole).toEqual([1, null, undefined, 3])
    expect(big).toBe(10n ** 4_300n - 1n)
    expect(String(expression)).toBe('/a[b\\]](?<name>c)\\/\\d/giu')
    expect(Object.keys(names)).toEqual(['__proto__', 'constructor', 'toJSON', 'then', 'valueOf', ''])
    expect(infinity).toBeNull()
    client.close()
  })

  test('of the maximum size is stored, and one with another byte is not', async () => {
    const around = '{"x":""}'.length
    await publish('largest', { x: 'y'.repeat(1_998_976 - around) })
    await expect(publish('largest', { x: 'y'.repeat(1_998_976 - around + 1) })).rejects.toMatchObject({ failure: 'EventTooLarge' })
    await expect(publish('largest', { x: '漢'.repeat(1_000_000) })).rejects.toMatchObject({ failure: 'EventTooLarge' })
  })
})

// The serializer: the same bodies as oRPC's, and malformed ones.

import { describe, expect, test, vi } from 'vitest'

import { BodyError } from '../../../npm/durable-event-iterator/src/client/wire/body-error.ts'
import { Serializer } from '../../../npm/durable-event-iterator/src/client/wire/serializer.ts'
import { Candidates, random } from '../../golden/candidates.ts'
import { corpus, customJsonSerializers, describeValue, file, User } from '../../golden/corpus.ts'
import { VERSIONS } from './support.ts'

const ours = new Serializer(customJsonSerializers)
/** oRPC's serializers. */
const theirs = await Promise.all(
  VERSIONS.map(async (version) => {
    const { StandardRPCJsonSerializer, StandardRPCSerializer } = await import(`orpc-client-${version}/standard`)
    return new StandardRPCSerializer(new StandardRPCJsonSerializer({ customJsonSerializers })) as Pick<Serializer, 'serialize' | 'deserialize'>
  }),
)
const newest = theirs.at(-1)!

const deserialize = (json: unknown, meta?: unknown): unknown => ours.deserialize(JSON.parse(JSON.stringify({ json, meta })))

/** Values of all types, from a seed. */
class Values {
  readonly #next: () => number
  readonly #texts: Candidates

  constructor(seed: number) {
    this.#next = random(seed)
    this.#texts = new Candidates(seed)
  }

  value(depth = 4): unknown {
    const below = (limit: number): number => Math.floor(this.#next() * limit)
    const some = <T>(make: () => T): T[] => Array.from({ length: below(4) }, make)
    const inner = (): unknown => this.value(depth - 1)
    const text = (): string => this.#texts.text()
    const makers: (() => unknown)[] = [
      text, text, () => below(1e9), () => this.#next() * 1e-9, () => -0, () => Number.NaN, () => null, () => undefined, () => below(2) === 0,
      () => BigInt(below(1e9)) ** BigInt(below(30)), () => new Date(below(1e12)), () => new Date(Number.NaN),
      () => new URL(`https://example.com/${encodeURIComponent(text().toWellFormed())}`), () => new RegExp(text().replace(/[^a-z]/g, '.'), 'gi'),
      () => new User(text(), below(9)), () => new (class { a = 1 })(),
    ]
    const containers: (() => unknown)[] = [
      () => some(inner), () => new Set(some(inner)), () => new Map(some(() => [inner(), inner()])),
      () => Object.fromEntries(some(() => [text(), inner()])), () => Object.assign(Object.create(null), { x: inner() }),
    ]
    const all = depth > 0 ? [...makers, ...containers, ...containers] : makers
    return all[below(all.length)]!()
  }
}

test('2,000 random values have the same body as with oRPC, and are restored', async () => {
  for (let seed = 1; seed <= 2_000; seed += 1) {
    const value = new Values(seed).value()
    const text = JSON.stringify(ours.serialize(value))
    // oRPC drops a key `__proto__`.
    if (!text.includes('"__proto__":')) for (const serializer of theirs) expect(JSON.stringify(serializer.serialize(value)), `seed ${seed}`).toBe(text)
    const restored = ours.deserialize(JSON.parse(text))
    expect(await describeValue(restored), `seed ${seed}`).toEqual(await describeValue(newest.deserialize(JSON.parse(text))))
    // A value of another class arrives as an object.
    expect(JSON.stringify(ours.serialize(restored)), `seed ${seed}`).toBe(text)
  }
})

test('bodies of all kinds have the same result as with oRPC if both accept them', async () => {
  let accepted = 0
  for (let seed = 1; seed <= 3_000; seed += 1) {
    const candidates = new Candidates(seed)
    const text = seed % 2 === 0 ? candidates.fittingBody() : candidates.body()
    let body: unknown
    let result: unknown
    try {
      body = JSON.parse(text)
    } catch {
      continue
    }
    try {
      result = ours.deserialize(body)
    } catch (error) {
      expect(error, text).toBeInstanceOf(BodyError)
      continue
    }
    accepted += 1
    expect(await describeValue(result), text).toEqual(await describeValue(newest.deserialize(JSON.parse(text))))
  }
  expect(accepted).toBeGreaterThan(500)
  expect(Object.keys(Object.prototype)).toEqual([])
})

test('a value without `meta` is returned as it is', () => {
  const json = { a: [1] }
  expect(ours.deserialize({ json })).toBe(json)
  expect(ours.deserialize(undefined)).toBe(undefined)
  expect(ours.deserialize({})).toBe(undefined)
})

describe('a form', () => {
  test('has the same parts as with oRPC, and is restored', async () => {
    const value = { files: [file('a "é".txt', ['x'], 'text/plain'), { at: new Date(0), blob: new Blob(['y']) }], set: new Set([file('b', [], 'a/b')]) }
    const form = ours.serialize(value) as FormData
    const parts = (form: FormData): Promise<unknown> => Promise.all([...form].map(async ([name, part]) => [name, await describeValue(part)]))
    for (const serializer of theirs) expect(await parts(serializer.serialize(value) as FormData)).toEqual(await parts(form))
    expect(await describeValue(ours.deserialize(form))).toEqual(await describeValue(newest.deserialize(newest.serialize(value))))
  })

  test('can have a file as its root', async () => {
    const form = ours.serialize(file('a', ['x'], 'a/b')) as FormData
    expect(form.get('data')).toBe('{"json":{},"maps":[[]]}')
    expect(await describeValue(ours.deserialize(form))).toEqual(await describeValue(file('a', ['x'], 'a/b')))
  })

  test.each([
    [undefined], ['{'], ['null'], ['[]'], ['{"json":{},"maps":1}'], ['{"json":{},"maps":[1]}'], ['{"json":{},"maps":[["a"]]}'],
    ['{"json":{},"maps":[["__proto__","a"]]}'], ['{"json":{"a":{}},"maps":[["a"],["a"]]}'], ['{"json":{"a":{}},"maps":[["a"]],"meta":[[1,"b"]]}'],
  ])('is rejected with malformed data: %s', (data) => {
    const form = new FormData()
    if (data !== undefined) form.set('data', data)
    form.set('0', new Blob(['x']))
    form.set('1', 'text')
    expect(() => ours.deserialize(form)).toThrow(BodyError)
  })
})

describe('a body is rejected', () => {
  test.each([null, 1, 'text', true, [], [[1]]])('if it is not an object: %j', (body) => {
    expect(() => ours.deserialize(body)).toThrow(BodyError)
  })

  test.each<[unknown, unknown]>([
    [{}, [[1, 'a']]], [{}, [[1, '__proto__']]], [{}, [[1, '__proto__', 'x']]], [{}, [[1, 'constructor', 'prototype']]], [[], [[1, 0]]],
    [[1], [[1, '0']]], [[1], [[1, 'length']]], [{ 0: 'x' }, [[1, 0]]], ['abc', [[1, 0]]], ['abc', [[1, '0']]], [1, [[21, 0]]],
    [[1], [[8, 0, 0]]], [[[1]], [[6, 0], [2, 0, 0]]], [{ a: null }, [[1, 'a', 'b']]], [{ a: [] }, [[1, 'a', 'push']]], [{}, [[1, 'toString', 'name']]],
  ])('if a path does not exist: %j %j', (json, meta) => {
    expect(() => deserialize(json, meta)).toThrow(BodyError)
  })

  test.each<[unknown, number]>([
    [1, 0], ['x', 0], ['', 0], ['1n', 0], ['9'.repeat(4_301), 0], [0, 1], [1, 2], ['NaN', 2], [1, 3], ['/a', 4], [1, 4], ['a', 5], ['/(/', 5],
    ['/a/gg', 5], [{}, 6], ['ab', 6], [[1], 7], [{}, 7],
  ])('if a value does not have its type: %j as %j', (json, type) => {
    expect(() => deserialize([json], [[type, 0]])).toThrow(BodyError)
  })

  test.each([1, {}, true, 'text', [1], [[]], [['a']], [[-1]], [[null]], [[1, null]], [[1, [0]]], [[1, -1]], [[1, { toString: 1 }]]])(
    'if `meta` is malformed: %j',
    (meta) => {
      expect(() => deserialize('x', meta)).toThrow(BodyError)
    },
  )

  test('with the error of a custom serializer as the cause', () => {
    const cause = new Error('unknown user')
    const serializer = new Serializer([{ type: 8, condition: () => false, serialize: String, deserialize: () => { throw cause } }])
    expect(() => serializer.deserialize({ json: 1, meta: [[8]] })).toThrow(expect.objectContaining({ message: 'malformed body: unknown user', cause }))
  })
})

test('a key `__proto__` is restored as a key', () => {
  const value = JSON.parse('{"__proto__":{"n":1},"list":[{"__proto__":2}]}')
  value['list'][0].at = new Date(0)
  Object.defineProperty(value, '__proto__', { value: { n: 1n }, enumerable: true, configurable: true, writable: true })
  const text = JSON.stringify(ours.serialize(value))
  expect(text).toBe('{"json":{"__proto__":{"n":"1"},"list":[{"__proto__":2,"at":"1970-01-01T00:00:00.000Z"}]},"meta":[[0,"__proto__","n"],[1,"list",0,"at"]]}')
  const restored = ours.deserialize(JSON.parse(text)) as any
  expect(Object.getOwnPropertyDescriptor(restored, '__proto__')?.value).toEqual({ n: 1n })
  expect(Object.getPrototypeOf(restored)).toBe(Object.prototype)
})

describe('a value is rejected', () => {
  const circular: unknown[] = []
  circular.push({ set: new Set([new Map([[1, circular]])]) })
  const deep = Array.from({ length: 100_000 }).reduce<unknown>((inner) => [inner], 1)
  const endless = new Serializer([{ type: 8, condition: () => true, serialize: (value) => value, deserialize: (value) => value }])

  test.each([['circular', circular], ['100,000 levels deep', deep]])('if it is %s', (_, value) => {
    expect(() => ours.serialize(value)).toThrow('the value cannot be serialized: it is circular or has more than 1000 levels')
  })

  test('if a custom serializer returns a value of its own type', () => {
    expect(() => endless.serialize(1)).toThrow(BodyError)
  })

  test('but not below 1,000 levels', () => {
    const value = Array.from({ length: 999 }).reduce<unknown>((inner) => [inner], new Date(0))
    const body = ours.serialize(value)
    expect(JSON.stringify(ours.serialize(ours.deserialize(body)))).toBe(JSON.stringify(ours.serialize(value)))
  })
})

describe('custom serializers', () => {
  test('are asked in order, before the built-in types', () => {
    const order: number[] = []
    const custom = (type: number, matches: (value: unknown) => boolean) => ({
      type, condition: (value: unknown) => (order.push(type), matches(value)), serialize: String, deserialize: (value: string) => [type, value],
    })
    const serializers = [custom(9, (value) => value === 1n), custom(0, (value) => typeof value === 'bigint'), custom(8, (value) => value instanceof Date)]
    const serializer = new Serializer(serializers)
    const body = serializer.serialize([1n, 2n, Number.NaN])
    expect(body).toEqual({ json: ['1', '2', null], meta: [[9, 0], [0, 1], [2, 2]] })
    expect(order.slice(0, 4)).toEqual([9, 0, 8, 9])
    expect(serializer.deserialize(body)).toEqual([[9, '1'], [0, '2'], Number.NaN])
  })

  test('must have different types', () => {
    const custom = customJsonSerializers[0]!
    expect(() => new Serializer([custom, custom])).toThrow('customJsonSerializers: each `type` must be unique')
  })

  test('that are unknown to the client leave the value as it is', () => {
    expect(new Serializer().deserialize(JSON.parse(JSON.stringify(ours.serialize(new User('a', 1)))))).toEqual({ name: 'a', age: 1 })
  })
})

test('values are serialized in an environment without the classes of files and URLs', () => {
  const { urls: _urls, everything: _everything, ...values } = corpus
  for (const name of ['Blob', 'File', 'FormData', 'URL', 'URLSearchParams']) vi.stubGlobal(name, undefined)
  try {
    for (const value of Object.values(values)) expect(ours.deserialize(ours.serialize(value))).toEqual(value)
  } finally {
    vi.unstubAllGlobals()
  }
})

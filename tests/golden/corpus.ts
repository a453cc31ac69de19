/** Values that a client can send, and their comparison. */

export class User {
  readonly name: string
  readonly age: number

  constructor(name: string, age: number) {
    this.name = name
    this.age = age
  }
}

/** A custom type that contains another one at the same path. */
export class Admin extends User {}

export const customJsonSerializers = [
  {
    type: 22,
    condition: (value: unknown) => value instanceof Admin,
    serialize: (value: Admin) => new User(value.name, value.age),
    deserialize: (value: User) => new Admin(value.name, value.age),
  },
  {
    type: 21,
    condition: (value: unknown) => value instanceof User,
    serialize: (value: User) => ({ name: value.name, age: value.age }),
    deserialize: (value: { name: string; age: number }) => new User(value.name, value.age),
  },
]

export const corpus: Record<string, unknown> = {
  undefined: undefined,
  null: null,
  true: true,
  false: false,
  'the empty string': '',
  'a string with everything': 'é漢😀 "\\\n\r\t\b\f\u0000\u001f\u007f\u2028\u2029/</script>',
  'an empty array': [],
  'an empty object': {},
  bigints: [0n, -1n, 12345678901234567890n, -(2n ** 200n)],
  dates: [0, -1, 1577934245678, 8.64e15, -8.64e15, 253402300800000, -62167219200001, Number.NaN].map((ms) => new Date(ms)),
  numbers: [0, 1, -1, 0.1, 0.1 + 0.2, 1e20, 1e21, 123456789012345680000, 1.5e300, 1e-6, 1e-7, 1.25e-7, 5e-324, Number.MAX_VALUE, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 2 ** 53, 2 ** 63, 2 ** 64, 4.35, 9007199254740993.5],
  NaN: Number.NaN,
  'an array with undefined': [undefined, null, Number.NaN, [undefined]],
  'an object with undefined': { a: undefined, b: { c: undefined }, d: 1 },
  // The native server accepts only plain URLs and regular expressions; tests/values.test.ts tests the others on the runtime.
  urls: ['https://example.com/a?b=c#d', 'http://user:p%40ss@[::1]:8080/é ü', 'data:text/plain,a b', 'mailto:a@b.c', 'file:///etc/x', 'urn:a:b', 'http://example.com/{x}|^`', 'http://127.1/'].map((url) => new URL(url)),
  'regular expressions': [/a\/b+(c)/gi, /(?:)/, /a\n?/suy, new RegExp('\n'), /é/dm],
  'a set': new Set([1, 'two', new Date(0), undefined, new Set([null])]),
  'a map': new Map<unknown, unknown>([['k', 1n], [new Date(0), new Set([Number.NaN])], [{ a: 1 }, undefined]]),
  'odd keys': { '': 1, 'a"b\\c\n': new Date(0), é: { '0': 1n }, length: [1n], constructor: new Date(1) },
  "an application's own types": [new User('Ann', 30), { admin: new Admin('Bob', 31) }, new Map([[new User('Cy', 1), new Admin('Di', 2)]])],
  everything: {
    list: [new Map([['a', [{ b: new Set([{ c: [new Date(5), new User('E', 5)] }]) }]]]), undefined, 7n],
    nested: { deep: { deeper: { deepest: new URL('https://example.com/') } } },
  },
}

export function file(name: string, content: (string | Uint8Array<ArrayBuffer>)[], type: string): File {
  return new File(content, name, { type })
}

/** A form in which values of all types can be compared. */
export async function describeValue(value: unknown): Promise<unknown> {
  if (value === undefined) return 'undefined'
  if (value === null) return null
  if (typeof value === 'bigint') return `bigint:${value}`
  if (typeof value === 'number') return Object.is(value, -0) ? 'number:0' : `number:${value}`
  if (typeof value !== 'object') return `${typeof value}:${String(value)}`
  if (value instanceof Date) return `Date:${value.getTime()}`
  if (value instanceof URL) return `URL:${value.href}`
  // Newer clients create them on first use, behind a proxy.
  if (value instanceof RegExp) return `RegExp:/${value.source}/${value.flags}`
  if (value instanceof File) return { file: value.name, type: value.type, bytes: [...new Uint8Array(await value.arrayBuffer())] }
  if (value instanceof User) return { [value.constructor.name]: [value.name, value.age] }
  if (value instanceof Set) return { Set: await Promise.all([...value].map(describeValue)) }
  if (value instanceof Map) {
    return { Map: await Promise.all([...value].map(async ([k, v]) => [await describeValue(k), await describeValue(v)])) }
  }
  if (Array.isArray(value)) return Promise.all(value.map(describeValue))
  const entries = Object.entries(value).filter(([, v]) => v !== undefined)
  return { object: await Promise.all(entries.map(async ([k, v]) => [k, await describeValue(v)])) }
}

// A Worker in JavaScript whose stub calls have arguments that JSON cannot represent, but structured clone can.

import { CLASSES, StubError } from './journals.ts'
import type { Binding, Journals } from './journals.ts'
import type { WorkerDefinition } from './workerd.ts'

const SOURCE = `
const chain = (levels) => {
  let value = 1
  for (let n = 0; n < levels; n++) value = [value]
  return value
}
/** Each level contains the next one twice: few objects, but 2 to the power of \`levels\` references. */
const shared = (levels) => {
  let value = {}
  for (let n = 0; n < levels; n++) value = { a: value, b: value }
  return value
}
const sparse = (length) => {
  const array = []
  array[length - 1] = 1
  return array
}
const cyclic = () => {
  const value = { list: [] }
  value.list.push(new Map([['self', value]]))
  return value
}
const texts = (count) => Array.from({ length: count }, (_, n) => 'text ' + n)

const values = {
  'an infinity': () => Infinity,
  'a negative infinity': () => -Infinity,
  NaN: () => NaN,
  '-1': () => -1,
  '1.5': () => 1.5,
  '2^31': () => 2 ** 31,
  '2^53 + 2': () => 2 ** 53 + 2,
  'a bigint': () => 5n,
  'a bigint of 4,300 digits': () => 10n ** 4300n - 1n,
  'a bigint of 4,301 digits': () => -(10n ** 4300n),
  'a bigint of a million bits': () => 1n << 1_000_000n,
  'a RegExp': () => /a[b\\]](?<name>c)\\/\\d/giu,
  'a RegExp of 20,000 characters': () => new RegExp('a'.repeat(20_000)),
  '127 levels': () => chain(126),
  '128 levels': () => chain(127),
  'references shared in 24 levels': () => shared(24),
  'references shared in 40 levels': () => shared(40),
  'references shared in 4 levels': () => shared(4),
  'an array of 1e8 holes': () => sparse(1e8),
  'an array of 4e9 holes': () => sparse(4_294_967_295),
  'an array with a hole': () => [1, , undefined, 3],
  'a value that contains itself': cyclic,
  '30 MB of text': () => 'x'.repeat(30_000_000),
  'a key of 3 MB': () => ({ ['k'.repeat(3_000_000)]: 1 }),
  '3 million numbers': () => new Array(3_000_000).fill(0),
  '1.2 million properties that are undefined': () => new Array(600).fill(Object.fromEntries(Array.from({ length: 2_000 }, (_, n) => [n, undefined]))),
  'Sets of 1.2 million numbers': () => new Array(600).fill(new Set(Array.from({ length: 2_000 }, (_, n) => n))),
  '100,000 dates below a key of 10 KB': () => ({ ['k'.repeat(10_000)]: new Array(100_000).fill(new Date(0)) }),
  'a million comments': () => texts(1_000_000),
  'bytes': () => new Uint8Array(4),
  'an Error': () => new Error('a'),
  'a function': () => () => 1,
  'an object with all kinds of names': () => JSON.parse('{"__proto__":{"a":1},"constructor":{"prototype":1},"toJSON":"x","then":"y","valueOf":null,"":0}'),
}

export default {
  async fetch(request, env) {
    const { binding, channel, method, args } = await request.json()
    // \`{ odd: name }\` stands for the value of this name, at the first or second level of an argument.
    const made = (value) => (value?.odd === undefined ? value : values[value.odd]())
    const argument = (value) =>
      value?.odd === undefined && value?.constructor === Object ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, made(item)])) : made(value)
    try {
      const result = await env[binding].getByName(channel)[method](...args.map(argument))
      return Response.json({ result: method === 'publish' ? result.id : result === undefined ? null : result })
    } catch ({ name, message, code, failure, data }) {
      return Response.json({ error: { name, message, code, failure, data } })
    }
  },
}`

/** For the Workers of `startJournals`. */
export const oddCaller: WorkerDefinition = {
  name: 'odd-caller',
  source: SOURCE,
  durableObjects: Object.fromEntries(
    Object.entries(CLASSES).map(([binding, className]) => [binding, { className, scriptName: 'objects' }]),
  ),
}

export interface Odd {
  odd: string
}

/** Calls an RPC method with arguments in which `{ odd: name }` stands for a value of the Worker above. */
export async function oddly(journals: Journals, binding: Binding, channel: string, method: string, ...args: unknown[]): Promise<any> {
  const response = await journals.fetch(await journals.urlOf('odd-caller'), {
    method: 'POST',
    body: JSON.stringify({ binding, channel, method, args }),
  })
  const { result, error } = (await response.json()) as any
  if (error) throw Object.assign(new StubError(error), { data: error.data })
  return result
}

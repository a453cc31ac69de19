import { afterAll, beforeAll, expect, test } from 'vitest'

import { CLIENT_VERSIONS } from './support/client.ts'
import { EVERYTHING, isRust, startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

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

/** The wire form of an event with all types, as a Rust Worker publishes it. */
const SERIALIZED = JSON.stringify({
  json: {
    date: '2020-01-02T03:04:05.678Z', badDate: null, big: '12345678901234567890', nan: null, nothing: null,
    url: 'https://example.com/a?b=c#d', re: '/a\\/b+(c)/gi', set: ['one', 'two'],
    map: [[1, '1970-01-01T00:00:00.000Z'], [2, '1970-01-01T00:00:00.001Z']], user: { name: 'Ann', age: 30 },
  },
  meta: [
    [1, 'date'], [1, 'badDate'], [0, 'big'], [2, 'nan'], [4, 'url'], [5, 're'], [6, 'set'], [1, 'map', 0, 1], [1, 'map', 1, 1],
    [7, 'map'], [21, 'user'],
  ],
})

const expected = {
  date: new Date('2020-01-02T03:04:05.678Z'),
  badDate: new Date(Number.NaN),
  big: 12345678901234567890n,
  nan: Number.NaN,
  nothing: null,
  url: new URL('https://example.com/a?b=c#d'),
  re: /a\/b+(c)/gi,
  set: new Set(['one', 'two']),
  map: new Map([[1, new Date(0)], [2, new Date(1)]]),
  user: new User('Ann', 30),
}

test.each(CLIENT_VERSIONS)('all types arrive unchanged, live and on replay, with @orpc/client %s', async (version) => {
  const chn = `everything-${version}`
  const options = { version, link: { customJsonSerializers } }
  const live = await journals.client('TYPES', { chn }, options)
  const first = await live.subscribe()
  const relay = await journals.urlOf('relay')
  const published = await journals.fetch(new URL(`/relay/TYPES/${chn}`, relay), { method: 'POST', body: SERIALIZED })
  expect(published.status).toBe(200)
  const late = await journals.client('TYPES', { chn }, options)
  const second = await late.subscribe()
  for (const subscription of [first, second]) {
    const [event] = await subscription.count(1)
    expect(event).toEqual(expected)
    expect(event.user).toBeInstanceOf(User)
    expect('undef' in event).toBe(false)
  }
  live.close()
  late.close()
})

test('JavaScript types published through a stub arrive unchanged', async () => {
  const chn = 'from-js'
  const client = await journals.client('USUAL', { chn })
  const subscription = await client.subscribe()
  await journals.stub('USUAL', chn, 'publish', EVERYTHING)
  const [event] = await subscription.count(1)
  const { url, user, ...rest } = expected
  expect(event).toEqual({ ...rest, url: url.href })
  client.close()
})

if (isRust) {
  test('an event of another type is rejected with the path', async () => {
    const relay = await journals.urlOf('relay')
    const body = SERIALIZED.replace('[1,"date"],', '')
    const refused = await journals.fetch(new URL('/relay/TYPES/wrong', relay), { method: 'POST', body })
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining('Input validation failed')])
  })
} else {
  test.each(CLIENT_VERSIONS)('the class writes events with its custom serializers, with @orpc/client %s', async (version) => {
    const chn = `custom-${version}`
    const client = await journals.client('TYPES', { chn }, { version, link: { customJsonSerializers } })
    const subscription = await client.subscribe()
    await journals.stub('TYPES', chn, 'publishUser')
    client.cut()
    await journals.stub('TYPES', chn, 'publishUser')
    for (const event of await subscription.count(2)) {
      expect(event).toEqual({ user: new User('Ann', 30), at: new Date(0) })
      expect(event.user).toBeInstanceOf(User)
    }
    client.close()
  })
}

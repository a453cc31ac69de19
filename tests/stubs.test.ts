// Stubs: publishing and RPC methods from other Workers.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { collectUncaught } from './support/inspector.ts'
import { isOrpc2, isRust, startJournals, UNDEFINED_OPTION } from './support/journals.ts'
import type { Binding, Journals } from './support/journals.ts'

let journals: Journals
const log: string[] = []
beforeAll(async () => {
  journals = await startJournals({ onLog: (line) => log.push(line), inspectable: true })
})
afterAll(() => journals.dispose())

const call = (method: string, ...args: unknown[]): Promise<any> => journals.stub('USUAL', 'stubs', method, ...args)

test('publish returns the id of the event', async () => {
  const before = Date.now() * 1000
  const id = Number(await call('publish', { n: 1 }))
  expect(id).toBeGreaterThanOrEqual(before)
  expect(id).toBeLessThan(Date.now() * 1000 + 1_000_000)
  expect(Number(await call('publish', { n: 2 }))).toBeGreaterThan(id)
})

test.each([
  { to: null },
  { to: {} },
  { to: { tags: [] } },
  { to: [] },
  { to: 'anna' },
  { to: [''] },
  { to: ['a b'] },
  { to: [null] },
  { tags: null },
  { tags: [] },
  { tags: 'staff' },
  { tags: [''] },
  { except: null },
  { except: [1] },
  { idempotencyKey: null },
  { taggs: ['staff'] },
  { TO: ['anna'] },
])('publishing with the options %j fails with an error that names the option', async (options) => {
  const client = await journals.client('USUAL', { chn: 'fail-closed' })
  const subscription = await client.subscribe()
  const error = await journals.stub('USUAL', 'fail-closed', 'publish', { n: 1 }, options).catch((error: unknown) => error)
  expect(error).toMatchObject({ name: 'ORPCError', code: 'BAD_REQUEST' })
  expect((error as Error).message).toMatch(/^Invalid publish options: .*expected/)
  expect((error as Error).message).toContain(Object.keys(options)[0])
  await journals.stub('USUAL', 'fail-closed', 'publish', { last: true })
  await subscription.until(({ events }) => events.at(-1)?.last === true)
  expect(subscription.events.filter(({ n }) => n === 1)).toEqual([])
  client.close()
})

test.each(['to', 'tags', 'except', 'idempotencyKey'])('publishing with undefined for `%s` fails', async (name) => {
  const error = await journals.stub('USUAL', 'stubs', 'publish', UNDEFINED_OPTION, { n: 1 }, name).catch((error: unknown) => error)
  expect(error).toMatchObject({ name: 'ORPCError', code: 'BAD_REQUEST', message: expect.stringContaining(name) })
})

test('undefined for other options equals a missing option', async () => {
  await expect(journals.stub('USUAL', 'stubs', 'publish', UNDEFINED_OPTION, { n: 1 }, 'retry')).resolves.toMatch(/^\d+$/)
  await expect(call('publish', { n: 1 }, { except: [] })).resolves.toMatch(/^\d+$/)
})

/** The name of an error that an RPC method throws: a class in TypeScript throws oRPC's `ORPCError`, which has the name `Error`. */
const ERROR = isRust || isOrpc2 ? 'ORPCError' : 'Error'

test('a custom RPC method receives its arguments, and its error reaches the caller with code and message', async () => {
  await expect(call('publishMany', 2, 10)).resolves.toBeUndefined()
  // A missing argument is undefined.
  await expect(call('publishMany', 2)).resolves.toBeUndefined()
  await expect(call('refuse')).rejects.toMatchObject({ name: ERROR, code: 'CONFLICT', message: 'Already there.' })
  await expect(call('publishMany', 'two', 10)).rejects.toMatchObject({ code: 'BAD_REQUEST' })
})

if (isRust) {
  test('an unexpected error is logged and not disclosed to the caller', async () => {
    await expect(call('fail')).rejects.toMatchObject({ code: 'INTERNAL_SERVER_ERROR', message: 'Internal server error' })
    expect(log.join('\n')).toContain('invalid digit')
  })

  test('an RPC method with a name of the runtime does not replace the method of the runtime', async () => {
    expect(await journals.client('USUAL', { chn: 'stubs' }).then((client) => client.open().then(() => client.close()))).toBeUndefined()
    expect(log.join('\n')).toContain('the RPC method name `fetch` is reserved')
  })
} else {
  test('an error that an RPC method of the class throws reaches the caller, as for any class', async () => {
    await expect(call('fail')).rejects.toMatchObject({ name: 'SyntaxError', message: 'invalid digit: a secret of the server' })
  })
}

/** Calls that fail: of the library, and of RPC methods in Rust. */
const ofRust: [Binding, string, unknown[]][] = [['USUAL', 'refuse', []], ['USUAL', 'fail', []], ['FAULTY', 'publishAndFail', [1, 'panic']]]
const ofLibrary: [Binding, string, unknown[]] = ['USUAL', 'publish', [5]]

test.each(isRust ? [ofLibrary, ...ofRust] : [ofLibrary])('the runtime logs an error of %s.%s(%j) as one line, without a stack trace', async (binding, method, args) => {
  const uncaught = await collectUncaught(journals, 'objects')
  try {
    const error = await journals.stub(binding, 'uncaught', method, ...args).catch((error: unknown) => error)
    expect(error).toMatchObject({ name: 'ORPCError', message: expect.stringMatching(/.+/) })
    expect(await uncaught.take()).toEqual({ text: `Uncaught ORPCError: ${(error as Error).message}`, stack: [] })
  } finally {
    uncaught.close()
  }
})

test('a Rust Worker calls an RPC method with arguments, and receives its error', async () => {
  const relay = await journals.urlOf('relay')
  const relayed = (method: string, args: unknown): Promise<Response> =>
    journals.fetch(new URL(`/relay/USUAL/stubs/${method}`, relay), { method: 'POST', body: JSON.stringify(args) })
  expect(await (await relayed('kept', [])).text()).toBe('[]')
  const refused = await relayed('refuse', [])
  expect([refused.status, await refused.text()]).toEqual([409, 'CONFLICT Already there.'])
  const noTuple = await relayed('kept', 'text')
  expect([noTuple.status, await noTuple.text()]).toEqual([500, 'INTERNAL_SERVER_ERROR Internal server error'])
})

test.each([
  'free', '__destroy_into_raw', '__dispatch', 'constructor', '__wbg_ptr', 'nothing',
])('%s cannot be called', async (method) => {
  await expect(call(method)).rejects.toThrow()
})

test.each(['alarm', 'webSocketMessage', 'webSocketClose', 'webSocketError'])('calling %s does no harm', async (method) => {
  const client = await journals.client('USUAL', { chn: 'stubs' })
  const subscription = await client.subscribe()
  const before = subscription.received.length
  await call(method, {}, {}).catch(() => {})
  await call(method).catch(() => {})
  const id = await call('publish', { after: method })
  await subscription.until(({ received }) => received.some((received) => received.id === id))
  expect(subscription.received.length).toBeGreaterThan(before)
  client.close()
})

test('an RPC method reports invalid arguments to its caller, and does not disclose invalid stored data', async () => {
  await expect(journals.stub('CALLS', 'arguments', 'takesSeats', { seats: 256 })).rejects.toMatchObject({
    code: 'BAD_REQUEST', message: 'Input validation failed',
  })
  expect(await journals.stub('CALLS', 'arguments', 'takesSeats', { seats: 3 })).toBe(3)
  for (const what of isRust ? ['value', 'issue', 'json', 'date', 'url'] : []) {
    await expect(journals.stub('CALLS', 'arguments', 'readStored', what), what).rejects.toMatchObject({
      code: 'INTERNAL_SERVER_ERROR', message: 'Internal server error',
    })
  }
})

// An exported class as JavaScript sees it: its members, which a stub can reach, and the stack traces of its calls.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'

/** Responds with the names of the class's own members, and whether a call's stack trace had a frame of WebAssembly. */
const FRONT = `
import worker, { LedgerObject } from './index.js'
export * from './index.js'
let isWithinWasm = false
const { now } = Date
Date.now = () => {
  isWithinWasm ||= /\\bwasm:/.test(new Error().stack)
  return now()
}
const names = (object) => Reflect.ownKeys(object).map(String)
export default {
  fetch(request, env, ctx) {
    const { pathname } = new URL(request.url)
    if (pathname === '/within') return Response.json(isWithinWasm)
    if (pathname !== '/members') return new worker(ctx, env).fetch(request)
    return Response.json({ members: names(LedgerObject.prototype), parent: Object.getPrototypeOf(LedgerObject).name })
  },
}`

let journals: Journals
beforeAll(async () => {
  journals = await startJournals({ front: FRONT })
})
afterAll(() => journals.dispose())

test('a class has the members of a Durable Object, those of the library, its own RPC methods, and nothing of wasm-bindgen', async () => {
  const { members, parent } = (await (await journals.fetch('/members')).json()) as { members: string[]; parent: string }
  expect(parent).toBe('DurableObject')
  const own = ['add', 'state', 'failNext', 'wipe', 'greetings']
  const expected = [
    'Symbol(presence)', 'alarm', 'connections', 'constructor', 'disconnect', 'fetch', 'members', 'publish', 'publishBatch', 'revoke', 'stats',
    'webSocketClose', 'webSocketError', 'webSocketMessage', '~settle',
  ]
  expect(members.filter((name) => !own.includes(name)).sort()).toEqual(expected)
})

test('the stack trace of a function that WebAssembly calls shows it', async () => {
  expect(await (await journals.fetch('/within')).json()).toBe(false)
  await journals.stub('USUAL', 'a', 'publish', { n: 1 })
  expect(await (await journals.fetch('/within')).json()).toBe(true)
})

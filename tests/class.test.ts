// The members of an exported class: what a stub can reach.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'

/** Responds with the names of the class's own members. */
const FRONT = `
import worker, { LedgerObject } from './index.js'
export * from './index.js'
const names = (object) => Reflect.ownKeys(object).map(String)
export default {
  fetch(request, env, ctx) {
    if (new URL(request.url).pathname !== '/members') return new worker(ctx, env).fetch(request)
    return Response.json({ members: names(LedgerObject.prototype), parent: Object.getPrototypeOf(LedgerObject).name })
  },
}`

let journals: Journals
beforeAll(async () => {
  journals = await startJournals({ front: FRONT })
})
afterAll(() => journals.dispose())

test('a class has the members of a Durable Object, `publish`, its RPC methods, and nothing of wasm-bindgen', async () => {
  const { members, parent } = (await (await journals.fetch('/members')).json()) as { members: string[]; parent: string }
  expect(parent).toBe('DurableObject')
  const own = ['add', 'failNext', 'wipe', 'greetings']
  const expected = ['alarm', 'constructor', 'fetch', 'publish', 'webSocketClose', 'webSocketError', 'webSocketMessage', '~settle']
  expect(members.filter((name) => !own.includes(name)).sort()).toEqual(expected)
})

// Idle readers over HTTP cost nothing: the Durable Object hibernates, and no instance is made.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { token } from './support/client.ts'
import { EventStream } from './support/event-stream.ts'
import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'

/** Counts the instances of a class. They share the module's memory, which a hibernating Durable Object does not end. */
const FRONT = `
import * as worker from './index.js'
export * from './index.js'
let constructed = 0
export const UsualJournal = new Proxy(worker.UsualJournal, {
  construct(target, parameters, newTarget) {
    constructed++
    return Reflect.construct(target, parameters, newTarget)
  },
})
const own = worker.default
const handle = (request, env, ctx) => (typeof own === 'function' ? new own(ctx, env).fetch(request) : own.fetch(request, env, ctx))
export default {
  fetch: (request, env, ctx) => (new URL(request.url).pathname === '/constructed' ? Response.json(constructed) : handle(request, env, ctx)),
}`

/** Longer than the keep-alive interval of 15 s, and than the time after which the runtime unloads an idle Durable Object. */
const IDLE = 32_000

let journals: Journals
beforeAll(async () => {
  journals = await startJournals({ front: FRONT })
})
afterAll(() => journals.dispose())

const constructed = async (): Promise<number> => (await journals.fetch('/constructed')).json() as Promise<number>

test('server-sent events and a long poll without events let the Durable Object hibernate', { timeout: 90_000 }, async () => {
  const open = async (chn: string, query = ''): Promise<Response> =>
    fetch(new URL(`/http/USUAL/${chn}/events${query}`, journals.url), {
      headers: {
        authorization: `Bearer ${await token({ chn })}`,
        ...(query === '' ? { accept: 'text/event-stream', 'last-event-id': 'unknown' } : { accept: 'application/json' }),
      },
    })
  const events = new EventStream(await open('idle-stream'))
  await events.read()
  const poll = open('idle-poll', '?wait=60')
  await expect.poll(constructed).toBe(2)
  const comments = (async () => {
    await events.until(({ received }) => received.length === 4)
  })()
  await new Promise((resolve) => setTimeout(resolve, IDLE))
  await comments
  expect(await constructed()).toBe(2)

  // Both have hibernated: the publish makes a new instance, which sends the event to the socket that the runtime has kept.
  await journals.stub('USUAL', 'idle-stream', 'publish', { n: 1 })
  await events.count(1)
  expect(await constructed()).toBe(3)
  await journals.stub('USUAL', 'idle-poll', 'publish', { n: 2 })
  const page = (await (await poll).json()) as any
  expect(page.events.map(({ json }: any) => json)).toEqual([{ n: 2 }])
  expect(await constructed()).toBe(4)
  expect(events.received.filter(({ event }) => event === 'gap'), 'the gap is reported once').toHaveLength(1)
  await events.close()
})

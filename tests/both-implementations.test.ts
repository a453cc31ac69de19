// A channel whose class is deployed in Rust, then in TypeScript, and back: it keeps its events, ids and idempotency keys, and
// clients resume without a gap.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { CLIENT_VERSIONS, DURABLE_ITERATOR_VERSIONS } from './support/client.ts'
import { connect, seconds } from './support/durable-iterator.ts'
import { startJournals } from './support/journals.ts'
import type { IMPLEMENTATION, Journals } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'

let persistence: string
let journals: Journals
beforeAll(async () => {
  persistence = await mkdtemp(join(tmpdir(), 'both-'))
})
afterAll(async () => {
  await journals.dispose()
  await rm(persistence, { recursive: true, force: true })
})

const DEPLOYMENTS: (typeof IMPLEMENTATION)[] = ['Rust', 'DurableEventIteratorObject', 'Rust', 'DurableIteratorObject']
const EVENTS = 3

test('the channel, its events and its clients survive each deployment', async () => {
  const chn = 'migrating'
  const iat = seconds()
  journals = await startJournals({ persistence, implementation: DEPLOYMENTS[0]! })
  const port = Number(journals.url.port)
  const clients = await Promise.all([
    ...CLIENT_VERSIONS.map((version) => journals.client('USUAL', { chn, iat }, { version })),
    ...DURABLE_ITERATOR_VERSIONS.map((version) => connect(journals, 'USUAL', { chn, iat }, { id: `id-${version}`, version })),
  ])
  const subscriptions = await Promise.all(clients.map((client) => client.subscribe()))
  const ids: string[] = []
  for (const [n, implementation] of DEPLOYMENTS.entries()) {
    if (n > 0) {
      await journals.dispose()
      journals = await startJournals({ persistence, port, implementation })
    }
    for (let k = 1; k <= EVENTS; k++) ids.push(await journals.stub('USUAL', chn, 'publish', { n: n * EVENTS + k }))
    // The key of the first deployment is known to all later ones.
    const { id, duplicate } = await journals.publish('USUAL', chn, { n: 0 }, { idempotencyKey: 'first' })
    expect(duplicate, implementation).toBe(n > 0)
    if (n === 0) ids.push(id)
    else expect(id).toBe(ids[EVENTS])
    // Tables of one layout: a client that has only the first event resumes from it.
    const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn, iat }))
    socket.send({ i: 's', p: { u: '/subscribe', b: {}, h: { 'last-event-id': ids[0] } } })
    const [answer, ...events] = await socket.frames(ids.length)
    expect(answer.p.h, implementation).toEqual({ 'content-type': 'text/event-stream' })
    expect(events.map(({ p }) => p.m.id), implementation).toEqual(ids.slice(1))
    socket.vanish()
    for (const subscription of subscriptions) await subscription.count(ids.length)
  }
  expect(ids.map(Number)).toEqual(ids.map(Number).toSorted((a, b) => a - b))
  for (const subscription of subscriptions) expect(subscription.received.map(({ id }) => id)).toEqual(ids)
  for (const client of clients) client.close()
})

// The link plugin with an oRPC server in Rust: only the client is in TypeScript.

import { createORPCClient } from '@orpc/client'
import type { Client } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { DurableEventIteratorLinkPlugin } from '../../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import type { ClientDurableEventIterator, DurableEventIteratorState } from '../../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import { startJournals } from '../../support/journals.ts'
import type { Journals } from '../../support/journals.ts'
import type { Journal } from '../support/app.ts'

type Server = {
  open: Client<Record<never, never>, { chn: string }, ClientDurableEventIterator<Journal, 'publish'>, Error>
  wrapped: Client<Record<never, never>, void, string[], Error>
  plain: Client<Record<never, never>, void, { just: string }, Error>
}

let workers: Journals
beforeAll(async () => {
  workers = await startJournals()
})
afterAll(() => workers.dispose())

function connect(states: DurableEventIteratorState[] = []): Server {
  const plugin = new DurableEventIteratorLinkPlugin({
    url: new URL('/upgrade/USUAL', workers.url),
    minReconnectionDelay: 20,
    onStateChange: (state) => states.push(state),
  })
  return createORPCClient(new RPCLink({ url: new URL('/rpc', workers.url).href, plugins: [plugin] }))
}

test('an iterator yields events and makes calls', async () => {
  const states: DurableEventIteratorState[] = []
  const iterator = await connect(states).open({ chn: 'from-rust' })
  await workers.stub('USUAL', 'from-rust', 'publish', { n: 1 })
  expect(await iterator.next()).toEqual({ done: false, value: { n: 1 } })
  // The Durable Object sends the event of a client to all other clients.
  const other = await connect().open({ chn: 'from-rust' })
  await other.publish({ n: 2 })
  expect(await iterator.next()).toEqual({ done: false, value: { n: 2 } })
  await Promise.all([iterator.return(), other.return()])
  expect(states).toEqual(['connecting', 'open', 'closed'])
})

test('events published during a lost connection arrive after the reconnect', async () => {
  const iterator = await connect().open({ chn: 'lost' })
  await workers.stub('USUAL', 'lost', 'publish', { n: 1 })
  expect((await iterator.next()).value).toEqual({ n: 1 })
  await workers.evict({ worker: 'objects', className: 'UsualJournal', name: 'lost' }, 'close')
  await workers.stub('USUAL', 'lost', 'publish', { n: 2 })
  await workers.stub('USUAL', 'lost', 'publish', { n: 3 })
  expect([(await iterator.next()).value, (await iterator.next()).value]).toEqual([{ n: 2 }, { n: 3 }])
  await iterator.return()
})

test('other outputs are not changed', async () => {
  const server = connect()
  expect(await server.plain()).toEqual({ just: 'json' })
  expect(await server.wrapped()).toEqual([expect.stringMatching(/^eyJ/)])
})

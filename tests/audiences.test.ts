// Audiences: events for a subset of clients, live and on replay.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { CLIENT_VERSIONS, DURABLE_ITERATOR_VERSIONS } from './support/client.ts'
import type { Client, Subscription } from './support/client.ts'
import { connect } from './support/durable-iterator.ts'
import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

interface Who {
  /** Recipients: the clients whose sockets have one of these attachments. */
  to?: unknown[]
  toIds?: string[]
  tags?: string[]
  /** Excluded: the clients whose sockets have one of these attachments. */
  except?: unknown[]
}

/** Publishes to sockets that meet a condition. */
const publishFor = (chn: string, n: number, who: Who): Promise<string> => journals.stub('USUAL', chn, 'publishFor', { n }, who)
const publish = (chn: string, n: number, ...options: [object?]): Promise<string> =>
  journals.stub('USUAL', chn, 'publish', { n }, ...options)

/** Subscribes, and sets an attachment of the socket. */
async function enter(client: Client, word: string): Promise<Subscription> {
  const subscription = await client.subscribe()
  await client.call(['keep'], word)
  return subscription
}

const numbers = ({ events }: Subscription): number[] => events.map(({ n }) => n)

/** Returns the events up to the one for everyone. */
async function received(subscription: Subscription, end: number): Promise<number[]> {
  await subscription.until((now) => numbers(now).includes(end))
  return numbers(subscription)
}

const rpc = ['keep']

describe.each(DURABLE_ITERATOR_VERSIONS)('with @orpc/client %s', (version) => {
  test('tags, ids, sockets and exceptions apply live, and on replay to clients that were disconnected', async () => {
    const chn = `all-${version}`
    const people = { anna: ['staff'], bert: ['staff', 'night'], cleo: ['guest'], dora: [] as string[] }
    const names = Object.keys(people) as (keyof typeof people)[]
    const come = (name: keyof typeof people): Promise<Client> =>
      connect(journals, 'USUAL', { chn, rpc, tags: people[name] }, { id: name, version })
    const clients = await Promise.all(names.map(come))
    const live = await Promise.all(clients.map((client, n) => enter(client, names[n]!)))

    await publish(chn, 1, { tags: ['staff'] })
    await publish(chn, 2, { to: ['anna', 'cleo'] })
    await publish(chn, 3, { tags: ['staff', 'guest'], except: ['anna'] })
    await publishFor(chn, 4, { to: ['bert', 'dora'] })
    await publishFor(chn, 5, { except: ['anna', 'bert'] })
    await publishFor(chn, 6, { to: ['anna'], toIds: ['cleo'] })
    await publishFor(chn, 7, { to: ['anna', 'bert', 'cleo'], tags: ['staff'], except: ['anna'] })
    await publishFor(chn, 8, { to: ['nobody'] })
    await publishFor(chn, 9, { tags: [] })
    await publish(chn, 10)
    const expected = { anna: [1, 2, 6, 10], bert: [1, 3, 4, 7, 10], cleo: [2, 3, 5, 6, 10], dora: [4, 5, 10] }

    const first = live.map(({ received }) => received)
    for (const [n, subscription] of live.entries()) {
      expect(await received(subscription, 10), `live for ${names[n]}`).toEqual(expected[names[n]!])
    }
    await journals.hibernate('USUAL', chn)
    // These clients were disconnected for all events, or for half of them.
    for (const [n, name] of names.entries()) {
      const back = await come(name)
      expect(await received(await back.subscribe(), 10), `replayed to ${name}`).toEqual(expected[name])
      const half = await come(name)
      const after = first[n]![1]!
      expect(await received(await half.subscribe({ lastEventId: after.id! }), 10), `resumed by ${name}`).toEqual(
        expected[name].filter((number) => number > (after.event as any).n),
      )
      back.close()
      half.close()
    }
    for (const client of clients) client.close()
  })
})

test('an audience of sockets applies to their clients, also after a reconnect', async () => {
  const chn = 'moved'
  const anna = await connect(journals, 'USUAL', { chn, rpc }, { id: 'anna' })
  const subscription = await enter(anna, 'anna')
  await publish(chn, 1)
  await received(subscription, 1)
  // Both tabs have the same connection id.
  const other = await connect(journals, 'USUAL', { chn, rpc }, { id: 'anna' })
  const second = await other.subscribe()
  await publishFor(chn, 2, { to: ['anna'] })
  await publishFor(chn, 3, { except: ['anna'] })
  await publish(chn, 4)
  expect(await received(subscription, 4)).toEqual([1, 2, 4])
  expect(await received(second, 4)).toEqual([1, 2, 4])
  anna.cut()
  await publish(chn, 5)
  expect(await received(subscription, 5)).toEqual([1, 2, 4, 5])
  anna.close()
  other.close()
})

test.each(CLIENT_VERSIONS)('audiences apply to a client without a connection id only live, with @orpc/client %s', async (version) => {
  const chn = `without-id-${version}`
  const nameless = await journals.client('USUAL', { chn, rpc }, { version })
  const named = await connect(journals, 'USUAL', { chn, rpc }, { id: 'named' })
  const [toNameless, toNamed] = await Promise.all([enter(nameless, 'nameless'), enter(named, 'named')])
  await publishFor(chn, 1, { to: ['nameless'] })
  await publishFor(chn, 2, { except: ['nameless'] })
  await publishFor(chn, 3, { to: ['nameless', 'named'] })
  await publishFor(chn, 4, { to: ['nameless', 'named'], except: ['nameless'] })
  await publishFor(chn, 5, { to: ['nameless'], tags: ['x'] })
  await publish(chn, 6)
  expect(await received(toNameless, 6)).toEqual([1, 3, 6])
  expect(await received(toNamed, 6)).toEqual([2, 3, 4, 6])
  // After a new subscription, no other client receives its events, and it receives the events that excluded it.
  const late = await journals.client('USUAL', { chn }, { version })
  expect(await received(await late.subscribe(), 6)).toEqual([2, 6])
  const back = await connect(journals, 'USUAL', { chn }, { id: 'named' })
  expect(await received(await back.subscribe(), 6)).toEqual([2, 3, 4, 6])
  for (const client of [nameless, named, late, back]) client.close()
})

test('a condition is evaluated for the clients that are connected at the publish', async () => {
  const chn = 'condition'
  const anna = await connect(journals, 'USUAL', { chn, rpc }, { id: 'anna' })
  const subscription = await enter(anna, 'red')
  await publishFor(chn, 1, { to: ['red'] })
  await anna.call(['keep'], 'blue')
  await publishFor(chn, 2, { to: ['red'] })
  await journals.hibernate('USUAL', chn)
  await publishFor(chn, 3, { to: ['blue'] })
  await publish(chn, 4)
  expect(await received(subscription, 4)).toEqual([1, 3, 4])
  // Bert meets the condition too, but connected later.
  const bert = await connect(journals, 'USUAL', { chn, rpc }, { id: 'bert' })
  expect(await received(await enter(bert, 'blue'), 4)).toEqual([4])
  anna.close()
  bert.close()
})

// What an object sends its clients when they subscribe: the state that the events to come build on.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { CLIENT_VERSIONS } from './support/client.ts'
import type { Client, ClientVersion, Subscription } from './support/client.ts'
import { connect } from './support/durable-iterator.ts'
import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'

const log: string[] = []
let journals: Journals
beforeAll(async () => {
  journals = await startJournals({ onLog: (line) => log.push(line) })
})
afterAll(() => journals.dispose())

/** The object whose clients begin with a snapshot, and the one that replays its events all the same. */
type Ledger = 'LEDGER' | 'REPLAYING_LEDGER'
type Manner = 'inParts' | 'announced' | 'always' | 'never' | 'refusing' | 'failing' | 'failingLate' | 'closing'

let clients = 0

/** A client of either kind. */
function client(
  kind: 'DurableEventIterator' | 'DurableIterator',
  chn: string,
  { manner, version = '1.16.1', ledger = 'LEDGER' }: { manner?: Manner; version?: ClientVersion; ledger?: Ledger } = {},
): Promise<Client> {
  const claims = { chn, ...(manner === undefined ? {} : { att: manner }) }
  return kind === 'DurableEventIterator'
    ? journals.client(ledger, claims, { version })
    : connect(journals, ledger, claims, { version, id: `client-${clients++}` })
}

const add = (chn: string, ledger: Ledger = 'LEDGER'): Promise<number> => journals.stub(ledger, chn, 'add')
const greetings = (chn: string): Promise<number> => journals.stub('LEDGER', chn, 'greetings')

async function addMany(chn: string, count: number, ledger?: Ledger): Promise<void> {
  for (let n = 0; n < count; n++) await add(chn, ledger)
}

/** What a client holds that takes a snapshot for the state, and adds to it. A hole and a double are both to be seen. */
function state({ events }: Subscription): number[] | undefined {
  let items: number[] | undefined
  let parts: number[] = []
  for (const event of events) {
    if (event.type === 'snapshot') {
      parts = event.isFirst ? [...event.items] : [...parts, ...event.items]
      if (!event.isLast) continue
      items = parts
    } else if (event.type === 'added') {
      items?.push(event.n)
    }
  }
  return items
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n + 1)
const snapshots = ({ events }: Subscription): any[] => events.filter(({ type }) => type === 'snapshot')

/** Resolves when the client holds the item; it must be the end of exactly the state. */
async function reach(subscription: Subscription, item: number): Promise<void> {
  await subscription.until((now) => (state(now)?.at(-1) ?? 0) >= item)
  expect(state(subscription)).toEqual(upTo(item))
}

describe.each(['DurableEventIterator', 'DurableIterator'] as const)('with %s clients', (kind) => {
  test('a snapshot comes after what is replayed and before what comes next', async () => {
    const chn = `order-${kind}`
    await addMany(chn, 3, 'REPLAYING_LEDGER')
    const one = await client(kind, chn, { ledger: 'REPLAYING_LEDGER' })
    const subscription = await one.subscribe()
    await subscription.until((now) => snapshots(now).length === 1)
    await add(chn, 'REPLAYING_LEDGER')
    await reach(subscription, 4)
    expect(subscription.events.map(({ type }) => type)).toEqual(['added', 'added', 'added', 'snapshot', 'added'])
    expect(snapshots(subscription)).toEqual([{ type: 'snapshot', items: [1, 2, 3], lastEventId: null, gap: null, isFirst: true, isLast: true }])
    // It carries the position of what it includes.
    expect(subscription.received[3]!.id).toBe(subscription.received[2]!.id)
    one.close()
  })

  test('a client that begins with a snapshot gets it first, and nothing that is in it', async () => {
    const chn = `first-${kind}`
    await addMany(chn, 3)
    const one = await client(kind, chn)
    const subscription = await one.subscribe()
    await add(chn)
    await reach(subscription, 4)
    expect(subscription.events.map(({ type }) => type)).toEqual(['snapshot', 'added'])
    expect(await greetings(chn)).toBe(1)
    one.close()
  })

  const racing = CLIENT_VERSIONS.flatMap((version) => (['LEDGER', 'REPLAYING_LEDGER'] as const).map((ledger) => [version, ledger] as const))
  test.each(racing)('while others publish, snapshot and events are exactly the state: @orpc/client %s, %s', async (version, ledger) => {
    const chn = `racing-${kind}-${version}`
    const [PUBLISHERS, ITEMS, READERS] = [4, 120, 8]
    const publishers = Array.from({ length: PUBLISHERS }, () => addMany(chn, ITEMS / PUBLISHERS, ledger))
    const all: { client: Client; subscription: Subscription }[] = []
    for (let n = 0; n < READERS; n++) {
      const one = await client(kind, chn, { version, ledger, ...(n % 3 === 2 ? { manner: 'inParts' } : {}) })
      all.push({ client: one, subscription: await one.subscribe() })
      // Some lose their connection in the middle of it all, with their snapshot or without.
      if (n % 2 === 1) all[n - 1]!.client.cut()
      if (n % 4 === 3) one.cut()
    }
    await Promise.all(publishers)
    expect(await add(chn, ledger)).toBe(ITEMS + 1)
    for (const { subscription } of all) await reach(subscription, ITEMS + 1)
    for (const { client } of all) client.close()
  })

  test('who comes back gets what was missed and no second snapshot, also if the snapshot is all it ever got', async () => {
    const chn = `resumed-${kind}`
    await addMany(chn, 5)
    const one = await client(kind, chn)
    const subscription = await one.subscribe()
    await reach(subscription, 5)
    expect(subscription.events.map(({ type }) => type)).toEqual(['snapshot'])
    one.cut()
    await addMany(chn, 3)
    await reach(subscription, 8)
    await one.open()
    one.cut()
    await reach(subscription, 8)
    await add(chn)
    await reach(subscription, 9)
    expect(snapshots(subscription)).toHaveLength(1)
    one.close()
  })

  test('who comes back after a gap is told of it and gets the state anew', async () => {
    const chn = `gap-${kind}`
    await addMany(chn, 2)
    const one = await client(kind, chn)
    const subscription = await one.subscribe()
    await reach(subscription, 2)
    const lastEventId = subscription.received.at(-1)!.id!
    one.close()
    await addMany(chn, 150) // 64 are retained
    const back = await client(kind, chn)
    const resumed = await back.subscribe({ lastEventId })
    await resumed.count(1)
    expect(resumed.events[0]).toMatchObject({ lastEventId, gap: expect.stringMatching(/^\d+$/), items: upTo(152) })
    await add(chn)
    await reach(resumed, 153)
    back.close()
  })

  test('after its storage was deleted, a client that reconnects receives a gap and the state anew', async () => {
    const chn = `deleted-${kind}`
    await addMany(chn, 3)
    const one = await client(kind, chn)
    const subscription = await one.subscribe()
    await reach(subscription, 3)
    // It has every event, and still a state that is gone.
    const lastEventId = subscription.received.at(-1)!.id!
    one.close()
    await journals.stub('LEDGER', chn, 'wipe')
    const back = await client(kind, chn)
    const resumed = await back.subscribe({ lastEventId })
    await resumed.count(1)
    expect(resumed.events[0]).toMatchObject({ lastEventId, gap: expect.stringMatching(/^\d+$/), items: [] })
    await add(chn)
    await reach(resumed, 1)
    // The snapshot's position is one of the new history.
    back.cut()
    await add(chn)
    await reach(resumed, 2)
    expect(snapshots(resumed)).toHaveLength(1)
    back.close()
  })

  test('a snapshot in parts is one: only its last part carries the position', async () => {
    const chn = `parts-${kind}`
    await addMany(chn, 7)
    const one = await client(kind, chn, { manner: 'inParts' })
    const subscription = await one.subscribe()
    await reach(subscription, 7)
    expect(subscription.received.map(({ id }) => id !== undefined)).toEqual([false, false, false, false, true])
    one.close()
  })

  test('before the first event ever there is no position, and who comes back gets the snapshot again', async () => {
    const chn = `empty-${kind}`
    const one = await client(kind, chn)
    const subscription = await one.subscribe()
    await subscription.count(1)
    expect(subscription.received).toMatchObject([{ event: { items: [] }, id: undefined }])
    one.cut()
    await subscription.count(2)
    expect(snapshots(subscription)).toHaveLength(2)
    expect(snapshots(subscription)[1]).toMatchObject({ lastEventId: null, gap: null })
    await add(chn)
    await reach(subscription, 1)
    one.close()
  })

  test('after hibernation the state is read from storage, and who stayed is not greeted again', async () => {
    const chn = `asleep-${kind}`
    await addMany(chn, 3)
    const stayed = await client(kind, chn)
    const first = await stayed.subscribe()
    await reach(first, 3)
    await journals.hibernate('LEDGER', chn)
    const late = await client(kind, chn)
    const second = await late.subscribe()
    await reach(second, 3)
    await journals.hibernate('LEDGER', chn)
    await add(chn)
    await Promise.all([reach(first, 4), reach(second, 4)])
    expect([snapshots(first).length, snapshots(second).length]).toEqual([1, 1])
    expect(await greetings(chn)).toBe(2)
    stayed.close()
    late.close()
  })

  test('what is published from inside comes in the order of the calls, to everyone', async () => {
    const chn = `announced-${kind}`
    const witness = await client(kind, chn, { manner: 'never' })
    const seen = await witness.subscribe()
    await add(chn)
    const one = await client(kind, chn, { manner: 'announced' })
    const subscription = await one.subscribe()
    await subscription.count(3)
    expect(subscription.events.map(({ type, text }) => text ?? type)).toEqual(['before', 'snapshot', 'after'])
    const [before, snapshot, after] = subscription.received.map(({ id }) => Number(id))
    expect(snapshot).toBe(before)
    expect(after).toBeGreaterThan(before!)
    expect(await seen.count(3)).toMatchObject([{ type: 'added' }, { text: 'before' }, { text: 'after' }])
    one.close()
    witness.close()
  })

  test.each<[Manner, string]>([
    ['refusing', 'CONFLICT: Not ready.'],
    ['failing', 'INTERNAL_SERVER_ERROR'],
    ['failingLate', 'CONFLICT'],
  ])('a hook that fails (%s) is in the log, and has another go when the client subscribes anew', async (manner, line) => {
    const chn = `${manner}-${kind}`
    await addMany(chn, 3)
    await journals.stub('LEDGER', chn, 'failNext', 2)
    const neighbour = await client(kind, chn)
    const undisturbed = await neighbour.subscribe()
    await reach(undisturbed, 3)
    const logged = log.length
    const one = await client(kind, chn, { manner })
    const subscription = await one.subscribe()
    await reach(subscription, 3)
    while ((await greetings(chn)) < 4) await add(chn)
    const last = await add(chn)
    await reach(subscription, last)
    await reach(undisturbed, last)
    const failures = log.slice(logged).filter((text) => text.includes('on_subscribed failed') && text.includes(line))
    expect(failures).toHaveLength(2)
    one.close()
    neighbour.close()
  })

  test('a client whose retries are off learns why, and nothing that is nobody\'s business', async () => {
    const chn = `untold-${kind}`
    for (const [manner, error] of [
      ['refusing', { code: 'CONFLICT', message: 'Not ready.' }],
      ['failing', { code: 'INTERNAL_SERVER_ERROR', message: 'Internal server error' }],
    ] as const) {
      await journals.stub('LEDGER', chn, 'failNext', 1)
      const one = await client(kind, chn, { manner })
      const iterator = await one.raw.subscribe(undefined, { context: { retry: 0 } })
      await expect(iterator.next()).rejects.toMatchObject(error)
      // The socket goes on, and so does a new subscription.
      const subscription = await one.subscribe()
      await add(chn)
      await subscription.until((now) => state(now) !== undefined)
      one.close()
    }
  })

  test('a hook that closes its socket disturbs nobody', async () => {
    const chn = `closing-${kind}`
    const neighbour = await client(kind, chn)
    const undisturbed = await neighbour.subscribe()
    const one = await client(kind, chn, { manner: 'closing' })
    const closed = new Promise((resolve) => one.socket.addEventListener('close', ({ code }) => resolve(code), { once: true }))
    const subscribing = one.raw.subscribe()
    expect(await closed).toBe(4_000)
    one.close()
    await subscribing.then(undefined, () => undefined)
    await addMany(chn, 2)
    await reach(undisturbed, 2)
    neighbour.close()
  })
})

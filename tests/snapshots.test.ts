// Snapshots: the state that a Durable Object sends to clients when they subscribe, before later events.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { CLIENT_VERSIONS } from './support/client.ts'
import type { Client, ClientVersion, Subscription } from './support/client.ts'
import { connect } from './support/durable-iterator.ts'
import { isRust, startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'

const log: string[] = []
let journals: Journals
beforeAll(async () => {
  journals = await startJournals({ onLog: (line) => log.push(line) })
})
afterAll(() => journals.dispose())

/** The Durable Object whose clients start with a snapshot, and the one that also replays its events. */
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

/**
 * The state of a client that replaces it by a snapshot and adds later events. Missing and duplicate events are visible in it.
 */
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

/** Resolves when the client has the item. The items must be exactly the state up to it. */
async function reach(subscription: Subscription, item: number): Promise<void> {
  await subscription.until((now) => (state(now)?.at(-1) ?? 0) >= item)
  expect(state(subscription)).toEqual(upTo(item))
}

describe.each(['DurableEventIterator', 'DurableIterator'] as const)('with %s clients', (kind) => {
  test('a snapshot arrives after the replay and before later events', async () => {
    const chn = `order-${kind}`
    await addMany(chn, 3, 'REPLAYING_LEDGER')
    const one = await client(kind, chn, { ledger: 'REPLAYING_LEDGER' })
    const subscription = await one.subscribe()
    await subscription.until((now) => snapshots(now).length === 1)
    await add(chn, 'REPLAYING_LEDGER')
    await reach(subscription, 4)
    expect(subscription.events.map(({ type }) => type)).toEqual(['added', 'added', 'added', 'snapshot', 'added'])
    expect(snapshots(subscription)).toEqual([{ type: 'snapshot', items: [1, 2, 3], lastEventId: null, gap: null, isFirst: true, isLast: true }])
    // It has the cursor of its state.
    expect(subscription.received[3]!.id).toBe(subscription.received[2]!.id)
    one.close()
  })

  test('a client that starts with a snapshot receives it first, and no events that it includes', async () => {
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

  const ledgers = isRust ? (['LEDGER', 'REPLAYING_LEDGER'] as const) : (['LEDGER'] as const)
  const racing = CLIENT_VERSIONS.flatMap((version) => ledgers.map((ledger) => [version, ledger] as const))
  test.each(racing)('during concurrent publishes, snapshot and events equal the state: @orpc/client %s, %s', async (version, ledger) => {
    const chn = `racing-${kind}-${version}`
    const [PUBLISHERS, ITEMS, READERS] = [4, 120, 8]
    const publishers = Array.from({ length: PUBLISHERS }, () => addMany(chn, ITEMS / PUBLISHERS, ledger))
    const all: { client: Client; subscription: Subscription }[] = []
    for (let n = 0; n < READERS; n++) {
      const one = await client(kind, chn, { version, ledger, ...(n % 3 === 2 ? { manner: 'inParts' } : {}) })
      all.push({ client: one, subscription: await one.subscribe() })
      // Some clients lose their connection meanwhile, with or without their snapshot.
      if (n % 2 === 1) all[n - 1]!.client.cut()
      if (n % 4 === 3) one.cut()
    }
    await Promise.all(publishers)
    expect(await add(chn, ledger)).toBe(ITEMS + 1)
    for (const { subscription } of all) await reach(subscription, ITEMS + 1)
    for (const { client } of all) client.close()
  })

  test('a reconnecting client receives the missed events and no second snapshot, even if it has received only the snapshot', async () => {
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

  test('a client that reconnects after a gap receives a gap notification and a new snapshot', async () => {
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

  test('after the storage is deleted, a reconnecting client receives a gap notification and a new snapshot', async () => {
    const chn = `deleted-${kind}`
    await addMany(chn, 3)
    const one = await client(kind, chn)
    const subscription = await one.subscribe()
    await reach(subscription, 3)
    // It has received all events, but its state was deleted.
    const lastEventId = subscription.received.at(-1)!.id!
    one.close()
    await journals.stub('LEDGER', chn, 'wipe')
    const back = await client(kind, chn)
    const resumed = await back.subscribe({ lastEventId })
    await resumed.count(1)
    expect(resumed.events[0]).toMatchObject({ lastEventId, gap: expect.stringMatching(/^\d+$/), items: [] })
    await add(chn)
    await reach(resumed, 1)
    // The cursor of the snapshot belongs to the new history.
    back.cut()
    await add(chn)
    await reach(resumed, 2)
    expect(snapshots(resumed)).toHaveLength(1)
    back.close()
  })

  test('only the last part of a snapshot in parts has a cursor', async () => {
    const chn = `parts-${kind}`
    await addMany(chn, 7)
    const one = await client(kind, chn, { manner: 'inParts' })
    const subscription = await one.subscribe()
    await reach(subscription, 7)
    expect(subscription.received.map(({ id }) => id !== undefined)).toEqual([false, false, false, false, true])
    one.close()
  })

  test('before the first event there is no cursor, and a reconnecting client receives the snapshot again', async () => {
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

  test('after hibernation the state is read from storage, and connected clients receive no second snapshot', async () => {
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

  test('events published in the hook arrive in the order of the calls, at all clients', async () => {
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
  ])('a hook that fails (%s) is logged, and runs again when the client subscribes again', async (manner, line) => {
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

  test('a client without retries receives the error, and internal errors are not disclosed', async () => {
    const chn = `untold-${kind}`
    for (const [manner, error] of [
      ['refusing', { code: 'CONFLICT', message: 'Not ready.' }],
      ['failing', { code: 'INTERNAL_SERVER_ERROR', message: 'Internal server error' }],
    ] as const) {
      await journals.stub('LEDGER', chn, 'failNext', 1)
      const one = await client(kind, chn, { manner })
      const iterator = await one.raw.subscribe(undefined, { context: { retry: 0 } })
      await expect(iterator.next()).rejects.toMatchObject(error)
      // The socket stays open, and a new subscription works.
      const subscription = await one.subscribe()
      await add(chn)
      await subscription.until((now) => state(now) !== undefined)
      one.close()
    }
  })

  test('a hook that closes its socket does not affect others', async () => {
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

// Counts the rows that Cloudflare bills for an event, with the counters of the Workers runtime.

import { setTimeout as wait } from 'node:timers/promises'

import { SIGNING_KEY } from '../tests/support/client.ts'
import { startWorkers } from '../tests/support/workerd.ts'
import { Variant } from './variants.ts'

export interface BilledRows {
  /** Rows written per event over its whole life, including its deletion. */
  written: number
  /** Rows read per event over its whole life, including its deletion. */
  read: number
  /** Rows read by the publish alone. */
  readPerPublish: number
  /** Rows per table of events, independent of the number of its events. `written` does not include them; `read` does. */
  perSegment?: { written: number; read: number }
}

/** In seconds: short, so that events are deleted during the measurement. */
const RETENTION = 2

/** The number of batches, and of events per batch. */
const BATCHES = 40
const BATCH = 50
/** The pause between two batches, in milliseconds. The batches take several times the retention. */
const PAUSE = 200

/** A Worker that counts the rows of all statements of a Durable Object by their kind. A GET request returns the sums. */
const COUNTING = `
import * as worker from './index.js'
export { default } from './index.js'
export const Room = new Proxy(worker.Room, {
  construct(target, [ctx, env], newTarget) {
    const { sql } = ctx.storage
    const cursors = []
    const counted = { exec(text, ...params) {
      const cursor = sql.exec(text, ...params)
      cursors.push([text.split(' ', 1)[0], cursor])
      return cursor
    } }
    const through = (target, changes) => new Proxy(target, { get(target, key) {
      if (key in changes) return changes[key]
      const value = target[key]
      return typeof value === 'function' ? value.bind(target) : value
    } })
    const storage = through(ctx.storage, { sql: counted })
    const object = Reflect.construct(target, [through(ctx, { storage }), env], newTarget)
    return new Proxy(object, { get(object, key) {
      const value = Reflect.get(object, key)
      if (key !== 'fetch') return typeof value === 'function' ? value.bind(object) : value
      return () => {
        const sums = {}
        for (const [kind, { rowsRead, rowsWritten }] of cursors.splice(0)) {
          const sum = sums[kind] ??= { count: 0, read: 0, written: 0 }
          sum.count++
          sum.read += rowsRead
          sum.written += rowsWritten
        }
        return Response.json(sums)
      }
    } })
  },
})`

const PUBLISHER = `export default { async fetch(request, env) {
  const stub = env.ROOM.getByName('counted')
  const count = Number(new URL(request.url).searchParams.get('count'))
  if (count === 0) return stub.fetch('https://object/')
  for (let n = 0; n < count; n++) await stub.publish({ message: 'x'.repeat(86) })
  return new Response()
} }`

export async function countRows(): Promise<Record<'ours' | 'peer' | 'partyserver', BilledRows>> {
  // In parallel, since nothing is timed.
  const [ours, peer, partyserver] = await Promise.all([rowsOfOurs(), rowsOfPeer('peer'), rowsOfPeer('partyserver')])
  return { ours, peer, partyserver }
}

async function rowsOfOurs(): Promise<BilledRows> {
  const workers = await startWorkers({
    workers: [
      {
        name: 'room',
        crate: 'bench/worker',
        front: COUNTING,
        variables: { SIGNING_KEY, RETENTION_SECONDS: String(RETENTION) },
        durableObjects: { ROOM: { className: 'Room' } },
      },
      { name: 'publisher', source: PUBLISHER, durableObjects: { ROOM: { className: 'Room', scriptName: 'room' } } },
    ],
  })
  const publisher = await workers.urlOf('publisher')
  const publish = (count: number): Promise<Response> => workers.fetch(`${publisher.href}?count=${count}`)
  for (let n = 0; n < BATCHES; n++) {
    await publish(BATCH)
    await wait(PAUSE)
  }
  // The publish after the retention deletes the last tables.
  await wait(RETENTION * 1_000)
  await publish(1)
  const sums = (await (await publish(0)).json()) as Record<string, { count: number; read: number; written: number }>
  await workers.dispose()
  const { INSERT, CREATE, DROP } = sums
  const events = BATCHES * BATCH + 1
  const all = Object.values(sums)
  const created = CREATE ?? { count: 0, read: 0, written: 0 }
  if (INSERT?.count !== events || DROP === undefined) throw new Error('not all events were stored, or none was deleted')
  const read = all.reduce((sum, { read }) => sum + read, 0)
  return {
    written: (all.reduce((sum, { written }) => sum + written, 0) - created.written) / events,
    read: read / events,
    readPerPublish: INSERT.read / events,
    perSegment: { written: created.written / created.count, read: (read - INSERT.read) / created.count },
  }
}

async function rowsOfPeer(name: 'peer' | 'partyserver'): Promise<BilledRows> {
  const variant = await Variant.start(name, { retention: RETENTION })
  const room = 'counted'
  // Creates the tables, which are not counted.
  await variant.publish([room], 1, 100)
  const before = await variant.rows(room)
  for (let n = 0; n < BATCHES; n++) {
    await variant.publish([room], BATCH, 100)
    await wait(PAUSE)
  }
  await wait(RETENTION * 1_000 + 1_000) // times in whole seconds
  await variant.publish([room], 1, 100)
  const after = await variant.rows(room)
  await variant.stop()
  const events = BATCHES * BATCH + 1
  const read = (after.read - before.read) / events
  return { written: (after.written - before.written) / events, read, readPerPublish: read }
}

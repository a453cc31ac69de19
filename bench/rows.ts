// The rows of the benchmark: how each row prepares a variant, and the work of one measurement.

import { setTimeout as wait } from 'node:timers/promises'

import { LoadSocket } from './client.ts'
import { sample, sampleOfMany } from './measure.ts'
import type { Measured, Sample } from './measure.ts'
import type { Variant, VariantName } from './variants.ts'

/** A row with a prepared variant. */
export interface Ready {
  measure(): Promise<Sample>
  end(): void
}

export interface Row {
  title: string
  /** The unit of the results. */
  unit: string
  /** The variants that are measured in addition to the default ones. */
  also?: VariantName[]
  /** Waits before each round, once for all variants. */
  rest?: () => Promise<void>
  prepare(variant: Variant): Promise<Ready>
}

async function subscribed(variant: Variant, room: string, after?: string): Promise<LoadSocket> {
  const socket = await LoadSocket.open(await variant.url(room))
  socket.send(variant.dialect.subscribe(after))
  await socket.received(1)
  socket.forget()
  return socket
}

/** The number of connections that open at once: the fastest rate of one process without a queue in the runtime. */
const OPEN_AT_ONCE = 20

async function inParts<T>(count: number, make: (n: number) => Promise<T>): Promise<T[]> {
  const made: T[] = []
  while (made.length < count) {
    const part = Array.from({ length: Math.min(OPEN_AT_ONCE, count - made.length) }, (_, n) => make(made.length + n))
    made.push(...(await Promise.all(part)))
  }
  return made
}

/** The number of deliveries in one measurement of fan-out, which take some hundred milliseconds. */
const DELIVERIES = 10_000

const fanOut = (sockets: number, bytes: number): Row => ({
  title: `fan-out to ${sockets.toLocaleString('en')} sockets, ${bytes.toLocaleString('en')} B`,
  unit: 'delivery',
  // The baseline does not store events.
  also: ['baselineSql'],
  prepare: async (variant) => {
    const room = `fan-out-${sockets}-${bytes}`
    const open = await inParts(sockets, () => subscribed(variant, room))
    const publishes = DELIVERIES / sockets
    const measure = (): Promise<Sample> =>
      sampleOfMany(variant.pid, DELIVERIES, async () => {
        const all = Promise.all(open.map((socket) => socket.received(publishes)))
        await variant.publish([room], publishes, bytes)
        await all
        for (const socket of open) socket.forget()
      })
    return { measure, end: () => open.forEach((socket) => socket.close()) }
  },
})

const publishByStub: Row = {
  title: 'publish by stub, no listeners, 100 B',
  unit: 'publish',
  // The baseline does not store events, and the insert is most of the cost.
  also: ['baselineSql', 'sameLog'],
  prepare: async (variant) => {
    const count = 1_000
    return { measure: () => sample(variant.pid, count, () => variant.publish(['by-stub'], count, 100)), end: () => {} }
  },
}

const EVENT = { message: 'x'.repeat(86) }

/** The response to a ping, and to a publish, which is the event id. */
const ANSWER = /"pong"|"\d+"\}/

const calls = (title: string, unit: string, inFlight: number, frame: (variant: Variant, n: number) => string): Row => ({
  title,
  unit,
  prepare: async (variant) => {
    const socket = await LoadSocket.open(await variant.url(`calls-${unit}-${inFlight}`))
    // An error response would be fast, so the response is checked.
    socket.send(frame(variant, 0))
    await socket.received(1)
    if (!ANSWER.test(socket.first)) throw new Error(`${variant.name} responds with ${socket.first}`)
    socket.forget()
    const count = 3_000
    const measured = inFlight === 1 ? sample : sampleOfMany
    const measure = (): Promise<Sample> =>
      measured(variant.pid, count, () => socket.calls(count, inFlight, (n) => frame(variant, n)))
    return { measure, end: () => socket.close() }
  },
})

const resume = (events: number): Row => ({
  title: `resume of ${events.toLocaleString('en')} events, 100 B`,
  unit: 'event',
  also: ['baselineSql'],
  prepare: async (variant) => {
    const room = 'resume'
    const first = await subscribed(variant, room)
    await variant.publish([room], 1, 100)
    await first.received(1)
    const position = variant.dialect.positionBefore(events, variant.dialect.idOf(first.first))
    first.close()
    await variant.publish([room], events, 100)
    const measure = async (): Promise<Sample> => {
      const socket = await LoadSocket.open(await variant.url(room))
      const measured = await sampleOfMany(variant.pid, events, async () => {
        socket.send(variant.dialect.subscribe(position))
        await socket.received(1 + events)
      })
      socket.close()
      return measured
    }
    return { measure, end: () => {} }
  },
})

const upgrade = (title: string, isSubscribing: boolean): Row => ({
  title,
  unit: 'connection',
  also: ['inspect', 'converted', 'npmUpgrade', 'orpcUpgrade'],
  prepare: async (variant) => {
    const count = 200
    const url = await variant.url('upgrade')
    const measure = (): Promise<Sample> =>
      sample(variant.pid, count, async () => {
        for (let n = 0; n < count; n++) {
          const socket = await LoadSocket.open(url)
          if (isSubscribing) {
            socket.send(variant.dialect.subscribe())
            await socket.received(1)
          }
          socket.close()
        }
      })
    return { measure, end: () => {} }
  },
})

/** The time of silence after which a Durable Object hibernates, in milliseconds: without metrics 12 s, with metrics 14 s. */
const HIBERNATED_AFTER = 15_000

/** The number of Durable Objects that wake in one measurement. */
const SLEEPERS = 40

const wake: Row = {
  title: 'wake after hibernation, to the first delivered event',
  unit: 'waking',
  // The Durable Object of the baseline has no database.
  also: ['baselineSql', 'sameLog'],
  rest: () => wait(HIBERNATED_AFTER),
  prepare: async (variant) => {
    const rooms = Array.from({ length: SLEEPERS }, (_, n) => `sleeper-${n}`)
    const sockets = await inParts(SLEEPERS, (n) => subscribed(variant, rooms[n]!))
    // Stores an event, so that there is a log to read after hibernation.
    await variant.publish(rooms, 1, 100)
    await Promise.all(sockets.map((socket) => socket.received(1)))
    for (const socket of sockets) socket.forget()
    const measure = (): Promise<Sample> =>
      sample(variant.pid, SLEEPERS, async () => {
        const all = Promise.all(sockets.map((socket) => socket.received(1)))
        await variant.publish(rooms, 1, 100)
        await all
        for (const socket of sockets) socket.forget()
      })
    return { measure, end: () => sockets.forEach((socket) => socket.close()) }
  },
}

export const ROWS = {
  fanout_200_100: fanOut(200, 100),
  fanout_200_4096: fanOut(200, 4_096),
  fanout_1000_100: fanOut(1_000, 100),
  fanout_1000_4096: fanOut(1_000, 4_096),
  publish_stub: publishByStub,
  publish_socket: calls('publish by a call over the socket, no listeners, 100 B', 'publish', 1, ({ dialect }, n) =>
    dialect.publish(n, EVENT),
  ),
  resume_5000: resume(5_000),
  ping_1: calls('ping, one in flight', 'call', 1, ({ dialect }, n) => dialect.ping(n)),
  ping_32: calls('ping, 32 in flight', 'call', 32, ({ dialect }, n) => dialect.ping(n)),
  upgrade: upgrade('upgrade and subscribe', true),
  upgrade_only: upgrade('upgrade, without a subscription', false),
  wake,
} satisfies Record<string, Row>

export type RowName = keyof typeof ROWS

export type Results = Partial<Record<RowName, Partial<Record<VariantName, Measured>>>>

// `npm run bench -- http [--rounds 7] [--only sse,sse_burst,poll,page]`: the cost of reading over HTTP, beside a WebSocket and beside a Durable
// Object in plain JavaScript that does the same by hand.

import { parseArgs } from 'node:util'

import { token } from '../../tests/support/client.ts'
import { LoadSocket } from '../client.ts'
import { quantile, sampleOfMany, spread } from '../measure.ts'
import type { Sample } from '../measure.ts'
import { Variant } from '../variants.ts'
import type { VariantName } from '../variants.ts'
import { Connection } from './load.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)

/** A prepared measurement. */
interface Ready {
  measure(): Promise<Sample>
  end(): void
}

interface Row {
  title: string
  unit: string
  /** The measured ways to read. The ratios are to the last one. */
  ways: Record<string, { variant: VariantName; prepare(variant: Variant): Promise<Ready> }>
}

/** The number of readers, and of the events that one measurement sends to each of them. */
const READERS = 200
const EVENTS = 50

/**
 * Publishes the events of one measurement: in one burst, in which a stream may write several events at once, or each one when its
 * predecessor has arrived everywhere.
 */
async function publishAll(variant: Variant, room: string, isBurst: boolean, received: (count: number) => Promise<unknown>): Promise<void> {
  for (let sent = 0; sent < EVENTS; ) {
    const count = isBurst ? EVENTS : 1
    sent += count
    const arrived = received(sent)
    await variant.publish([room], count, BYTES)
    await arrived
  }
}

const BYTES = 100

async function address(variant: Variant, room: string): Promise<{ origin: URL; path: string }> {
  const origin = new URL(variant.address(room).href.replace('ws:', 'http:'))
  return { origin, path: `/channels/${room}/events?token=${await token({ chn: room })}` }
}

const all = <T>(count: number, make: () => Promise<T>): Promise<T[]> => Promise.all(Array.from({ length: count }, make))

const webSockets = (isBurst: boolean) => ({
  variant: 'ours' as const,
  prepare: async (variant: Variant): Promise<Ready> => {
    const url = await variant.url('sockets')
    const open = await all(READERS, async () => {
      const socket = await LoadSocket.open(url)
      socket.send(variant.dialect.subscribe())
      await socket.received(1)
      socket.forget()
      return socket
    })
    const measure = (): Promise<Sample> =>
      sampleOfMany(variant.pid, READERS * EVENTS, async () => {
        await publishAll(variant, 'sockets', isBurst, (count) => Promise.all(open.map((socket) => socket.received(count))))
        for (const socket of open) socket.forget()
      })
    return { measure, end: () => open.forEach((socket) => socket.close()) }
  },
})

const streams = (variant: VariantName, isBurst: boolean) => ({
  variant,
  prepare: async (variant: Variant): Promise<Ready> => {
    const { origin, path } = await address(variant, 'streams')
    const open = await all(READERS, async () => {
      const connection = await Connection.open(origin)
      connection.get(path, { accept: 'text/event-stream' }, ': \n\n')
      await connection.received(1)
      return connection
    })
    const measure = (): Promise<Sample> =>
      sampleOfMany(variant.pid, READERS * EVENTS, async () => {
        await publishAll(variant, 'streams', isBurst, (count) => Promise.all(open.map((connection) => connection.received(count))))
        for (const connection of open) connection.forget()
      })
    // Counts events from now on, not comments.
    for (const connection of open) connection.count('event: message\n')
    return { measure, end: () => open.forEach((connection) => connection.close()) }
  },
})

/** The number of publishes in one measurement of long polling: each reader polls again after each one. */
const POLLS = 10

const polls = (variant: VariantName) => ({
  variant,
  prepare: async (variant: Variant): Promise<Ready> => {
    const { origin, path } = await address(variant, 'polls')
    await variant.publish(['polls'], 1, BYTES)
    let cursor = '0'
    const page = async (connection: Connection, query: string): Promise<void> => {
      connection.get(`${path}${query}`, {}, '"next":"', true)
      await connection.received(1)
    }
    const measure = async (): Promise<Sample> => {
      // The runtime closes connections without requests after some seconds.
      const open = await all(READERS, () => Connection.open(origin))
      const sample = await sampleOfMany(variant.pid, READERS * POLLS, async () => {
        for (let n = 0; n < POLLS; n++) {
          const arrived = Promise.all(open.map((connection) => page(connection, `&wait=30&after=${cursor}`)))
          // All of them wait: the Durable Object has their requests before a request that is sent later.
          await waiting(origin, path, cursor)
          await variant.publish(['polls'], 1, BYTES)
          await arrived
          cursor = nextOf(open[0]!)
        }
      })
      for (const connection of open) connection.close()
      return sample
    }
    const first = await Connection.open(origin)
    await page(first, '&limit=1000')
    cursor = nextOf(first)
    first.close()
    return { measure, end: () => {} }
  },
})

/** Resolves when earlier requests have reached the Durable Object: not visible from outside, so it waits a while after a later one. */
async function waiting(origin: URL, path: string, cursor: string): Promise<void> {
  await (await fetch(new URL(`${path}&after=${cursor}`, origin))).text()
  await new Promise((resolve) => setTimeout(resolve, 100))
}

const nextOf = (connection: Connection): string => /"next":"(\d+)"/.exec(connection.text)?.[1] ?? ''

/** The number of events of a page, and of the pages that one measurement reads. */
const PAGE = 1_000
const PAGES = 30

const pages = (variant: VariantName) => ({
  variant,
  prepare: async (variant: Variant): Promise<Ready> => {
    const { origin, path } = await address(variant, 'pages')
    await variant.publish(['pages'], PAGE, BYTES)
    const measure = async (): Promise<Sample> => {
      const connection = await Connection.open(origin)
      const sample = await sampleOfMany(variant.pid, PAGES * PAGE, async () => {
        for (let n = 0; n < PAGES; n++) {
          connection.get(`${path}&limit=${PAGE}`, {}, '{"id":"')
          await connection.received(PAGE)
        }
      })
      connection.close()
      return sample
    }
    return { measure, end: () => {} }
  },
})

const sse = (isBurst: boolean): Row['ways'] => ({
  WebSocket: webSockets(isBurst),
  'server-sent events': streams('ours', isBurst),
  'server-sent events by hand': streams('httpByHand', isBurst),
})

const ROWS: Record<string, Row> = {
  sse: {
    title: `events one by one to ${READERS} readers, ${BYTES} B`,
    unit: 'delivery',
    ways: sse(false),
  },
  sse_burst: {
    title: `${EVENTS} events in a row to ${READERS} readers, ${BYTES} B`,
    unit: 'delivery',
    ways: sse(true),
  },
  poll: {
    title: `an event to ${READERS} readers that poll, ${BYTES} B`,
    unit: 'delivery',
    ways: { 'long polling': polls('ours'), 'long polling by hand': polls('httpByHand') },
  },
  page: {
    title: `a page of ${PAGE.toLocaleString('en')} events, ${BYTES} B`,
    unit: 'event',
    ways: { page: pages('ours'), 'SELECT in JavaScript': pages('httpByHand') },
  },
}

const digits = (number: number): string => number.toFixed(number < 10 ? 2 : 1)

for (const name of values.only?.split(',') ?? Object.keys(ROWS)) {
  const row = ROWS[name]
  if (row === undefined) throw new Error(`unknown row ${name}, expected ${Object.keys(ROWS).join(', ')}`)
  const running: Variant[] = []
  const ready: { way: string; measure: Ready['measure']; end: Ready['end'] }[] = []
  for (const [way, { variant, prepare }] of Object.entries(row.ways)) {
    const started = await Variant.start(variant)
    running.push(started)
    ready.push({ way, ...(await prepare(started)) })
  }
  const samples = new Map<string, Sample[]>(ready.map(({ way }) => [way, []]))
  for (let round = 0; round <= rounds; round++) {
    for (let n = 0; n < ready.length; n++) {
      const { way, measure } = ready[(n + round) % ready.length]!
      const sample = await measure()
      if (round > 0) samples.get(way)!.push(sample)
    }
  }
  console.log(`\n${name}: ${row.title}`)
  const base = samples.get(ready.at(-1)!.way)!
  for (const [way, of] of samples) {
    const cpu = spread(of.map(({ cpu }) => cpu))
    const ratio = spread(of.map(({ cpu }, round) => cpu / base[round]!.cpu))
    const rate = quantile(of.map(({ rate }) => rate), 0.5)
    console.log(
      `  ${way.padEnd(28)} ${digits(ratio.median)} (${digits(ratio.min)}–${digits(ratio.max)})  ${digits(cpu.median)} µs of CPU per ${row.unit}, ${Math.round(rate).toLocaleString('en')}/s`,
    )
  }
  for (const { end } of ready) end()
  await Promise.all(running.map((variant) => variant.stop()))
}
process.exit(0)

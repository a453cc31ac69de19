// Readers that stop reading: the memory of the runtime, and the latency of a neighbour that reads.

import { setTimeout as wait } from 'node:timers/promises'

import WebSocket from 'ws'

import { ACKNOWLEDGED, FLOW_HEADER } from '../../tests/support/flow.ts'
import { LoadSocket } from '../client.ts'
import { quantile, residentMemoryOf } from '../measure.ts'
import { Variant } from '../variants.ts'

/** The protocol of the readers: that of our client, or that of oRPC's clients. */
export type Protocol = 'ours' | 'stock'

/** The size of an event, in bytes. */
const EVENT_BYTES = 4_096

/** The number of events that readers read before they stop: one acknowledgement. */
const READ_BEFORE = 16

/** What is published before a measurement, in bytes: the heap of the runtime no longer grows afterwards. */
const WARM_UP = 200_000_000

export const MEGABYTE = 1_000_000

/** What one run was asked for and has measured. Memory is in bytes. */
export interface Growth {
  readers: number
  /** The published or retained data, in bytes. */
  data: number
  /** The growth of the resident memory of the runtime: at its highest, and after a second without work. */
  growth: number
  held: number
}

const subscribe = (protocol: Protocol, after?: string): string => {
  const headers = { ...(protocol === 'ours' ? { [FLOW_HEADER]: '1' } : {}), ...(after === undefined ? {} : { 'last-event-id': after }) }
  return JSON.stringify({ i: '0', p: { u: '/subscribe', b: {}, h: headers } })
}

/** Opens a reader, which reads the response to its subscription if that is awaited. */
async function open(variant: Variant, room: string, protocol: Protocol, after?: string): Promise<LoadSocket> {
  const reader = await LoadSocket.open(await variant.url(room))
  if (after !== undefined) reader.stopReading()
  reader.send(subscribe(protocol, after))
  if (after === undefined) await reader.received(1)
  return reader
}

async function openMany(count: number, make: () => Promise<LoadSocket>): Promise<LoadSocket[]> {
  const readers: LoadSocket[] = []
  while (readers.length < count) readers.push(...(await Promise.all(Array.from({ length: Math.min(20, count - readers.length) }, make))))
  return readers
}

/** Records the memory of a process until it is stopped. */
function watch(pid: number): { stop(): Pick<Growth, 'growth' | 'held'> } {
  const start = residentMemoryOf(pid)
  let highest = start
  const timer = setInterval(() => (highest = Math.max(highest, residentMemoryOf(pid))), 50)
  return {
    stop: () => {
      clearInterval(timer)
      const end = residentMemoryOf(pid)
      return { growth: Math.max(highest, end) - start, held: end - start }
    },
  }
}

/** A client that reads and acknowledges, and publishes the events itself. */
class Neighbour {
  readonly #socket: WebSocket
  #unacknowledged = 0
  #calls = 0
  #onEvent: (() => void) | undefined

  constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (data) => {
      const text = `${data}`
      if (!text.startsWith('{"i":"0","t":3')) return
      if (text.includes('"e":"parked"')) throw new Error('the neighbour was parked')
      this.#unacknowledged += text.length
      if (this.#unacknowledged >= ACKNOWLEDGED) {
        socket.send(`{"i":"0","t":5,"p":${this.#unacknowledged}}`)
        this.#unacknowledged = 0
      }
      this.#onEvent?.()
    })
  }

  static async open(variant: Variant, room: string): Promise<Neighbour> {
    const socket = new WebSocket(await variant.url(room))
    await new Promise<void>((resolve, reject) => socket.once('open', () => resolve()).once('error', reject))
    const neighbour = new Neighbour(socket)
    socket.send(subscribe('ours'))
    await new Promise<void>((resolve) => socket.once('message', () => resolve()))
    return neighbour
  }

  /** Publishes events one after the other. Returns the time from each publish to the arrival of its event, in milliseconds. */
  async publish(count: number): Promise<number[]> {
    const event = { message: 'x'.repeat(EVENT_BYTES - '{"message":""}'.length) }
    const body = JSON.stringify({ u: '/call', b: { json: { path: ['publish'], input: event } } })
    const latencies: number[] = []
    for (let n = 0; n < count; n++) {
      const sentAt = performance.now()
      const arrived = new Promise<void>((resolve) => (this.#onEvent = resolve))
      this.#socket.send(`{"i":"c${this.#calls++}","p":${body}}`)
      await arrived
      latencies.push(performance.now() - sentAt)
    }
    return latencies
  }

  close(): void {
    this.#socket.terminate()
  }
}

export interface LiveRun extends Growth {
  /** The 99th percentile of the neighbour's latency, in milliseconds. */
  p99: number
  /** The same publishes before there were readers. */
  undisturbed: Pick<Growth, 'growth' | 'held'> & { p99: number }
}

/** Publishes to a neighbour that reads, beside readers that do not. */
export async function live(protocol: Protocol, readers: number, data: number): Promise<LiveRun> {
  const variant = await Variant.start('ours')
  const room = 'live'
  const neighbour = await Neighbour.open(variant, room)
  const publish = async (): Promise<LiveRun['undisturbed']> => {
    const memory = watch(variant.pid)
    const latencies = await neighbour.publish(Math.ceil(data / EVENT_BYTES))
    await wait(1_000)
    return { ...memory.stop(), p99: quantile(latencies, 0.99) }
  }
  await neighbour.publish(WARM_UP / EVENT_BYTES)
  const undisturbed = await publish()
  // A reader without a cursor receives the events from 2 s before its token, which is issued in whole seconds.
  await wait(4_000)
  const sockets = await openMany(readers, () => open(variant, room, protocol))
  // The readers read at first, and acknowledge all of it.
  for (const socket of sockets) socket.forget()
  await neighbour.publish(READ_BEFORE)
  await Promise.all(sockets.map((socket) => socket.received(READ_BEFORE)))
  for (const socket of sockets) {
    if (protocol === 'ours') socket.send(`{"i":"0","t":5,"p":${READ_BEFORE * (EVENT_BYTES + 70)}}`)
    socket.stopReading()
  }
  await wait(2_000)
  const disturbed = await publish()
  neighbour.close()
  for (const socket of sockets) socket.close()
  await variant.stop()
  return { readers, data, ...disturbed, undisturbed }
}

/** Starts replays to readers that read nothing. */
export async function replay(protocol: Protocol, readers: number, data: number): Promise<Growth> {
  const variant = await Variant.start('ours')
  const room = 'replay'
  const first = await LoadSocket.open(await variant.url(room))
  first.send(subscribe('stock'))
  await first.received(1)
  first.forget()
  await variant.publish([room], 1, 100)
  await first.received(1)
  const after = /"id":"(\d+)"/.exec(first.first)![1]!
  first.close()
  await variant.publish([room], Math.floor(data / 100_000), 100_000)
  // A reader that reads loads what a replay needs.
  const reading = await LoadSocket.open(await variant.url(room))
  reading.send(subscribe('stock', after))
  await reading.received(10)
  reading.close()
  await wait(1_000)
  const memory = watch(variant.pid)
  const sockets = await openMany(readers, () => open(variant, room, protocol, after))
  await wait(4_000)
  const growth = memory.stop()
  for (const socket of sockets) socket.close()
  await variant.stop()
  return { readers, data, ...growth }
}

// Measurements other than CPU time: billed rows, memory, size, start-up time.

import { readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { setTimeout as wait } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'

import { LoadSocket } from './client.ts'
import { quantile, residentMemoryOf } from './measure.ts'
import { countRows } from './billed-rows.ts'
import type { BilledRows } from './billed-rows.ts'
import { Variant } from './variants.ts'
import type { VariantName } from './variants.ts'

export interface Extras {
  rows: { ours: BilledRows; peer: BilledRows; partyserver: BilledRows }
  /** The size of the generic Worker in bytes. */
  size: { raw: number; gzip: number }
  /** The memory of the runtime per idle, subscribed socket, in bytes. */
  memory: Record<'ours' | 'peer' | 'partyserver' | 'baseline', number>
  /** The time from the start of the runtime to the first open socket, in milliseconds. */
  startUp: Record<'ours' | 'peer' | 'partyserver' | 'baseline', number>
}

const COMPARED = ['ours', 'peer', 'partyserver', 'baseline'] as const

/** Runs these measurements. With `isQuick`, with fewer sockets and starts. */
export async function extras(say: (line: string) => void, isQuick: boolean): Promise<Extras> {
  const [sockets, starts] = isQuick ? [1_000, 1] : [IDLE_SOCKETS, STARTS]
  const memory = { ours: 0, peer: 0, partyserver: 0, baseline: 0 }
  const startUp = { ours: 0, peer: 0, partyserver: 0, baseline: 0 }
  // The variants start one after the other, so that each one finds its own process, and then run in parallel.
  const variants: Variant[] = []
  for (const name of COMPARED) variants.push(await Variant.start(name))
  const [rows] = await Promise.all([
    countRows(),
    ...variants.map(async (variant, n) => (memory[COMPARED[n]!] = await memoryOfSocket(variant, sockets))),
  ])
  say(`\nrows billed per event over its whole life, including its deletion; rows read by a publish`)
  for (const [name, { written, read, readPerPublish, perSegment }] of Object.entries(rows)) {
    const segments = perSegment ? `; in addition ${perSegment.written} written and ${perSegment.read.toFixed(1)} read per segment` : ''
    say(`  ${name.padEnd(12)} ${written.toFixed(2)} written, ${read.toFixed(2)} read; ${readPerPublish.toFixed(2)} read by a publish${segments}`)
  }
  const size = sizeOfWorker()
  say(`\nthe generic Worker: ${size.raw.toLocaleString('en')} bytes, ${size.gzip.toLocaleString('en')} with gzip`)
  for (const name of COMPARED) {
    startUp[name] = await startUpOf(name, starts)
    say(`  ${name.padEnd(12)} ${Math.round(memory[name]).toLocaleString('en')} bytes per idle socket, ${Math.round(startUp[name])} ms to start`)
  }
  return { rows, size, memory, startUp }
}

/** Returns the size of the uploaded modules, which `npm run build` creates. */
function sizeOfWorker(): Extras['size'] {
  const folder = new URL('../build/', import.meta.url)
  const modules = readdirSync(folder).filter((file) => /\.(js|wasm)$/.test(file))
  const contents = modules.map((file) => readFileSync(fileURLToPath(new URL(file, folder))))
  return {
    raw: contents.reduce((sum, content) => sum + content.length, 0),
    gzip: contents.reduce((sum, content) => sum + gzipSync(content, { level: 9 }).length, 0),
  }
}

/** The number of sockets: enough that the stepwise growth of the runtime's memory is negligible. */
const IDLE_SOCKETS = 3_000

async function memoryOfSocket(variant: Variant, sockets: number): Promise<number> {
  const open: LoadSocket[] = []
  const subscribe = async (): Promise<void> => {
    const socket = await LoadSocket.open(await variant.url('idle'))
    socket.send(variant.dialect.subscribe())
    await socket.received(1)
    open.push(socket)
  }
  // Loads the code and the room before the measurement.
  for (let n = 0; n < 50; n++) await subscribe()
  const before = residentMemoryOf(variant.pid)
  for (let n = 0; n < sockets / 50; n++) await Promise.all(Array.from({ length: 50 }, subscribe))
  const bytes = (residentMemoryOf(variant.pid) - before) / sockets
  for (const socket of open) socket.close()
  await variant.stop()
  return bytes
}

/** The number of starts. The result is their median. */
const STARTS = 3

async function startUpOf(name: VariantName, starts: number): Promise<number> {
  const times: number[] = []
  for (let n = 0; n < starts; n++) {
    const startedAt = performance.now()
    const variant = await Variant.start(name)
    const socket = await LoadSocket.open(await variant.url('start'))
    times.push(performance.now() - startedAt)
    socket.close()
    await variant.stop()
    await wait(50)
  }
  return quantile(times, 0.5)
}

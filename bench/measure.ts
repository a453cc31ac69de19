// Measures the cost of a piece of work, and summarizes many measurements.

import { readFileSync, readdirSync } from 'node:fs'

/** Returns the CPU time of all threads of a process, in microseconds. */
export function cpuOf(pid: number): number {
  let nanoseconds = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    // A thread may end meanwhile.
    try {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ', 1)[0])
    } catch {}
  }
  return nanoseconds / 1_000
}

/** Returns the resident memory of a process, in bytes. */
export function residentMemoryOf(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes) * 1024
}

/** One measurement per unit of work: a delivery, a call, a publish. */
export interface Sample {
  /** The CPU time of the runtime's process per unit, in microseconds. */
  cpu: number
  /** Units per second. */
  rate: number
  /** The latency of each unit in milliseconds, if it was measured. */
  latencies?: number[]
}

/**
 * Keeps this process awake. Returns a function that stops it.
 *
 * A sender pays about ten microseconds to wake a sleeping receiver. With many messages at once, a fast variant would never find
 * this process asleep, and a slow one always. If the load waits for each message, all variants pay the same.
 */
function stayAwake(): () => void {
  let turn = setImmediate(function again() {
    turn = setImmediate(again)
  })
  return () => clearImmediate(turn)
}

/** Measures work in which the load waits for each message. */
export async function sample(pid: number, units: number, work: () => Promise<number[] | void>): Promise<Sample> {
  const [cpu, startedAt] = [cpuOf(pid), performance.now()]
  const latencies = await work()
  const seconds = (performance.now() - startedAt) / 1_000
  return { cpu: (cpuOf(pid) - cpu) / units, rate: units / seconds, ...(latencies ? { latencies } : {}) }
}

/** Measures work in which many messages arrive at once. */
export async function sampleOfMany(pid: number, units: number, work: () => Promise<number[] | void>): Promise<Sample> {
  const sleep = stayAwake()
  return sample(pid, units, work).finally(sleep)
}

export interface Spread {
  median: number
  min: number
  max: number
}

/** The results of one variant in a row. */
export interface Measured {
  cpu: Spread
  /** The CPU time as a multiple of the baseline's in the same round. */
  ratio: Spread
  rate: number
  /** In milliseconds. */
  latency?: { p50: number; p99: number }
}

export function spread(values: number[]): Spread {
  return { median: quantile(values, 0.5), min: Math.min(...values), max: Math.max(...values) }
}

/** Returns the quantile of the values: `share` of them are below it. */
export function quantile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = share * (sorted.length - 1)
  const [below, above] = [sorted[Math.floor(at)] ?? Number.NaN, sorted[Math.ceil(at)] ?? Number.NaN]
  return below + (above - below) * (at - Math.floor(at))
}

// What a piece of work costs, and what many such measurements say together.

import { readFileSync, readdirSync } from 'node:fs'

/** The CPU time that a process has used, in microseconds, over its threads. */
export function cpuOf(pid: number): number {
  let nanoseconds = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    // A thread can end in between.
    try {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ', 1)[0])
    } catch {}
  }
  return nanoseconds / 1_000
}

/** The memory of a process that is in RAM, in bytes. */
export function residentMemoryOf(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes) * 1024
}

/** One measurement, for each unit of the work: a delivery, a call, a publish. */
export interface Sample {
  /** Of the runtime's process, in microseconds. */
  cpu: number
  /** Units in a second. */
  rate: number
  /** Of each unit, in milliseconds, where they were taken. */
  latencies?: number[]
}

/**
 * Keeps this process from sleeping, until it is told to stop. Who sends to a process that sleeps pays for waking it, ten
 * microseconds for each message. Where many come at once, a variant that is quick enough would never find the load asleep,
 * and a slower one always; where each is waited for, all pay alike.
 */
function stayAwake(): () => void {
  let turn = setImmediate(function again() {
    turn = setImmediate(again)
  })
  return () => clearImmediate(turn)
}

/** Measures work of so many units, in which one message is waited for after the other. */
export async function sample(pid: number, units: number, work: () => Promise<number[] | void>): Promise<Sample> {
  const [cpu, startedAt] = [cpuOf(pid), performance.now()]
  const latencies = await work()
  const seconds = (performance.now() - startedAt) / 1_000
  return { cpu: (cpuOf(pid) - cpu) / units, rate: units / seconds, ...(latencies ? { latencies } : {}) }
}

/** Measures work in which many messages come at once. */
export async function sampleOfMany(pid: number, units: number, work: () => Promise<number[] | void>): Promise<Sample> {
  const sleep = stayAwake()
  return sample(pid, units, work).finally(sleep)
}

export interface Spread {
  median: number
  min: number
  max: number
}

/** What was measured of one variant in a row. */
export interface Measured {
  cpu: Spread
  /** To the floor's of the same round. */
  ratio: Spread
  rate: number
  /** In milliseconds. */
  latency?: { p50: number; p99: number }
}

export function spread(values: number[]): Spread {
  return { median: quantile(values, 0.5), min: Math.min(...values), max: Math.max(...values) }
}

/** With as many values below it as `share` says. */
export function quantile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = share * (sorted.length - 1)
  const [below, above] = [sorted[Math.floor(at)] ?? Number.NaN, sorted[Math.ceil(at)] ?? Number.NaN]
  return below + (above - below) * (at - Math.floor(at))
}

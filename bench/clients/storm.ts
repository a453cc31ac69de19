// All clients of a Durable Object lose their connections at once, because the runtime is killed and starts again.

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { cpuOf, quantile } from '../measure.ts'
import { Variant } from '../variants.ts'
import type { Records, Request, Response } from './crowd.ts'
import type { KindName } from './kinds.ts'

/** The time limit for all clients to connect, and for all to recover, in milliseconds. */
const TIMEOUT = 120_000

/** The window of {@link Storm.peakShare}, in milliseconds. */
const WINDOW = 1_000

/** The file descriptors of the runtime: per connection, and without connections. */
const FILES_PER_CONNECTION = 2
const OTHER_FILES = 400

const CHANNEL = 'clients'

/** The compared combinations of a client and a Worker. */
const SCENARIOS = {
  subscribe: { kind: 'subscribe', worker: 'ours' },
  stock: { kind: 'stock', worker: 'ours' },
  subscribeBaseline: { kind: 'subscribe', worker: 'baselineClients' },
  stockBaseline: { kind: 'stock', worker: 'baselineClients' },
} as const satisfies Record<string, { kind: KindName; worker: 'ours' | 'baselineClients' }>

export const SCENARIO_NAMES = Object.keys(SCENARIOS) as ScenarioName[]
export type ScenarioName = keyof typeof SCENARIOS

export interface StormOptions {
  clients: number
  /** The number of processes of the clients. */
  processes: number
  /** The time for which all connections are open before the restart, in milliseconds. */
  openFor: number
}

/** One restart. Times are milliseconds since the kill. */
export interface Storm {
  clients: number
  /** The number of clients that have all events. */
  recovered: number
  /** The number of events that clients have skipped or received again. The baseline does not store events. */
  lost: number
  repeated: number
  /** The number of clients whose iteration ended. */
  ended: number
  /** The time until the runtime accepted connections again. */
  outage: number
  /** The time until a client received the event that was published after the restart. */
  recovery: { p50: number; p99: number; max: number }
  /** The number of sockets that opened in each second after the restart. */
  opened: number[]
  /** The largest share of all clients whose sockets opened within one second, at any offset. */
  peakShare: number
  /** The same for the starts of handshakes, which include the failed ones. */
  peakAttemptShare: number
  /** Handshakes per client. */
  attempts: number
  /** The CPU time of the runtime per client, without that of its start, in microseconds. */
  cpu: number
}

export async function storm(name: ScenarioName, { clients, processes, openFor }: StormOptions): Promise<Storm> {
  requireFiles(clients)
  const { kind, worker } = SCENARIOS[name]
  const persistence = mkdtempSync(join(tmpdir(), 'clients-'))
  const variant = await Variant.start(worker, { persistence })
  const crowds = Array.from({ length: processes }, () => new CrowdProcess())
  try {
    const issuedAt = Math.floor(Date.now() / 1_000)
    let n = 0
    const publish = (): Promise<void> => variant.publish([CHANNEL], 1, 100, ++n)
    // A start without clients, with one publish, as after the storm.
    await variant.restart()
    await publish()
    const startCpu = cpuOf(variant.pid)

    const url = variant.address(CHANNEL).href
    const connected = inAll(crowds, (index) => ({
      type: 'open', kind, url, channel: CHANNEL, issuedAt,
      count: Math.floor(clients / processes) + (index < clients % processes ? 1 : 0),
    }))
    if (!(await inTime(connected))) throw new Error(`${name}: not all clients received their first event within ${TIMEOUT} ms`)
    await publish()
    if (!(await inTime(inAll(crowds, () => ({ type: 'await', n }))))) {
      throw new Error(`${name}: not all clients received the second event within ${TIMEOUT} ms`)
    }
    await wait(openFor)
    await inAll(crowds, () => ({ type: 'mark' }))

    await publish()
    const killedAt = Date.now()
    await variant.restart()
    const outage = Date.now() - killedAt
    await publish()
    // Clients that have not recovered are counted.
    await inTime(inAll(crowds, () => ({ type: 'await', n })))
    const cpu = (cpuOf(variant.pid) - startCpu) / clients
    const records = await Promise.all(crowds.map((crowd) => crowd.report()))
    return summarize(records, { clients, killedAt, outage, n, cpu })
  } finally {
    for (const crowd of crowds) crowd.end()
    await variant.stop()
    rmSync(persistence, { recursive: true, force: true })
  }
}

function summarize(
  records: Records[],
  { clients, killedAt, outage, n, cpu }: { clients: number; killedAt: number; outage: number; n: number; cpu: number },
): Storm {
  const all = <T>(list: (records: Records) => T[]): T[] => records.flatMap(list)
  const sum = (number: (records: Records) => number): number => records.reduce((total, each) => total + number(each), 0)
  const recoveredAt = all(({ last, receivedAt }) => receivedAt.filter((_, index) => last[index] === n))
  const recovery = recoveredAt.map((at) => at - killedAt)
  const opened = all(({ opened }) => opened)
  const attempts = all(({ attempts }) => attempts)
  const perSecond: number[] = []
  for (const at of opened) {
    const second = Math.max(0, Math.floor((at - killedAt - outage) / 1_000))
    perSecond[second] = (perSecond[second] ?? 0) + 1
  }
  return {
    clients,
    recovered: recovery.length,
    lost: sum(({ lost }) => lost),
    repeated: sum(({ repeated }) => repeated),
    ended: sum(({ ended }) => ended.length),
    outage,
    recovery: { p50: quantile(recovery, 0.5), p99: quantile(recovery, 0.99), max: Math.max(...recovery) },
    opened: Array.from(perSecond, (count) => count ?? 0),
    peakShare: largestWindow(opened) / clients,
    peakAttemptShare: largestWindow(attempts) / clients,
    attempts: attempts.length / clients,
    cpu,
  }
}

/** Returns the largest number of times within one second, at any offset. */
export function largestWindow(times: number[]): number {
  const sorted = times.toSorted((a, b) => a - b)
  let [first, largest] = [0, 0]
  for (const [index, time] of sorted.entries()) {
    while (time - sorted[first]! >= WINDOW) first += 1
    largest = Math.max(largest, index - first + 1)
  }
  return largest
}

/** A child process with clients. Requests are sent one after the other. */
class CrowdProcess {
  readonly #child: ChildProcess

  constructor() {
    this.#child = fork(fileURLToPath(new URL('process.ts', import.meta.url)), { execArgv: [] })
  }

  request(request: Request): Promise<Response> {
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null): void => reject(new Error(`a process with clients ended with status ${code}`))
      this.#child.once('exit', onExit)
      this.#child.once('message', (response: Response) => {
        this.#child.off('exit', onExit)
        resolve(response)
      })
      this.#child.send(request)
    })
  }

  async report(): Promise<Records> {
    const response = await this.request({ type: 'report' })
    // The response to a request that has reached its time limit comes first.
    return response.type === 'report' ? response.records : this.report()
  }

  end(): void {
    this.#child.removeAllListeners('exit')
    this.#child.kill('SIGKILL')
  }
}

const inAll = (crowds: CrowdProcess[], request: (index: number) => Request): Promise<Response[]> =>
  Promise.all(crowds.map((crowd, index) => crowd.request(request(index))))

/** Returns whether the work has completed within the time limit. */
async function inTime(work: Promise<unknown>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const limit = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), TIMEOUT)))
  return Promise.race([work.then(() => true), limit]).finally(() => clearTimeout(timer))
}

/** @throws {Error} The runtime, which has the limits of this process, would have too few file descriptors. */
function requireFiles(clients: number): void {
  const limit = Number(/Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Number.POSITIVE_INFINITY)
  const needed = clients * FILES_PER_CONNECTION + OTHER_FILES
  if (limit < needed) {
    throw new Error(`${clients} clients need ${needed} file descriptors, the limit is ${limit}; raise it with \`ulimit -n ${needed}\``)
  }
}

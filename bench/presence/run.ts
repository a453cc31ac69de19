// One run: members join, lose all connections by a kill of the runtime, return, and some leave at once.

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { Members } from '../../tests/soak/members.ts'
import { cpuOf, quantile } from '../measure.ts'
import { Variant } from '../variants.ts'
import { subjectOf, urlOf } from './crowd.ts'
import type { Records, Request, Response } from './crowd.ts'
import { INSIDE } from './inside.ts'
import { MemberSocket } from './socket.ts'

export interface RunOptions {
  members: number
  /** Joins per second. */
  rate: number
  /** The number of processes of the members. */
  processes: number
  /** The number of members that leave at once, and that do not return after the kill. */
  leaving: number
  lost: number
  say: (line: string) => void
}

/** One phase of a run. */
export interface Phase {
  /** The number of members that joined, returned or left. */
  members: number
  /** The time until the last of them had done so, in seconds. */
  seconds: number
  /** The CPU time of the runtime per member, in microseconds. */
  cpu: number
  /** What all members received. */
  messages: number
  bytes: number
  /** The time from the request to subscribe of a member until an observer had it, or from the end of its grace period until the observers had removed it, in milliseconds. */
  seen?: { p50: number; p99: number; max: number }
  /** The time from the begin of the phase until the lists of all observers were complete, in milliseconds. */
  converged?: number
  /** The members in a list without a connection, in the lists of observers and of the Durable Object. */
  ghosts?: number
  /** The members with a connection that are not in a list. */
  missing?: number
}

export interface Run {
  joins: Phase
  /** The same joins without presence. */
  joinsWithout: Phase
  returns: Phase
  leaves: Phase
  /** The CPU time of the runtime in the two seconds after the joins had converged, in milliseconds. */
  idleCpu: number
}

const ROOM = 'presence'

/** The time for which a member without a connection remains, in milliseconds: the default. */
const GRACE = 10_000

/** The time limit for each phase, in milliseconds. */
const TIMEOUT = 600_000

/** The number of members whose lists are read. */
const OBSERVERS = 6

/** The file descriptors of the runtime without connections, and per connection. */
const OTHER_FILES = 500
const FILES_PER_CONNECTION = 2

export async function run(options: RunOptions): Promise<Run> {
  const without = await Meeting.start('ours', options)
  let joinsWithout: Phase
  try {
    joinsWithout = await without.join()
  } finally {
    await without.end()
  }
  const meeting = await Meeting.start('presence', options)
  try {
    const joins = await meeting.join()
    const idleCpu = await meeting.idle()
    const returns = await meeting.kill()
    const leaves = await meeting.leave()
    return { joins, joinsWithout, idleCpu, returns, leaves }
  } finally {
    await meeting.end()
  }
}

class Meeting {
  readonly #variant: Variant
  readonly #options: RunOptions
  readonly #persistence: string
  readonly #crowds: CrowdProcess[]
  readonly #observers: Observer[] = []
  readonly #hasPresence: boolean
  /** The members inside the runtime, whose connections do not outlive it. */
  readonly #inside: string[]
  /** The members that should be in all lists. */
  #expected = new Set<string>()

  private constructor(variant: Variant, persistence: string, options: RunOptions, hasPresence: boolean) {
    this.#variant = variant
    this.#persistence = persistence
    this.#options = options
    this.#hasPresence = hasPresence
    this.#crowds = Array.from({ length: options.processes }, () => new CrowdProcess())
    const inside = Math.max(0, options.members - connectionLimit())
    this.#inside = Array.from({ length: inside }, (_, n) => `inside-${n}`)
  }

  static async start(name: 'ours' | 'presence', options: RunOptions): Promise<Meeting> {
    const persistence = mkdtempSync(join(tmpdir(), 'presence-'))
    const variant = await Variant.start(name, { persistence, workers: [INSIDE] })
    return new Meeting(variant, persistence, options, name === 'presence')
  }

  get #address(): string {
    return this.#variant.address(ROOM).href
  }

  async #openInside(): Promise<void> {
    if (this.#inside.length === 0) return
    const queries = this.#inside.map((subject) => new URL(urlOf(this.#address, ROOM, subject)).search)
    const response = await fetch(await this.#variant.urlOf('inside'), { method: 'POST', body: JSON.stringify(queries) })
    if (!response.ok) throw new Error(`the members inside could not connect: ${await response.text()}`)
  }

  /** All members join, at the rate of the options. */
  async join(): Promise<Phase> {
    const { members, rate, processes, say } = this.#options
    await this.#variant.publish([ROOM], 1, 100)
    for (let n = 0; n < OBSERVERS; n++) this.#observers.push(await Observer.open(this.#address, `observer-${n}`))
    await this.#openInside()
    const joining = members - this.#inside.length - OBSERVERS
    this.#expected = new Set([...this.#inside, ...this.#observers.map(({ subject }) => subject), ...range(0, joining).map(subjectOf)])
    for (const observer of this.#observers) observer.mark()
    const [startedAt, cpu] = [Date.now(), cpuOf(this.#variant.pid)]
    const share = (index: number): [first: number, end: number] => [Math.floor((index * joining) / processes), Math.floor(((index + 1) * joining) / processes)]
    await this.#all('the joins', (index) => {
      const [first, end] = share(index)
      return { type: 'open', url: this.#address, channel: ROOM, first, count: end - first, rate: rate / processes }
    })
    const seconds = (Date.now() - startedAt) / 1_000
    say(`${joining} members joined in ${seconds.toFixed(1)} s`)
    const converged = await this.#converge(startedAt)
    const phase = await this.#phase({ members: joining, seconds, cpu, ...converged })
    if (!this.#hasPresence) return phase
    const seen = this.#observers.flatMap((observer) => phase.asked.flatMap(([id, at]) => (observer.joined.has(id) ? observer.joined.get(id)! - at : [])))
    return { ...published(phase), seen: quantiles(seen) }
  }

  /** Returns the CPU time of two seconds without changes, in milliseconds. */
  async idle(): Promise<number> {
    await wait(1_000)
    const cpu = cpuOf(this.#variant.pid)
    await wait(2_000)
    return (cpuOf(this.#variant.pid) - cpu) / 1_000
  }

  /** The runtime is killed. All members but the lost ones return. */
  async kill(): Promise<Phase> {
    const { lost, processes, rate, members, say } = this.#options
    const back = members - this.#inside.length - OBSERVERS - lost
    await this.#all('', () => ({ type: 'mark' }))
    await this.#all('', () => ({ type: 'return within', milliseconds: (back / rate) * 1_000 }))
    const firstOf = (index: number): number => Math.floor((index * (members - this.#inside.length - OBSERVERS)) / processes)
    for (const index of range(0, processes)) {
      for (const n of range(firstOf(index), firstOf(index) + Math.floor(lost / processes))) this.#expected.delete(subjectOf(n))
    }
    await this.#all('', () => ({ type: 'give up', count: Math.floor(lost / processes) }))
    const killedAt = Date.now()
    await this.#variant.restart()
    const cpu = cpuOf(this.#variant.pid)
    await Promise.all([
      ...this.#observers.map((observer) => observer.returned()),
      this.#openInside(),
      this.#all('the return', () => ({ type: 'await' })),
    ])
    const seconds = (Date.now() - killedAt) / 1_000
    say(`${back} members returned in ${seconds.toFixed(1)} s`)
    const converged = await this.#converge(killedAt)
    return published(await this.#phase({ members: back, seconds, cpu, ...converged }))
  }

  /** Some members leave at once. */
  async leave(): Promise<Phase> {
    const { leaving, processes, say, members, lost } = this.#options
    const count = Math.floor(leaving / processes)
    await this.#all('', () => ({ type: 'mark' }))
    const all = members - this.#inside.length - OBSERVERS
    for (const index of range(0, processes)) {
      // Behind those that have not returned.
      const first = Math.floor((index * all) / processes) + Math.floor(lost / processes)
      for (const n of range(first, first + count)) this.#expected.delete(subjectOf(n))
    }
    for (const observer of this.#observers) observer.mark()
    const [leftAt, cpu] = [Date.now(), cpuOf(this.#variant.pid)]
    await this.#all('', () => ({ type: 'leave', count }))
    const seconds = (Date.now() - leftAt) / 1_000
    say(`${count * processes} members left`)
    const converged = await this.#converge(leftAt)
    const seen = this.#observers.flatMap((observer) => [...observer.left.values()].map((at) => at - leftAt - GRACE))
    return { ...published(await this.#phase({ members: count * processes, seconds, cpu, ...converged })), seen: quantiles(seen) }
  }

  /** Waits until the lists of all observers are complete, and compares them and that of the Durable Object with the connected members. */
  async #converge(since: number): Promise<Pick<Phase, 'converged' | 'ghosts' | 'missing'>> {
    if (!this.#hasPresence) return {}
    const end = since + TIMEOUT
    while (!this.#observers.every((observer) => observer.has(this.#expected)) && Date.now() < end) await wait(20)
    const converged = Math.max(...this.#observers.map(({ changedAt }) => changedAt)) - since
    const lists = [...this.#observers.map(({ ids }) => ids), await this.#variant.members(ROOM)]
    return {
      converged,
      ghosts: new Set(lists.flatMap((ids) => ids.filter((id) => !this.#expected.has(id)))).size,
      missing: Math.max(...lists.map((ids) => this.#expected.size - ids.filter((id) => this.#expected.has(id)).length)),
    }
  }

  async #phase({ cpu, members, ...phase }: Omit<Phase, 'messages' | 'bytes'>): Promise<Phase & Pick<Records, 'asked'>> {
    const spent = cpuOf(this.#variant.pid) - cpu
    // What is on its way arrives.
    await wait(500)
    const records = await Promise.all(this.#crowds.map((crowd) => crowd.report()))
    const sum = (number: (records: Records) => number): number => records.reduce((total, each) => total + number(each), 0)
    return {
      ...phase,
      members,
      cpu: spent / members,
      messages: sum(({ messages }) => messages),
      bytes: sum(({ bytes }) => bytes),
      asked: records.flatMap(({ asked }) => asked),
    }
  }

  async #all(what: string, request: (index: number) => Request): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const limit = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${what} did not end within ${TIMEOUT} ms`)), TIMEOUT)
    })
    await Promise.race([Promise.all(this.#crowds.map((crowd, index) => crowd.request(request(index)))), limit]).finally(() => clearTimeout(timer))
  }

  async end(): Promise<void> {
    for (const observer of this.#observers) observer.close()
    for (const crowd of this.#crowds) crowd.end()
    await this.#variant.stop()
    rmSync(this.#persistence, { recursive: true, force: true })
  }
}

/** A member that reads the list of members, with the reducer of the npm package. */
class Observer {
  readonly subject: string
  readonly #url: string
  readonly #members = new Members()
  #socket: MemberSocket | undefined
  #isClosed = false
  #returned: (() => void) | undefined
  /** The time at which it had each member, and at which it removed it, since the last mark. */
  joined = new Map<string, number>()
  left = new Map<string, number>()
  /** The time of its last change. */
  changedAt = 0

  private constructor(url: string, subject: string) {
    this.#url = url
    this.subject = subject
  }

  static async open(url: string, subject: string): Promise<Observer> {
    const observer = new Observer(url, subject)
    const opened = observer.returned()
    observer.#connect()
    await opened
    return observer
  }

  #connect(): void {
    if (this.#isClosed) return
    this.#socket = new MemberSocket({
      url: urlOf(this.#url, ROOM, this.subject),
      isRead: true,
      onMessage: (text = '') => this.#read(text),
      onClose: () => setTimeout(() => this.#connect(), 50),
    })
  }

  #read(text: string): void {
    if (!text.startsWith('{"i":"0","t":3')) return this.#returned?.()
    const event: unknown = JSON.parse(text).p?.d?.json
    if (!this.#members.apply(event)) return
    const now = Date.now()
    this.changedAt = now
    for (const { id } of [...(event.members ?? []), ...(event.joined ?? [])]) if (!this.joined.has(id)) this.joined.set(id, now)
    for (const id of event.left ?? []) this.left.set(id, now)
  }

  /** Resolves at the response to its next subscription. */
  returned(): Promise<void> {
    return new Promise((resolve) => (this.#returned = resolve))
  }

  mark(): void {
    this.joined = new Map()
    this.left = new Map()
  }

  get ids(): string[] {
    return this.#members.ids
  }

  has(expected: Set<string>): boolean {
    return this.#members.size === expected.size && [...expected].every((id) => this.#members.has(id))
  }

  close(): void {
    this.#isClosed = true
    this.#socket?.vanish()
  }
}

/** A child process with members. Requests are sent one after the other. */
class CrowdProcess {
  readonly #child: ChildProcess

  constructor() {
    this.#child = fork(fileURLToPath(new URL('process.ts', import.meta.url)), { execArgv: [] })
  }

  request(request: Request): Promise<Response> {
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null): void => reject(new Error(`a process with members ended with status ${code}`))
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
    if (response.type !== 'report') throw new Error('a process with members responded with no report')
    return response.records
  }

  end(): void {
    this.#child.removeAllListeners('exit')
    this.#child.kill('SIGKILL')
  }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n)

const quantiles = (values: number[]): { p50: number; p99: number; max: number } => ({
  p50: quantile(values, 0.5),
  p99: quantile(values, 0.99),
  max: values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY),
})

/** Returns a phase without its records. */
function published({ asked: _, ...phase }: Phase & Pick<Records, 'asked'>): Phase {
  return phase
}

/** Returns the maximum number of outside connections of the runtime, which has the limit of this process. */
function connectionLimit(): number {
  const limit = /Max open files\s+\d+\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
  return limit === undefined ? Infinity : Math.floor((Number(limit) - OTHER_FILES) / FILES_PER_CONNECTION)
}

// One run: real Workers, publishers and clients, faults by a seed, and the verdict on the recorded history.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { CLIENT_VERSIONS, SIGNING_KEY } from '../support/client.ts'
import type { ClientVersion } from '../support/client.ts'
import { startJournals } from '../support/journals.ts'
import type { Journals } from '../support/journals.ts'
import { publisherWorker } from '../support/publisher.ts'
import { check, excerpt } from './checker.ts'
import { BareClient, StockClient } from './clients.ts'
import type { ClientOptions, SoakClient } from './clients.ts'
import { ATTACHMENTS, WIPES, front } from './front.ts'
import type { Channel, Fault, History, PresenceMember } from './history.ts'
import { PageClient, SseClient } from './http-clients.ts'
import { FallbackClient, RustStubClient, StubClient } from './iterator-clients.ts'
import { Line } from './line.ts'
import { Network } from './network.ts'
import { NpmClient } from './npm-client.ts'
import { memberOf } from './presence.ts'
import { PackageClient } from './package-client.ts'
import { PublisherClient } from './publisher-client.ts'
import { PUBLISHER, PUBLISH_KEY, Publishers, SPOILED } from './publishers.ts'
import type { Revoked, Target } from './publishers.ts'
import { Random } from './random.ts'
import { StandaloneClient } from './standalone-client.ts'
import type { Violation, ViolationKind } from './violation.ts'

export interface SoakOptions {
  /** Runs with the same seed have the same faults, but not to the millisecond. */
  seed: number
  /** The number of publishes that must be acknowledged. */
  events: number
  /** The number of clients at the start; some more join later. */
  clients: number
  /** The duration of the publishes in seconds. */
  seconds: number
  onProgress?: (line: string) => void
}

export interface SoakResult {
  seed: number
  /** The number of acknowledged events. */
  events: number
  clients: number
  faults: number
  lost: number
  duplicated: number
  reordered: number
  leaked: number
  /** Events that were never published, whose publish was rejected, or with another id than in the response. */
  invented: number
  /** Batches of which a part arrived, or with another event in between. */
  torn: number
  /** Clients of the npm package that connected too often, or whose iterator ended. */
  misbehaved: number
  gapsTold: number
  gapsMissed: number
  gapsFalse: number
  /** Members in a list without a subscription, at the end. */
  ghosts: number
  /** Members with a subscription that are not in a list. */
  membersMissed: number
  /** Members that left within the grace period, lists of members that are late or invalid, and wrong states. */
  membersWrong: number
  /** The number of states that members have set. */
  statesSet: number
  /** The number of checked presence events. */
  presenceEvents: number
  /** The time until the members of all channels had converged at the end, in milliseconds. */
  convergence: number
  /** The number of checked deliveries. */
  deliveries: number
  /** How often subscriptions with a fallback have opened, by transport. */
  transports: Record<string, number>
  /** The number of times that a subscription was parked. */
  parked: number
  /** The number of publishes that were correctly rejected. */
  rejected: number
  /** The number of publishes without a response, and of those of them that a client received. */
  unanswered: number
  seen: number
  faultsByKind: Record<string, number>
  violations: Violation[]
  history: History
}

interface ChannelPlan extends Channel, Target {
  worker: string
  className: string
  /** The path of the upgrade. */
  path: string
  /** The path of the HTTP endpoint. */
  endpoint: string
}

/** The retention of the generic Worker in seconds. Its alarm deletes events. */
const DEPLOYABLE_RETENTION_SECONDS = 4

/** The maximum size of the channel of long replays in characters, within the retained 32 MiB. */
const BULK_CHARACTERS = 20_000_000
/** The padding of an event: a step of a replay, 256 KiB, has a few dozen of these. */
const BULK_PADDING = 8_000

/** The number of publishers of each channel. Each one waits for a response before its next publish. */
const PUBLISHERS_PER_CHANNEL = 3

/** The time for which members without a socket remain, in seconds, so short that many leave during a run. */
const GRACE_SECONDS = 1

/** The average interval of faults in milliseconds. */
const FAULT_INTERVAL = 50
/** The interval in seconds at which the runtime is killed, at least once. */
const SECONDS_PER_KILL = 20
/** The kinds of faults of each run, however slow its machine is: those that have not occurred in its first half are injected next. */
const KINDS_OF_EACH_RUN = ['wiped', 'unreadable attachment', 'online storm', 'WebSockets blocked', 'disconnected', 'revoked', 'hibernated'] as const
/** The share of clients that join during the run, relative to those at the start. */
const LATECOMERS = 0.3
/** One of this number of clients has no network faults, so that reconnects do not hide faults of Durable Objects. */
const CALM_EVERY = 6

/** The time limit for all clients to reconnect and receive the last event, in milliseconds. */
const SETTLE_TIMEOUT = 30_000

/** The time limit for the members to converge, in milliseconds, beyond the grace period. */
const CONVERGE_TIMEOUT = 15_000

/** The time that a wipe waits for the replay to interrupt, in milliseconds. */
const SUBSCRIBE_TIMEOUT = 1_000

/** The bindings of each Durable Object in Workers of another script. */
const CLASSES = { PUBLISHED: 'PublishedJournal', FEW: 'FewJournal', BRIEF: 'BriefJournal', ROOMY: 'RoomyJournal' } as const

/** The Workers of clients that are not connected to the Durable Objects themselves. */
const WORKERS: Partial<Record<Kind, string>> = { publisher: 'subscribers', stub: 'readers', 'rust stub': 'relay' }

/** The kinds of clients, in turn on each channel. The last digit is 2 for `DurableIterator` tokens. */
const KINDS = [
  'bare 1', 'stock', 'publisher', 'sse 1', 'fallback 2', 'subscribe 1', 'pages 1', 'stub', 'orpc-v1 1', 'bare 2', 'rust stub', 'orpc-v2 1',
  'sse 2', 'fallback 1', 'stock', 'subscribe 2', 'orpc-v1 2', 'orpc-v2 2', 'bare 1', 'stock', 'pages 2',
] as const
type Kind = (typeof KINDS)[number]

/** The faults around a wipe: at the same time, and after it. */
const WIPED_DURING = { nothing: 2, publishes: 2, replay: 3 } as const
const WIPED_BEFORE = { nothing: 3, hibernated: 2, closed: 1 } as const

function plan(events: number): ChannelPlan[] {
  const journal = (name: string, binding: keyof typeof CLASSES, retention: number, bound: number, padding = 0): ChannelPlan => ({
    name,
    binding,
    retention,
    bound,
    padding,
    worker: 'objects',
    className: CLASSES[binding],
    path: `/upgrade/${binding}`,
    endpoint: `/http/${binding}`,
    ways: { stub: 6, batch: 1, relay: 1, socket: 3 },
    presence: { grace: GRACE_SECONDS * 1_000, key: 'connection', hasLongReplays: padding > 0 },
  })
  const count = events / 5
  return [
    journal('usual', 'PUBLISHED', 3_600_000, 100_000),
    journal('few', 'FEW', 300_000, 8),
    journal('brief', 'BRIEF', 3_000, 100_000),
    journal('bulk', 'ROOMY', 3_600_000, 100_000, Math.min(BULK_PADDING, Math.floor(BULK_CHARACTERS / count))),
    {
      name: 'public',
      binding: 'CHANNEL',
      retention: DEPLOYABLE_RETENTION_SECONDS * 1_000,
      bound: 100_000,
      padding: 0,
      worker: 'deployable',
      className: 'DurableEventIteratorObject',
      path: '/',
      endpoint: '/channels',
      ways: { stub: 4, batch: 0.5, http: 6, 'http batch': 0.5 },
      presence: { grace: GRACE_SECONDS * 1_000, key: 'subject' },
    },
  ]
}

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const persistence = mkdtempSync(join(tmpdir(), 'soak-'))
  const channels = plan(options.events)
  const bindings = Object.fromEntries([
    ...Object.entries(CLASSES).map(([binding, className]) => [binding, { className, scriptName: 'objects' }]),
    ['CHANNEL', { className: 'DurableEventIteratorObject', scriptName: 'deployable' }],
  ])
  const journals = await startJournals({
    persistence,
    front: front(Object.values(CLASSES)),
    variables: { PRESENCE: 'connection', PRESENCE_GRACE_SECONDS: String(GRACE_SECONDS) },
    workers: [
      { name: 'publisher', source: PUBLISHER, compatibilityFlags: ['unsafe_module'], durableObjects: bindings },
      {
        name: 'deployable',
        crate: '.',
        front: front(['DurableEventIteratorObject']),
        variables: {
          SIGNING_KEY,
          PUBLISH_KEY,
          PUBLISHER: 'true',
          EVENT_RETENTION_SECONDS: String(DEPLOYABLE_RETENTION_SECONDS),
          PRESENCE: 'subject',
          PRESENCE_GRACE_SECONDS: String(GRACE_SECONDS),
        },
        durableObjects: { CHANNEL: { className: 'DurableEventIteratorObject' } },
      },
      publisherWorker(WORKERS.publisher, bindings),
      { name: WORKERS.stub!, entry: 'tests/npm/stub/worker.ts', durableObjects: bindings },
    ],
  })
  try {
    const run = new Run(options, journals, channels, await Publishers.of(journals))
    await run.go()
    return judge(options, run.history(), run.convergence)
  } finally {
    await journals.dispose()
    rmSync(persistence, { recursive: true, force: true })
  }
}

function judge({ seed }: SoakOptions, history: History, convergence: number): SoakResult {
  const { violations, gapsTold } = check(history)
  const count = (kind: ViolationKind): number => violations.filter((violation) => violation.kind === kind).length
  const faultsByKind: Record<string, number> = {}
  for (const { kind } of history.faults) faultsByKind[kind] = (faultsByKind[kind] ?? 0) + 1
  const unanswered = history.publishes.filter(({ outcome }) => outcome === 'unknown')
  const seen = new Set(history.clients.flatMap(({ delivered }) => delivered.map(({ n }) => n)))
  return {
    seed,
    events: history.publishes.filter(({ outcome }) => outcome === 'stored').length,
    clients: history.clients.length,
    faults: history.faults.length,
    lost: count('lost'),
    duplicated: count('duplicated'),
    reordered: count('reordered'),
    leaked: count('leaked'),
    invented: count('invented'),
    torn: count('torn'),
    misbehaved: count('too many attempts') + count('iteration ended'),
    gapsTold,
    gapsMissed: count('gap missed'),
    gapsFalse: count('gap false'),
    ghosts: count('ghost'),
    membersMissed: count('member missed'),
    membersWrong: count('left early') + count('members late') + count('members invalid') + count('state wrong'),
    statesSet: history.states.filter(({ outcome }) => outcome === 'set').length,
    presenceEvents: history.clients.reduce((sum, { presence = [] }) => sum + presence.length, 0),
    convergence,
    deliveries: history.clients.reduce((sum, { delivered }) => sum + delivered.length, 0),
    transports: sums(history.clients.map(({ transports = {} }) => transports)),
    parked: history.clients.reduce((sum, { parked = 0 }) => sum + parked, 0),
    rejected: history.publishes.filter(({ outcome }) => outcome === 'rejected').length,
    unanswered: unanswered.length,
    seen: unanswered.filter(({ n }) => seen.has(n)).length,
    faultsByKind,
    violations,
    history,
  }
}

/** Returns the sums of numbers with the same name. */
function sums(all: Record<string, number>[]): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const each of all) for (const [name, number] of Object.entries(each)) sums[name] = (sums[name] ?? 0) + number
  return sums
}

class Run {
  readonly #options: SoakOptions
  readonly #journals: Journals
  readonly #channels: ChannelPlan[]
  readonly #publishers: Publishers
  readonly #random: Random
  readonly #clients: SoakClient[] = []
  readonly #calm = new Set<SoakClient>()
  readonly #faults: Fault[] = []
  readonly #network = new Network()
  readonly #startedAt = Date.now()
  #late = 0
  #publishing = true
  /** When the runtime is to be killed, as shares of the events. */
  #killAt: number[] = []
  /** The time until the members of all channels had converged, in milliseconds. */
  convergence = Number.NaN
  /** Resolved while the runtime is running. */
  #running = Promise.resolve()

  constructor(options: SoakOptions, journals: Journals, channels: ChannelPlan[], publishers: Publishers) {
    this.#options = options
    this.#journals = journals
    this.#channels = channels
    this.#publishers = publishers
    this.#random = new Random(options.seed)
  }

  history(): History {
    return {
      channels: this.#channels,
      publishes: this.#publishers.publishes,
      wipes: this.#publishers.wipes,
      revocations: this.#publishers.revocations,
      states: this.#clients.flatMap(({ states }) => states),
      clients: this.#clients.map(({ record }) => record),
      faults: this.#faults,
    }
  }

  async go(): Promise<void> {
    this.#network.install()
    for (let n = 0; n < this.#options.clients; n++) await this.#join(n)
    const publishing = this.#channels.flatMap((channel) =>
      Array.from({ length: PUBLISHERS_PER_CHANNEL }, (_, n) => this.#publish(channel, `${channel.name}-publisher-${n}`)),
    )
    const scheduling = this.#schedule()
    const progress = setInterval(() => this.#tell(), 5_000)
    try {
      await Promise.all(publishing)
      this.#publishing = false
      await scheduling
      await this.#settle()
    } finally {
      clearInterval(progress)
      this.#network.uninstall()
      for (const client of this.#clients) client.stop()
      await Promise.all(this.#clients.map(({ line }) => line.close()))
    }
  }

  #tell(): void {
    const { stored } = this.#publishers
    this.#options.onProgress?.(
      `${Math.round((Date.now() - this.#startedAt) / 1000)} s: ${stored} of ${this.#options.events} events, ${this.#clients.length} clients, ${this.#faults.length} faults`,
    )
  }

  get #progress(): number {
    return this.#publishers.stored / this.#options.events
  }

  // --- Clients

  async #join(n: number, late?: { channel: ChannelPlan; issuedAt: number; kind?: Kind }): Promise<SoakClient> {
    const random = this.#random.part(`client ${n}`)
    const channel = late?.channel ?? (this.#channels[n % this.#channels.length] as ChannelPlan)
    const name = `${late ? 'late' : 'client'}-${n}`
    // All kinds, and all versions, on every channel.
    const turn = Math.floor(n / this.#channels.length)
    const inTurn = late?.kind ?? (KINDS[turn % KINDS.length] as Kind)
    // The relay has no binding of the generic Worker.
    const kind = inTurn === 'rust stub' && channel.worker !== 'objects' ? 'stub' : inTurn
    const target = await this.#journals.urlOf(WORKERS[kind] ?? channel.worker)
    const isSecond = kind.endsWith('2')
    const hasConnection = (random.chance(0.7) || isSecond || isOfPackage(kind) || kind.startsWith('pages')) && WORKERS[kind] === undefined
    const connection = hasConnection ? `id-of-${name}` : undefined
    // Some users have two clients.
    const subject = `user-${Math.floor(n / 2 / this.#channels.length)}`
    const options: ClientOptions = {
      name,
      isSecond,
      channel: channel.name,
      path: channel.path,
      line: await Line.open(Number(target.port)),
      random,
      subject,
      tags: [n % 2 === 0 ? 'even' : 'odd'],
      hasPresence: channel.presence !== undefined,
      member: memberOf(channel.presence?.key, connection, subject),
      ...(connection === undefined ? {} : { connection }),
      tokenLifetime: random.chance(0.25) ? random.whole(4, 8) : 86_400,
      ...(late ? { issuedAt: late.issuedAt } : {}),
    }
    const client = create(kind, CLIENT_VERSIONS[(n + turn) % CLIENT_VERSIONS.length]!, options, channel)
    this.#clients.push(client)
    if (!late && n % CALM_EVERY === CALM_EVERY - 1) this.#calm.add(client)
    await client.start()
    return client
  }

  #clientsOf(channel: ChannelPlan): SoakClient[] {
    return this.#clients.filter(({ record }) => record.channel === channel.name && record.stayed)
  }

  // --- Publishers

  async #publish(channel: ChannelPlan, name: string): Promise<void> {
    const { events, seconds } = this.#options
    const random = this.#random.part(name)
    const interval = (seconds * 1000 * this.#channels.length * PUBLISHERS_PER_CHANNEL) / events
    let due = Date.now()
    while (this.#publishers.stored < events || this.#killAt.length > 0 || this.#outstanding.length > 0) {
      due += interval * (0.2 + 1.6 * random.next())
      await pause(due - Date.now())
      await this.#running
      await this.#publishers.publish(channel, name, random, this.#clientsOf(channel))
    }
  }

  // --- Faults

  async #schedule(): Promise<void> {
    const random = this.#random.part('faults')
    const kills = Math.max(1, Math.round(this.#options.seconds / SECONDS_PER_KILL))
    this.#killAt = Array.from({ length: kills }, (_, n) => (n + 0.2 + 0.6 * random.next()) / kills)
    while (this.#publishing) {
      await pause(2 * FAULT_INTERVAL * random.next())
      if (this.#progress >= (this.#killAt[0] ?? Number.POSITIVE_INFINITY)) {
        this.#killAt.shift()
        await this.#kill(random)
      }
      await this.#injure(random).catch((error: Error) => this.#options.onProgress?.(`A fault could not be injected: ${error.message}`))
    }
  }

  /** The kinds of faults that have not occurred, except for kills. */
  get #outstanding(): (typeof KINDS_OF_EACH_RUN)[number][] {
    // The names of some faults have details in parentheses.
    return KINDS_OF_EACH_RUN.filter((kind) => !this.#faults.some((fault) => fault.kind.startsWith(kind)))
  }

  #note(kind: string, target?: string): void {
    this.#faults.push({ at: Date.now(), kind, ...(target === undefined ? {} : { target }) })
  }

  async #injure(random: Random): Promise<void> {
    const drawn = random.weighted({
      cut: 3,
      'torn on the way down': 5,
      'torn on the way up': 2,
      vanished: 2,
      'slow line': 2,
      'slow application': 1,
      'away shortly': 3,
      'away for long': 2,
      'new token': 2,
      'renewed on the socket': 4,
      'subscribed again': 2,
      'joined late': 1,
      'left for good': 0.3,
      hibernated: 3,
      closed: 1,
      pruned: 0.5,
      'bad publish': 2,
      wiped: 2,
      disconnected: 2,
      revoked: 1.5,
      'unreadable attachment': 2,
      'online storm': 1,
      'WebSockets blocked': 3,
      'state set': 6,
    })
    const kind = this.#progress < 0.5 ? drawn : (this.#outstanding[0] ?? drawn)
    const channel = random.pick(this.#channels)
    const client = random.pick(this.#clients.filter((candidate) => !this.#calm.has(candidate) && candidate.record.stayed))
    const { line, record } = client
    // Always drawn, so that later random numbers do not depend on the state.
    const [small, large] = [random.next(), random.next()]
    const note = (): void => this.#note(kind, record.name)
    switch (kind) {
      case 'cut':
        note()
        return line.cut()
      case 'torn on the way down':
        note()
        // Bulk channels: during a replay.
        return line.cutAfter(1 + Math.floor(small * (large < 0.5 ? 300 : 500_000)), 'down')
      case 'torn on the way up':
        note()
        line.cutAfter(1 + Math.floor(small * 80), 'up')
        if (client instanceof BareClient) client.subscribe()
        return
      case 'vanished':
        note()
        return line.vanish()
      case 'slow line':
        note()
        return line.slow(300 + small * 4_000)
      case 'slow application':
        if (client instanceof BareClient) return
        note()
        client.slowUntil = Date.now() + 300 + small * 3_000
        return
      case 'away shortly':
        note()
        return line.away(20 + small * 2_500)
      case 'away for long':
        note()
        return line.away(3_200 + small * 2_500)
      case 'new token':
        note()
        return client.renew()
      case 'renewed on the socket':
        if (client instanceof BareClient && client.renewOnSocket()) note()
        return
      case 'subscribed again':
        if (!(client instanceof BareClient)) return
        note()
        return client.subscribe()
      case 'joined late': {
        // Clients of the bulk channel have a long replay, which is interrupted.
        const late = await this.#joinLate(large < 0.6 ? this.#bulk : channel)
        if (late === undefined) return
        await pause(10 + small * 60)
        return late.line.cutAfter(1 + Math.floor(small * 1_500_000), 'down')
      }
      case 'left for good':
        if (!record.name.startsWith('late')) return
        note()
        record.stayed = false
        line.vanish()
        return client.stop()
      case 'hibernated':
      case 'closed':
        return this.#evict(channel, kind)
      case 'pruned':
        if (channel.worker !== 'objects') return
        await this.#journals.stub(channel.binding as keyof typeof CLASSES, channel.name, 'prune')
        return this.#note(kind, channel.name)
      case 'bad publish': {
        this.#note(kind, channel.name)
        const spoiled = SPOILED[Math.floor(small * SPOILED.length)]!
        if (large < 0.5) await this.#publishers.send(channel, 'scheduler', {}, spoiled)
        else await this.#publishers.sendBatch(channel, 'scheduler', 5, {}, { index: Math.floor((large - 0.5) * 10), kind: spoiled })
        return
      }
      case 'disconnected':
        return this.#disconnect(channel, this.#random.part(`disconnected ${small}`))
      case 'revoked':
        return this.#revoke(channel, this.#random.part(`revoked ${small}`))
      case 'state set': {
        const able = this.#clients.filter(({ canSetState }) => canSetState)
        if (able.length === 0) return
        const member = able[Math.floor(small * able.length)]!
        this.#note(kind, member.record.name)
        // Its response may never arrive.
        void member.setState(`${member.record.name} ${large}`)
        return
      }
      case 'wiped':
        return this.#wipe(channel, this.#random.part(`wipe ${small}`))
      case 'unreadable attachment':
        return this.#spoilAttachments(channel, this.#random.part(`attachments ${small}`))
      case 'WebSockets blocked': {
        const part = this.#random.part(`blocked ${small}`)
        for (const { line, record } of this.#clients.filter((candidate) => candidate instanceof FallbackClient && !this.#calm.has(candidate))) {
          if (!part.chance(0.4)) continue
          this.#note(kind, record.name)
          line.blockWebSockets(300 + 4_000 * part.next())
        }
        return
      }
      case 'online storm': {
        this.#note(kind)
        this.#network.storm(300 + small * 3_000, 5 + large * 100)
        // While some of its subscribers cannot connect.
        const part = this.#random.part(`storm ${small}`)
        for (const { line } of this.#clients.filter((candidate) => candidate instanceof PackageClient && !this.#calm.has(candidate))) {
          if (part.chance(0.3)) line.away(200 + 4_000 * part.next())
        }
      }
    }
  }

  get #bulk(): ChannelPlan {
    return this.#channels.find(({ name }) => name === 'bulk') as ChannelPlan
  }

  /** Adds a client with a token from the start of the run, unless there are enough. */
  async #joinLate(channel: ChannelPlan, kind?: Kind): Promise<SoakClient | undefined> {
    if (this.#late >= this.#options.clients * LATECOMERS) return undefined
    const late = { channel, issuedAt: Math.floor(this.#startedAt / 1000), ...(kind === undefined ? {} : { kind }) }
    const client = await this.#join(this.#options.clients + this.#late++, late)
    this.#note('joined late', client.record.name)
    return client
  }

  /** Closes the sockets of some clients of a channel, which reconnect. */
  async #disconnect(channel: ChannelPlan, random: Random): Promise<void> {
    const ids = this.#clientsOf(channel).flatMap(({ record }) => record.connection ?? [])
    const some = Array.from({ length: ids.length === 0 ? 0 : random.whole(1, 3) }, () => random.pick(ids))
    const kind = random.weighted({ some: 5, tagged: 2, others: 1, everyone: 1 })
    const tags = [random.pick(['even', 'odd'])]
    if (some.length === 0 && (kind === 'some' || kind === 'others')) return
    this.#note(`disconnected (${kind})`, channel.name)
    await this.#publishers.disconnect(
      channel,
      kind === 'some' ? { to: some } : kind === 'tagged' ? { tags } : kind === 'others' ? { except: some, everyone: true } : { everyone: true },
    )
  }

  /** Revokes tokens of a channel. The clients return with new ones. */
  async #revoke(channel: ChannelPlan, random: Random): Promise<void> {
    const { connection, subject } = random.pick(this.#clientsOf(channel)).record
    const kind = random.weighted({ connection: 4, subject: 4, time: 1 })
    const age = random.whole(0, 5_000)
    if (kind === 'connection' && connection === undefined) return
    this.#note(`revoked (${kind})`, channel.name)
    const revoked = kind === 'connection' ? { connection } : kind === 'subject' ? { subject } : { issuedBefore: Date.now() - age }
    await this.#publishers.revoke(channel, revoked as Revoked)
  }

  async #evict(channel: ChannelPlan, kind: 'hibernated' | 'closed'): Promise<void> {
    try {
      await this.#publishers.evict(channel, kind === 'closed' ? 'close' : 'hibernate')
    } catch {
      return // not loaded, which has the same effect
    }
    this.#note(kind, channel.name)
  }

  /** Deletes the storage of a channel. */
  async #wipe(channel: ChannelPlan, random: Random): Promise<void> {
    const kind = random.pick(WIPES)
    const during = random.weighted(WIPED_DURING)
    const before = random.weighted(WIPED_BEFORE)
    const wiped = during === 'replay' ? this.#bulk : channel
    if (during === 'replay') {
      const late = await this.#joinLate(wiped, 'bare 1')
      if (late !== undefined) await until(() => late.isSubscribed, { timeout: SUBSCRIBE_TIMEOUT, interval: 1 })
      await pause(random.whole(0, 10))
    }
    const burst = Array.from({ length: during === 'publishes' ? random.whole(4, 12) : 0 }, () => (): Promise<unknown> =>
      this.#publishers.send(wiped, 'burst', {}),
    )
    const half = burst.length / 2
    const publishes = burst.slice(0, half).map((publish) => publish())
    this.#note(`wiped (${kind})`, wiped.name)
    const wipe = this.#publishers.wipe(wiped, kind)
    publishes.push(...burst.slice(half).map((publish) => publish()))
    await wipe
    if (before !== 'nothing') await this.#evict(wiped, before)
    await Promise.all(publishes)
  }

  /** Overwrites the attachments of some open sockets, and sometimes makes their Durable Object read them again. */
  async #spoilAttachments(channel: ChannelPlan, random: Random): Promise<void> {
    const spoiled = Array.from({ length: random.whole(1, 3) }, () => ({ attachment: random.pick(ATTACHMENTS), socket: random.next() }))
    const isHibernated = random.chance(0.7)
    for (const each of spoiled) {
      const { sockets } = await this.#publishers.front(channel, each)
      if (sockets !== 0) this.#note(`unreadable attachment (${each.attachment})`, channel.name)
    }
    if (isHibernated) await this.#evict(channel, 'hibernated')
  }

  /** Kills the runtime during publishes, some of which will never receive a response. */
  async #kill(random: Random): Promise<void> {
    let back = (): void => {}
    const burst: Promise<unknown>[] = Array.from({ length: random.whole(5, 15) }, () =>
      random.chance(0.3)
        ? this.#publishers.sendBatch(random.pick(this.#channels), 'burst', 20, {})
        : this.#publishers.send(random.pick(this.#channels), 'burst', {}),
    )
    const [isWiped, channel, kind] = [random.chance(0.5), random.pick(this.#channels), random.pick(WIPES)]
    if (isWiped) {
      this.#note(`wiped (${kind})`, channel.name)
      burst.push(this.#publishers.wipe(channel, kind).catch(() => {}))
    }
    await pause(random.whole(0, 12))
    this.#running = new Promise((resolve) => (back = resolve))
    this.#note('killed')
    await this.#journals.kill()
    await Promise.all(burst)
    back()
  }

  // --- The end

  /** All clients reconnect, and receive one more event. */
  async #settle(): Promise<void> {
    this.#network.calm()
    for (const { line } of this.#clients) line.heal()
    const there = this.#clients.filter(({ record }) => record.stayed)
    await until(() => there.every((client) => client.isSubscribed))
    for (const channel of this.#channels) {
      const last = await this.#publishers.send(channel, 'the last', {})
      if (last === undefined) throw new Error(`the last event of ${channel.name} was not acknowledged`)
      channel.last = last
    }
    await until(() => there.every((client) => client.last === this.#channels.find(({ name }) => name === client.record.channel)?.last))
    for (const client of there) {
      if (client.isSubscribed) continue
      this.#options.onProgress?.(`${client.record.name} (${client.record.kind}) did not reconnect in time`)
    }
    await this.#converge()
  }

  /** The members that have left leave the lists of all clients, and nothing changes after it. */
  async #converge(): Promise<void> {
    const withPresence = this.#channels.filter(({ presence }) => presence !== undefined)
    // One after the other, so that it is known which one is the last one of its member.
    for (const client of this.#clients) if (client.canSetState) await client.setState(`${client.record.name} at the end`)
    const start = Date.now()
    const grace = Math.max(...withPresence.map(({ presence }) => presence!.grace))
    await until(() => withPresence.every((channel) => this.#hasConverged(channel)), { timeout: grace + CONVERGE_TIMEOUT })
    this.convergence = Date.now() - start
    // They stay as they are, except for clients whose tokens expire.
    await pause(grace + 500)
    const end = Date.now() + CONVERGE_TIMEOUT
    for (const channel of withPresence) {
      do {
        channel.presence!.members = await this.#publishers.members(channel)
        for (const client of this.#clientsOf(channel)) client.seesMembers()
      } while (!this.#hasConverged(channel, channel.presence!.members) && Date.now() < end && (await pause(50), true))
    }
  }

  /** Whether all clients, and the Durable Object, have the members of a channel, with the same states. */
  #hasConverged(channel: ChannelPlan, listed?: readonly PresenceMember[]): boolean {
    const clients = this.#clientsOf(channel).filter(({ isMember }) => isMember)
    const expected = [...new Set(clients.flatMap(({ member }) => member ?? []))].sort().join()
    const lists = [...clients.filter(({ seesPresence }) => seesPresence).map(({ members }) => members), ...(listed === undefined ? [] : [listed])]
    const states = new Set(lists.map((list) => list.map(({ id, state }) => JSON.stringify([id, state])).sort().join()))
    return states.size <= 1 && lists.every((list) => list.map(({ id }) => id).sort().join() === expected)
  }
}

function create(kind: Kind, version: ClientVersion, options: ClientOptions, { binding, endpoint }: ChannelPlan): SoakClient {
  if (kind === 'publisher') return new PublisherClient({ ...options, binding })
  if (kind === 'rust stub') return new RustStubClient({ ...options, binding })
  if (kind === 'stub') return new StubClient({ ...options, binding })
  if (kind.startsWith('sse')) return new SseClient({ ...options, endpoint })
  if (kind.startsWith('pages')) return new PageClient({ ...options, endpoint })
  if (kind.startsWith('fallback')) return new FallbackClient({ ...options, endpoint })
  if (kind === 'stock') return new StockClient(version, options)
  if (kind.startsWith('bare')) return new BareClient(options)
  return kind.startsWith('subscribe') ? new StandaloneClient(options) : new NpmClient(kind.startsWith('orpc-v1') ? 1 : 2, options)
}

/** Whether these clients are of the npm package, which always sends a connection id. */
const isOfPackage = (kind: Kind): boolean => /^(subscribe|orpc|fallback)/.test(kind)

/** Returns the report of a failed run. */
export function failures({ violations, history, seed }: SoakResult): string[] {
  const shown = violations.slice(0, 3).flatMap((violation) => ['', ...excerpt(history, violation)])
  return [`${violations.length} violations. To repeat it: npm run soak -- --seed ${seed}`, ...shown]
}

async function until(condition: () => boolean, { timeout = SETTLE_TIMEOUT, interval = 20 } = {}): Promise<void> {
  const end = Date.now() + timeout
  while (!condition() && Date.now() < end) await pause(interval)
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, Math.max(0, milliseconds)))

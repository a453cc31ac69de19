// The time from the start of a client to its first event, and from a lost connection to the first event after it. Both kinds of
// clients take turns.

import { setTimeout as wait } from 'node:timers/promises'

import { Proxy } from '../../tests/npm/support/proxy.ts'
import { quantile } from '../measure.ts'
import { Variant } from '../variants.ts'
import { KINDS, PlainWebSocket, STABLE_AFTER } from './kinds.ts'
import type { KindName, OpenClient } from './kinds.ts'

/** Milliseconds. */
export interface Latency {
  p50: number
  p99: number
  /** The number of measurements. */
  runs: number
}

export type Latencies = Record<'firstEvent' | 'recovery', Partial<Record<KindName, Latency>>>

export interface LatencyOptions {
  /** The number of clients of each kind whose first event is measured, one after the other. */
  starts: number
  /** The number of times that all clients of a kind lose their connections. */
  losses: number
  /** The number of clients that lose their connections at once. */
  clients: number
}

/** The first measurements of each kind, in which code is compiled. They are not counted. */
const WARM_UP = 20

const ROOM = 'clients'

export async function latencies(kinds: KindName[], { starts, losses, clients }: LatencyOptions): Promise<Latencies> {
  const variant = await Variant.start('ours')
  try {
    const room = new Room(variant)
    await room.publish()
    return {
      firstEvent: await firstEvents(room, kinds, starts),
      recovery: await recoveries(room, kinds, { losses, clients }),
    }
  } finally {
    await variant.stop()
  }
}

/** A channel with numbered events, and clients of it. */
class Room {
  readonly variant: Variant
  /** The number of published events. */
  published = 0
  readonly #issuedAt = Math.floor(Date.now() / 1_000)

  constructor(variant: Variant) {
    this.variant = variant
  }

  publish(): Promise<void> {
    return this.variant.publish([ROOM], 1, 100, ++this.published)
  }

  get address(): URL {
    return this.variant.address(ROOM)
  }

  open(kind: KindName, url: URL): Follower {
    const follower = new Follower()
    follower.client = KINDS[kind].open({
      url: url.href,
      channel: ROOM,
      issuedAt: this.#issuedAt,
      WebSocket: PlainWebSocket,
      onEvent: ({ n }) => follower.onEvent(n),
      onEnd: (error) => follower.onEnd(error),
    })
    return follower
  }
}

/** A client whose events are awaited. */
class Follower {
  client: OpenClient | undefined
  #last = 0
  #ended: { cause: unknown } | undefined
  #waiting: { n: number; resolve: (at: number) => void; reject: (error: Error) => void } | undefined

  onEvent(n: number): void {
    this.#last = n
    if (this.#waiting !== undefined && n >= this.#waiting.n) this.#waiting.resolve(performance.now())
  }

  onEnd(cause: unknown): void {
    this.#ended = { cause }
    this.#waiting?.reject(new Error('the iteration has ended', this.#ended))
  }

  /** Resolves with the time at which the event arrived. */
  async event(n: number): Promise<number> {
    if (this.#ended !== undefined) throw new Error('the iteration has ended', this.#ended)
    if (this.#last >= n) return performance.now()
    return new Promise((resolve, reject) => (this.#waiting = { n, resolve, reject }))
  }
}

async function firstEvents(room: Room, kinds: KindName[], starts: number): Promise<Latencies['firstEvent']> {
  const times = new Map<KindName, number[]>(kinds.map((kind) => [kind, []]))
  for (let run = -WARM_UP; run < starts; run++) {
    for (const kind of kinds) {
      const startedAt = performance.now()
      const follower = room.open(kind, room.address)
      const at = await follower.event(1)
      follower.client!.close()
      if (run >= 0) times.get(kind)!.push(at - startedAt)
    }
  }
  return summary(times)
}

async function recoveries(
  room: Room,
  kinds: KindName[],
  { losses, clients }: Pick<LatencyOptions, 'losses' | 'clients'>,
): Promise<Latencies['recovery']> {
  const times = new Map<KindName, number[]>(kinds.map((kind) => [kind, []]))
  const groups: { kind: KindName; proxy: Proxy; followers: Follower[] }[] = []
  try {
    for (const kind of kinds) {
      const proxy = await Proxy.start(room.address)
      const url = new URL(room.address)
      url.port = proxy.url.port
      const followers = Array.from({ length: clients }, () => room.open(kind, url))
      groups.push({ kind, proxy, followers })
      await Promise.all(followers.map((follower) => follower.event(room.published)))
    }
    for (let loss = 0; loss < losses; loss++) {
      // Otherwise the clients would treat the losses as repeated failures, and wait longer each time.
      await wait(STABLE_AFTER)
      for (const { kind, proxy, followers } of groups) {
        const lostAt = performance.now()
        proxy.cut()
        const published = room.publish()
        const recovered = await Promise.all(followers.map((follower) => follower.event(room.published)))
        await published
        for (const at of recovered) times.get(kind)!.push(at - lostAt)
      }
    }
  } finally {
    for (const { proxy, followers } of groups) {
      for (const { client } of followers) client?.close()
      await proxy.dispose()
    }
  }
  return summary(times)
}

function summary(times: Map<KindName, number[]>): Partial<Record<KindName, Latency>> {
  return Object.fromEntries(
    [...times].map(([kind, of]) => [kind, { p50: quantile(of, 0.5), p99: quantile(of, 0.99), runs: of.length }]),
  )
}

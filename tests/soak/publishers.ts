// The publishers of a run, in all ways of publishing, and their records.

import type { Journals } from '../support/journals.ts'
import type { SoakClient } from './clients.ts'
import { FRONT_ORIGIN } from './front.ts'
import type { FrontRequest, WIPES } from './front.ts'
import type { Audience, PresenceMember, Publish, Revocation, Wipe } from './history.ts'
import type { Random } from './random.ts'

export const PUBLISH_KEY = 'the publish key of the soak'

/**
 * A Worker of another script with stubs. `spoil` makes the event a value that JSON cannot represent. An error with a
 * code is that of the Durable Object; with other errors, the outcome of the publish is unknown.
 */
export const PUBLISHER = `
import unsafe from 'workerd:unsafe'

const spoiled = {
  function: (event) => ({ ...event, f() {} }),
  bytes: (event) => ({ ...event, bytes: new Uint8Array(3) }),
  deep: (event) => { for (let n = 0; n < 200; n++) event = { event }; return event },
  large: (event) => ({ ...event, padding: 'x'.repeat(2_000_000) }),
  text: () => 'a string',
  number: () => 5,
  nothing: () => null,
  map: (event) => new Map([['n', event.n]]),
}
export default {
  async fetch(request, env) {
    const { binding, channel, event, events, options, spoil, front, evict, call } = await request.json()
    try {
      if (evict) {
        await unsafe.evict(env[binding].getByName(channel), { webSockets: evict })
        return Response.json({})
      }
      if (front) {
        const stub = env[binding].getByName(channel)
        return await stub.fetch('${FRONT_ORIGIN}', { method: 'POST', body: JSON.stringify(front) })
      }
      if (call) {
        const [method, ...args] = call
        return Response.json({ result: await env[binding].getByName(channel)[method](...args) })
      }
      if (events) {
        const batch = events.map((event, n) => n === spoil?.index ? spoiled[spoil.kind](event) : event)
        const published = await env[binding].getByName(channel).publishBatch(batch, options)
        return Response.json({ ids: published.map(({ id }) => id) })
      }
      const { id } = await env[binding].getByName(channel).publish(spoil ? spoiled[spoil](event) : event, options)
      return Response.json({ id })
    } catch (error) {
      return Response.json({ error: { code: error.code, message: error.message } })
    }
  },
}`

/** The ways to make an event invalid. */
export const SPOILED = ['function', 'bytes', 'deep', 'large', 'text', 'number', 'nothing', 'map'] as const
export type Spoiled = (typeof SPOILED)[number]

/** The ways to publish. With `socket`, one of the clients publishes. */
export const WAYS = ['stub', 'batch', 'relay', 'socket', 'http', 'http batch'] as const
export type Way = (typeof WAYS)[number]

/** A channel for publishers. */
export interface Target {
  name: string
  binding: string
  ways: Partial<Record<Way, number>>
  /** The number of characters that are added to each event, so that a replay has several steps. */
  padding: number
}

/** The sockets to disconnect, see the library's `disconnect`. */
export type Disconnected = { to: string[] } | { tags: string[] } | { except: string[]; everyone: true } | { everyone: true }

/** The tokens to revoke: exactly one member. `issuedBefore` is in milliseconds. */
export type Revoked = Pick<Revocation, 'connection' | 'subject' | 'issuedBefore'>

/** The maximum number of events of a batch. */
const BATCH = 8

export class Publishers {
  readonly publishes: Publish[] = []
  readonly wipes: Wipe[] = []
  readonly revocations: Revocation[] = []
  /** The number of acknowledged publishes. */
  stored = 0
  readonly #journals: Journals
  readonly #publisher: URL
  readonly #relay: URL
  readonly #deployable: URL

  private constructor(journals: Journals, [publisher, relay, deployable]: [URL, URL, URL]) {
    this.#journals = journals
    this.#publisher = publisher
    this.#relay = relay
    this.#deployable = deployable
  }

  static async of(journals: Journals): Promise<Publishers> {
    return new Publishers(
      journals,
      await Promise.all([journals.urlOf('publisher'), journals.urlOf('relay'), journals.urlOf('deployable')]),
    )
  }

  /** Publishes once, to random recipients. Resolves when the outcome is known, or finally unknown. */
  async publish(target: Target, by: string, random: Random, clients: SoakClient[]): Promise<void> {
    const way = random.weighted({ stub: 0, batch: 0, relay: 0, socket: 0, http: 0, 'http batch': 0, ...target.ways })
    // Random numbers are always drawn, so that the presence of a client does not change later ones.
    const ids = clients.flatMap(({ record }) => record.connection ?? [])
    const audience = chooseAudience(random, ids)
    const caller = clients.length > 0 ? random.pick(clients) : undefined
    if (way === 'socket' && caller !== undefined) return this.#bySocket(target, by, caller)
    const length = random.whole(1, BATCH)
    if (way === 'stub') await this.send(target, by, audience)
    if (way === 'batch') await this.sendBatch(target, by, length, audience)
    if (way === 'http batch') return this.#batchByRequest(target, by, length, audience)
    if (way === 'relay') return this.#byRequest(target, by, new URL(`/relay/${target.binding}/${target.name}`, this.#relay), {}, (event) => JSON.stringify({ json: event }))
    if (way === 'http') {
      const url = new URL(`/channels/${encodeURIComponent(target.name)}/events`, this.#deployable)
      return this.#byRequest(target, by, url, { authorization: `Bearer ${PUBLISH_KEY}` }, (event) => JSON.stringify(event))
    }
  }

  /** Publishes through a stub. A spoiled event must be rejected. */
  async send(target: Target, by: string, audience: Audience, spoil?: Spoiled): Promise<number | undefined> {
    const publish = this.#begin(target, `${by} ${spoil ?? 'stub'}`, audience)
    const body = { binding: target.binding, channel: target.name, event: event(publish, target), options: recipients(audience), spoil }
    try {
      const response = await this.#journals.fetch(this.#publisher, { method: 'POST', body: JSON.stringify(body) })
      const { id, error } = (await response.json()) as { id?: string; error?: { code?: string } }
      if (id !== undefined) this.#end(publish, 'stored', Number(id))
      else this.#end(publish, error?.code === undefined ? 'unknown' : 'rejected')
    } catch {
      this.#end(publish, 'unknown')
    }
    return publish.id
  }

  /** Publishes a batch through a stub. One with a spoiled event must be rejected. */
  async sendBatch(target: Target, by: string, length: number, audience: Audience, spoil?: { index: number; kind: Spoiled }): Promise<void> {
    const batch = this.#beginBatch(target, `${by} ${spoil?.kind ?? 'batch'}`, length, audience)
    const events = batch.map((publish) => event(publish, target))
    const body = { binding: target.binding, channel: target.name, events, options: recipients(audience), spoil }
    try {
      const response = await this.#journals.fetch(this.#publisher, { method: 'POST', body: JSON.stringify(body) })
      const { ids, error } = (await response.json()) as { ids?: string[]; error?: { code?: string } }
      this.#endBatch(batch, ids !== undefined ? 'stored' : error?.code === undefined ? 'unknown' : 'rejected', ids)
    } catch {
      this.#endBatch(batch, 'unknown')
    }
  }

  async #batchByRequest(target: Target, by: string, length: number, audience: Audience): Promise<void> {
    const batch = this.#beginBatch(target, `${by} http batch`, length, audience)
    const url = new URL(`/channels/${encodeURIComponent(target.name)}/batch`, this.#deployable)
    const body = JSON.stringify(batch.map((publish) => ({ event: event(publish, target), ...recipients(audience) })))
    try {
      const headers = { authorization: `Bearer ${PUBLISH_KEY}`, 'content-type': 'application/json' }
      const response = await this.#journals.fetch(url, { method: 'POST', headers, body })
      if (!response.ok) return this.#endBatch(batch, response.status < 500 ? 'rejected' : 'unknown')
      const { published } = (await response.json()) as { published: { id: string }[] }
      this.#endBatch(batch, 'stored', published.map(({ id }) => id))
    } catch {
      this.#endBatch(batch, 'unknown')
    }
  }

  #beginBatch(target: Target, by: string, length: number, audience: Audience): Publish[] {
    const first = this.publishes.length + 1
    return Array.from({ length }, (_, index) => Object.assign(this.#begin(target, by, audience), { batch: { first, index, length } }))
  }

  #endBatch(batch: Publish[], outcome: Publish['outcome'], ids: string[] = []): void {
    for (const [n, publish] of batch.entries()) this.#end(publish, outcome, ids[n] === undefined ? undefined : Number(ids[n]))
  }

  /** Closes the sockets of some clients. */
  async disconnect(target: Target, disconnected: Disconnected): Promise<void> {
    await this.#call(target, 'disconnect', { ...disconnected, reason: 'disconnected by the soak' })
  }

  /** Revokes tokens. */
  async revoke(target: Target, revoked: Revoked): Promise<void> {
    const revocation: Revocation = { channel: target.name, sentAt: Date.now(), endedAt: Number.POSITIVE_INFINITY, outcome: 'unknown', ...revoked }
    this.revocations.push(revocation)
    try {
      const { issuedBefore, ...other } = revoked
      const before = issuedBefore !== undefined && { issuedBefore: new Date(issuedBefore).toISOString() }
      await this.#call(target, 'revoke', { ...other, ...before, reason: 'revoked by the soak' })
      revocation.outcome = 'revoked'
    } finally {
      revocation.endedAt = Date.now()
    }
  }

  /** Returns the members of a channel. */
  async members(target: Target): Promise<PresenceMember[]> {
    return ((await this.#call(target, 'members')) as { members: PresenceMember[] }).members
  }

  async #call({ name, binding }: Target, ...call: unknown[]): Promise<unknown> {
    const response = await this.#journals.fetch(this.#publisher, { method: 'POST', body: JSON.stringify({ binding, channel: name, call }) })
    const { result, error } = (await response.json()) as { result?: unknown; error?: { message: string } }
    if (error !== undefined) throw new Error(error.message)
    return result
  }

  /** Deletes the storage of the channel. */
  async wipe(target: Target, kind: (typeof WIPES)[number]): Promise<void> {
    const wipe: Wipe = { channel: target.name, sentAt: Date.now(), endedAt: Number.POSITIVE_INFINITY, outcome: 'unknown' }
    this.wipes.push(wipe)
    try {
      await this.front(target, { wipe: kind })
      wipe.outcome = 'wiped'
    } finally {
      wipe.endedAt = Date.now()
    }
  }

  /**
   * Unloads a channel's Durable Object, like `RunningWorkers.evict`, which blocks this process until it is done: an
   * eviction may wait for data that this process must read or write first.
   *
   * @throws When the Durable Object is not loaded.
   */
  async evict({ name, binding }: Target, webSockets: 'hibernate' | 'close'): Promise<void> {
    const body = JSON.stringify({ binding, channel: name, evict: webSockets })
    const response = await this.#journals.fetch(this.#publisher, { method: 'POST', body })
    const { error } = (await response.json()) as { error?: { message: string } }
    if (error !== undefined) throw new Error(error.message)
  }

  /** Sends a request to the front of a channel's Durable Object. */
  async front(target: Target, front: FrontRequest): Promise<{ sockets?: number }> {
    const body = JSON.stringify({ binding: target.binding, channel: target.name, front })
    const response = await this.#journals.fetch(this.#publisher, { method: 'POST', body })
    const result = (await response.json()) as { sockets?: number; error?: { message: string } }
    if (result.error !== undefined) throw new Error(result.error.message)
    return result
  }

  async #byRequest(target: Target, by: string, url: URL, headers: Record<string, string>, body: (event: object) => string): Promise<void> {
    const publish = this.#begin(target, `${by} ${url.pathname.startsWith('/relay') ? 'relay' : 'http'}`, {})
    try {
      const init = { method: 'POST', headers, body: body(event(publish, target)) }
      const response = await this.#journals.fetch(url, init)
      const text = await response.text()
      // The event id is the only number in the response.
      if (response.ok) this.#end(publish, 'stored', Number(text.match(/\d+/)?.[0]))
      else this.#end(publish, response.status < 500 ? 'rejected' : 'unknown')
    } catch {
      this.#end(publish, 'unknown')
    }
  }

  async #bySocket(target: Target, by: string, caller: SoakClient): Promise<void> {
    const { name, connection } = caller.record
    const excluded = { caller: name, ...(connection === undefined ? {} : { except: [connection] }) }
    const audience = caller.excludesItself ? excluded : {}
    const publish = this.#begin(target, `${by} socket of ${name}`, audience)
    const result = await caller.publish(event(publish, target))
    if (typeof result === 'string') this.#end(publish, result)
    else if ('id' in result) this.#end(publish, 'stored', result.id)
    else this.#end(publish, 'rejected')
  }

  #begin(target: Target, by: string, audience: Audience): Publish {
    const publish: Publish = {
      n: this.publishes.length + 1,
      channel: target.name,
      by,
      sentAt: Date.now(),
      // Retries until there is a response.
      outcome: 'unknown',
      audience,
    }
    this.publishes.push(publish)
    return publish
  }

  #end(publish: Publish, outcome: Publish['outcome'], id?: number): void {
    publish.outcome = outcome
    publish.answeredAt = Date.now()
    if (outcome !== 'stored') return
    if (id !== undefined) publish.id = id
    this.stored++
  }
}

function event({ n }: Publish, { padding }: Target): object {
  return padding === 0 ? { n } : { n, padding: 'x'.repeat(padding) }
}

/** Returns the options of a publish. */
function recipients({ to, except }: Audience): object {
  return { ...(to === undefined ? {} : { to }), ...(except === undefined ? {} : { except }) }
}

/** Returns a random audience, usually everyone. */
function chooseAudience(random: Random, ids: string[]): Audience {
  const kind = random.weighted({ everyone: 6, to: 2, except: 2 })
  const some = Array.from({ length: random.whole(1, 3) }, () => (ids.length === 0 ? 'nobody' : random.pick(ids)))
  return kind === 'everyone' ? {} : { [kind]: some }
}

// A Worker in TypeScript that reads a channel through a stub, with Durable Objects on workerd.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { CLASSES, startJournals } from '../support/journals.ts'
import type { Binding, Journals } from '../support/journals.ts'
import type { Line, Task } from './stub/worker.ts'

let journals: Journals
let reader: URL
beforeAll(async () => {
  const durableObjects = Object.fromEntries(Object.entries(CLASSES).map(([binding, className]) => [binding, { className, scriptName: 'objects' }]))
  journals = await startJournals({
    workers: [{ name: 'reader', entry: 'tests/npm/stub/worker.ts', durableObjects }],
  })
  reader = await journals.urlOf('reader')
})
afterAll(() => journals?.dispose())
const following: Follower[] = []
afterEach(() => {
  for (const follower of following.splice(0)) follower.leave()
})

let channels = 0
const newChannel = (): string => `read-${++channels}`
const publish = (channel: string, event: object, options: object = {}, binding: Binding = 'USUAL'): Promise<string> =>
  journals.publish(binding, channel, event, options).then(({ id }) => id)
const ask = (task: Task, signal?: AbortSignal): Promise<Response> =>
  fetch(reader, { method: 'POST', body: JSON.stringify(task), ...(signal && { signal }) })
/** Returns the number of open sockets of a Durable Object. */
const sockets = async (channel: string, binding: Binding = 'USUAL'): Promise<number> => (await journals.stub(binding, channel, 'kept')).length

/** The lines of a Worker that follows a channel. */
class Follower {
  readonly lines: Line[] = []
  readonly #controller = new AbortController()

  static async start(channel: string, follow: Task['follow'] = {}, binding: Binding = 'USUAL'): Promise<Follower> {
    const follower = new Follower()
    following.push(follower)
    const response = await ask({ binding, channel, follow }, follower.#controller.signal)
    void follower.#read(response).catch(() => {})
    return follower
  }

  async #read(response: Response): Promise<void> {
    let text = ''
    for await (const part of response.body!.pipeThrough(new TextDecoderStream() as never) as unknown as AsyncIterable<string>) {
      const lines = (text + part).split('\n')
      text = lines.pop()!
      this.lines.push(...lines.map((line) => JSON.parse(line) as Line))
    }
  }

  get events(): unknown[] {
    return this.lines.flatMap((line) => ('event' in line ? [line.event] : []))
  }

  get states(): string[] {
    return this.lines.flatMap((line) => ('state' in line ? [line.state] : []))
  }

  open(times = 1): Promise<void> {
    return expect.poll(() => this.states.filter((state) => state === 'open').length, { timeout: 10_000 }).toBe(times)
  }

  receives(events: unknown[]): Promise<void> {
    return expect.poll(() => this.events, { timeout: 10_000 }).toEqual(events)
  }

  /** Disconnects from the Worker. */
  leave(): void {
    this.#controller.abort()
  }
}

const n = (n: number): { n: number } => ({ n })

describe('a Worker that subscribes through a stub', () => {
  test('continues after all tokens were revoked', async () => {
    const channel = newChannel()
    const follower = await Follower.start(channel)
    await follower.open()
    await publish(channel, n(1))
    await follower.receives([n(1)])
    expect(await journals.stub('USUAL', channel, 'revoke', { issuedBefore: Date.now() / 1_000 + 1 })).toEqual({ disconnected: 1 })
    await publish(channel, n(2))
    await follower.receives([n(1), n(2)])
  })

  test('receives events with their ids, from its cursor on, and closes its socket after the iteration', async () => {
    const channel = newChannel()
    const ids = [await publish(channel, n(1)), await publish(channel, n(2))]
    const follower = await Follower.start(channel, { lastEventId: ids[0] })
    await follower.receives([n(2)])
    expect(follower.lines).toContainEqual({ event: n(2), id: ids[1] })
    expect(await sockets(channel)).toBe(1)
    await publish(channel, { isLast: true })
    await expect.poll(() => follower.lines.at(-1)).toEqual({ ended: null })
    expect(follower.states).toEqual(['connecting', 'open', 'closed'])
    await expect.poll(() => sockets(channel)).toBe(0)
  })

  test('resumes after lost connections and hibernation, and reports a gap', async () => {
    const channel = newChannel()
    const follower = await Follower.start(channel, {}, 'FEW')
    await follower.open()
    const first = await publish(channel, n(0), {}, 'FEW')
    await follower.receives([n(0)])
    await journals.hibernate('FEW', channel)
    await publish(channel, n(1), {}, 'FEW')
    await follower.receives([n(0), n(1)])
    await journals.stub('FEW', channel, 'closeAll', 4_000)
    await publish(channel, n(2), {}, 'FEW')
    await follower.open(2)
    await follower.receives([n(0), n(1), n(2)])

    const late = await Follower.start(channel, { lastEventId: first }, 'FEW')
    await late.receives([n(1), n(2)])
    for (let more = 3; more < 43; more += 1) await publish(channel, n(more), {}, 'FEW')
    const missed = await Follower.start(channel, { lastEventId: first }, 'FEW')
    await expect.poll(() => missed.events.at(-1), { timeout: 10_000 }).toEqual(n(42))
    expect(missed.lines.find((line) => 'gap' in line)).toEqual({ gap: expect.any(String), after: first })
  })

  test('receives the events for its tags, or for every audience', async () => {
    const channel = newChannel()
    const plain = await Follower.start(channel)
    const staff = await Follower.start(channel, { tags: ['staff'] })
    const every = await Follower.start(channel, { everyAudience: true })
    await Promise.all([plain.open(), staff.open(), every.open()])
    await publish(channel, n(1), { tags: ['staff'] })
    await publish(channel, n(2), { to: ['somebody'] })
    await publish(channel, n(3))
    await Promise.all([plain.receives([n(3)]), staff.receives([n(1), n(3)]), every.receives([n(1), n(2), n(3)])])
  })

  test('ends with its signal, and the socket is closed', async () => {
    const channel = newChannel()
    const follower = await Follower.start(channel)
    await follower.open()
    expect(await sockets(channel)).toBe(1)
    await publish(channel, { aborts: true })
    await expect.poll(() => follower.lines.at(-1)).toEqual({ ended: 'enough', name: 'Error' })
    await expect.poll(() => sockets(channel), { timeout: 10_000 }).toBe(0)
  })

  test('ends with a typed error if the Durable Object rejects it', async () => {
    const follower = await Follower.start(newChannel(), { tags: Array.from({ length: 30 }, (_, index) => `tag ${index}`) })
    await expect.poll(() => follower.lines.at(-1), { timeout: 10_000 }).toMatchObject({ name: 'ORPCError', status: 400, ended: expect.stringContaining('tags') })
    const channel = newChannel()
    const accepted = await Promise.all([1, 2].map(() => Follower.start(channel, {}, 'CAPPED')))
    await Promise.all(accepted.map((each) => each.open()))
    await Follower.start(channel, {}, 'CAPPED').then((third) => third.open())
    const fourth = await Follower.start(channel, { openTimeout: 1_000 }, 'CAPPED')
    await expect.poll(() => fourth.lines.at(-1), { timeout: 10_000 }).toMatchObject({
      name: 'DurableEventIteratorConnectionError',
      status: 503,
      ended: expect.stringMatching(/did not open within 1000 ms: the Durable Object responds with 503/),
    })
  })

  test('continues after the response, with `waitUntil`', async () => {
    const [from, to] = [newChannel(), newChannel()]
    await publish(from, n(1))
    const response = await ask({ binding: 'USUAL', channel: from, copy: { to, count: 2 } })
    expect(response.status).toBe(202)
    await publish(from, n(2))
    const copies = await Follower.start(to, { lastEventId: '0' })
    await copies.receives([n(1), n(2)])
    await expect.poll(() => sockets(from), { timeout: 10_000 }).toBe(0)
  })
})

describe('a Worker that reads a page through a stub', () => {
  const read = async (channel: string, query: Task['read'] = {}): Promise<any> => (await ask({ binding: 'USUAL', channel, read: query })).json()

  test('receives events with their meta, and the cursor of the next page', async () => {
    const channel = newChannel()
    expect(await read(channel)).toEqual({ events: [], metas: [], more: false })
    const ids: string[] = []
    for (const k of [1, 2, 3]) ids.push(await publish(channel, n(k), k === 2 ? { retry: 7, comments: ['two'] } : {}))
    expect(await read(channel, { limit: 2 })).toEqual({
      events: [n(1), n(2)],
      metas: [{ id: ids[0] }, { id: ids[1], retry: 7, comments: ['two'] }],
      next: ids[1],
      more: true,
    })
    expect(await read(channel, { after: ids[1] })).toMatchObject({ events: [n(3)], next: ids[2], more: false })
    expect(await read(channel, { last: 1 })).toMatchObject({ events: [n(3)] })
    expect(await read(channel, { since: Number(ids[1]) / 1e6 })).toMatchObject({ events: [n(2), n(3)] })
  })

  test('receives the events for its tags, or for every audience', async () => {
    const channel = newChannel()
    await publish(channel, n(1), { tags: ['staff'] })
    await publish(channel, n(2), { to: ['somebody'] })
    await publish(channel, n(3))
    expect((await read(channel)).events).toEqual([n(3)])
    expect((await read(channel, { tags: ['staff'] })).events).toEqual([n(1), n(3)])
    expect((await read(channel, { everyAudience: true })).events).toEqual([n(1), n(2), n(3)])
  })

  test('receives a typed error for an invalid query', async () => {
    expect(await read(newChannel(), { limit: 0 })).toEqual({ error: ['BAD_REQUEST', expect.stringContaining('limit must be 1 to 1000, got 0')] })
  })
})

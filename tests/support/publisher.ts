// oRPC's publisher in a Worker, driven by tests: `tests/worker-typescript/publisher.ts`.

import { StandardRPCJsonSerializer } from '@orpc/client/standard'

import { CLASSES } from './journals.ts'
import type { Binding } from './journals.ts'
import type { DurableObjectBinding, RunningWorkers, WorkerDefinition } from './workerd.ts'

const ALL_CLASSES = Object.fromEntries(Object.entries(CLASSES).map(([binding, className]) => [binding, { className, scriptName: 'objects' }]))

/** Returns a Worker with the publisher. Its default bindings are those of the Durable Objects of the Worker `objects`. */
export const publisherWorker = (name = 'publisher', durableObjects: Record<string, DurableObjectBinding> = ALL_CLASSES): WorkerDefinition => ({
  name,
  entry: 'tests/worker-typescript/publisher.ts',
  durableObjects,
})

/** A type that JSON does not have, for which the publisher has a custom serializer. */
export class User {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

const serializer = new StandardRPCJsonSerializer({
  customJsonSerializers: [
    {
      type: 21,
      condition: (value) => value instanceof User,
      serialize: ({ name }: any) => ({ name }),
      deserialize: ({ name }: any) => new User(name),
    },
  ],
})

/** What a subscriber has received. */
export interface Payload {
  payload: any
  meta: { id?: string; retry?: number; comments?: string[] } | undefined
  /** Whether the publisher has revived the custom type of the payload's property `user`. */
  isUser: boolean
}

/** The names and options of a publisher. */
export interface PublisherOptions {
  prefix?: string
  /** How the publisher finds its stubs. Default: `getByName`. */
  by?: 'id'
}

export interface SubscribeOptions extends PublisherOptions {
  lastEventId?: string
  /** How the application receives events. Default: an iterator. */
  form?: 'listener' | 'iterator'
}

/** The publisher of one Worker. */
export class Publisher {
  readonly #workers: RunningWorkers
  readonly url: URL

  private constructor(workers: RunningWorkers, url: URL) {
    this.#workers = workers
    this.url = url
  }

  static async of(workers: RunningWorkers, name = 'publisher'): Promise<Publisher> {
    return new Publisher(workers, await workers.urlOf(name))
  }

  #at(path: string, query: object): URL {
    const url = new URL(path, this.url)
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, String(value))
    return url
  }

  /** Publishes a payload. Returns the error that the publisher has thrown. */
  async publish(
    binding: string,
    event: string,
    payload: unknown,
    eventMeta?: object,
    options: PublisherOptions = {},
  ): Promise<{ error?: string; status?: number; body?: string }> {
    const [json, meta] = serializer.serialize(payload)
    const body = JSON.stringify({ json, meta, eventMeta })
    const response = await this.#workers.fetch(this.#at('/publish', { binding, event, ...options }), { method: 'POST', body })
    return (await response.json()) as object
  }

  async publishMany(binding: string, event: string, count: number, options: { from?: number; size?: number } = {}): Promise<void> {
    const response = await this.#workers.fetch(this.#at('/publish-many', { binding, event, count, ...options }), {
      signal: AbortSignal.timeout(60_000),
    })
    await response.text()
  }

  /** Sends the body of a publish request. */
  async publishText(binding: string, event: string, body: string | Uint8Array<ArrayBuffer>): Promise<{ status: number; text: string }> {
    const response = await this.#workers.fetch(this.#at('/publish-text', { binding, event }), { method: 'POST', body })
    return { status: response.status, text: await response.text() }
  }

  /** Opens a subscriber's socket without the publisher. Returns the response, and how the socket has closed if `send` is sent. */
  async open(
    binding: string,
    event: string,
    options: { lastEventId?: string; send?: string; keep?: true } = {},
  ): Promise<{ status: number; text: string; headers: Record<string, string>; closed?: { code: number; reason: string } }> {
    return (await (await this.#workers.fetch(this.#at('/open', { binding, event, ...options }))).json()) as any
  }

  subscribe(binding: Binding | string, event: string, options: SubscribeOptions = {}): Subscriber {
    return new Subscriber(this.#at('/subscribe', { binding, event, form: 'listener', ...options }))
  }

  /** Subscribes, and resolves when events that are published from now on arrive. */
  async subscribed(binding: Binding | string, event: string, options: SubscribeOptions = {}): Promise<Subscriber> {
    const subscriber = this.subscribe(binding, event, options)
    await subscriber.until(({ isOpen }) => isOpen)
    return subscriber
  }
}

/** A subscriber that collects its payloads. */
export class Subscriber {
  readonly received: Payload[] = []
  readonly errors: { error: string; cause: string }[] = []
  isOpen = false
  ended = false
  readonly #controller = new AbortController()
  #waiting: (() => void)[] = []

  constructor(url: URL) {
    void this.#gather(url)
  }

  async #gather(url: URL): Promise<void> {
    try {
      const response = await fetch(url, { signal: this.#controller.signal })
      let text = ''
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        const lines = (text + chunk).split('\n')
        text = lines.pop()!
        for (const line of lines) this.#take(JSON.parse(line))
        this.#wake()
      }
    } catch {} // closed, or the runtime was killed
    this.ended = true
    this.#wake()
  }

  #take(line: any): void {
    if (line.opened) this.isOpen = true
    else if (line.error !== undefined) this.errors.push({ error: line.error, cause: line.cause })
    else if (!line.done) this.received.push({ payload: serializer.deserialize(line.json, line.meta), meta: line.eventMeta, isUser: line.isUser })
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  /** Resolves when the condition is met. It is checked with every event and at the end. */
  async until(condition: (subscriber: this) => boolean): Promise<void> {
    while (!condition(this)) {
      if (this.ended) throw new Error(`the subscription has ended: ${JSON.stringify(this.errors)}`)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** Resolves when `count` payloads have arrived, with all of them. */
  async count(count: number): Promise<any[]> {
    await this.until(({ received }) => received.length >= count)
    return this.payloads
  }

  /** Resolves when the stream has ended. */
  async end(): Promise<void> {
    while (!this.ended) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  get payloads(): any[] {
    return this.received.map(({ payload }) => payload)
  }

  get ids(): (string | undefined)[] {
    return this.received.map(({ meta }) => meta?.id)
  }

  close(): void {
    this.#controller.abort()
  }
}

// Clients that are seen only from their application: `subscribe` with a fallback to HTTP, and a Worker that reads through a stub.

import { request } from 'node:http'
import type { ClientRequest } from 'node:http'
import { createInterface } from 'node:readline'

import { getEventMeta, subscribe } from '../../npm/durable-event-iterator/src/client/index.ts'
import type { Subscription, SubscriptionGap } from '../../npm/durable-event-iterator/src/client/index.ts'
import { httpFallback } from '../../npm/durable-event-iterator/src/http/index.ts'
import { PUBLISH } from '../support/journals.ts'
import { SLOW_EVENT, SoakClient, pause } from './clients.ts'
import type { CallResult, ClientOptions } from './clients.ts'
import type { HttpClientOptions } from './http-clients.ts'

abstract class IteratorClient extends SoakClient {
  protected isOpen = false
  /** The number of times that its subscription has opened. */
  protected openings = 0

  constructor(kind: string, options: ClientOptions) {
    super(kind, options)
    Object.assign(this.record, { notified: [], isUnobserved: true }, options.hasPresence && { presence: [] })
  }

  /** Records a presence event. Returns whether it is one. */
  protected sees(event: unknown): boolean {
    if (!this.isPresence(event)) return false
    this.heardPresence(event, this.openings, this.last ?? 0)
    return true
  }

  protected deliver(id: string | undefined, n: number): void {
    this.record.delivered.push({ id: Number(id), n })
  }

  protected notify(nextEventId: string): void {
    const { delivered, notified } = this.record
    notified?.push({ after: delivered.length, next: Number(nextEventId), at: Date.now() })
  }

  get isSubscribed(): boolean {
    return this.isOpen
  }

  renew(): void {
    this.line.cut()
  }
}

/** `subscribe` of the npm package, in networks that block WebSockets at times. */
export class FallbackClient extends IteratorClient {
  readonly #endpoint: string
  readonly #stop = new AbortController()
  #events: Subscription<{ n: number }> | undefined

  constructor({ endpoint, ...options }: HttpClientOptions) {
    super(options.isSecond ? 'fallback, DurableIterator token' : 'fallback', options)
    this.#endpoint = endpoint
    Object.assign(this.record, { ended: [], transports: {} })
  }

  async start(): Promise<void> {
    void this.#iterate()
  }

  async #iterate(): Promise<void> {
    const { path, connection = '' } = this.options
    const http = `http://127.0.0.1:${this.line.port}`
    const { ended, transports = {} } = this.record
    while (!this.stopped) {
      const events = subscribe<{ n: number }>({
        url: new URL(path, http.replace('http', 'ws')),
        token: () => this.token(),
        createId: () => connection,
        signal: this.#stop.signal,
        lastEventId: this.last === undefined ? undefined : String(this.last),
        maxReconnectionDelay: 2_000,
        callTimeout: 1_000,
        heartbeatInterval: 3_000,
        maxBufferedEvents: 20,
        fallback: httpFallback({
          url: new URL(this.#endpoint, http),
          webSocketTimeout: 300,
          webSocketRetryDelay: 500,
          streamTimeout: this.random.chance(0.5) ? 1 : 1_000,
        }),
        onGap: ({ nextEventId }: SubscriptionGap) => this.notify(nextEventId),
        onStateChange: (state, { transport }) => {
          this.isOpen = state === 'open'
          if (this.isOpen) this.openings++
          if (this.isOpen && transport !== undefined) transports[transport] = (transports[transport] ?? 0) + 1
        },
      })
      this.#events = events
      try {
        for await (const event of events) {
          if (this.sees(event)) continue
          this.deliver(getEventMeta(event)?.id, event.n)
          if (Date.now() < this.slowUntil) await pause(SLOW_EVENT)
        }
        if (!this.stopped) ended?.push('without an error')
      } catch (error) {
        // The first connection may not open in time.
        if (!this.stopped && this.record.delivered.length > 0) ended?.push(String(error))
      }
      this.isOpen = false
      await pause(500)
    }
  }

  async publish(event: object): Promise<CallResult> {
    if (this.#events === undefined) return { rejected: 'not connected' }
    try {
      return { id: Number(await this.#events.call([PUBLISH], event)) }
    } catch (error: any) {
      if (error?.name === 'DurableEventIteratorConnectionError') return error.reason === 'unavailable' ? { rejected: error.reason } : 'unknown'
      return typeof error?.code === 'string' && error.status < 500 ? { rejected: error.code } : 'unknown'
    }
  }

  stop(): void {
    this.stopped = true
    this.#stop.abort()
  }
}

export interface StubClientOptions extends ClientOptions {
  binding: string
}

/** A Worker that iterates over a channel through a stub, and streams lines. */
abstract class StubReader extends IteratorClient {
  protected readonly binding: string
  #request: ClientRequest | undefined

  constructor(kind: string, { binding, ...options }: StubClientOptions) {
    super(kind, options)
    this.binding = binding
  }

  override readonly excludesItself: boolean = false

  async start(): Promise<void> {
    this.#follow()
  }

  /** Returns the path and the body of the request, which continues after an event. */
  protected abstract request(last: string | undefined): { path: string; body: object }

  /** Reads a line. Returns whether the stream goes on. */
  protected abstract take(line: string): boolean

  protected abstract opened(): void

  #follow(): void {
    if (this.stopped) return
    const { path, body } = this.request(this.last === undefined ? undefined : String(this.last))
    let isOver = false
    const over = (): void => {
      if (isOver) return
      isOver = true
      sent.destroy()
      this.isOpen = false
      setTimeout(() => this.#follow(), this.random.whole(5, 60))
    }
    const sent = request(new URL(path, `http://127.0.0.1:${this.line.port}`), { method: 'POST' }, (response) => {
      if (response.statusCode !== 200) return over()
      this.openings++
      this.opened()
      const lines = createInterface({ input: response })
      lines.on('line', (line) => {
        if (isOver) return
        try {
          if (!this.take(line)) over()
        } catch {
          over() // the connection broke within the line
        }
      })
      lines.on('error', over)
      response.on('error', over)
      response.on('close', over)
    })
    this.#request = sent
    sent.on('error', over)
    sent.end(JSON.stringify(body))
  }

  /** It has no procedures. */
  publish(): Promise<CallResult> {
    return Promise.resolve({ rejected: 'no procedures' })
  }

  stop(): void {
    this.stopped = true
    this.#request?.destroy()
  }
}

/** A Worker in TypeScript, with `subscribeToStub`: `tests/npm/stub/worker.ts`. */
export class StubClient extends StubReader {
  constructor(options: StubClientOptions) {
    super('stub', options)
  }

  protected request(lastEventId: string | undefined): { path: string; body: object } {
    const follow = { minReconnectionDelay: 20, ...(lastEventId !== undefined && { lastEventId }) }
    return { path: '/', body: { binding: this.binding, channel: this.options.channel, follow } }
  }

  protected opened(): void {}

  protected take(text: string): boolean {
    const line = JSON.parse(text)
    if (this.sees(line.event)) return true
    if (line.event !== undefined) this.deliver(line.id, line.event.n)
    else if (line.gap !== undefined) this.notify(line.gap)
    else if (line.state !== undefined) this.isOpen = line.state === 'open'
    else return false
    return true
  }
}

/** A Worker in Rust, with `ChannelStub::subscribe`: `tests/worker/src/relay.rs`. */
export class RustStubClient extends StubReader {
  constructor(options: StubClientOptions) {
    super('stub in Rust', options)
  }

  protected request(after: string | undefined): { path: string; body: object } {
    const { binding, options } = this
    return { path: `/relay-events/${binding}/${options.channel}`, body: { ...(after !== undefined && { after }) } }
  }

  protected opened(): void {
    this.isOpen = true
  }

  protected take(line: string): boolean {
    const [, id, n] = /^(\d+) \{"n":(\d+)[,}]/.exec(line) ?? []
    const [, presence] = /^live (\{"type":"presence".*\}) None $/.exec(line) ?? []
    if (presence !== undefined) return this.sees(JSON.parse(presence))
    const [, gap] = /^gap (\d{16})$/.exec(line) ?? []
    if (gap !== undefined) this.notify(gap)
    else if (n !== undefined) this.deliver(id, Number(n))
    else return false
    return true
  }
}

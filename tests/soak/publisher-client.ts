// A subscriber of oRPC's publisher: a Worker streams what its publisher receives, as lines of JSON.

import { request } from 'node:http'
import type { ClientRequest } from 'node:http'
import { createInterface } from 'node:readline'

import { SoakClient } from './clients.ts'
import type { CallResult, ClientOptions } from './clients.ts'
import type { Attempt } from './history.ts'

/** The binding of a channel's namespace. */
export interface PublisherClientOptions extends ClientOptions {
  binding: string
}

/** The sockets of subscribers never expire. */
const NEVER = 4_102_444_800

export class PublisherClient extends SoakClient {
  readonly #binding: string
  #request: ClientRequest | undefined
  #open: Attempt | undefined

  constructor({ binding, ...options }: PublisherClientOptions) {
    super('publisher', options)
    this.#binding = binding
  }

  override readonly excludesItself: boolean = false

  async start(): Promise<void> {
    this.#subscribe()
  }

  /** Subscribes after the last received event. Without one it starts with the next event. */
  #subscribe(): void {
    if (this.stopped) return
    const { last } = this
    const url = this.#url('/subscribe', { form: 'listener', ...(last !== undefined && { lastEventId: String(last) }) })
    const attempt: Attempt = {
      from: last === undefined ? { issuedAt: Date.now() / 1000, isLive: true } : { lastEventId: last },
      sentAt: Date.now(),
      expires: NEVER,
      frames: [],
    }
    this.record.attempts.push(attempt)
    let isOver = false
    const over = (): void => {
      if (isOver) return
      isOver = true
      sent.destroy()
      this.#open = undefined
      setTimeout(() => this.#subscribe(), this.random.whole(5, 60))
    }
    const sent = request(url, (response) => {
      const lines = createInterface({ input: response })
      lines.on('line', (line) => {
        if (isOver || !this.#received(attempt, line)) over()
      })
      lines.on('error', over)
      response.on('error', over)
      response.on('close', over)
    })
    this.#request = sent
    sent.on('error', over)
    sent.end()
  }

  /** Records a line. Returns whether the subscription goes on. */
  #received(attempt: Attempt, text: string): boolean {
    const line = parsed(text)
    if (line === undefined) return false // the connection broke within the line
    if (line.opened) {
      attempt.answeredAt = Date.now()
      if (line.gap !== undefined) attempt.gap = Number(line.gap)
      this.#open = attempt
      return true
    }
    if (line.error !== undefined || line.done) {
      attempt.ended = true
      return false
    }
    const frame = { id: Number(line.eventMeta?.id), n: line.json.n }
    attempt.frames.push(frame)
    this.record.delivered.push(frame)
    return true
  }

  get isSubscribed(): boolean {
    return this.#open !== undefined
  }

  async publish(event: object): Promise<CallResult> {
    try {
      const response = await fetch(this.#url('/publish', {}), {
        method: 'POST',
        body: JSON.stringify({ json: event }),
        signal: AbortSignal.timeout(10_000),
      })
      const { error, status } = (await response.json()) as { error?: string; status?: number }
      if (error === undefined) return 'stored'
      return status !== undefined && status < 500 ? { rejected: error } : 'unknown'
    } catch {
      return 'unknown'
    }
  }

  renew(): void {
    this.line.cut()
  }

  stop(): void {
    this.stopped = true
    this.#request?.destroy()
  }

  #url(path: string, query: Record<string, string>): URL {
    const url = new URL(path, `http://127.0.0.1:${this.line.port}`)
    url.search = new URLSearchParams({ binding: this.#binding, event: this.options.channel, ...query }).toString()
    return url
  }
}

function parsed(line: string): any {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

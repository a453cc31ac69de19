// Clients of the HTTP endpoint: server-sent events, and pages with long polling.

import { request } from 'node:http'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'

import { PUBLISH } from '../support/journals.ts'
import { SoakClient } from './clients.ts'
import type { CallResult, ClientOptions } from './clients.ts'
import type { Attempt } from './history.ts'

export interface HttpClientOptions extends ClientOptions {
  /** The path of the HTTP endpoint, without the channel. */
  endpoint: string
}

/** The time limit of a call and of a page, in milliseconds. */
const REQUEST_TIMEOUT = 10_000

abstract class HttpClient extends SoakClient {
  readonly #endpoint: string
  protected current: ClientRequest | undefined

  constructor(kind: string, { endpoint, ...options }: HttpClientOptions) {
    super(options.isSecond ? `${kind}, DurableIterator token` : kind, options)
    this.#endpoint = endpoint
  }

  async start(): Promise<void> {
    this.read()
  }

  /** Sends the next request. */
  protected abstract read(): void

  protected again(): void {
    this.current = undefined
    if (!this.stopped) setTimeout(() => this.stopped || this.read(), this.random.whole(5, 60))
  }

  /** Returns the URL of a request, with a new token. */
  protected address(last: string, query: Record<string, string | number> = {}): URL {
    // The token and the connection id are those of a WebSocket.
    const url = new URL(`${this.#endpoint}/${this.options.channel}/${last}`, `http://127.0.0.1:${this.line.port}`)
    url.search = new URL(this.url()).search
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value))
    return url
  }

  async publish(event: object): Promise<CallResult> {
    // Not with the token of the running request.
    const claims = this.claims
    const url = this.address('call')
    this.claims = claims
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ json: { path: [PUBLISH], input: event } }),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT),
      })
      const { json } = (await response.json()) as { json: any }
      if (response.ok) return { id: Number(json) }
      return response.status < 500 ? { rejected: json.code } : 'unknown'
    } catch {
      return 'unknown'
    }
  }

  renew(): void {
    this.line.cut()
  }

  stop(): void {
    this.stopped = true
    this.current?.destroy()
  }
}

/** A client of server-sent events, like an `EventSource`, with a new token for each request. */
export class SseClient extends HttpClient {
  #attempt: Attempt | undefined

  constructor(options: HttpClientOptions) {
    super('server-sent events', options)
    if (options.hasPresence) this.record.presence = []
  }

  protected read(): void {
    const { last } = this
    const headers = { accept: 'text/event-stream', ...(last !== undefined && { 'last-event-id': String(last) }) }
    const url = this.address('events')
    const attempt = this.asked(last === undefined ? undefined : String(last))
    let isOver = false
    const over = (): void => {
      if (isOver) return
      isOver = true
      sent.destroy()
      this.#attempt = undefined
      this.again()
    }
    const sent = request(url, { headers }, (response) => {
      if (response.statusCode !== 200) return over()
      this.#begin(attempt, response)
      let [kind, id, data] = ['message', undefined as string | undefined, '']
      const lines = createInterface({ input: response })
      lines.on('line', (line) => {
        if (isOver) return
        const [field = '', value = ''] = line.split(/: (.*)/s)
        if (field === 'event') kind = value
        if (field === 'id') id = value
        if (field === 'data') data += value
        if (line !== '') return
        if (data !== '') this.#take(kind, id, JSON.parse(data))
        ;[kind, id, data] = ['message', undefined, '']
      })
      lines.on('error', over)
      response.on('error', over)
      response.on('close', over)
    })
    this.current = sent
    sent.on('error', over)
    sent.end()
  }

  #begin(attempt: Attempt, { headers }: IncomingMessage): void {
    attempt.answeredAt = Date.now()
    const gap = headers['x-durable-event-gap']
    if (gap !== undefined) attempt.gap = Number(gap)
    this.#attempt = attempt
  }

  #take(kind: string, id: string | undefined, data: any): void {
    const attempt = this.#attempt
    if (attempt === undefined) return
    if (kind === 'message' && this.isPresence(data.json)) {
      this.heardPresence(data.json, this.record.attempts.indexOf(attempt), attempt.frames.at(-1)?.id ?? 0)
    } else if (kind === 'message') {
      const frame = { id: Number(id), n: data.json.n }
      attempt.frames.push(frame)
      this.record.delivered.push(frame)
    } else if (kind === 'gap') {
      const gap = Number(data.json.nextEventId)
      if (attempt.gap === gap) return // the one of the header
      // The Worker has subscribed again by itself, after the last event.
      const next: Attempt = { ...attempt, gap, frames: [], answeredAt: Date.now() }
      if (this.last !== undefined) next.from = { lastEventId: this.last }
      this.record.attempts.push(next)
      this.#attempt = next
    } else {
      attempt.ended = true
    }
  }

  get isSubscribed(): boolean {
    return this.#attempt !== undefined
  }
}

/** A page as the endpoint responds with it. */
interface Page {
  events: { id: string; json: { n: number } }[]
  next: string | null
  gap: string | null
  more: boolean
}

/** A client that reads pages, and waits for events by long polling. */
export class PageClient extends HttpClient {
  #cursor: string | undefined
  #hasRead = false

  constructor(options: HttpClientOptions) {
    super('pages', options)
  }

  protected read(): void {
    const cursor = this.#cursor
    const url = this.address('events', {
      limit: this.random.whole(1, 60),
      wait: this.random.whole(1, 3),
      ...(cursor !== undefined && { after: cursor }),
    })
    const attempt = this.asked(cursor)
    let isOver = false
    const over = (hasPage: boolean): void => {
      if (isOver) return
      isOver = true
      this.#hasRead = hasPage
      sent.destroy()
      // A client that has everything waits for the next event at once.
      if (hasPage && !this.stopped) this.read()
      else this.again()
    }
    const sent = request(url, { timeout: REQUEST_TIMEOUT }, (response) => {
      if (response.statusCode !== 200) return over(false)
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => (text += part))
      response.on('error', () => over(false))
      response.on('close', () => {
        if (!response.complete || isOver) return over(false)
        this.#take(attempt, JSON.parse(text))
        over(true)
      })
    })
    this.current = sent
    sent.on('error', () => over(false))
    sent.on('timeout', () => over(false))
    sent.end()
  }

  #take(attempt: Attempt, { events, next, gap }: Page): void {
    attempt.answeredAt = Date.now()
    if (gap !== null) attempt.gap = Number(gap)
    for (const { id, json } of events) {
      const frame = { id: Number(id), n: json.n }
      attempt.frames.push(frame)
      this.record.delivered.push(frame)
    }
    if (next !== null) this.#cursor = next
  }

  /** While it waits. The grace period is longer than the time between two requests. */
  override get isMember(): boolean {
    return this.options.hasPresence && this.isSubscribed
  }

  /** Between two requests too: the next page has what it has missed. */
  get isSubscribed(): boolean {
    return this.#hasRead
  }
}

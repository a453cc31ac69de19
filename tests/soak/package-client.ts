// The clients of a run that use the npm package. Their WebSockets record all frames.

import type { DurableEventIteratorConnectionError, SubscriptionGap } from '../../npm/durable-event-iterator/src/client/index.ts'
import { SLOW_EVENT, SoakClient, pause } from './clients.ts'
import type { CallResult, ClientOptions } from './clients.ts'
import type { Attempt } from './history.ts'

/** The maximum delay before an attempt to connect, in milliseconds: the end of a run waits for it. */
const LONGEST_WAIT = 3_000

/** The time that a call waits for a connection, in milliseconds, in which its publisher waits too. */
const CALL_PATIENCE = 1_000

/** The silence after which a ping is sent, in milliseconds: some lines are slow for longer. */
const HEARTBEAT = 3_000

/** The number of buffered events, so small that slow applications pause and resume. */
const BUFFERED = 20

/** The delay before the application opens another iterator, in milliseconds. */
const NEXT_ITERATOR = 1_000

/** An open iterator of the package. */
export interface OpenIterator {
  events: AsyncIterable<{ n: number }>
  /** Returns the id of a yielded event. */
  idOf(event: { n: number }): string | undefined
  /** Calls the procedure that publishes. */
  publish(event: object): Promise<string>
}

/** What `open` needs. */
export interface Opening {
  signal: AbortSignal
  lastEventId: string | undefined
}

export abstract class PackageClient extends SoakClient {
  readonly #stop = new AbortController()
  /** The newest socket, until it is given up. */
  #socket: WebSocket | undefined
  /** The subscriptions of the newest socket, by call id. */
  #attempts = new Map<string, Attempt>()
  #refreshes = new Map<string, { iat: number; exp: number }>()
  /** Its newest subscription, if it has a response and its socket is open. */
  #answered: Attempt | undefined
  #iterator: OpenIterator | undefined

  constructor(kind: string, options: ClientOptions) {
    super(kind, options)
    Object.assign(this.record, { notified: [], ended: [], handshakes: [] }, options.hasPresence && { presence: [] })
  }

  /** Opens an iterator. Rejects when the first connection does not open within the time limit. */
  protected abstract open(opening: Opening): Promise<OpenIterator>

  async start(): Promise<void> {
    void this.#iterate()
  }

  async #iterate(): Promise<void> {
    const { delivered, ended } = this.record
    while (!this.stopped) {
      const last = this.last
      try {
        const iterator = await this.open({ signal: this.#stop.signal, lastEventId: last === undefined ? undefined : String(last) })
        this.#iterator = iterator
        try {
          for await (const event of iterator.events) {
            if (this.isPresence(event)) continue
            delivered.push({ id: Number(iterator.idOf(event)), n: event.n })
            if (Date.now() < this.slowUntil) await pause(SLOW_EVENT)
          }
          if (!this.stopped) ended?.push('without an error')
        } catch (error) {
          if (!this.stopped) ended?.push(String(error))
        }
      } catch {
        // The first connection did not open within the time limit.
      }
      this.#iterator = undefined
      await pause(NEXT_ITERATOR)
    }
  }

  /** The options that all clients of the package have in common. */
  protected get connecting() {
    const { path, connection = '' } = this.options
    return {
      url: new URL(path, `ws://127.0.0.1:${this.line.port}`),
      createId: () => connection,
      WebSocket: this.#recordingWebSocket(),
      maxReconnectionDelay: LONGEST_WAIT,
      callTimeout: CALL_PATIENCE,
      heartbeatInterval: HEARTBEAT,
      maxBufferedEvents: BUFFERED,
      onGap: ({ nextEventId }: SubscriptionGap) => {
        const { delivered, notified } = this.record
        notified?.push({ after: delivered.length, next: Number(nextEventId) })
      },
    }
  }

  /** A WebSocket that records its frames in both directions, without changes. */
  #recordingWebSocket(): typeof WebSocket {
    const client = this
    return class extends WebSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(url, protocols)
        client.record.handshakes?.push(Date.now())
        client.#opened(this, new URL(url))
      }

      override send(data: Parameters<WebSocket['send']>[0]): void {
        if (client.#socket === this && typeof data === 'string' && data.startsWith('{')) client.#sent(JSON.parse(data))
        super.send(data)
      }

      // Later messages are ignored.
      override close(code?: number, reason?: string): void {
        client.#gaveUp(this)
        super.close(code, reason)
      }
    }
  }

  #opened(socket: WebSocket, url: URL): void {
    this.#socket = socket
    this.#attempts = new Map()
    this.#refreshes = new Map()
    this.#answered = undefined
    this.claims = claimsOf(url.searchParams.get('token') ?? '')
    socket.addEventListener('message', ({ data }) => {
      if (this.#socket === socket && typeof data === 'string' && data.startsWith('{')) this.#received(JSON.parse(data))
    })
    socket.addEventListener('close', ({ code }) => {
      if (this.#socket === socket) this.closed(this.#answered, code)
      this.#gaveUp(socket)
    })
  }

  #gaveUp(socket: WebSocket): void {
    if (this.#socket !== socket) return
    this.#socket = undefined
    this.#answered = undefined
  }

  #sent({ i, p }: any): void {
    if (p?.u === '/subscribe') {
      const attempt = this.asked([p.h?.['last-event-id']].flat().at(-1))
      // A client without an event sends the issue time of its first token with its second one.
      const since = p.h?.['x-durable-event-since']
      if (since !== undefined && 'issuedAt' in attempt.from) attempt.from.issuedAt = Number(since)
      this.#attempts.set(i, attempt)
      this.#answered = undefined
    } else if (p?.u === '/updateToken') {
      this.#refreshes.set(i, claimsOf(p.b.json.token))
    }
  }

  #received(frame: any): void {
    const refresh = this.#refreshes.get(frame.i)
    if (refresh !== undefined && !(frame.p?.s >= 400)) {
      this.claims = refresh
      if (this.#answered !== undefined) Object.assign(this.#answered, { expires: this.endOf(refresh.exp), issued: refresh.iat })
    }
    const attempt = this.#attempts.get(frame.i)
    if (attempt === undefined) return
    const from = { ...attempt.from }
    this.heard(attempt, frame)
    attempt.from = from
    const isNewest = attempt === this.record.attempts.at(-1)
    if (frame.t === undefined && attempt.answeredAt !== undefined && isNewest) this.#answered = attempt
  }

  get isSubscribed(): boolean {
    return this.#answered !== undefined
  }

  async publish(event: object): Promise<CallResult> {
    if (this.#iterator === undefined) return { rejected: 'not connected' }
    try {
      return { id: Number(await this.#iterator.publish(event)) }
    } catch (error: any) {
      // By its name, since a bundle has its own class.
      if (error?.name === ('DurableEventIteratorConnectionError' satisfies DurableEventIteratorConnectionError['name'])) {
        return error.reason === 'unavailable' ? { rejected: error.reason } : 'unknown'
      }
      return typeof error?.code === 'string' && error.status < 500 ? { rejected: error.code } : 'unknown'
    }
  }

  /** Does not issue a token: the package refreshes its tokens. */
  renew(): void {
    this.line.cut()
  }

  stop(): void {
    this.stopped = true
    this.#stop.abort()
  }
}

/** Returns the times of a token of either kind. */
function claimsOf(token: string): { iat: number; exp: number } {
  const payload = token.startsWith('{')
    ? token.slice(0, token.lastIndexOf('.'))
    : Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()
  const { iat, exp } = JSON.parse(payload)
  return { iat, exp }
}

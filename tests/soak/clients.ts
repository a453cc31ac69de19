// The clients of a run: unmodified oRPC clients whose frames are listened to, and bare ones that speak the protocol
// themselves. Both write down what they asked, what was answered, and what came.

import { createHmac } from 'node:crypto'

import WebSocket from 'ws'

import { Client, SIGNING_KEY } from '../support/client.ts'
import type { ClientVersion } from '../support/client.ts'
import type { Attempt, ClientRecord } from './history.ts'
import type { Line } from './line.ts'
import type { Random } from './random.ts'

/** How long a call may take, in milliseconds. */
const CALL_TIMEOUT = 10_000

/** How often a stock client's application looks whether its token has expired, in milliseconds. */
const TOKEN_CHECK = 500

/** How long a stock client that is to be a slow reader takes for each event, in milliseconds. */
export const SLOW_EVENT = 5

/** With these a Durable Object closes a socket that it cannot serve any more: internal error, and service restart. */
const RECONNECT_CODES: ReadonlySet<number> = new Set([1011, 1012])

export interface ClientOptions {
  name: string
  channel: string
  /** The upgrade's path, by the line's port. */
  path: string
  line: Line
  random: Random
  /** Sent as `id`, the same on each reconnect. */
  connection?: string
  /** How long a token of this client is good, in seconds. */
  tokenLifetime: number
  /** The time of the first token, in seconds since the epoch; now unless given. */
  issuedAt?: number
  /** Its tokens are of generation 2, which can be renewed on the open socket. Such a client has a connection id. */
  isSecond?: boolean
}

/** What a client's call of `publish` led to. */
export type CallResult = { id: number } | { refused: string } | 'unknown'

export abstract class SoakClient {
  readonly record: ClientRecord
  readonly line: Line
  protected readonly random: Random
  protected readonly options: ClientOptions
  /** Until when its application reads slowly; bare ones have none. */
  slowUntil = 0
  protected stopped = false
  /** Of the token behind the newest socket. */
  protected claims = { iat: 0, exp: 0 }
  #tokens = 0

  constructor(kind: string, options: ClientOptions) {
    this.options = options
    this.line = options.line
    this.random = options.random
    this.record = {
      name: options.name,
      kind,
      channel: options.channel,
      ...(options.connection === undefined ? {} : { connection: options.connection }),
      attempts: [],
      delivered: [],
      stayed: true,
    }
  }

  /** A URL with a new token. */
  protected url(): string {
    const now = Math.floor(Date.now() / 1000)
    const iat = this.#tokens++ === 0 ? (this.options.issuedAt ?? now) : now
    this.claims = { iat, exp: now + this.options.tokenLifetime }
    const url = new URL(this.options.path, `ws://127.0.0.1:${this.line.port}`)
    url.searchParams.set('token', this.#sign())
    if (this.options.connection !== undefined) url.searchParams.set('id', this.options.connection)
    return url.href
  }

  #sign(): string {
    const claims = { chn: this.options.channel, rpc: ['publish'], ...this.claims }
    return this.options.isSecond ? signSecond(claims) : sign(claims)
  }

  /** A token that is to take the place of the one behind the open socket, and what to do when it has. */
  protected renewal(): { token: string; done: (attempt: Attempt | undefined) => void } {
    const now = Math.floor(Date.now() / 1000)
    const { iat } = this.claims
    const claims = { iat: now, exp: now + this.options.tokenLifetime }
    const before = this.claims
    this.claims = claims
    const token = this.#sign()
    this.claims = before
    return {
      token,
      done: (attempt) => {
        // A position without an event stays that of the socket's first token.
        this.claims = { iat, exp: claims.exp }
        if (attempt !== undefined) attempt.expires = this.endOf(claims.exp)
      },
    }
  }

  /** Whether the token behind the newest socket is no longer good. */
  protected get isExpired(): boolean {
    return this.claims.exp * 1000 <= Date.now()
  }

  /** A token of generation 2 is good in the millisecond of its end, too. */
  protected endOf(exp: number): number {
    return this.options.isSecond ? exp + 0.001 : exp
  }

  /** Writes down that a subscription was asked for. */
  protected asked(lastEventId: string | undefined): Attempt {
    const { iat, exp } = this.claims
    const attempt: Attempt = {
      from: lastEventId === undefined ? { issuedAt: iat } : { lastEventId: Number(lastEventId) },
      sentAt: Date.now(),
      expires: this.endOf(exp),
      frames: [],
    }
    this.record.attempts.push(attempt)
    return attempt
  }

  /** Writes down a frame that came for it; answers with the id of the event that it holds, if it is one. */
  protected heard(attempt: Attempt, frame: any): string | undefined {
    if (frame.t === undefined) {
      if (frame.p?.s !== undefined && frame.p.s >= 400) return undefined
      attempt.answeredAt = Date.now()
      const gap = frame.p?.h?.['x-durable-event-gap']
      if (gap !== undefined) attempt.gap = Number(gap)
      // A client that kept the question for the next connection was answered by that one's token.
      attempt.expires = this.endOf(this.claims.exp)
      if ('issuedAt' in attempt.from) attempt.from.issuedAt = this.claims.iat
    } else if (frame.t === 3 && frame.p?.e === 'message') {
      const id: string = frame.p.m.id
      attempt.frames.push({ id: Number(id), n: frame.p.d.json.n })
      return id
    } else if (frame.t === 3) {
      attempt.ended = true
    }
    return undefined
  }

  /** Writes down how the socket of an open subscription was closed. */
  protected closed(attempt: Attempt | undefined, code: number): void {
    if (attempt !== undefined && RECONNECT_CODES.has(code)) attempt.ended = true
  }

  /** Whether its newest subscription was answered, on a socket that is open. */
  abstract get isSubscribed(): boolean

  /** The id of the event that its application got last. */
  get last(): number | undefined {
    return this.record.delivered.at(-1)?.id
  }

  abstract start(): Promise<void>
  /** Publishes by a call over the socket. */
  abstract publish(event: object): Promise<CallResult>
  /** Takes a new token, and comes back with it by the last id. */
  abstract renew(): void
  abstract stop(): void
}

/** An unmodified oRPC client with the retry plugin. */
export class StockClient extends SoakClient {
  readonly #version: ClientVersion
  #client: Client | undefined
  #tokenCheck: ReturnType<typeof setInterval> | undefined
  /** Its newest subscription if that was answered, while its socket is open. */
  #answered: Attempt | undefined

  constructor(version: ClientVersion, options: ClientOptions) {
    super(`stock ${version}`, options)
    this.#version = version
  }

  async start(): Promise<void> {
    const client = await Client.connect(() => this.url(), { version: this.#version })
    this.#client = client
    this.#listen(client)
    // A `/subscribe` that is refused because the token has expired is tried again for ever on the same socket, and the
    // application is not told: it has to know when its token ends.
    this.#tokenCheck = setInterval(() => {
      if (!this.isSubscribed && this.isExpired) client.socket.reconnect()
    }, TOKEN_CHECK)
    void this.#iterate(client)
  }

  /** Hears what goes over its socket, both ways, and changes nothing. */
  #listen({ socket }: Client): void {
    const attempts = new Map<string, Attempt>()
    const send = socket.send.bind(socket)
    socket.send = (data) => {
      const frame = typeof data === 'string' ? JSON.parse(data) : undefined
      if (frame?.p?.u === '/subscribe') {
        const header = frame.p.h?.['last-event-id']
        attempts.set(frame.i, this.asked(Array.isArray(header) ? header.at(-1) : header))
        this.#answered = undefined
      }
      return send(data)
    }
    socket.addEventListener('message', ({ data }) => {
      if (typeof data !== 'string') return
      const frame = JSON.parse(data)
      const attempt = attempts.get(frame.i)
      if (attempt === undefined) return
      this.heard(attempt, frame)
      // An earlier one may be answered late, when the client has given it up.
      const isNewest = attempt === this.record.attempts.at(-1)
      if (frame.t === undefined && attempt.answeredAt !== undefined && isNewest) this.#answered = attempt
    })
    socket.addEventListener('close', ({ code }) => {
      this.closed(this.#answered, code)
      this.#answered = undefined
    })
  }

  async #iterate({ raw, socket, library }: Client): Promise<void> {
    while (!this.stopped) {
      const last = this.last
      const options = {
        ...(last === undefined ? {} : { lastEventId: String(last) }),
        // No signal: aborting while the socket is down throws outside of any promise in 1.16.1.
        context: { retry: Number.POSITIVE_INFINITY, shouldRetry: () => !this.stopped },
      }
      try {
        for await (const event of await raw.subscribe(undefined, options)) {
          this.record.delivered.push({ id: Number(library.getEventMeta(event)?.id), n: event.n })
          if (Date.now() < this.slowUntil) await pause(SLOW_EVENT)
          if (this.stopped) return
        }
      } catch {
        await pause(50)
      }
      // Ended cleanly: the token has expired.
      if (!this.stopped) socket.reconnect()
    }
  }

  get isSubscribed(): boolean {
    return this.#answered !== undefined
  }

  async publish(event: object): Promise<CallResult> {
    try {
      const call: Promise<string> = this.#client!.call(['publish'], event)
      return await Promise.race([call.then((id) => ({ id: Number(id) })), pause(CALL_TIMEOUT).then(() => 'unknown' as const)])
    } catch (error: any) {
      // A broken connection is an error without a code.
      return typeof error?.code === 'string' && error.status < 500 ? { refused: error.code } : 'unknown'
    }
  }

  renew(): void {
    this.#client?.socket.reconnect()
  }

  stop(): void {
    this.stopped = true
    clearInterval(this.#tokenCheck)
    this.#client?.close()
  }
}

/** A client that speaks the protocol itself, and sees what stock clients cannot: the header that tells of a gap. */
export class BareClient extends SoakClient {
  #socket: WebSocket | undefined
  #subscription: { i: string; attempt: Attempt } | undefined
  #calls = new Map<string, (result: CallResult) => void>()
  #next = 0

  constructor(options: ClientOptions) {
    super(options.isSecond ? 'bare of generation 2' : 'bare', options)
  }

  async start(): Promise<void> {
    this.#connect()
  }

  #connect(): void {
    if (this.stopped) return
    const socket = new WebSocket(this.url(), { handshakeTimeout: 5_000 })
    this.#socket = socket
    this.#subscription = undefined
    socket.on('error', () => {}) // its close follows
    socket.on('open', () => this.subscribe())
    // What comes on a socket that was given up is not looked at, as no client would.
    socket.on('message', (data) => this.#socket === socket && this.#message(JSON.parse(data.toString())))
    socket.on('close', (code) => {
      if (this.#socket !== socket) return
      this.closed(this.#subscription?.attempt, code)
      this.#lost()
    })
  }

  #lost(): void {
    this.#socket = undefined
    this.#subscription = undefined
    for (const settle of this.#calls.values()) settle('unknown')
    this.#calls.clear()
    setTimeout(() => this.#connect(), this.random.whole(5, 60))
  }

  /** Asks for what it has not got yet; on an open subscription too, which ends that one. */
  subscribe(): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return
    const i = this.#id()
    const last = this.last
    const attempt = this.asked(last === undefined ? undefined : String(last))
    this.#subscription = { i, attempt }
    const h = last === undefined ? {} : { h: { 'last-event-id': String(last) } }
    this.#socket.send(JSON.stringify({ i, p: { u: '/subscribe', b: {}, ...h } }))
  }

  /** Sends a new token over the open socket, which goes on with it. Answers whether it could be sent. */
  renewOnSocket(): boolean {
    const socket = this.#socket
    if (!this.options.isSecond || socket?.readyState !== WebSocket.OPEN) return false
    const { token, done } = this.renewal()
    const i = this.#id()
    this.#calls.set(i, (result) => {
      // Without an answer the socket has gone, and the next one has a token of its own.
      if (result !== 'unknown' && !('refused' in result) && this.#socket === socket) done(this.#subscription?.attempt)
    })
    socket.send(JSON.stringify({ i, p: { u: '/updateToken', b: { json: { token } } } }))
    return true
  }

  #message(frame: any): void {
    const call = this.#calls.get(frame.i)
    if (call !== undefined) {
      this.#calls.delete(frame.i)
      const { s = 200, b } = frame.p
      return call(s < 400 ? { id: Number(b?.json) } : s < 500 ? { refused: b.json?.code } : 'unknown')
    }
    // Frames of a subscription that was given up for another one are not looked at.
    if (frame.i !== this.#subscription?.i) return
    const { attempt } = this.#subscription as { attempt: Attempt }
    if (this.heard(attempt, frame) !== undefined) this.record.delivered.push(attempt.frames.at(-1)!)
    const isEnd = frame.t === 3 && frame.p?.e !== 'message'
    const isRefused = frame.t === undefined && frame.p?.s >= 400
    if (isEnd || isRefused) this.renew()
  }

  get isSubscribed(): boolean {
    return this.#subscription?.attempt.answeredAt !== undefined
  }

  publish(event: object): Promise<CallResult> {
    const socket = this.#socket
    if (socket?.readyState !== WebSocket.OPEN) return Promise.resolve({ refused: 'not connected' })
    const i = this.#id()
    return new Promise((resolve) => {
      this.#calls.set(i, resolve)
      setTimeout(() => resolve('unknown'), CALL_TIMEOUT).unref()
      socket.send(JSON.stringify({ i, p: { u: '/call', b: { json: { path: ['publish'], input: event } } } }))
    })
  }

  renew(): void {
    this.#socket?.terminate()
  }

  stop(): void {
    this.stopped = true
    this.#socket?.terminate()
  }

  #id(): string {
    return (this.#next++).toString(36)
  }
}

/** A generation-1 token. Synchronous, as a socket asks for its URL. */
function sign(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const head = `${part({ alg: 'HS256' })}.${part(claims)}`
  return `${head}.${createHmac('sha256', SIGNING_KEY).update(head).digest('base64url')}`
}

/** A generation-2 token: its claims as they are, and their signature. */
function signSecond(claims: object): string {
  const payload = JSON.stringify(claims)
  return `${payload}.${createHmac('sha256', SIGNING_KEY).update(payload).digest('base64url')}`
}

export const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

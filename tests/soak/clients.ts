// The clients of a run: unmodified oRPC clients whose frames are recorded, and bare clients that implement the protocol
// themselves. Both record their requests, the responses and the received frames.

import { createHmac } from 'node:crypto'

import WebSocket from 'ws'

import { Client, SIGNING_KEY } from '../support/client.ts'
import { PUBLISH } from '../support/journals.ts'
import type { ClientVersion } from '../support/client.ts'
import type { Attempt, ClientRecord, PresenceEvent, PresenceMember, StateCall } from './history.ts'
import type { Line } from './line.ts'
import { Members } from './members.ts'
import type { Random } from './random.ts'

/** The built-in procedure that sets the state of a member. */
const SET_PRESENCE = 'setPresence'

/** The time limit of a call, in milliseconds. */
const CALL_TIMEOUT = 10_000

/** The interval at which the application of a stock client checks its token for expiry, in milliseconds. */
const TOKEN_CHECK = 500

/** The time that a slow stock client takes for each event, in milliseconds. */
export const SLOW_EVENT = 5

/** The probability that a bare client reconnects with its last token. */
const REUSE = 0.4

/** The close codes for sockets that a Durable Object cannot serve any more: internal error, and service restart. */
const RECONNECT_CODES: ReadonlySet<number> = new Set([1011, 1012])

export interface ClientOptions {
  name: string
  channel: string
  /** The path of the upgrade. */
  path: string
  line: Line
  random: Random
  /** The connection id, the same on each reconnect. */
  connection?: string
  /** The subject of its tokens. */
  subject: string
  /** The tags of its tokens, if they can have tags. */
  tags: string[]
  /** Whether the channel has presence, and its member id, if that is not random. */
  hasPresence: boolean
  member: string | undefined
  /** The token lifetime of this client, in seconds. */
  tokenLifetime: number
  /** The issue time of the first token, in seconds since 1970. Default: now. */
  issuedAt?: number
  /** Whether it has `DurableIterator` tokens, which can be refreshed on the open socket. Such a client has a connection id. */
  isSecond?: boolean
}

/** The result of a client's call of `publish`. */
export type CallResult =
  | { id: number }
  /** Stored with an id that the response does not contain. */
  | 'stored'
  | { rejected: string }
  | 'unknown'

export abstract class SoakClient {
  readonly record: ClientRecord
  readonly line: Line
  protected readonly random: Random
  protected readonly options: ClientOptions
  /** The time until which its application reads slowly; not for bare clients. */
  slowUntil = 0
  protected stopped = false
  /** The times of the newest socket's token; `issued` is that of a token that replaced it. */
  protected claims: { iat: number; exp: number; issued?: number } = { iat: 0, exp: 0 }
  /** Its calls of `setPresence`. */
  readonly states: StateCall[] = []
  readonly #members = new Members()
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
      subject: options.subject,
      attempts: [],
      delivered: [],
      stayed: true,
    }
  }

  /** Returns a URL with a new token. */
  protected url(): string {
    this.claims = this.#newClaims()
    const url = new URL(this.options.path, `ws://127.0.0.1:${this.line.port}`)
    url.searchParams.set('token', this.#sign(this.claims))
    if (this.options.connection !== undefined) url.searchParams.set('id', this.options.connection)
    return url.href
  }

  /** Returns a new token, whose times the client reads from it. */
  protected token(): string {
    return this.#sign(this.#newClaims())
  }

  #newClaims(): { iat: number; exp: number } {
    const now = Math.floor(Date.now() / 1000)
    const iat = this.#tokens++ === 0 ? (this.options.issuedAt ?? now) : now
    return { iat, exp: now + this.options.tokenLifetime }
  }

  #sign(times: { iat: number; exp: number }): string {
    const { channel, subject, tags, isSecond } = this.options
    const claims = { chn: channel, sub: subject, rpc: [PUBLISH, SET_PRESENCE], ...times }
    return isSecond ? signSecond({ ...claims, tags }) : sign(claims)
  }

  /** Issues a new token for the open socket, with a function to call when the socket has it. */
  protected renewal(): { token: string; done: (attempt: Attempt | undefined) => void } {
    const now = Math.floor(Date.now() / 1000)
    const { iat } = this.claims
    const claims = { iat: now, exp: now + this.options.tokenLifetime }
    return {
      token: this.#sign(claims),
      done: (attempt) => {
        // Without an event, the start remains the issue of the socket's first token.
        this.claims = { iat, exp: claims.exp, issued: now }
        if (attempt !== undefined) Object.assign(attempt, { expires: this.endOf(claims.exp), issued: now })
      },
    }
  }

  /** Whether the token of the newest socket has expired. */
  protected get isExpired(): boolean {
    return this.claims.exp * 1000 <= Date.now()
  }

  /** A `DurableIterator` token is still valid in the millisecond of its expiry. */
  protected endOf(exp: number): number {
    return this.options.isSecond ? exp + 0.001 : exp
  }

  /** Records a request to subscribe. */
  protected asked(lastEventId: string | undefined): Attempt {
    const { iat, exp } = this.claims
    const attempt: Attempt = {
      from: lastEventId === undefined ? { issuedAt: iat } : { lastEventId: Number(lastEventId) },
      sentAt: Date.now(),
      expires: this.endOf(exp),
      issued: this.claims.issued ?? iat,
      frames: [],
    }
    this.record.attempts.push(attempt)
    return attempt
  }

  /** Records a presence event of the subscription. */
  protected heardPresence(event: PresenceEvent, attempt: number, after: number): void {
    this.record.presence?.push({ event, at: Date.now(), attempt, after })
  }

  /** Applies an event that its application received to its list of members. Returns whether it is a presence event. */
  protected isPresence(event: unknown): event is PresenceEvent {
    return this.#members.apply(event)
  }

  /** Records the members that its application has, and whether it is one of them. */
  seesMembers(): void {
    this.record.isPresent = this.record.stayed && this.isMember
    if (this.record.presence !== undefined) this.record.members = this.#members.all
  }

  /** Whether it receives presence events. */
  get seesPresence(): boolean {
    return this.record.presence !== undefined
  }

  /** Its member id, if it has received a list of members, or receives none. */
  get member(): string | undefined {
    if (!this.seesPresence) return this.options.member
    return this.record.presence?.findLast(({ event }) => event.self !== undefined)?.event.self
  }

  /** The members that its application has. */
  get members(): PresenceMember[] {
    return this.#members.all
  }

  /** Whether it has a subscription over a socket. */
  get isMember(): boolean {
    return this.record.presence !== undefined && this.isSubscribed
  }

  /** Records a frame of the subscription. Returns the id of its event, if it has one. */
  protected heard(attempt: Attempt, frame: any): string | undefined {
    if (frame.t === undefined) {
      if (frame.p?.s !== undefined && frame.p.s >= 400) return undefined
      attempt.answeredAt = Date.now()
      const gap = frame.p?.h?.['x-durable-event-gap']
      if (gap !== undefined) attempt.gap = Number(gap)
      // If the client sent the request on the next connection, the token of that one counts.
      attempt.expires = this.endOf(this.claims.exp)
      attempt.issued = this.claims.issued ?? this.claims.iat
      if ('issuedAt' in attempt.from) attempt.from.issuedAt = this.claims.iat
    } else if (frame.t === 3 && frame.p?.e === 'message' && frame.p.d.json.type === 'presence') {
      this.heardPresence(frame.p.d.json, this.record.attempts.indexOf(attempt), attempt.frames.at(-1)?.id ?? 0)
    } else if (frame.t === 3 && frame.p?.e === 'message') {
      const id: string = frame.p.m.id
      attempt.frames.push({ id: Number(id), n: frame.p.d.json.n })
      return id
    } else if (frame.t === 3) {
      attempt.ended = true
      if (frame.p?.e === 'parked') this.record.parked = (this.record.parked ?? 0) + 1
    }
    return undefined
  }

  /** Records how the socket of an open subscription was closed. */
  protected closed(attempt: Attempt | undefined, code: number): void {
    if (attempt !== undefined && RECONNECT_CODES.has(code)) attempt.ended = true
  }

  /** Whether its newest subscription has a response, on an open socket. */
  abstract get isSubscribed(): boolean

  /** The id of the last event that its application received. */
  get last(): number | undefined {
    return this.record.delivered.at(-1)?.id
  }

  abstract start(): Promise<void>
  /** Whether the events that it publishes are not for itself. */
  readonly excludesItself: boolean = true
  /** Publishes by a call over the socket, or as its kind does. */
  abstract publish(event: object): Promise<CallResult>
  /** Calls a procedure over the socket; not for kinds of clients whose application does not call procedures with any name. */
  protected call?(name: string, input: unknown): Promise<CallResult>

  /** Whether it can set the state of its member now. */
  get canSetState(): boolean {
    return this.seesPresence && this.isSubscribed && this.call !== undefined
  }

  /** Sets the state of its member. The call is recorded at once, and its outcome later. */
  async setState(state: string): Promise<StateCall> {
    const { channel, name } = this.options
    const attempt = this.record.attempts.length - 1
    const call: StateCall = { channel, client: name, attempt, state, sentAt: Date.now(), endedAt: Number.POSITIVE_INFINITY, outcome: 'unknown' }
    // The member of this subscription: without a key, each socket has another one.
    const self = this.record.presence?.findLast(({ attempt: of, event }) => of === attempt && event.self !== undefined)?.event.self
    if (self !== undefined) call.member = self
    this.states.push(call)
    const result = await this.call!(SET_PRESENCE, state)
    if (result === 'unknown') return call
    return Object.assign(call, { endedAt: Date.now(), outcome: typeof result === 'object' && 'rejected' in result ? 'rejected' : 'set' })
  }
  /** Reconnects with a new token and resumes after the last id. */
  abstract renew(): void
  abstract stop(): void
}

/** An unmodified oRPC client with the retry plugin. */
export class StockClient extends SoakClient {
  readonly #version: ClientVersion
  #client: Client | undefined
  #tokenCheck: ReturnType<typeof setInterval> | undefined
  /** Its newest subscription, if it has a response and its socket is open. */
  #answered: Attempt | undefined

  constructor(version: ClientVersion, options: ClientOptions) {
    super(`stock ${version}`, options)
    this.#version = version
    if (options.hasPresence) this.record.presence = []
  }

  async start(): Promise<void> {
    const client = await Client.connect(() => this.url(), { version: this.#version })
    this.#client = client
    this.#listen(client)
    // A `/subscribe` that is rejected because the token has expired is retried forever on the same socket, and the
    // application is not notified: it must know when its token expires.
    this.#tokenCheck = setInterval(() => {
      if (!this.isSubscribed && this.isExpired) client.socket.reconnect()
    }, TOKEN_CHECK)
    void this.#iterate(client)
  }

  /** Records the frames of its socket in both directions, without changes. */
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
      // The response to an earlier one may arrive late, when the client has given it up.
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
        // Without a signal: in 1.16.1, an abort while the socket is closed throws outside of any promise.
        context: { retry: Number.POSITIVE_INFINITY, shouldRetry: () => !this.stopped },
      }
      try {
        for await (const event of await raw.subscribe(undefined, options)) {
          if (this.isPresence(event)) continue
          this.record.delivered.push({ id: Number(library.getEventMeta(event)?.id), n: event.n })
          if (Date.now() < this.slowUntil) await pause(SLOW_EVENT)
          if (this.stopped) return
        }
      } catch {
        await pause(50)
      }
      // Ended without an error: the token has expired.
      if (!this.stopped) socket.reconnect()
    }
  }

  get isSubscribed(): boolean {
    return this.#answered !== undefined
  }

  publish(event: object): Promise<CallResult> {
    return this.call(PUBLISH, event)
  }

  protected override async call(name: string, input: unknown): Promise<CallResult> {
    try {
      const call: Promise<string> = this.#client!.call([name], input)
      return await Promise.race([call.then((id) => ({ id: Number(id) })), pause(CALL_TIMEOUT).then(() => 'unknown' as const)])
    } catch (error: any) {
      // A lost connection is an error without a code.
      return typeof error?.code === 'string' && error.status < 500 ? { rejected: error.code } : 'unknown'
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

/** A client that implements the protocol itself, and reads what stock clients do not: the gap header. */
export class BareClient extends SoakClient {
  #socket: WebSocket | undefined
  #subscription: { i: string; attempt: Attempt } | undefined
  #calls = new Map<string, (result: CallResult) => void>()
  /** The URL of the last socket, and the times of its token. */
  #used: { url: string; claims: BareClient['claims'] } | undefined
  #next = 0
  /** Whether it has flow control. It never acknowledges, so that its subscription is parked as often as possible. */
  readonly #hasFlowControl: boolean

  constructor(options: ClientOptions) {
    super(options.isSecond ? 'bare with DurableIterator tokens' : 'bare', options)
    this.#hasFlowControl = options.random.chance(0.5)
    if (options.hasPresence) this.record.presence = []
  }

  async start(): Promise<void> {
    this.#connect()
  }

  #connect(): void {
    if (this.stopped) return
    const socket = new WebSocket(this.#address(), { handshakeTimeout: 5_000 })
    this.#socket = socket
    this.#subscription = undefined
    socket.on('error', () => {}) // followed by its close
    let isOpen = false
    socket.on('open', () => {
      isOpen = true
      this.subscribe()
    })
    // Messages on a socket that was given up are ignored, as by real clients.
    socket.on('message', (data) => this.#socket === socket && this.#message(JSON.parse(data.toString())))
    socket.on('close', (code) => {
      if (!isOpen) this.#used = undefined
      if (this.#socket !== socket) return
      this.closed(this.#subscription?.attempt, code)
      this.#lost()
    })
  }

  /** Returns the URL of the next socket, at times with the token of the last one, which may be revoked. */
  #address(): string {
    const isUsed = this.random.chance(REUSE)
    if (this.#used === undefined || !isUsed || this.#used.claims.exp * 1_000 <= Date.now()) this.#used = { url: this.url(), claims: this.claims }
    this.claims = this.#used.claims
    return this.#used.url
  }

  #lost(): void {
    this.#socket = undefined
    this.#subscription = undefined
    for (const settle of this.#calls.values()) settle('unknown')
    this.#calls.clear()
    setTimeout(() => this.#connect(), this.random.whole(5, 60))
  }

  /** Subscribes after the last received event. This ends an open subscription. */
  subscribe(): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return
    const i = this.#id()
    const last = this.last
    const attempt = this.asked(last === undefined ? undefined : String(last))
    this.#subscription = { i, attempt }
    const h = {
      ...(last !== undefined && { 'last-event-id': String(last) }),
      ...(this.#hasFlowControl && { 'x-durable-event-flow': '1' }),
    }
    this.#socket.send(JSON.stringify({ i, p: { u: '/subscribe', b: {}, ...(Object.keys(h).length > 0 && { h }) } }))
  }

  /** Sends a new token over the open socket. Returns whether it could be sent. */
  renewOnSocket(): boolean {
    const socket = this.#socket
    if (!this.options.isSecond || socket?.readyState !== WebSocket.OPEN) return false
    const { token, done } = this.renewal()
    const i = this.#id()
    this.#calls.set(i, (result) => {
      // Without a response the socket is lost, and the next one has its own token.
      if (typeof result === 'object' && 'id' in result && this.#socket === socket) done(this.#subscription?.attempt)
    })
    socket.send(JSON.stringify({ i, p: { u: '/updateToken', b: { json: { token } } } }))
    return true
  }

  #message(frame: any): void {
    const call = this.#calls.get(frame.i)
    if (call !== undefined) {
      this.#calls.delete(frame.i)
      const { s = 200, b } = frame.p
      return call(s < 400 ? { id: Number(b?.json) } : s < 500 ? { rejected: b.json?.code } : 'unknown')
    }
    // Frames of a replaced subscription are ignored.
    if (frame.i !== this.#subscription?.i) return
    const { attempt } = this.#subscription as { attempt: Attempt }
    if (this.heard(attempt, frame) !== undefined) this.record.delivered.push(attempt.frames.at(-1)!)
    else if (frame.t === 3) this.isPresence(frame.p?.d?.json)
    if (frame.t === 3 && frame.p?.e === 'parked') return this.subscribe()
    const isEnd = frame.t === 3 && frame.p?.e !== 'message'
    const isRefused = frame.t === undefined && frame.p?.s >= 400
    if (isEnd || isRefused) this.renew()
  }

  get isSubscribed(): boolean {
    return this.#subscription?.attempt.answeredAt !== undefined
  }

  publish(event: object): Promise<CallResult> {
    return this.call(PUBLISH, event)
  }

  protected override call(name: string, input: unknown): Promise<CallResult> {
    const socket = this.#socket
    if (socket?.readyState !== WebSocket.OPEN) return Promise.resolve({ rejected: 'not connected' })
    const i = this.#id()
    return new Promise((resolve) => {
      this.#calls.set(i, resolve)
      setTimeout(() => resolve('unknown'), CALL_TIMEOUT).unref()
      socket.send(JSON.stringify({ i, p: { u: '/call', b: { json: { path: [name], input } } } }))
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

/** Signs a `DurableEventIterator` token. Synchronous, since a socket calls it for its URL. */
function sign(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const head = `${part({ alg: 'HS256' })}.${part(claims)}`
  return `${head}.${createHmac('sha256', SIGNING_KEY).update(head).digest('base64url')}`
}

/** Signs a `DurableIterator` token: the JSON of its claims, and their signature. */
function signSecond(claims: object): string {
  const payload = JSON.stringify(claims)
  return `${payload}.${createHmac('sha256', SIGNING_KEY).update(payload).digest('base64url')}`
}

export const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

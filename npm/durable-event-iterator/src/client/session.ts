import { createORPCClient } from '@orpc/client'
import type { Client, ClientLink } from '@orpc/client'
import { ClientRetryPlugin } from '@orpc/client/plugins'
import type { ClientRetryPluginContext } from '@orpc/client/plugins'
import type { StandardLinkClientInterceptorOptions, StandardLinkOptions } from '@orpc/client/standard'

import type { DurableIteratorTokenPayload } from '../token/payload.js'
import { GAP_HEADER, SINCE_HEADER, TOKEN_EXPIRED_CLOSE, TOKEN_EXPIRED_HEADER } from '../wire.js'
import type { AsyncIteratorClass } from './async-iterator-class.js'
import { backoff, MAX_TIMER_MS } from './backoff.js'
import { DurableEventIteratorConnectionError } from './connection-error.js'
import { Connection } from './connection.js'
import type { ConnectionClose, FailedAttempt, WebSocketClass } from './connection.js'
import { BufferFullError, isPassing, isRefusal, isUnauthorized, SubscriptionEndedError } from './errors.js'
import { EventBuffer } from './event-buffer.js'
import type { CombinedHooks, DurableEventIteratorState } from './hooks.js'
import { createIteratorProxy } from './iterator-proxy.js'
import type { ConnectingNumbers, SocketLinkOptions } from './link-options.js'
import { SocketRPCLink } from './rpc-link.js'
import { TokenHolder } from './token-holder.js'
import type { HeldToken, TokenSource } from './token-holder.js'
import { diagnoseUpgrade, messageOf } from './upgrade-diagnosis.js'
import { upgradeUrl } from './upgrade-url.js'
import { delay, within } from './waiting.js'
import { watchStream } from './watched-stream.js'

export interface SessionOptions extends SocketLinkOptions<Context>, TokenSource {
  numbers: ConnectingNumbers
  /** @default globalThis.WebSocket */
  WebSocket?: WebSocketClass | undefined
  /** Called before each connection. */
  url(payload: DurableIteratorTokenPayload): Promise<string | URL>
  /** Called once. */
  createId(payload: DurableIteratorTokenPayload): string | Promise<string>
  hooks: CombinedHooks
  /** The call that the session is for. */
  path: readonly string[]
  input: unknown
  signal: AbortSignal | undefined
  lastEventId: string | undefined
  /** What it answered with. */
  firstToken: unknown
}

type Context = ClientRetryPluginContext

/** The procedures that every Durable Object has. */
type ObjectClient = {
  subscribe: Client<Context, undefined, AsyncIterator<unknown>, Error>
  call: Client<Context, { path: readonly string[]; input: unknown }, unknown, Error>
  /** Only for tokens of generation 2. */
  updateToken: Client<Context, { token: string }, void, Error>
}

type TransmitOptions = StandardLinkClientInterceptorOptions<Context>
type Transmit = (request: TransmitOptions) => Promise<TransmitResponse>
type TransmitResponse = Awaited<ReturnType<NonNullable<StandardLinkOptions<Context>['clientInterceptors']>[number]>>

/**
 * Opens the iterator that a token is for: resolves when its subscription is open.
 *
 * @throws When the signal is aborted, the URL or the connection id is invalid, a plugin of the link cannot be initialized,
 * the Durable Object rejects the subscription, or there is no connection in time.
 */
export async function openIterator(options: SessionOptions): Promise<AsyncIteratorClass<unknown>> {
  const session = await Session.open(options)
  return createIteratorProxy(session.events, session.link, () => session.token)
}

/**
 * One iterator's life: its connection, its token, and the subscription that goes on over as many of both as it takes.
 *
 * The subscription is one call that oRPC's retry plugin makes again whenever it breaks, since that plugin knows the id of
 * the last event. What this class decides is whether and when (`#recover`), and what each attempt waits for (`#transmit`).
 */
class Session {
  static async open(options: SessionOptions): Promise<Session> {
    options.signal?.throwIfAborted()
    const token = await TokenHolder.hold(options.firstToken, options)
    const { payload } = token.current
    const connectionId = await options.createId(payload)
    // Later a URL that cannot be had is tried again; at first it is most likely a mistake.
    upgradeUrl(await options.url(payload), '', connectionId)
    options.signal?.throwIfAborted()
    const session = new Session(options, token, connectionId)
    await session.#start()
    return session
  }

  readonly events: EventBuffer<unknown>
  readonly link: ClientLink<Context> = {
    call: (path, input, options) => this.#client.call({ path, input }, options),
  }

  readonly #options: SessionOptions
  readonly #token: TokenHolder
  readonly #connectionId: string
  readonly #connection: Connection
  readonly #client: ObjectClient
  /** When the first token was issued, in seconds since the epoch. */
  readonly #since: number
  /** Aborted when the session has ended, with what it ended by. */
  readonly #ended = new AbortController()
  readonly #onAbort = (): void => this.#fail(this.#options.signal?.reason, 'cancel')

  #state: DurableEventIteratorState | undefined
  /** What the present connection, or the attempt at one, was opened with, or has been given since. */
  #tokenInUse: HeldToken | undefined
  /** Handshakes that failed in a row. */
  #failedHandshakes = 0
  /** Of those, the ones with the present token. */
  #failuresOfToken = 0
  /** After so many it is replaced. */
  #maxFailuresOfToken = FAILURES_PER_TOKEN
  /** Diagnoses in a row by which the server rejects the connection. */
  #refusals = 0
  /** Why there is no subscription, as far as it is known. */
  #lastProblem: unknown
  /** The message of the problem that was reported last. */
  #reported: string | undefined
  /** Attempts to subscribe that came to nothing, or not to much, since the last one that lasted. */
  #setbacks = 0
  /** When the subscription opened that has not broken yet. */
  #subscribedAt: number | undefined
  /** The last one that a subscription was opened with. */
  #provenToken: HeldToken | undefined
  #renewal: Promise<void> | undefined
  #renewalTimer: ReturnType<typeof setTimeout> | undefined
  /** While a connection gets a new token, or is about to be replaced: resolves when calls may go on, or wait for the new one. */
  #replacement: Promise<void> | undefined
  #callsInFlight = 0
  #onIdle: (() => void) | undefined

  /** @throws What a plugin of the application throws when the link is created. Nothing has been started then. */
  private constructor(options: SessionOptions, token: TokenHolder, connectionId: string) {
    this.#options = options
    this.#token = token
    this.#connectionId = connectionId
    this.#since = token.current.payload.iat
    const { numbers, WebSocket = (globalThis as { WebSocket?: WebSocketClass }).WebSocket } = options
    if (WebSocket === undefined) {
      throw new TypeError('WebSocket is missing in this environment; set the option `WebSocket` of the link plugin')
    }
    const { maxBufferedEvents: maxEvents, maxBufferedBytes: maxBytes } = numbers
    this.events = new EventBuffer({ maxEvents, maxBytes }, () => this.#close())
    this.#connection = new Connection({
      ...numbers,
      url: () => this.#nextUrl(),
      WebSocket,
      onOpen: () => this.#onConnected(),
      onLost: (close) => this.#onLost(close),
      onFailedAttempt: (failure) => void this.#onFailedAttempt(failure),
    })
    this.#client = createORPCClient(this.#createLink())
  }

  get token(): string {
    return this.#token.current.text
  }

  // The connection

  async #start(): Promise<void> {
    this.#enter('connecting')
    this.#options.signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.#connection.start()
    const { openTimeout } = this.#options.numbers
    const timer =
      openTimeout > MAX_TIMER_MS ? undefined : setTimeout(() => this.#failToOpen(`within ${openTimeout} ms`), openTimeout)
    try {
      await this.#subscribe()
    } finally {
      clearTimeout(timer)
    }
  }

  #onConnected(): void {
    this.#failedHandshakes = 0
    this.#failuresOfToken = 0
    this.#maxFailuresOfToken = FAILURES_PER_TOKEN
    this.#refusals = 0
  }

  /** Finds out why the connection does not open, and reports it. */
  async #onFailedAttempt({ isHandshake, error, url }: FailedAttempt): Promise<void> {
    if (!isHandshake || url === undefined) {
      const message = `cannot connect: ${messageOf(error)}`
      this.#report(new DurableEventIteratorConnectionError('unavailable', { message, cause: error }))
      return
    }
    this.#failedHandshakes += 1
    this.#failuresOfToken += 1
    // A single failure is a network that has just gone, and each diagnosis is a request.
    const handshakes = this.#failedHandshakes
    if (handshakes < 2 || !Number.isInteger(Math.log2(handshakes))) return
    const diagnosis = await diagnoseUpgrade(url, error)
    if (this.#isEnded || this.#failedHandshakes < handshakes) return
    if (diagnosis.retryAfter !== undefined) this.#connection.holdOff(diagnosis.retryAfter)
    this.#refusals = diagnosis.isRefusal ? this.#refusals + 1 : 0
    this.#report(diagnosis.error)
    if (this.#state === 'connecting' && this.#refusals >= REFUSALS_TO_GIVE_UP) this.#failToOpen(`after ${handshakes} attempts`)
  }

  /** The application gets to know why it waits, once for each reason. */
  #report(problem: Error): void {
    this.#lastProblem = problem
    if (this.#isEnded || this.#reported === problem.message) return
    if (this.#state !== 'connecting' && this.#state !== 'recovering') return
    this.#reported = problem.message
    const { path, input, hooks } = this.#options
    hooks.onStateChange(this.#state, { path, input, error: problem })
  }

  /** The first connection does not succeed. */
  #failToOpen(limit: string): void {
    const cause = this.#lastProblem
    const message = `the iterator did not open ${limit}${cause === undefined ? '' : `: ${messageOf(cause)}`}`
    const status = cause instanceof DurableEventIteratorConnectionError ? cause.status : undefined
    this.#fail(new DurableEventIteratorConnectionError('unavailable', { message, cause, status }))
  }

  // The subscription

  async #subscribe(): Promise<void> {
    try {
      const stream = await this.#client.subscribe(undefined, {
        ...(this.#options.lastEventId === undefined ? {} : { lastEventId: this.#options.lastEventId }),
        context: {
          retry: Number.POSITIVE_INFINITY,
          retryDelay: 0,
          shouldRetry: ({ error }) => this.#recover(error),
        },
      })
      void this.#pump(stream)
    } catch (error) {
      this.#fail(error)
      throw this.#ended.signal.reason
    }
  }

  async #pump(stream: AsyncIterator<unknown>): Promise<void> {
    try {
      for (let item = await stream.next(); item.done !== true; item = await stream.next()) {
        this.events.push(item.value, this.#connection.socket.takeEventBytes())
      }
      this.#fail(new SubscriptionEndedError())
    } catch (error) {
      this.#fail(error)
    }
  }

  /** The subscription has broken, or could not be opened: whether to open it again, answered when it is time to. */
  async #recover(error: unknown): Promise<boolean> {
    if (this.#isEnded) return false
    // What each attempt waits for is enough.
    if (error instanceof DurableEventIteratorConnectionError) return true
    if (error instanceof BufferFullError) return this.#pause()
    this.#lastProblem = error
    this.#interrupt(error)
    try {
      const needsToken = error instanceof SubscriptionEndedError || (isUnauthorized(error) && this.#isTokenWorn)
      if (!needsToken && isRefusal(error)) return false
      const lasted = this.#subscribedAt !== undefined && Date.now() - this.#subscribedAt >= LASTING_MS
      this.#subscribedAt = undefined
      if (lasted || this.#token.isExpired) this.#setbacks = 0
      // An expired token is replaced at once, everything else waits.
      if (this.#setbacks > 0 || !needsToken) await this.#backOff(this.#setbacks)
      this.#setbacks += 1
      if (needsToken) await this.#renew()
    } catch {
      // A refusal, which has ended the session.
    }
    return !this.#isEnded
  }

  /** Waits, without a subscription, until the application has read what is buffered. */
  async #pause(): Promise<boolean> {
    this.#subscribedAt = undefined
    this.#enter('paused')
    await this.events.drained()
    this.#enter('recovering')
    return !this.#isEnded
  }

  /** Whether the token has been accepted once, so that its age may be why it is rejected. */
  get #isTokenWorn(): boolean {
    return this.#token.isExpired || this.#provenToken === this.#token.current
  }

  #onSubscribed(lastEventId: string | undefined, nextEventId: string | undefined): void {
    this.#subscribedAt = Date.now()
    this.#lastProblem = undefined
    this.#reported = undefined
    this.#provenToken = this.#tokenInUse
    if (nextEventId !== undefined) {
      const { path, input } = this.#options
      this.events.mark(() => this.#options.hooks.onGap({ path, input, lastEventId, nextEventId }))
    }
    this.#enter('open')
    this.#scheduleRenewal()
  }

  #onLost(close: ConnectionClose | undefined): void {
    // The object knows better when that is, and would refuse the next connection with it.
    if (close?.code === TOKEN_EXPIRED_CLOSE.code && close.reason === TOKEN_EXPIRED_CLOSE.reason) {
      this.#token.expire(this.#tokenInUse)
    }
    const how = close === undefined ? '' : ` (close code ${close.code}${close.reason === '' ? '' : `: ${close.reason}`})`
    this.#interrupt(new DurableEventIteratorConnectionError('lost', { message: `the connection was lost${how}` }))
  }

  // The wire

  #createLink(): ClientLink<Context> {
    const { plugins = [], interceptors = [], clientInterceptors = [], customJsonSerializers, headers } = this.#options
    const transmit = {
      // The innermost interceptor: what waits here is what goes out next.
      order: Number.MAX_SAFE_INTEGER,
      init: (options: StandardLinkOptions<Context>) => {
        options.clientInterceptors?.push(({ next, ...request }) => this.#transmit(request, next))
      },
    }
    const retries = plugins.some((plugin) => plugin instanceof ClientRetryPlugin)
      ? []
      : [
          new ClientRetryPlugin({
            default: {
              shouldRetry: ({ error }) => isPassing(error),
              // A lost connection is waited for anyway.
              retryDelay: ({ error, lastEventRetry }) =>
                error instanceof DurableEventIteratorConnectionError ? 0 : (lastEventRetry ?? CALL_RETRY_DELAY_MS),
            },
          }),
        ]
    return new SocketRPCLink<Context>({
      ...(customJsonSerializers === undefined ? {} : { customJsonSerializers }),
      ...(headers === undefined ? {} : { headers }),
      websocket: this.#connection.socket,
      // Copies, since each link adds to them.
      interceptors: [...interceptors],
      clientInterceptors: [...clientInterceptors],
      plugins: [...plugins, ...retries, transmit],
    })
  }

  /** Sends one request, and a call that came too late for its token once more. */
  async #transmit(request: TransmitOptions, next: Transmit): Promise<TransmitResponse> {
    const response = await this.#send(request, next)
    // The Durable Object has not executed the call, which an application's own error would not say.
    return request.path[0] === 'call' && saysTokenExpired(response) ? this.#send(request, next) : response
  }

  /** Sends one request when there is a connection, and tells a lost connection from an answer. */
  async #send(request: TransmitOptions, next: Transmit): Promise<TransmitResponse> {
    const [procedure] = request.path
    const isCall = procedure === 'call'
    const isSubscription = procedure === 'subscribe'
    if (procedure === 'updateToken' && !this.#connection.isOpen) throw new DurableEventIteratorConnectionError('lost')
    // Asked again at the last moment: a request that goes out between two connections would wait for ever.
    do await (isCall ? this.#readyForCall(request.signal) : this.#connection.opened())
    while (!this.#connection.isOpen)

    const { losses } = this.#connection
    const tokenInUse = this.#tokenInUse
    const explain = (error: unknown): unknown => {
      if (request.signal?.aborted === true || this.#connection.losses === losses) return error
      return this.#isEnded ? this.#closedError() : new DurableEventIteratorConnectionError('lost', { cause: error })
    }
    if (isCall) this.#callsInFlight += 1
    try {
      const response = await next(isSubscription ? this.#withSince(request) : request)
      if (saysTokenExpired(response)) {
        // The clock of the Durable Object decides.
        this.#token.expire(tokenInUse)
        if (isSubscription) throw new SubscriptionEndedError()
      }
      if (isSubscription && response.status < 400) this.#onSubscribed(request.lastEventId, header(response, GAP_HEADER))
      const watcher = isSubscription ? { explain, beforeItem: this.#checkBuffer, onDone: endSubscription } : { explain }
      return { ...response, body: async () => watchStream(await response.body(), watcher) }
    } catch (error) {
      throw explain(error)
    } finally {
      if (isCall) this.#callsInFlight -= 1
      if (this.#callsInFlight === 0) this.#onIdle?.()
    }
  }

  readonly #checkBuffer = (): void => {
    if (this.events.isFull) throw new BufferFullError()
  }

  #withSince(request: TransmitOptions): TransmitOptions {
    if (request.lastEventId !== undefined || this.#token.current.payload.iat === this.#since) return request
    const headers = { ...request.request.headers, [SINCE_HEADER]: String(this.#since) }
    return { ...request, request: { ...request.request, headers } }
  }

  /** @throws {DurableEventIteratorConnectionError} When there is none in time. */
  async #readyForCall(signal: AbortSignal | undefined): Promise<void> {
    const ready = async (): Promise<void> => {
      while (this.#replacement !== undefined || this.#token.isExpired || !this.#connection.isOpen) {
        if (this.#isEnded) throw this.#closedError()
        if (this.#replacement !== undefined) await this.#replacement
        // What either rejects with has ended the session.
        else await (this.#connection.isOpen ? this.#renew() : this.#connection.opened()).catch(() => {})
      }
    }
    const tooLate = (): Error => new DurableEventIteratorConnectionError('unavailable', { cause: this.#lastProblem })
    await within(this.#options.numbers.callTimeout, tooLate, signal, ready())
  }

  // The token

  async #nextUrl(): Promise<string> {
    const isSuspect = this.#failuresOfToken >= this.#maxFailuresOfToken
    if (this.#token.isDue || isSuspect) {
      if (isSuspect) {
        this.#failuresOfToken = 0
        // A second token that opens nothing either is not why.
        this.#maxFailuresOfToken *= 2
      }
      try {
        await this.#token.renew()
      } catch (error) {
        if (isRefusal(error)) this.#fail(error)
        // While there is no new token, the present one may be good. Otherwise this is a failed attempt.
        if (this.#isEnded || this.#token.isExpired) throw error
      }
    }
    const { current } = this.#token
    const url = await this.#options.url(current.payload)
    this.#tokenInUse = current
    return upgradeUrl(url, current.text, this.#connectionId)
  }

  /**
   * Gets a new token, however long it takes, and a connection that has it.
   *
   * @throws When the server refuses, which ends the session.
   */
  #renew(): Promise<void> {
    this.#renewal ??= this.#renewAndReplace().finally(() => {
      this.#renewal = undefined
    })
    return this.#renewal
  }

  async #renewAndReplace(): Promise<void> {
    for (let failures = 0; ; failures += 1) {
      try {
        await this.#token.renew()
        break
      } catch (error) {
        if (isRefusal(error)) this.#fail(error)
        if (this.#isEnded) throw error
        this.#lastProblem = error
        await this.#backOff(failures, this.#token.current.minInterval)
      }
    }
    // After a loss it may have been opened with the new one meanwhile.
    const isOld = (): boolean => !this.#isEnded && this.#tokenInUse !== this.#token.current
    for (const way of [() => this.#handOver(), () => this.#untilIdle()]) {
      if (!isOld()) return
      this.#replacement = way()
      await this.#replacement
      this.#replacement = undefined
    }
    if (isOld()) this.#connection.replace()
  }

  /** Gives the open connection the new token, where that is possible. Whatever goes wrong, a new connection mends. */
  async #handOver(): Promise<void> {
    const { current } = this.#token
    const isInUse = this.#state === 'open' || (this.#state === 'paused' && this.#connection.isOpen)
    if (!isInUse || !canTakeOver(this.#tokenInUse, current)) return
    const { losses } = this.#connection
    try {
      const answer = this.#client.updateToken({ token: current.text }, { context: { retry: 0 } })
      await within(HAND_OVER_PATIENCE_MS, () => new DurableEventIteratorConnectionError('lost'), this.#ended.signal, answer)
    } catch {
      return
    }
    if (this.#isEnded || this.#connection.losses !== losses) return
    this.#tokenInUse = current
    this.#provenToken = current
    this.#scheduleRenewal()
  }

  /** Calls in flight get their answers over the connection that they were sent over, if they come soon. */
  async #untilIdle(): Promise<void> {
    if (this.#callsInFlight === 0 || !this.#connection.isOpen) return
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve
    })
    await Promise.race([idle, delay(REPLACEMENT_PATIENCE_MS, this.#ended.signal)])
    this.#onIdle = undefined
  }

  /** Renews before the token expires, so that nothing sent live only falls into the moment between. */
  #scheduleRenewal(): void {
    clearTimeout(this.#renewalTimer)
    const { renewAt, minInterval = MIN_RENEWAL_INTERVAL_MS } = this.#token.current
    if (renewAt === Number.POSITIVE_INFINITY) return
    const wait = Math.min(Math.max(renewAt - Date.now(), minInterval), MAX_TIMER_MS)
    this.#renewalTimer = setTimeout(() => {
      if (Date.now() < this.#token.current.renewAt) this.#scheduleRenewal()
      // While it is being opened, the next URL sees to it.
      else if (this.#connection.isOpen) this.#renew().catch(() => {})
    }, wait)
  }

  // The end

  get #isEnded(): boolean {
    return this.#ended.signal.aborted
  }

  #fail(error: unknown, how: 'end' | 'cancel' = 'end'): void {
    if (this.#isEnded) return
    this.events[how]({ error })
    this.#close({ error })
  }

  #close(details: { error?: unknown } = {}): void {
    if (this.#isEnded) return
    this.#ended.abort(details.error)
    clearTimeout(this.#renewalTimer)
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#connection.close()
    this.#enter('closed', details)
  }

  #closedError(): DurableEventIteratorConnectionError {
    return new DurableEventIteratorConnectionError('closed', { cause: this.#ended.signal.reason })
  }

  #interrupt(error: unknown): void {
    if (this.#state === 'open') this.#enter('recovering', { error })
  }

  #enter(state: DurableEventIteratorState, details: { error?: unknown } = {}): void {
    if (this.#state === state || (this.#isEnded && state !== 'closed')) return
    this.#state = state
    const { path, input, hooks } = this.#options
    hooks.onStateChange(state, { path, input, ...details })
  }

  #backOff(failures: number, atLeast = 0): Promise<void> {
    const { minReconnectionDelay: first, maxReconnectionDelay: longest } = this.#options.numbers
    return delay(atLeast + backoff(failures, { first, longest }), this.#ended.signal)
  }
}

/** A subscription that lasted this long was none of a row of failures. */
const LASTING_MS = 5_000

/** After so many failed handshakes in a row a token is replaced: a browser does not learn why an upgrade failed. */
const FAILURES_PER_TOKEN = 2

/** After so many diagnoses in a row by which the server rejects it, the first connection is given up. */
const REFUSALS_TO_GIVE_UP = 2

/** How long calls in flight hold up a new connection. */
const REPLACEMENT_PATIENCE_MS = 5_000

/** How long an object may take to accept a new token: the old one has this long left, and more. */
const HAND_OVER_PATIENCE_MS = 5_000

/** Between two attempts at a call that the object could not answer. */
const CALL_RETRY_DELAY_MS = 2_000

/** Tokens that live no longer than this are renewed when they are needed, not before. */
const MIN_RENEWAL_INTERVAL_MS = 1_000

/** Whether an open connection may go on with another token: the platform takes a socket's tags once and for all. */
function canTakeOver(old: HeldToken | undefined, { generation, payload }: HeldToken): boolean {
  return (
    old?.generation === 2 &&
    generation === 2 &&
    old.expiresAt > Date.now() &&
    old.payload.chn === payload.chn &&
    JSON.stringify(old.payload.tags ?? []) === JSON.stringify(payload.tags ?? [])
  )
}

/** A subscription never ends by itself: `done` says that its token has expired. */
function endSubscription(): never {
  throw new SubscriptionEndedError()
}

/** Whether the Durable Object has rejected a call because its token had expired. */
function saysTokenExpired(response: TransmitResponse): boolean {
  return response.status === 401 && header(response, TOKEN_EXPIRED_HEADER) !== undefined
}

function header({ headers }: TransmitResponse, name: string): string | undefined {
  return [headers[name]].flat().at(-1)
}

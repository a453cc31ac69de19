import { createORPCClient } from '@orpc/client'
import type { Client, ClientLink } from '@orpc/client'
import { ClientRetryPlugin } from '@orpc/client/plugins'
import type { StandardLinkClientInterceptorOptions, StandardLinkOptions } from '@orpc/client/standard'

import type { DurableIteratorTokenPayload } from '../token/payload.js'
import { GAP_HEADER, SINCE_HEADER, TOKEN_EXPIRED_CLOSE, TOKEN_EXPIRED_HEADER } from '../wire.js'
import type { AsyncIteratorClass } from './async-iterator-class.js'
import { backoff, MAX_TIMER_MS } from './backoff.js'
import { DurableEventIteratorConnectionError } from './connection-error.js'
import { Connection } from './connection.js'
import type { ConnectionClose, FailedAttempt, WebSocketClass } from './connection.js'
import { BufferFullError, isTemporary, isRejection, isUnauthorized, SubscriptionEndedError } from './errors.js'
import { EventBuffer } from './event-buffer.js'
import type { CombinedHooks, DurableEventIteratorState } from './hooks.js'
import { createIteratorProxy } from './iterator-proxy.js'
import type { ConnectingNumbers, SocketLinkOptions } from './link-options.js'
import type { ProcedureRetryContext } from './rpc-context.js'
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
  /** Called before each connection attempt. */
  url(payload: DurableIteratorTokenPayload): Promise<string | URL>
  /** Called once. */
  createId(payload: DurableIteratorTokenPayload): string | Promise<string>
  hooks: CombinedHooks
  /** The call that returned the iterator. */
  path: readonly string[]
  input: unknown
  signal: AbortSignal | undefined
  lastEventId: string | undefined
  /** The output of that call. */
  firstToken: unknown
}

type Context = ProcedureRetryContext

/** The procedures that every Durable Object has. */
type ObjectClient = {
  subscribe: Client<Context, undefined, AsyncIterator<unknown>, Error>
  call: Client<Context, { path: readonly string[]; input: unknown }, unknown, Error>
  /** Only for tokens of `DurableIterator` clients. */
  updateToken: Client<Context, { token: string }, void, Error>
}

type TransmitOptions = StandardLinkClientInterceptorOptions<Context>
type Transmit = (request: TransmitOptions) => Promise<TransmitResponse>
type TransmitResponse = Awaited<ReturnType<NonNullable<StandardLinkOptions<Context>['clientInterceptors']>[number]>>

/**
 * Opens an iterator with a token. Resolves when the subscription is open.
 *
 * @throws When the signal is aborted, the URL or the connection id is invalid, a plugin of the link cannot be initialized, the
 * Durable Object rejects the subscription, or the iterator does not open within the time limit.
 */
export async function openIterator(options: SessionOptions): Promise<AsyncIteratorClass<unknown>> {
  const session = await Session.open(options)
  return createIteratorProxy(session.events, session.link, () => session.token)
}

/**
 * The state of one iterator: its connection, its token and its subscription.
 *
 * The subscription outlives connections and tokens. It is one call, which oRPC's retry plugin repeats after each failure with
 * the last event id. This class decides whether and when the plugin repeats it (`#recover`), and what each attempt waits for
 * (`#transmit`).
 */
class Session {
  static async open(options: SessionOptions): Promise<Session> {
    options.signal?.throwIfAborted()
    const token = await TokenHolder.hold(options.firstToken, options)
    const { payload } = token.current
    const connectionId = await options.createId(payload)
    // An invalid URL rejects the call here, since it is probably a mistake. Later failures of `url` are retried.
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
  /** The time at which the first token was issued, in seconds since 1970. */
  readonly #since: number
  /** Aborted when the session ends, with the reason. */
  readonly #ended = new AbortController()
  readonly #onAbort = (): void => this.#fail(this.#options.signal?.reason, 'cancel')

  #state: DurableEventIteratorState | undefined
  /** The token of the current connection or attempt. */
  #tokenInUse: HeldToken | undefined
  /** The number of consecutive failed handshakes. */
  #failedHandshakes = 0
  /** The number of them with the current token. */
  #failuresOfToken = 0
  /** The number of failed handshakes after which the token is refreshed. */
  #maxFailuresOfToken = FAILURES_PER_TOKEN
  /** The number of consecutive diagnoses that the server rejects the connection. */
  #rejections = 0
  /** The reason why there is no subscription, if it is known. */
  #lastProblem: unknown
  /** The message of the last reported problem. */
  #reported: string | undefined
  /** The number of failed or short subscriptions since the last stable one. */
  #setbacks = 0
  /** The time at which the current subscription opened. */
  #subscribedAt: number | undefined
  /** The last token with which a subscription opened. */
  #provenToken: HeldToken | undefined
  #refreshing: Promise<void> | undefined
  #refreshTimer: ReturnType<typeof setTimeout> | undefined
  /** While the connection receives a new token or is about to be replaced: resolves when calls may continue. */
  #replacement: Promise<void> | undefined
  #callsInFlight = 0
  #onIdle: (() => void) | undefined

  /** @throws The error of a plugin of the application, if the link cannot be created. Nothing is started then. */
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
    this.#rejections = 0
  }

  /** Determines and reports why the connection does not open. */
  async #onFailedAttempt({ isHandshake, error, url }: FailedAttempt): Promise<void> {
    if (!isHandshake || url === undefined) {
      const message = `cannot connect: ${messageOf(error)}`
      this.#report(new DurableEventIteratorConnectionError('unavailable', { message, cause: error }))
      return
    }
    this.#failedHandshakes += 1
    this.#failuresOfToken += 1
    // Not after a single failure, which is usually a lost network, and not after each: a diagnosis sends a request.
    const handshakes = this.#failedHandshakes
    if (handshakes < 2 || !Number.isInteger(Math.log2(handshakes))) return
    const diagnosis = await diagnoseUpgrade(url, error)
    if (this.#isEnded || this.#failedHandshakes < handshakes) return
    if (diagnosis.retryAfter !== undefined) this.#connection.holdOff(diagnosis.retryAfter)
    this.#rejections = diagnosis.isRejection ? this.#rejections + 1 : 0
    this.#report(diagnosis.error)
    if (this.#state === 'connecting' && this.#rejections >= REJECTIONS_TO_GIVE_UP) this.#failToOpen(`after ${handshakes} attempts`)
  }

  /** Reports to the application why the iterator is not open, once for each reason. */
  #report(problem: Error): void {
    this.#lastProblem = problem
    if (this.#isEnded || this.#reported === problem.message) return
    if (this.#state !== 'connecting' && this.#state !== 'recovering') return
    this.#reported = problem.message
    const { path, input, hooks } = this.#options
    hooks.onStateChange(this.#state, { path, input, error: problem })
  }

  /** Rejects the call that waits for the first connection. */
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

  /** Called when the subscription failed. Resolves when it is time to open it again: to `true`, or to `false` to give up. */
  async #recover(error: unknown): Promise<boolean> {
    if (this.#isEnded) return false
    // Without a delay: each attempt waits for the connection.
    if (error instanceof DurableEventIteratorConnectionError) return true
    if (error instanceof BufferFullError) return this.#pause()
    this.#lastProblem = error
    this.#interrupt(error)
    try {
      const needsToken = error instanceof SubscriptionEndedError || (isUnauthorized(error) && this.#isTokenWorn)
      if (!needsToken && isRejection(error)) return false
      const lasted = this.#subscribedAt !== undefined && Date.now() - this.#subscribedAt >= LASTING_MS
      this.#subscribedAt = undefined
      if (lasted || this.#token.isExpired) this.#setbacks = 0
      // The first refresh of an expired token has no delay.
      if (this.#setbacks > 0 || !needsToken) await this.#backOff(this.#setbacks)
      this.#setbacks += 1
      if (needsToken) await this.#refresh()
    } catch {
      // The server rejected the call for a new token, which has ended the session.
    }
    return !this.#isEnded
  }

  /** Waits, without a subscription, until the application has read the buffered events. */
  async #pause(): Promise<boolean> {
    this.#subscribedAt = undefined
    this.#enter('paused')
    await this.events.drained()
    this.#enter('recovering')
    return !this.#isEnded
  }

  /** Whether the token may be rejected because of its age: it has expired, or it has been accepted before. */
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
    this.#scheduleRefresh()
  }

  #onLost(close: ConnectionClose | undefined): void {
    // The clock of the Durable Object decides: it would reject the next connection with this token.
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
      // The innermost interceptor, so that nothing delays a request after its wait.
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
              shouldRetry: ({ error }) => isTemporary(error),
              // No delay after a lost connection, since the retry waits for the next one.
              retryDelay: ({ error, lastEventRetry }) =>
                error instanceof DurableEventIteratorConnectionError ? 0 : (lastEventRetry ?? CALL_RETRY_DELAY_MS),
            },
          }),
        ]
    return new SocketRPCLink<Context>({
      ...(customJsonSerializers === undefined ? {} : { customJsonSerializers }),
      ...(headers === undefined ? {} : { headers }),
      websocket: this.#connection.socket,
      // Copies, since each link modifies its arrays.
      interceptors: [...interceptors],
      clientInterceptors: [...clientInterceptors],
      plugins: [...plugins, ...retries, transmit],
    })
  }

  /** Sends one request. A call that was rejected because the token had expired is sent once more. */
  async #transmit(request: TransmitOptions, next: Transmit): Promise<TransmitResponse> {
    const response = await this.#send(request, next)
    // The header states that the Durable Object has not executed the call.
    return request.path[0] === 'call' && isTokenExpired(response) ? this.#send(request, next) : response
  }

  /** Sends one request as soon as there is a connection. Rejects with a connection error if the connection is lost. */
  async #send(request: TransmitOptions, next: Transmit): Promise<TransmitResponse> {
    const [procedure] = request.path
    const isCall = procedure === 'call'
    const isSubscription = procedure === 'subscribe'
    if (procedure === 'updateToken' && !this.#connection.isOpen) throw new DurableEventIteratorConnectionError('lost')
    // Checked again before the request is sent: a request that is sent between two connections would never receive a response.
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
      if (isTokenExpired(response)) {
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

  /** @throws {DurableEventIteratorConnectionError} When there is no connection within the time limit. */
  async #readyForCall(signal: AbortSignal | undefined): Promise<void> {
    const ready = async (): Promise<void> => {
      while (this.#replacement !== undefined || this.#token.isExpired || !this.#connection.isOpen) {
        if (this.#isEnded) throw this.#closedError()
        if (this.#replacement !== undefined) await this.#replacement
        // If one of these rejects, the session has ended.
        else await (this.#connection.isOpen ? this.#refresh() : this.#connection.opened()).catch(() => {})
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
        // If the handshakes fail with a new token too, the token is probably not the reason.
        this.#maxFailuresOfToken *= 2
      }
      try {
        await this.#token.refresh()
      } catch (error) {
        if (isRejection(error)) this.#fail(error)
        // Until it expires, the current token may still work. Otherwise the attempt has failed.
        if (this.#isEnded || this.#token.isExpired) throw error
      }
    }
    const { current } = this.#token
    const url = await this.#options.url(current.payload)
    this.#tokenInUse = current
    return upgradeUrl(url, current.text, this.#connectionId)
  }

  /**
   * Refreshes the token, with as many attempts as needed, and passes it to the open connection or replaces the connection.
   *
   * @throws When the server rejects the call for a new token, which ends the session.
   */
  #refresh(): Promise<void> {
    this.#refreshing ??= this.#refreshAndReplace().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #refreshAndReplace(): Promise<void> {
    for (let failures = 0; ; failures += 1) {
      try {
        await this.#token.refresh()
        break
      } catch (error) {
        if (isRejection(error)) this.#fail(error)
        if (this.#isEnded) throw error
        this.#lastProblem = error
        await this.#backOff(failures, this.#token.current.minInterval)
      }
    }
    // After a loss, the connection may have been opened with the new token meanwhile.
    const isOld = (): boolean => !this.#isEnded && this.#tokenInUse !== this.#token.current
    for (const way of [() => this.#updateToken(), () => this.#untilIdle()]) {
      if (!isOld()) return
      this.#replacement = way()
      await this.#replacement
      this.#replacement = undefined
    }
    if (isOld()) this.#connection.replace()
  }

  /** Sends the new token over the open connection, if possible. After any failure, the caller replaces the connection. */
  async #updateToken(): Promise<void> {
    const { current } = this.#token
    const isInUse = this.#state === 'open' || (this.#state === 'paused' && this.#connection.isOpen)
    if (!isInUse || !canTakeOver(this.#tokenInUse, current)) return
    const { losses } = this.#connection
    try {
      const response = this.#client.updateToken({ token: current.text }, { context: { retry: 0 } })
      await within(UPDATE_TOKEN_TIMEOUT_MS, () => new DurableEventIteratorConnectionError('lost'), this.#ended.signal, response)
    } catch {
      return
    }
    if (this.#isEnded || this.#connection.losses !== losses) return
    this.#tokenInUse = current
    this.#provenToken = current
    this.#scheduleRefresh()
  }

  /** Waits for the responses to calls in flight before the connection is replaced, up to a limit. */
  async #untilIdle(): Promise<void> {
    if (this.#callsInFlight === 0 || !this.#connection.isOpen) return
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve
    })
    await Promise.race([idle, delay(REPLACEMENT_TIMEOUT_MS, this.#ended.signal)])
    this.#onIdle = undefined
  }

  /** Schedules the refresh before the token expires, so that no live event is lost while the client has no valid token. */
  #scheduleRefresh(): void {
    clearTimeout(this.#refreshTimer)
    const { refreshAt, minInterval = MIN_REFRESH_INTERVAL_MS } = this.#token.current
    if (refreshAt === Number.POSITIVE_INFINITY) return
    const wait = Math.min(Math.max(refreshAt - Date.now(), minInterval), MAX_TIMER_MS)
    this.#refreshTimer = setTimeout(() => {
      if (Date.now() < this.#token.current.refreshAt) this.#scheduleRefresh()
      // While the connection is opening, `#nextUrl` refreshes the token.
      else if (this.#connection.isOpen) this.#refresh().catch(() => {})
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
    clearTimeout(this.#refreshTimer)
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

/** A subscription that lasted this long is stable: it resets the delays. In milliseconds. */
const LASTING_MS = 5_000

/**
 * The number of consecutive failed handshakes after which the token is refreshed: browsers do not report why an upgrade failed.
 */
const FAILURES_PER_TOKEN = 2

/** The number of consecutive diagnoses of a rejection after which the call for the first connection rejects. */
const REJECTIONS_TO_GIVE_UP = 2

/** The maximum time that calls in flight delay the replacement of a connection, in milliseconds. */
const REPLACEMENT_TIMEOUT_MS = 5_000

/**
 * The maximum time for a Durable Object to accept a new token, in milliseconds: less than the remaining lifetime of the old
 * one.
 */
const UPDATE_TOKEN_TIMEOUT_MS = 5_000

/** The delay before a call is retried that the Durable Object could not respond to, in milliseconds. */
const CALL_RETRY_DELAY_MS = 2_000

/** The default of the minimum delay between two token refreshes, in milliseconds. */
const MIN_REFRESH_INTERVAL_MS = 1_000

/** Whether an open connection can continue with another token: the channel and the tags of a socket cannot change. */
function canTakeOver(old: HeldToken | undefined, { kind, payload }: HeldToken): boolean {
  return (
    old?.kind === 'DurableIterator' &&
    kind === 'DurableIterator' &&
    old.expiresAt > Date.now() &&
    old.payload.chn === payload.chn &&
    JSON.stringify(old.payload.tags ?? []) === JSON.stringify(payload.tags ?? [])
  )
}

/** Called at the end of the stream. A subscription ends only when its token has expired. */
function endSubscription(): never {
  throw new SubscriptionEndedError()
}

/** Whether the Durable Object has rejected a call because its token had expired. */
function isTokenExpired(response: TransmitResponse): boolean {
  return response.status === 401 && header(response, TOKEN_EXPIRED_HEADER) !== undefined
}

function header({ headers }: TransmitResponse, name: string): string | undefined {
  return [headers[name]].flat().at(-1)
}

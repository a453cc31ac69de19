import type { DurableIteratorTokenPayload } from '../token/payload.js'
import { GAP_HEADER, SINCE_HEADER, TOKEN_EXPIRED_CLOSE, TOKEN_EXPIRED_HEADER } from '../wire.js'
import { Attempts, LASTING_MS } from './attempts.js'
import { backoff, MAX_TIMER_MS } from './backoff.js'
import { DurableEventIteratorConnectionError } from './connection-error.js'
import { Connection } from './connection.js'
import type { Loss } from './connection.js'
import { isRejection, statusOf, TokenExpiredError } from './errors.js'
import { EventBuffer } from './event-buffer.js'
import { callHook } from './hooks.js'
import type { SubscriptionHooks, SubscriptionState, SubscriptionStateDetails } from './hooks.js'
import { onNetworkChange } from './network-changes.js'
import type { LoadState, SubscriptionNumbers } from './options.js'
import { errorOf } from './procedure-error.js'
import type { ProcedureError } from './procedure-error.js'
import type { SocketSource } from './socket-source.js'
import { TokenHolder } from './token-holder.js'
import type { HeldToken, TokenSource } from './token-holder.js'
import { diagnoseUpgrade, messageOf } from './upgrade-diagnosis.js'
import { upgradeUrl } from './upgrade-url.js'
import { delay, within } from './waiting.js'
import type { EventMeta, PeerHeaders, PeerRequest, PeerResponse, StreamItem } from './wire/peer.js'
import { Serializer } from './wire/serializer.js'
import type { CustomSerializer } from './wire/serializer.js'

export interface SessionOptions extends SubscriptionHooks {
  readonly tokens: TokenSource
  readonly sockets: SocketSource
  /** Called before each connection attempt. */
  url(payload: DurableIteratorTokenPayload): string | URL | Promise<string | URL>
  /** Called once. */
  createId(payload: DurableIteratorTokenPayload): string | Promise<string>
  readonly numbers: SubscriptionNumbers
  readonly customJsonSerializers?: readonly CustomSerializer[] | undefined
  readonly lastEventId?: string | undefined
  readonly load?: LoadState | undefined
  readonly signal?: AbortSignal | undefined
  /** Returns the event for the application. */
  mapEvent(event: unknown, meta: EventMeta | undefined): unknown
  /** Returns the error for the application. It must keep the property `status`. */
  mapError?: ((error: ProcedureError) => Error) | undefined
}

/** Why there is no subscription on an open connection, or `lost` if the connection is not open any more. */
type End =
  | { readonly reason: 'lost' }
  | { readonly reason: 'full' }
  | { readonly reason: 'gap' }
  | { readonly reason: 'expired'; readonly error: Error }
  | { readonly reason: 'failed'; readonly error: Error }

/**
 * The state machine of a subscription: one loop that connects, subscribes, and after each end decides when to do so again. The
 * states, the reasons and the delays are in `docs/client.md`.
 *
 * The subscription outlives connections and tokens: each one continues after the last received event.
 */
export class Session {
  readonly events: EventBuffer<unknown>
  readonly serializer: Serializer

  readonly #options: SessionOptions
  readonly #token: TokenHolder
  readonly #attempts: Attempts
  /** Aborted when the session ends. */
  readonly #ended = new AbortController()
  /** Why the session has ended. */
  #cause: unknown
  // Not every environment has `reason`.
  readonly #onAbort = (): void => this.#fail(this.#options.signal?.reason ?? new Error('the signal was aborted'), 'cancel')

  #state: SubscriptionState = 'connecting'
  #connection: Connection | undefined
  #connectionId: string | undefined
  /** How to wait before the next attempt to connect. */
  #pace: Parameters<Attempts['wait']>[0] = 'backoff'
  /** The id of the last event that arrived. */
  #cursor: string | undefined
  /** The time at which the first token was issued, in seconds since 1970. */
  #since: number | undefined
  /** The time at which it was requested, in milliseconds since 1970. */
  #requestedAt: number | undefined
  /** The token of the current connection or attempt. */
  #tokenInUse: HeldToken | undefined
  /** The last token with which a subscription opened. */
  #provenToken: HeldToken | undefined

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

  /** Whether the buffer was full, and the application has not read all of it. */
  #isPaused = false
  #loading: Promise<void> | undefined
  #refreshing: Promise<void> | undefined
  #refreshTimer: ReturnType<typeof setTimeout> | undefined
  #openTimer: ReturnType<typeof setTimeout> | undefined
  /** While the connection receives a new token or is about to be replaced: resolves when calls may continue. */
  #replacement: Promise<void> | undefined
  #callsInFlight = 0
  #onIdle: (() => void) | undefined
  /** While the page is in the back/forward cache: called when it returns. */
  #onReturn: (() => void) | undefined
  #isAway = false

  readonly #whenConnected = new Waiters()
  readonly #whenOpen = new Waiters()

  constructor(options: SessionOptions) {
    this.#options = options
    this.#token = new TokenHolder(options.tokens)
    this.#attempts = new Attempts(options.numbers)
    this.#cursor = options.lastEventId
    this.serializer = new Serializer(options.customJsonSerializers)
    const { maxBufferedEvents: maxEvents, maxBufferedBytes: maxBytes } = options.numbers
    this.events = new EventBuffer({ maxEvents, maxBytes }, () => this.close())
    this.events.start(this.#cursor)
    void this.#run()
  }

  get state(): SubscriptionState {
    return this.#state
  }

  get token(): string {
    return this.#token.current.text
  }

  /** Resolves when the subscription has opened for the first time; rejects if the session has ended before. */
  opened(): Promise<void> {
    return this.#provenToken === undefined ? this.#untilEnded(this.#whenOpen) : Promise.resolve()
  }

  close(): void {
    this.#close({})
  }

  // The loop

  async #run(): Promise<void> {
    // The callbacks must not be called before the constructor returns.
    await undefined
    const { signal, numbers } = this.#options
    const { openTimeout } = numbers
    if (signal?.aborted === true) return this.#onAbort()
    if (this.#isEnded) return
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    const ignoreNetwork = this.#watchNetwork()
    if (openTimeout <= MAX_TIMER_MS) this.#openTimer = setTimeout(() => this.#failToOpen(`within ${openTimeout} ms`), openTimeout)
    this.#report()
    try {
      while (!this.#isEnded) {
        const connection = await this.#connect()
        if (connection !== undefined) await this.#use(connection)
        if (this.#isAway) await this.#untilReturn()
        await this.#attempts.wait(this.#pace, this.#ended.signal)
      }
    } catch (error) {
      this.#fail(error)
    } finally {
      ignoreNetwork()
    }
  }

  #watchNetwork(): () => void {
    const onBetter = (isUrgent: boolean): void => {
      this.#isAway = false
      this.#onReturn?.()
      this.#connection?.check(isUrgent)
      this.#attempts.hurry()
    }
    return onNetworkChange({
      onBetter: () => onBetter(false),
      onWorse: () => this.#connection?.check(false),
      onLeave: () => {
        this.#isAway = true
        this.#connection?.end('replaced')
      },
      onReturn: () => onBetter(true),
    })
  }

  /** Waits while the page is in the back/forward cache. */
  async #untilReturn(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onReturn = resolve
    })
    this.#onReturn = undefined
  }

  // The connection

  /** Opens a connection. Returns `undefined` if the attempt has failed. */
  async #connect(): Promise<Connection | undefined> {
    this.#attempts.start()
    this.#pace = 'backoff'
    let url: string
    try {
      await this.#prepareToken()
    } catch (error) {
      if (isRejection(error)) throw error
      return this.#failAttempt(error)
    }
    const { current } = this.#token
    const isFirst = this.#connectionId === undefined
    try {
      // After the first token: without a cursor, the events published since then arrive.
      if (isFirst && this.#options.load !== undefined) this.#startLoading()
      this.#since ??= current.payload.iat
      this.#requestedAt ??= current.requestedAt
      this.#connectionId ??= await this.#options.createId(current.payload)
      url = upgradeUrl(await this.#options.url(current.payload), current.text, this.#connectionId)
    } catch (error) {
      // At first, it is probably a mistake.
      if (isFirst) throw error
      return this.#failAttempt(error)
    }
    if (this.#isEnded) return undefined
    this.#tokenInUse = current
    // The minimum interval is between handshakes, and the URL may have taken a long time.
    this.#attempts.start()
    const { sockets, numbers, load } = this.#options
    try {
      return await Connection.open({
        sockets,
        url,
        info: {
          tokenRequestedAt: this.#requestedAt ?? current.requestedAt,
          isStart: this.#cursor === undefined && load === undefined,
        },
        timeout: numbers.connectionTimeout,
        heartbeatInterval: numbers.heartbeatInterval,
        signal: this.#ended.signal,
        onLost: (loss) => this.#onLost(loss),
      })
    } catch (error) {
      if (!this.#isEnded) void this.#failHandshake(url, error)
      return undefined
    }
  }

  /** Refreshes the token if the next connection needs a new one. */
  async #prepareToken(): Promise<void> {
    const isSuspect = this.#failuresOfToken >= this.#maxFailuresOfToken
    if (!this.#token.isDue && !isSuspect) return
    if (isSuspect) {
      this.#failuresOfToken = 0
      // If the handshakes fail with a new token too, the token is probably not the reason.
      this.#maxFailuresOfToken *= 2
    }
    try {
      await this.#token.refresh()
    } catch (error) {
      // Until it expires, the current token may still work.
      if (isRejection(error) || this.#token.isExpired) throw error
    }
  }

  #failAttempt(error: unknown): undefined {
    this.#attempts.fail()
    this.#reportProblem(new DurableEventIteratorConnectionError('unavailable', { message: `cannot connect: ${messageOf(error)}`, cause: error }))
  }

  /** Determines and reports why the connection does not open. */
  async #failHandshake(url: string, error: unknown): Promise<void> {
    this.#attempts.fail()
    this.#failedHandshakes += 1
    this.#failuresOfToken += 1
    // Not after a single failure, which is usually a lost network, and not after each: a diagnosis sends a request.
    const handshakes = this.#failedHandshakes
    if (handshakes < 2 || !Number.isInteger(Math.log2(handshakes))) return
    const diagnosis = await diagnoseUpgrade(url, error)
    if (this.#isEnded || this.#failedHandshakes < handshakes) return
    if (diagnosis.retryAfter !== undefined) this.#attempts.holdOff(diagnosis.retryAfter)
    this.#rejections = diagnosis.isRejection ? this.#rejections + 1 : 0
    this.#reportProblem(diagnosis.error)
    if (this.#state === 'connecting' && this.#rejections >= REJECTIONS_TO_GIVE_UP) this.#failToOpen(`after ${handshakes} attempts`)
  }

  /** Subscribes, again and again, until the connection is lost. */
  async #use(connection: Connection): Promise<void> {
    if (!connection.isOpen) return
    this.#connection = connection
    this.#failedHandshakes = 0
    this.#failuresOfToken = 0
    this.#maxFailuresOfToken = FAILURES_PER_TOKEN
    this.#rejections = 0
    this.#whenConnected.resolve()
    const whileOpen = (step: Promise<unknown>): Promise<unknown> => Promise.race([step, connection.ended])
    while (connection.isOpen) {
      await whileOpen(this.#untilReady())
      if (connection.isOpen) await whileOpen(this.#recover(await this.#subscribe(connection)))
    }
  }

  #onLost({ reason, close, lasted }: Loss): void {
    this.#connection = undefined
    this.#attempts.lose(lasted)
    this.#pace = reason === 'closed' ? 'backoff' : reason === 'silent' ? 'soon' : 'now'
    // The clock of the Durable Object decides: it would reject the next connection with this token.
    if (close?.code === TOKEN_EXPIRED_CLOSE.code && close.reason === TOKEN_EXPIRED_CLOSE.reason) {
      this.#token.expire(this.#tokenInUse)
    }
    const how = close === undefined ? '' : ` (close code ${close.code}${close.reason === '' ? '' : `: ${close.reason}`})`
    this.#interrupt(new DurableEventIteratorConnectionError('lost', { message: `the connection was lost${how}` }))
  }

  // The subscription

  /** Resolves when it is time to subscribe: the application has read a full buffer, and its state is loaded. */
  async #untilReady(): Promise<void> {
    if (this.#isPaused) {
      this.#enter('paused')
      await this.events.drained()
      this.#isPaused = false
      this.#enter('recovering')
    }
    await this.#loading
  }

  /** Opens a subscription after the last received event. Resolves when it has ended. */
  #subscribe(connection: Connection): Promise<End> {
    const token = this.#tokenInUse
    const lastEventId = this.#cursor
    const headers: Record<string, string> = {}
    if (lastEventId !== undefined) headers['last-event-id'] = lastEventId
    else if (this.#since !== undefined && token?.payload.iat !== this.#since) headers[SINCE_HEADER] = String(this.#since)
    return new Promise((resolve) => {
      const abort = (end: End): void => {
        call.abort()
        resolve(end)
      }
      const call = connection.peer.open(
        { url: '/subscribe', headers },
        {
          onResponse: (response, isStream) => {
            if (response.status >= 400 || !isStream) return resolve(this.#endOf(response, token))
            const nextEventId = headerOf(response.headers, GAP_HEADER)
            if (nextEventId !== undefined) {
              const gap = { lastEventId, nextEventId }
              this.events.mark(() => callHook(this.#options.onGap, gap))
              if (this.#options.load !== undefined) {
                this.#startLoading()
                return abort({ reason: 'gap' })
              }
            }
            this.#onSubscribed()
          },
          onItem: (item, bytes) => {
            if (item.event === 'done') resolve({ reason: 'expired', error: new TokenExpiredError() })
            else if (item.event === 'error') resolve({ reason: 'failed', error: this.#errorOf(500, item.data) })
            else {
              this.#deliver(item, bytes)
              if (this.#isEnded) call.abort()
              else if (this.events.isFull) abort({ reason: 'full' })
            }
          },
          onFailed: (error) => resolve(connection.isOpen ? { reason: 'failed', error: error as Error } : { reason: 'lost' }),
        },
      )
    })
  }

  #endOf(response: PeerResponse, token: HeldToken | undefined): End {
    if (isTokenExpired(response)) {
      // The clock of the Durable Object decides.
      this.#token.expire(token)
      return { reason: 'expired', error: new TokenExpiredError() }
    }
    const error = this.#errorOf(response.status, response.body)
    // The token may be rejected because of its age: it has expired, or it has been accepted before.
    const isWorn = this.#token.isExpired || this.#provenToken === this.#token.current
    return { reason: statusOf(error) === 401 && isWorn ? 'expired' : 'failed', error }
  }

  #errorOf(status: number, body: unknown): Error {
    const error = errorOf(this.serializer, status, body)
    return this.#options.mapError?.(error) ?? error
  }

  #onSubscribed(): void {
    this.#subscribedAt = Date.now()
    this.#lastProblem = undefined
    this.#reported = undefined
    this.#provenToken = this.#tokenInUse
    clearTimeout(this.#openTimer)
    this.#whenOpen.resolve()
    this.#enter('open')
    this.#scheduleRefresh()
  }

  #deliver({ data, meta }: StreamItem, bytes: number): void {
    let event: unknown
    try {
      event = this.#options.mapEvent(this.serializer.deserialize(data), meta)
    } catch (error) {
      // The same event would fail again.
      return this.#fail(error)
    }
    if (meta?.id !== undefined) this.#cursor = meta.id
    this.events.push(event, bytes, meta?.id)
  }

  /**
   * Does what has to be done before the next subscription on the same connection.
   *
   * @throws When the server has rejected the subscription or the call for a new token.
   */
  async #recover(end: End): Promise<void> {
    const lasted = this.#subscribedAt !== undefined && Date.now() - this.#subscribedAt >= LASTING_MS
    this.#subscribedAt = undefined
    if (end.reason === 'lost' || this.#isEnded) return
    if (end.reason === 'full') {
      this.#isPaused = true
      return
    }
    if (end.reason === 'gap') {
      this.#interrupt(undefined)
      // The state may be older than the retained events, again and again.
      if (this.#setbacks > 0 && !lasted) await this.#backOff(this.#setbacks)
      this.#setbacks = lasted ? 0 : this.#setbacks + 1
      return
    }
    const { error } = end
    this.#lastProblem = error
    this.#interrupt(error)
    const needsToken = end.reason === 'expired'
    if (!needsToken && isRejection(error)) throw error
    if (lasted || this.#token.isExpired) this.#setbacks = 0
    // The first refresh of an expired token has no delay.
    if (this.#setbacks > 0 || !needsToken) await this.#backOff(this.#setbacks)
    this.#setbacks += 1
    if (needsToken) await this.#refresh()
  }

  // The state of the application

  #startLoading(): void {
    this.#loading = this.#load()
    // The next subscription reports the error.
    this.#loading.catch(() => {})
  }

  async #load(): Promise<void> {
    // An older event must not be applied to the loaded state, so the application first reads all buffered events.
    if (this.#provenToken !== undefined) await new Promise<void>((resolve) => this.events.mark(resolve))
    for (let failures = 0; ; failures += 1) {
      if (this.#isEnded) return
      try {
        const cursor = await this.#options.load?.({ signal: this.#ended.signal })
        if (this.#isEnded) return
        this.#cursor = cursor
        this.events.start(cursor)
        return
      } catch (error) {
        if (isRejection(error)) throw error
        this.#reportProblem(error instanceof Error ? error : new Error(String(error)))
      }
      await this.#backOff(failures)
    }
  }

  // Calls

  /**
   * Sends one call as soon as there is a connection. A call that was rejected because the token had expired is sent once more.
   *
   * @throws {DurableEventIteratorConnectionError} When there is no connection within the time limit, or it is lost.
   */
  async request(request: PeerRequest, signal: AbortSignal | undefined): Promise<PeerResponse> {
    const response = await this.#send(request, signal)
    // The header states that the Durable Object has not executed the call.
    return isTokenExpired(response) ? this.#send(request, signal) : response
  }

  async #send(request: PeerRequest, signal: AbortSignal | undefined): Promise<PeerResponse> {
    let connection: Connection | undefined
    // Checked again at once before the request is sent, since the connection may have been lost meanwhile.
    do await this.#readyForCall(signal)
    while ((connection = this.#connection) === undefined)
    const token = this.#tokenInUse
    this.#callsInFlight += 1
    try {
      const response = await connection.peer.request(request, signal)
      // The clock of the Durable Object decides.
      if (isTokenExpired(response)) this.#token.expire(token)
      return response
    } finally {
      this.#callsInFlight -= 1
      if (this.#callsInFlight === 0) this.#onIdle?.()
    }
  }

  /** @throws {DurableEventIteratorConnectionError} When there is no connection within the time limit. */
  async #readyForCall(signal: AbortSignal | undefined): Promise<void> {
    const ready = async (): Promise<void> => {
      while (this.#replacement !== undefined || this.#connection === undefined || this.#token.isExpired) {
        if (this.#isEnded) throw this.#closedError()
        if (this.#replacement !== undefined) await this.#replacement
        else if (this.#connection === undefined) await this.#untilEnded(this.#whenConnected)
        // If this rejects, the session has ended.
        else await this.#refresh().catch(() => {})
      }
    }
    const tooLate = (): Error => new DurableEventIteratorConnectionError('unavailable', { cause: this.#lastProblem })
    await within(this.#options.numbers.callTimeout, tooLate, signal, ready())
  }

  // The token

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
    if (isOld()) this.#connection?.end('replaced')
  }

  /** Sends the new token over the open connection, if possible. After any failure, the caller replaces the connection. */
  async #updateToken(): Promise<void> {
    const { current } = this.#token
    const connection = this.#connection
    const isInUse = this.#state === 'open' || this.#state === 'paused'
    if (connection === undefined || !isInUse || !canTakeOver(this.#tokenInUse, current)) return
    try {
      const request = { url: '/updateToken', body: this.serializer.serialize({ token: current.text }) }
      const tooLate = (): Error => new DurableEventIteratorConnectionError('lost')
      const response = await within(UPDATE_TOKEN_TIMEOUT_MS, tooLate, this.#ended.signal, connection.peer.request(request))
      if (response.status >= 400) return
    } catch {
      return
    }
    if (this.#connection !== connection) return
    this.#tokenInUse = current
    this.#provenToken = current
    this.#scheduleRefresh()
  }

  /** Waits for the responses to calls in flight before the connection is replaced, up to a limit. */
  async #untilIdle(): Promise<void> {
    if (this.#callsInFlight === 0 || this.#connection === undefined) return
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
      // While the connection is opening, `#prepareToken` refreshes the token.
      else if (this.#connection !== undefined) this.#refresh().catch(() => {})
    }, wait)
  }

  // The state and the end

  get #isEnded(): boolean {
    return this.#ended.signal.aborted
  }

  #enter(state: SubscriptionState, error?: unknown): void {
    if (this.#state === state || this.#isEnded) return
    this.#state = state
    this.#report(error)
  }

  #interrupt(error: unknown): void {
    if (this.#state === 'open') this.#enter('recovering', error)
  }

  #report(error?: unknown): void {
    const details: SubscriptionStateDetails = error === undefined ? {} : { error }
    callHook(this.#options.onStateChange, this.#state, details)
  }

  /** Reports to the application why the subscription is not open, once for each reason. */
  #reportProblem(problem: Error): void {
    this.#lastProblem = problem
    if (this.#isEnded || this.#reported === problem.message) return
    if (this.#state !== 'connecting' && this.#state !== 'recovering') return
    this.#reported = problem.message
    this.#report(problem)
  }

  /** Ends a session that has never been open. */
  #failToOpen(limit: string): void {
    const cause = this.#lastProblem
    const message = `the iterator did not open ${limit}${cause === undefined ? '' : `: ${messageOf(cause)}`}`
    const status = cause instanceof DurableEventIteratorConnectionError ? cause.status : undefined
    this.#fail(new DurableEventIteratorConnectionError('unavailable', { message, cause, status }))
  }

  #fail(error: unknown, how: 'end' | 'cancel' = 'end'): void {
    if (this.#isEnded) return
    this.events[how]({ error })
    this.#close({ error })
  }

  #close(details: SubscriptionStateDetails): void {
    if (this.#isEnded) return
    this.#state = 'closed'
    this.#cause = details.error
    this.#ended.abort()
    clearTimeout(this.#refreshTimer)
    clearTimeout(this.#openTimer)
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#onReturn?.()
    this.#connection?.end('replaced', undefined, this.#closedError())
    this.#whenConnected.reject(this.#closedError())
    this.#whenOpen.reject('error' in details ? details.error : this.#closedError())
    callHook(this.#options.onStateChange, 'closed', details)
  }

  #closedError(): DurableEventIteratorConnectionError {
    return new DurableEventIteratorConnectionError('closed', { cause: this.#cause })
  }

  #untilEnded(waiters: Waiters): Promise<void> {
    return this.#isEnded ? Promise.reject(this.#closedError()) : waiters.wait()
  }

  #backOff(failures: number, atLeast = 0): Promise<void> {
    const { minReconnectionDelay: first, maxReconnectionDelay: longest } = this.#options.numbers
    return delay(atLeast + backoff(failures, { first, longest }), this.#ended.signal)
  }
}

/** Promises that are settled together. */
class Waiters {
  readonly #waiting = new Set<{ resolve(): void; reject(error: unknown): void }>()

  wait(): Promise<void> {
    return new Promise((resolve, reject) => this.#waiting.add({ resolve, reject }))
  }

  resolve(): void {
    for (const { resolve } of this.#waiting) resolve()
    this.#waiting.clear()
  }

  reject(error: unknown): void {
    for (const { reject } of this.#waiting) reject(error)
    this.#waiting.clear()
  }
}

/**
 * The number of consecutive failed handshakes after which the token is refreshed: browsers do not report why an upgrade failed.
 */
const FAILURES_PER_TOKEN = 2

/** The number of consecutive diagnoses of a rejection after which a session that has never been open ends. */
const REJECTIONS_TO_GIVE_UP = 2

/** The maximum time that calls in flight delay the replacement of a connection, in milliseconds. */
const REPLACEMENT_TIMEOUT_MS = 5_000

/**
 * The maximum time for a Durable Object to accept a new token, in milliseconds: less than the remaining lifetime of the old
 * one.
 */
const UPDATE_TOKEN_TIMEOUT_MS = 5_000

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

/** Whether the Durable Object has rejected a call because its token had expired. */
function isTokenExpired({ status, headers }: PeerResponse): boolean {
  return status === 401 && headerOf(headers, TOKEN_EXPIRED_HEADER) !== undefined
}

function headerOf(headers: PeerHeaders, name: string): string | undefined {
  return [headers[name]].flat().at(-1)
}

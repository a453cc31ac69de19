import { DurableIteratorError } from '../error.js'
import type { DurableIteratorTokenPayload } from '../token/payload.js'
import {
  ACKNOWLEDGED_CHARACTERS,
  FLOW_HEADER,
  FLOW_HEADER_VALUE,
  GAP_HEADER,
  SINCE_HEADER,
  TOKEN_EXPIRED_CLOSE,
  TOKEN_EXPIRED_HEADER,
  TOKEN_REJECTED_CODE,
  TOKEN_REVOKED,
} from '../wire.js'
import { backoff } from './backoff.js'
import { DurableEventIteratorConnectionError } from './connection-error.js'
import { Connection } from './connection.js'
import type { EndReason } from './connection.js'
import { isRejection, messageOf } from './errors.js'
import { EventBuffer } from './event-buffer.js'
import { callHook } from './hooks.js'
import type { SubscriptionHooks, SubscriptionState } from './hooks.js'
import { onNetworkChange } from './network-changes.js'
import type { NetworkChange } from './network-changes.js'
import type { LoadState, SubscriptionNumbers } from './options.js'
import { Pace, STABLE_MS } from './pace.js'
import type { Delay } from './pace.js'
import { errorOf } from './procedure-error.js'
import type { ProcedureError } from './procedure-error.js'
import type { SocketSource, Transport } from './socket-source.js'
import { TokenHolder } from './token-holder.js'
import type { HeldToken, TokenSource } from './token-holder.js'
import { diagnoseUpgrade } from './upgrade-diagnosis.js'
import { upgradeUrl } from './upgrade-url.js'
import { Changes, countdown, withTimeout } from './waiting.js'
import type { TimeLeft } from './waiting.js'
import type { EventMeta, PeerHeaders, PeerRequest, PeerResponse, ReadItem, StreamItem } from './wire/peer.js'
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

/**
 * Why there is no subscription any more:
 * - `lost`: the connection has ended.
 * - `full`: the buffer is full.
 * - `parked`: the Durable Object has stopped sending, because too much was not acknowledged. The client has received all of it now.
 * - `gap`: missed events are no longer available, and the application loads its state.
 * - `expired`: the token has expired.
 * - `failed`: the Durable Object rejected the subscription, or could not continue it.
 */
interface End {
  readonly reason: 'lost' | 'full' | 'parked' | 'gap' | 'expired' | 'failed'
  readonly error?: unknown
}

/**
 * The state machine of a subscription: a loop that connects, subscribes, and after each end decides when to do so again; and
 * beside it a loop that refreshes the token of an open connection. The states, the reasons and the delays are in `docs/client.md`.
 *
 * The subscription outlives connections and tokens: each one continues after the last received event.
 */
export class Session {
  readonly events: EventBuffer<unknown>
  readonly serializer: Serializer

  readonly #options: SessionOptions
  readonly #token: TokenHolder
  readonly #pace: Pace
  /** Wakes all loops that wait for a condition. */
  readonly #changes = new Changes()
  /** Aborted when the session ends. */
  readonly #ended = new AbortController()
  /** The error with which the session has ended. */
  #cause: unknown

  #state: SubscriptionState = 'connecting'
  /** Why the subscription is not open, if it is known. */
  #problem: unknown
  /** The connection, which may be opening or have ended. */
  #connection: Connection | undefined
  #connectionId: string | undefined
  /** The id of the last event that arrived. */
  #cursor: string | undefined
  /** The time at which the first token was issued, in seconds since 1970. */
  #since: number | undefined
  /** The time at which it was requested, in milliseconds since 1970. */
  #requestedAt: number | undefined
  /** The last token with which a subscription opened. */
  #provenToken: HeldToken | undefined

  /** Whether a token was rejected, and no subscription has opened with a later one: that may be rejected too. */
  #isTokenDoubtful = false
  /** The token of the last attempt to connect. */
  #triedToken: HeldToken | undefined

  /** The number of consecutive diagnoses that the server rejects the connection. */
  #rejections = 0
  /** The number of failed or short subscriptions since the last stable one. */
  #setbacks = 0

  /** Whether the buffer was full, and the application has not read all of it. */
  #isPaused = false
  /** Whether the application loads its state. */
  #isLoading = false
  /** Whether the connection receives a new token or is about to be replaced, so that calls wait. */
  #isReplacing = false
  /** Whether the page is in the back/forward cache. */
  #isAway = false
  #callsInFlight = 0

  constructor(options: SessionOptions) {
    const { numbers, tokens, lastEventId, customJsonSerializers } = options
    this.#options = options
    this.#token = new TokenHolder(tokens)
    this.#pace = new Pace(numbers)
    this.#cursor = lastEventId
    this.serializer = new Serializer(customJsonSerializers)
    this.events = new EventBuffer(() => this.close(), { maxEvents: numbers.maxBufferedEvents, maxBytes: numbers.maxBufferedBytes })
    this.events.lastEventId = lastEventId
    void this.#run()
  }

  get state(): SubscriptionState {
    return this.#state
  }

  get transport(): Transport | undefined {
    return this.#connection?.transport
  }

  get token(): string {
    return this.#token.current?.text ?? ''
  }

  /** Resolves when the subscription has opened for the first time; rejects if the session has ended before. */
  async opened(): Promise<void> {
    await this.#until(() => this.#hasOpened)
    if (!this.#hasOpened) throw this.#cause ?? this.#closedError()
  }

  /** Waits until the time is over, the signal is aborted or the session ends. */
  wait(timeLeft: TimeLeft, signal?: AbortSignal): Promise<void> {
    return this.#until(() => false, timeLeft, signal)
  }

  close(): void {
    this.#close(undefined)
  }

  // The loops

  async #run(): Promise<void> {
    // The callbacks must not be called before the constructor returns.
    await undefined
    const { signal } = this.#options
    // Not every environment has `reason`.
    const onAbort = (): void => this.#fail(signal?.reason ?? new Error('the signal was aborted'), 'cancel')
    if (signal?.aborted) onAbort()
    if (this.#isEnded) return
    signal?.addEventListener('abort', onAbort)
    const ignoreNetwork = onNetworkChange((change) => this.#onNetworkChange(change))
    this.#callStateHook(undefined)
    void this.#limitOpening()
    void this.#keepToken()
    try {
      while (!this.#isEnded) {
        const connection = await this.#connect()
        if (connection !== undefined) await this.#use(connection)
        await this.wait(() => (this.#isAway ? Infinity : this.#pace.timeLeft))
      }
    } catch (error) {
      this.#fail(error)
    } finally {
      ignoreNetwork()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  async #limitOpening(): Promise<void> {
    const { openTimeout } = this.#options.numbers
    await this.#until(() => this.#hasOpened, countdown(openTimeout))
    if (!this.#hasOpened) this.#failToOpen(`within ${openTimeout} ms`)
  }

  #onNetworkChange(change: NetworkChange): void {
    if (change === 'left') this.#connection?.end('replaced')
    else this.#connection?.check(change === 'returned')
    if (change !== 'worse') {
      this.#isAway = change === 'left'
      this.#pace.hurry()
    }
    this.#changes.notify()
  }

  // The connection

  /** Opens a connection. Returns `undefined` if the attempt has failed. */
  async #connect(): Promise<Connection | undefined> {
    const { numbers, sockets, load, createId } = this.#options
    let url: string
    let connection: Connection
    let isFirst = false
    try {
      this.#pace.start()
      await this.#prepareToken()
      const token = (this.#triedToken = this.#token.current!)
      isFirst = this.#connectionId === undefined
      // After the first token: without a cursor, the events published since then arrive.
      if (isFirst && load !== undefined) this.#startLoading()
      this.#since ??= token.payload.iat
      this.#requestedAt ??= token.requestedAt
      this.#connectionId ??= await createId(token.payload)
      url = upgradeUrl(await this.#options.url(token.payload), token.text, this.#connectionId)
      if (this.#isEnded) return undefined
      // The minimum interval is between handshakes, and the URL may have taken a long time.
      this.#pace.start()
      const info = { tokenRequestedAt: this.#requestedAt, isStart: this.#cursor === undefined && load === undefined }
      connection = this.#connection = new Connection(sockets.open(url, info), {
        token,
        heartbeatInterval: numbers.heartbeatInterval,
        onChange: this.#changes.notify,
      })
    } catch (error) {
      // An invalid id or URL at first is probably a mistake.
      if (isFirst || isRejection(error)) throw error
      this.#pace.plan('backoff')
      const message = `cannot connect: ${messageOf(error)}`
      this.#report(new DurableEventIteratorConnectionError('unavailable', { message, cause: error }))
      return undefined
    }
    await this.#until(() => connection.isOpen || connection.endReason !== undefined, countdown(numbers.connectionTimeout))
    if (connection.isOpen) return connection
    const what = connection.close ? `: close code ${connection.close.code}` : ` within ${numbers.connectionTimeout} ms`
    connection.end('closed')
    this.#pace.plan('backoff')
    void this.#diagnose(url, connection.error ?? new Error(`the WebSocket did not open${what}`))
    return undefined
  }

  /** Refreshes the token if the next connection needs a new one. */
  async #prepareToken(): Promise<void> {
    // Handshakes may fail because of the token: browsers do not report the reason.
    const isDoubtful = this.#isTokenDoubtful && this.#token.current === this.#triedToken
    if (!this.#token.isDue && !isDoubtful && !isPowerOfTwo(this.#pace.failures)) return
    try {
      await this.#token.refresh()
    } catch (error) {
      // Until it expires, the current token may still work.
      if (isRejection(error) || this.#token.isExpired) throw error
    }
  }

  /** Determines and reports why the connection does not open. */
  async #diagnose(url: string, cause: unknown): Promise<void> {
    const { failures } = this.#pace
    // Not after each failure: a diagnosis sends a request.
    if (this.#isEnded || !isPowerOfTwo(failures)) return
    const { error, isRejection, retryAfter } = await (this.#options.sockets.diagnose ?? diagnoseUpgrade)(url, cause)
    if (this.#isEnded || this.#connection?.isOpen) return
    this.#pace.holdOff(retryAfter)
    this.#rejections = isRejection ? this.#rejections + 1 : 0
    this.#report(error)
    if (this.#state === 'connecting' && this.#rejections >= REJECTIONS_TO_GIVE_UP) this.#failToOpen(`after ${failures} attempts`)
  }

  /** Subscribes, again and again, until the connection is lost, and plans the next attempt. */
  async #use(connection: Connection): Promise<void> {
    this.#rejections = 0
    while (connection.isOpen) {
      await this.#untilLost(connection, () => !this.#isPaused && !this.#isLoading)
      if (!connection.isOpen) break
      const untilStable = countdown(STABLE_MS)
      const end = await this.#subscribe(connection)
      await this.#recover(connection, end, untilStable() <= 0)
    }
    const { endReason = 'closed', close, age, token } = connection
    const isRejected = close?.code === TOKEN_REJECTED_CODE
    this.#pace.plan(isRejected ? 'alone' : DELAYS[endReason], age)
    if (isRejected) {
      // The Durable Object would reject the next connection with this token.
      this.#isTokenDoubtful = true
      this.#token.expire(token, close.reason === TOKEN_EXPIRED_CLOSE.reason ? undefined : `is no longer accepted (${close.reason})`)
    }
    const how = close === undefined ? '' : ` (close code ${close.code}${close.reason && `: ${close.reason}`})`
    this.#interrupt(new DurableEventIteratorConnectionError('lost', { message: `the connection was lost${how}` }))
  }

  // The subscription

  /** Opens a subscription after the last received event. Resolves when it has ended. */
  #subscribe(connection: Connection): Promise<End> {
    const { token } = connection
    const lastEventId = this.#cursor
    const headers: Record<string, string> = { [FLOW_HEADER]: FLOW_HEADER_VALUE }
    let hasFlowControl = false
    let unacknowledged = 0
    if (lastEventId !== undefined) headers['last-event-id'] = lastEventId
    else if (token.payload.iat !== this.#since) headers[SINCE_HEADER] = String(this.#since)
    return new Promise((resolve) => {
      const stop = (reason: End['reason']): void => {
        call.abort()
        resolve({ reason })
      }
      const call = connection.peer.open(
        { url: '/subscribe', headers },
        {
          onResponse: (response, isStream) => {
            if (response.status >= 400 || !isStream) return resolve(this.#endOf(response, token))
            hasFlowControl = headerOf(response.headers, FLOW_HEADER) !== undefined
            const nextEventId = headerOf(response.headers, GAP_HEADER)
            if (nextEventId !== undefined) {
              this.events.mark(() => callHook(this.#options.onGap, { lastEventId, nextEventId }))
              if (this.#options.load !== undefined) {
                this.#startLoading()
                return stop('gap')
              }
            }
            this.#provenToken = token
            this.#isTokenDoubtful = false
            if (this.#state !== 'open') this.#enter('open')
          },
          onItem: (item, bytes) => {
            if (item.event === 'done') resolve({ reason: 'expired', error: new DurableIteratorError('the token of the subscription has expired') })
            else if (item.event === 'error') resolve({ reason: 'failed', error: this.#errorOf(500, item.data) })
            else if (item.event === 'parked') {
              this.#cursor ??= item.meta?.id
              resolve({ reason: 'parked' })
            } else {
              this.#deliver(item, bytes)
              unacknowledged += bytes
              if (this.events.isFull) stop('full')
              else if (hasFlowControl && unacknowledged >= ACKNOWLEDGED_CHARACTERS) {
                call.acknowledge(unacknowledged)
                unacknowledged = 0
              }
            }
          },
          onFailed: (error) => resolve(connection.isOpen ? { reason: 'failed', error } : { reason: 'lost' }),
        },
      )
    })
  }

  #endOf(response: PeerResponse, token: HeldToken): End {
    const error = this.#errorOf(response.status, response.body)
    // The token may be rejected because of its age: it has expired, it has been accepted before, or it was issued before or at the time
    // of a revocation.
    const isRevoked = errorOf(this.serializer, response.status, response.body).message === TOKEN_REVOKED
    const isWorn = isRevoked || this.#token.isExpired || this.#isTokenDoubtful || this.#provenToken === token
    return { reason: isTokenExpired(response) || (response.status === 401 && isWorn) ? 'expired' : 'failed', error }
  }

  #errorOf(status: number, body: unknown): Error {
    const error = errorOf(this.serializer, status, body)
    return this.#options.mapError?.(error) ?? error
  }

  #deliver({ data, meta }: StreamItem, bytes: number): void {
    try {
      const event = this.#options.mapEvent(this.serializer.deserialize(data), meta)
      this.#cursor = meta?.id ?? this.#cursor
      this.events.push(event, bytes, meta?.id)
    } catch (error) {
      // The same event would fail again.
      this.#fail(error)
    }
  }

  /**
   * Does what has to be done before the next subscription on the same connection.
   *
   * @throws When the Durable Object has rejected the subscription.
   */
  async #recover(connection: Connection, { reason, error }: End, isStable: boolean): Promise<void> {
    if (reason === 'lost' || reason === 'parked' || this.#isEnded) return
    if (reason === 'full') {
      this.#isPaused = true
      this.#enter('paused')
      return this.events.mark(() => {
        this.#isPaused = false
        this.#enter('recovering')
      })
    }
    if (error !== undefined) this.#interrupt(error)
    if (reason === 'failed' && isRejection(error)) throw error
    if (isStable || this.#token.isExpired) this.#setbacks = 0
    // The first refresh of an expired token and the first load have no delay.
    if (this.#setbacks > 0 || reason === 'failed') await this.#untilLost(connection, () => false, this.#backoff(this.#setbacks))
    this.#setbacks += 1
    if (reason === 'expired') {
      // Before its time: it is revoked.
      this.#isTokenDoubtful ||= !this.#token.isExpired
      this.#token.expire(connection.token)
      this.#changes.notify()
      await this.#untilLost(connection, () => !this.#token.isExpired)
    }
  }

  // The state of the application

  #startLoading(): void {
    this.#isLoading = true
    if (!this.#hasOpened) void this.#load()
    // An older event must not be applied to the loaded state, so the application first reads all buffered events.
    else this.events.mark(() => void this.#load())
  }

  async #load(): Promise<void> {
    for (let failures = 0; this.#isLoading && !this.#isEnded; failures += 1) {
      try {
        const cursor = await this.#options.load?.({ signal: this.#ended.signal })
        this.#cursor = cursor
        this.events.lastEventId = cursor
        this.#isLoading = false
        this.#changes.notify()
      } catch (error) {
        if (isRejection(error)) this.#fail(error)
        this.#report(error)
        await this.wait(this.#backoff(failures))
      }
    }
  }

  // Calls

  /**
   * Sends one call as soon as there is a connection. A call that was rejected because the token had expired is sent once more.
   *
   * @param read - See {@link Peer.request}.
   * @throws {DurableEventIteratorConnectionError} When there is no connection within the time limit, or it is lost.
   */
  async request<T = StreamItem>(request: PeerRequest, signal: AbortSignal | undefined, read?: ReadItem<T>): Promise<PeerResponse> {
    for (let isRepeated = false; ; isRepeated = true) {
      const { peer, token } = await this.#readyForCall(signal)
      this.#callsInFlight += 1
      try {
        const response = await peer.request(request, signal, read)
        if (!isTokenExpired(response)) return response
        // The clock of the Durable Object decides. It has not executed the call.
        this.#token.expire(token)
        if (isRepeated) return response
      } finally {
        this.#callsInFlight -= 1
        this.#changes.notify()
      }
    }
  }

  /** Returns the connection when it is ready for calls. */
  async #readyForCall(signal: AbortSignal | undefined): Promise<Connection> {
    const isReady = (): boolean => this.#connection?.isOpen === true && !this.#isReplacing && !this.#token.isExpired
    const timeLeft = countdown(this.#options.numbers.callTimeout)
    while (!isReady()) {
      if (this.#isEnded) throw this.#closedError()
      if (signal?.aborted) throw signal.reason
      if (timeLeft() <= 0) throw new DurableEventIteratorConnectionError('unavailable', { cause: this.#problem })
      // Even a token that is not refreshed before its expiry.
      if (this.#token.isExpired) this.#token.expire()
      this.#changes.notify()
      await this.#until(isReady, timeLeft, signal)
    }
    return this.#connection!
  }

  // The token

  /** Refreshes the token while there is a connection: before it expires, or after the Durable Object has reported that it has. */
  async #keepToken(): Promise<void> {
    for (let failures = 0; !this.#isEnded; ) {
      await this.wait(() => (this.#connection?.isOpen ? this.#token.current!.refreshAt - Date.now() : Infinity))
      try {
        if (!this.#isEnded) await this.#token.refresh()
        failures = 0
        await this.#replaceToken()
      } catch (error) {
        if (isRejection(error)) return this.#fail(error)
        this.#report(error)
        await this.wait(this.#backoff(failures, this.#token.current!.interval))
        failures += 1
      }
    }
  }

  /** Passes the new token to the connection, or ends it, so that the next one has the new token. */
  async #replaceToken(): Promise<void> {
    const connection = this.#connection
    const isOld = (): boolean => connection?.isOpen === true && connection.token !== this.#token.current
    if (connection === undefined || !isOld()) return
    this.#isReplacing = true
    await this.#updateToken(connection)
    // Calls in flight receive their response before the connection ends.
    if (isOld()) await this.#untilLost(connection, () => this.#callsInFlight === 0, countdown(REPLACEMENT_TIMEOUT_MS))
    if (isOld()) connection.end('replaced')
    this.#isReplacing = false
    this.#changes.notify()
  }

  /** Sends the new token over the connection, if it can continue with it. */
  async #updateToken(connection: Connection): Promise<void> {
    const token = this.#token.current!
    const isInUse = this.#state === 'open' || this.#state === 'paused'
    if (!isInUse || !canTakeOver(connection.token, token)) return
    try {
      const request = { url: '/updateToken', body: this.serializer.serialize({ token: token.text }) }
      const { status } = await withTimeout(UPDATE_TOKEN_TIMEOUT_MS, 'no response', (signal) => connection.peer.request(request, signal))
      if (status < 400) this.#provenToken = connection.token = token
    } catch {
      // The connection is replaced.
    }
  }

  // Waiting

  /** Waits for a condition, at most until the time is over, the signal is aborted or the session ends. */
  async #until(condition: () => boolean, timeLeft?: TimeLeft, signal?: AbortSignal): Promise<void> {
    const { notify } = this.#changes
    signal?.addEventListener('abort', notify)
    await this.#changes.until(() => this.#isEnded || signal?.aborted === true || condition(), timeLeft)
    signal?.removeEventListener('abort', notify)
  }

  /** Waits for a condition, at most until the time is over or the connection has ended. */
  #untilLost(connection: Connection, condition: () => boolean, timeLeft?: TimeLeft): Promise<void> {
    return this.#until(() => !connection.isOpen || condition(), timeLeft)
  }

  /** Returns a random delay that grows with each failure. */
  #backoff(failures: number, atLeast = 0): TimeLeft {
    return countdown(atLeast + backoff(failures, this.#options.numbers))
  }

  // The state and the end

  get #hasOpened(): boolean {
    return this.#provenToken !== undefined
  }

  get #isEnded(): boolean {
    return this.#ended.signal.aborted
  }

  #enter(state: SubscriptionState, problem?: unknown): void {
    if (this.#isEnded) return
    this.#state = state
    this.#problem = problem
    this.#callStateHook(problem)
    this.#changes.notify()
  }

  #callStateHook(error: unknown): void {
    callHook(this.#options.onStateChange, this.#state, { ...(error !== undefined && { error }), transport: this.transport })
  }

  /** Leaves the state `open`. In other states, it reports the problem. */
  #interrupt(problem: unknown): void {
    if (this.#state === 'open') this.#enter('recovering', problem)
    else this.#report(problem)
  }

  /** Reports why the subscription is not open, once for each reason. */
  #report(problem: unknown): void {
    const isNew = messageOf(problem) !== messageOf(this.#problem)
    if (isNew && (this.#state === 'connecting' || this.#state === 'recovering')) this.#enter(this.#state, problem)
    this.#problem = problem
  }

  /** Ends a session that has never been open. */
  #failToOpen(limit: string): void {
    const cause = this.#problem
    const message = `the iterator did not open ${limit}${cause === undefined ? '' : `: ${messageOf(cause)}`}`
    const status = cause instanceof DurableEventIteratorConnectionError ? cause.status : undefined
    this.#fail(new DurableEventIteratorConnectionError('unavailable', { message, cause, status }))
  }

  #fail(error: unknown, how: 'end' | 'cancel' = 'end'): void {
    if (this.#isEnded) return
    this.events[how]({ error })
    this.#close(error)
  }

  #close(cause: unknown): void {
    if (this.#isEnded) return
    this.#cause = cause
    this.#state = 'closed'
    this.#ended.abort()
    this.#connection?.end('replaced', this.#closedError())
    this.#changes.notify()
    // At last, since the hook may close the session again.
    this.#callStateHook(cause)
  }

  #closedError(): DurableEventIteratorConnectionError {
    return new DurableEventIteratorConnectionError('closed', { cause: this.#cause })
  }
}

/** When the next connection opens after the end of one. */
const DELAYS: Readonly<Record<EndReason, Delay>> = { closed: 'backoff', silent: 'soon', 'handed over': 'now', replaced: 'now' }

/** The number of consecutive diagnoses of a rejection after which a session that has never been open ends. */
const REJECTIONS_TO_GIVE_UP = 2

/** The maximum time that calls in flight delay the replacement of a connection, in milliseconds. */
const REPLACEMENT_TIMEOUT_MS = 5_000

/**
 * The maximum time for a Durable Object to accept a new token, in milliseconds: less than the remaining lifetime of the old
 * one.
 */
const UPDATE_TOKEN_TIMEOUT_MS = 5_000

/** Whether the number is 2, 4, 8, … */
function isPowerOfTwo(failures: number): boolean {
  return failures > 1 && Number.isInteger(Math.log2(failures))
}

/** Whether an open connection can continue with another token: the channel and the tags of a socket cannot change. */
function canTakeOver(old: HeldToken, token: HeldToken): boolean {
  const [before, after] = [old, token].map(({ kind, payload: { chn, tags = [] } }) => JSON.stringify([kind, chn, tags]))
  return token.kind === 'DurableIterator' && before === after && Date.now() < old.expiresAt
}

/** Whether the Durable Object has rejected a call because its token had expired. */
function isTokenExpired({ status, headers }: PeerResponse): boolean {
  return status === 401 && headerOf(headers, TOKEN_EXPIRED_HEADER) !== undefined
}

function headerOf(headers: PeerHeaders, name: string): string | undefined {
  return [headers[name]].flat().at(-1)
}

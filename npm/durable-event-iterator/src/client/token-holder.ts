import type { ClientKind, DurableIteratorTokenPayload } from '../token/payload.js'
import { readClaims } from './claims.js'
import { NotATokenError } from './errors.js'
import { within } from './waiting.js'

/** A token and its times on the clock of this machine, in milliseconds since 1970. */
export interface HeldToken {
  readonly text: string
  /** The time before the token was requested, in milliseconds since 1970. */
  readonly requestedAt: number
  readonly kind: ClientKind
  readonly payload: DurableIteratorTokenPayload
  readonly expiresAt: number
  /** From this time on, the token is refreshed before a connection opens. */
  readonly dueAt: number
  /** From this time on, the token is refreshed on an open connection. Infinite if it is never refreshed there. */
  readonly refreshAt: number
  /** The minimum delay between two refreshes, and between two attempts of a failed refresh, in milliseconds. */
  readonly minInterval: number | undefined
}

/** The options of token refreshes, in milliseconds. */
export interface RefreshTimes {
  /** The time before expiry at which the token is refreshed. If not finite, it is not refreshed before expiry. */
  readonly beforeExpiry?: number
  readonly minInterval?: number
}

/** The source of tokens. */
export interface TokenSource {
  /** The first token, if there is one already, and the time at which it was requested, in milliseconds since 1970. */
  readonly first?: { readonly text: unknown; readonly requestedAt: number } | undefined
  /** Fetches a token, the first one or a new one. Missing if there is only the first one. */
  readonly fetch?: ((signal: AbortSignal) => Promise<unknown>) | undefined
  refreshTimes(payload: DurableIteratorTokenPayload): RefreshTimes | Promise<RefreshTimes>
  /** The message of the error if the application returns something else. */
  readonly expected: string
}

/** Holds the token for the next connection, and refreshes it. */
export class TokenHolder {
  readonly #source: TokenSource
  #current: HeldToken | undefined
  #refreshing: Promise<void> | undefined

  constructor(source: TokenSource) {
    this.#source = source
  }

  /** @throws {Error} Before the first refresh. */
  get current(): HeldToken {
    if (this.#current === undefined) throw new Error('there is no token yet')
    return this.#current
  }

  /** Whether the token has to be refreshed before the next connection. */
  get isDue(): boolean {
    return this.#current === undefined || (this.#source.fetch !== undefined && Date.now() >= this.#current.dueAt)
  }

  get isExpired(): boolean {
    return this.#current === undefined || Date.now() >= this.#current.expiresAt
  }

  /** Marks a token as expired, independent of the clock. */
  expire(token: HeldToken | undefined): void {
    if (token !== undefined && this.#current === token) this.#current = { ...token, dueAt: 0, refreshAt: 0, expiresAt: 0 }
  }

  /**
   * Gets the first token, or fetches a new one. Concurrent calls share one refresh.
   *
   * @throws {NotATokenError} When the application returns something else, or the only token has expired.
   * @throws The error of the application.
   */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #refresh(): Promise<void> {
    const { first, fetch } = this.#source
    if (this.#current === undefined && first !== undefined) {
      this.#current = await this.#hold(first.text, first.requestedAt)
    } else if (fetch !== undefined) {
      this.#current = await this.#fetch(fetch)
    } else if (this.isExpired) {
      throw new NotATokenError('the token has expired; set `token` to a function that returns a new token')
    }
  }

  #fetch(fetch: NonNullable<TokenSource['fetch']>): Promise<HeldToken> {
    const requestedAt = Date.now()
    const timeout = new AbortController()
    const tooLate = (): Error => {
      const error = new Error(`no new token arrived within ${FETCH_TIMEOUT_MS} ms`)
      timeout.abort(error)
      return error
    }
    // The timeout also applies to a call that ignores its signal.
    const call = async (): Promise<HeldToken> => this.#hold(await fetch(timeout.signal), requestedAt)
    return within(FETCH_TIMEOUT_MS, tooLate, undefined, call())
  }

  async #hold(text: unknown, requestedAt: number): Promise<HeldToken> {
    const now = Date.now()
    const claims = readClaims(text)
    if (claims === undefined) throw new NotATokenError(this.#source.expected)
    const { kind, payload } = claims
    // The clock of this machine may be wrong, so the lifetime counts from now on: the server has just issued the token. Its times
    // are in whole seconds, so the real lifetime may be up to one second shorter.
    const nominal = Math.max(payload.exp - payload.iat, 0) * 1_000
    const lifetime = Math.max(nominal - 1_000, nominal / 2, MIN_LIFETIME_MS)
    const expiresAt = now + lifetime
    const dueAt = expiresAt - Math.min(REFRESH_MARGIN_MS, lifetime * REFRESH_MARGIN_FRACTION)
    const { beforeExpiry, minInterval } = await this.#source.refreshTimes(payload)
    const refreshAt =
      beforeExpiry === undefined
        ? dueAt
        : Number.isFinite(beforeExpiry)
          ? Math.min(now + nominal - beforeExpiry, dueAt)
          : Number.POSITIVE_INFINITY
    return { text: text as string, requestedAt, kind, payload, expiresAt, dueAt, refreshAt, minInterval }
  }
}

/** The time limit of a call for a new token, in milliseconds. After it, the call is aborted and repeated. */
const FETCH_TIMEOUT_MS = 30_000

/** The time before expiry at which a token is refreshed, in milliseconds: longer than a call and a handshake usually take. */
const REFRESH_MARGIN_MS = 10_000

/** The minimum assumed lifetime, in milliseconds: a token that has already expired would be refreshed in an endless loop. */
const MIN_LIFETIME_MS = 1_000

/** The time before expiry for short-lived tokens, as a fraction of their lifetime. */
const REFRESH_MARGIN_FRACTION = 0.1

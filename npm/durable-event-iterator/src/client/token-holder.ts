import type { DurableIteratorTokenPayload } from '../token/payload.js'
import { readClaims } from './claims.js'
import type { TokenClaims } from './claims.js'
import { TokenError } from './errors.js'
import { withTimeout } from './waiting.js'

/** A token and its times on the clock of this machine, in milliseconds since 1970. */
export interface HeldToken extends TokenClaims {
  readonly text: string
  /** The time before the token was requested. */
  readonly requestedAt: number
  readonly expiresAt: number
  /** From this time on, the token is refreshed, also on an open connection. Infinite if it is refreshed only after its expiry. */
  readonly refreshAt: number
  /** The minimum delay between two attempts of a failed refresh, in milliseconds. */
  readonly interval: number
}

/** The options of token refreshes, in seconds. */
export interface RefreshTimes {
  /** The time before expiry at which the token is refreshed. If not finite, it is not refreshed before expiry. */
  readonly beforeExpiry?: number | undefined
  /** The minimum delay between two refreshes, and between two attempts of a failed refresh. */
  readonly minInterval?: number | undefined
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
  /** What to do when the only token has expired. Default: for the option `token` of the functions. */
  readonly advice?: string
}

/** Holds the token for the next connection, and refreshes it. */
export class TokenHolder {
  /** Undefined before the first refresh. */
  current: HeldToken | undefined
  readonly #source: TokenSource
  #refreshing: Promise<void> | undefined
  /** Why the current token is not accepted any more. */
  #end = EXPIRED

  constructor(source: TokenSource) {
    this.#source = source
  }

  get isExpired(): boolean {
    return Date.now() >= (this.current?.expiresAt ?? 0)
  }

  /** Whether the token has to be refreshed before the next connection. */
  get isDue(): boolean {
    return this.isExpired || Date.now() >= (this.current?.refreshAt ?? 0)
  }

  /** Marks a token as expired, independent of the clock. */
  expire(token = this.current, how = EXPIRED): void {
    if (token === undefined || this.current !== token) return
    this.current = { ...token, refreshAt: 0, expiresAt: 0 }
    this.#end = how
  }

  /**
   * Gets the first token, or fetches a new one. Concurrent calls share one refresh.
   *
   * @throws {TokenError} When the application returns something else, or the only token has expired.
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
    if (this.current === undefined && first !== undefined) {
      this.current = await this.#hold(first.text, first.requestedAt)
    } else if (fetch !== undefined) {
      const requestedAt = Date.now()
      this.current = await withTimeout(FETCH_TIMEOUT_MS, `no new token arrived within ${FETCH_TIMEOUT_MS} ms`, async (signal) =>
        this.#hold(await fetch(signal), requestedAt),
      )
    } else if (this.isExpired) {
      throw new TokenError(`the token ${this.#end}; ${this.#source.advice ?? 'set `token` to a function that returns a new token'}`)
    }
  }

  async #hold(text: unknown, requestedAt: number): Promise<HeldToken> {
    const now = Date.now()
    const claims = readClaims(text)
    if (claims === undefined) throw new TokenError(this.#source.expected)
    const { iat, exp } = claims.payload
    const { beforeExpiry = 0, minInterval } = await this.#source.refreshTimes(claims.payload)
    // In seconds. The clock of this machine may be wrong, so the lifetime counts from now on: the server has just issued the
    // token. Its times are whole seconds, so the real lifetime may be up to one second shorter.
    const lifetime = Math.max(exp - iat - 1, MIN_LIFETIME)
    const margin = Math.min(REFRESH_MARGIN, lifetime * REFRESH_MARGIN_FRACTION)
    const wanted = this.#source.fetch === undefined ? lifetime : Math.min(exp - iat - beforeExpiry, lifetime - margin)
    const age = Number.isFinite(wanted) ? Math.max(wanted, minInterval ?? MIN_REFRESH_INTERVAL) : Infinity
    const [expiresAt, refreshAt] = [now + lifetime * 1_000, now + age * 1_000]
    return { ...claims, text: text as string, requestedAt, expiresAt, refreshAt, interval: (minInterval ?? 0) * 1_000 }
  }
}

const EXPIRED = 'has expired'

/** The time limit of a call for a new token, in milliseconds. After it, the call is aborted and repeated. */
const FETCH_TIMEOUT_MS = 30_000

/** The time before expiry at which a token is refreshed, in seconds: longer than a call and a handshake usually take. */
const REFRESH_MARGIN = 10

/** The time before expiry for short-lived tokens, as a fraction of their lifetime. */
const REFRESH_MARGIN_FRACTION = 0.1

/** The default of the minimum delay between two token refreshes, in seconds. */
const MIN_REFRESH_INTERVAL = 1

/** The minimum assumed lifetime, in seconds: a token that has already expired would be refreshed in an endless loop. */
const MIN_LIFETIME = 1

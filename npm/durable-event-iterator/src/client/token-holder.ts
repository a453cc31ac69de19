import type { ClientKind, DurableIteratorTokenPayload } from '../token/payload.js'
import { clientKindOf, readToken } from '../token/token.js'
import { NotATokenError } from './errors.js'
import { within } from './waiting.js'

/** A token and its times on the clock of this machine, in milliseconds since 1970. */
export interface HeldToken {
  readonly text: string
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
  /** Calls the application's procedure again. */
  fetchToken(signal: AbortSignal): Promise<unknown>
  refreshTimes(payload: DurableIteratorTokenPayload): RefreshTimes | Promise<RefreshTimes>
}

/** Holds the token for the next connection, and refreshes it. */
export class TokenHolder {
  readonly #source: TokenSource
  #current: HeldToken
  #refreshing: Promise<HeldToken> | undefined

  private constructor(current: HeldToken, source: TokenSource) {
    this.#current = current
    this.#source = source
  }

  /** @throws {NotATokenError} When `first` is not a token. */
  static async hold(first: unknown, source: TokenSource): Promise<TokenHolder> {
    return new TokenHolder(await hold(first, source), source)
  }

  get current(): HeldToken {
    return this.#current
  }

  get isDue(): boolean {
    return Date.now() >= this.#current.dueAt
  }

  get isExpired(): boolean {
    return Date.now() >= this.#current.expiresAt
  }

  /** Marks a token as expired, independent of the clock. */
  expire(token: HeldToken | undefined): void {
    if (this.#current === token) this.#current = { ...token, dueAt: 0, refreshAt: 0, expiresAt: 0 }
  }

  /** Fetches a new token. Concurrent calls share one refresh. Rejects with the error of the call. */
  refresh(): Promise<HeldToken> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #refresh(): Promise<HeldToken> {
    const timeout = new AbortController()
    const tooLate = (): Error => {
      const error = new Error(`no new token arrived within ${FETCH_TIMEOUT_MS} ms`)
      timeout.abort(error)
      return error
    }
    // The timeout also applies to a call that ignores its signal.
    const call = async (): Promise<HeldToken> => hold(await this.#source.fetchToken(timeout.signal), this.#source)
    this.#current = await within(FETCH_TIMEOUT_MS, tooLate, undefined, call())
    return this.#current
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

async function hold(token: unknown, source: TokenSource): Promise<HeldToken> {
  const now = Date.now()
  const payload = typeof token === 'string' ? readToken(token) : undefined
  if (typeof token !== 'string' || payload === undefined) {
    throw new NotATokenError()
  }
  // The clock of this machine may be wrong, so the lifetime counts from now on: the server has just issued the token. Its times
  // are in whole seconds, so the real lifetime may be up to one second shorter.
  const nominal = Math.max(payload.exp - payload.iat, 0) * 1_000
  const lifetime = Math.max(nominal - 1_000, nominal / 2, MIN_LIFETIME_MS)
  const expiresAt = now + lifetime
  const dueAt = expiresAt - Math.min(REFRESH_MARGIN_MS, lifetime * REFRESH_MARGIN_FRACTION)
  const { beforeExpiry, minInterval } = await source.refreshTimes(payload)
  const refreshAt =
    beforeExpiry === undefined
      ? dueAt
      : Number.isFinite(beforeExpiry)
        ? Math.min(now + nominal - beforeExpiry, dueAt)
        : Number.POSITIVE_INFINITY
  return { text: token, kind: clientKindOf(token), payload, expiresAt, dueAt, refreshAt, minInterval }
}

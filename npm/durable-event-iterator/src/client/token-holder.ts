import type { DurableIteratorTokenPayload, Generation } from '../token/payload.js'
import { generationOf, readToken } from '../token/token.js'
import { NotATokenError } from './errors.js'
import { within } from './waiting.js'

/** A token and what the client makes of its times. */
export interface HeldToken {
  readonly text: string
  readonly generation: Generation
  readonly payload: DurableIteratorTokenPayload
  /** On this machine's clock, in milliseconds, as the rest. */
  readonly expiresAt: number
  /** From then on a connection should not begin with it. */
  readonly dueAt: number
  /** From then on it should be renewed on an open connection; never when infinite. */
  readonly renewAt: number
  /** The least time between two renewals, and between two tries at one. */
  readonly minInterval: number | undefined
}

/** What the application wants of renewals, in milliseconds. */
export interface RenewalTimes {
  /** Never ahead when it is not finite. */
  readonly beforeExpiry?: number
  readonly minInterval?: number
}

/** Where tokens come from, and what the application wants of each. */
export interface TokenSource {
  /** Makes the application's call again. */
  fetchToken(signal: AbortSignal): Promise<unknown>
  renewal(payload: DurableIteratorTokenPayload): RenewalTimes | Promise<RenewalTimes>
}

/** Holds the token that the next connection opens with, and gets new ones. */
export class TokenHolder {
  readonly #source: TokenSource
  #current: HeldToken
  #renewal: Promise<HeldToken> | undefined

  private constructor(current: HeldToken, source: TokenSource) {
    this.#current = current
    this.#source = source
  }

  /** @throws {NotATokenError} When the first one is no token. */
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

  /** Takes a token for expired, whatever the clock says. */
  expire(token: HeldToken | undefined): void {
    if (this.#current === token) this.#current = { ...token, dueAt: 0, renewAt: 0, expiresAt: 0 }
  }

  /** Gets a new token; who asks while one is on its way gets that one. Rejects with what the call rejects with. */
  renew(): Promise<HeldToken> {
    this.#renewal ??= this.#renew().finally(() => {
      this.#renewal = undefined
    })
    return this.#renewal
  }

  async #renew(): Promise<HeldToken> {
    const timeout = new AbortController()
    const tooLate = (): Error => {
      const error = new Error(`no new token arrived within ${FETCH_TIMEOUT_MS} ms`)
      timeout.abort(error)
      return error
    }
    // A call that ignores its signal must not keep the client from trying again.
    const call = async (): Promise<HeldToken> => hold(await this.#source.fetchToken(timeout.signal), this.#source)
    this.#current = await within(FETCH_TIMEOUT_MS, tooLate, undefined, call())
    return this.#current
  }
}

/** How long a call for a new token may take, in milliseconds; then it is aborted and made again. */
const FETCH_TIMEOUT_MS = 30_000

/** A token is replaced this long before it expires: longer than a call and a handshake usually take. */
const RENEWAL_MARGIN_MS = 10_000

/** No token is taken for shorter-lived than this, or one that never lives would be replaced without end. */
const MIN_LIFETIME_MS = 1_000

/** Of short-lived tokens, this part of their lifetime. */
const RENEWAL_MARGIN_PART = 0.1

async function hold(token: unknown, source: TokenSource): Promise<HeldToken> {
  const now = Date.now()
  const payload = typeof token === 'string' ? readToken(token) : undefined
  if (typeof token !== 'string' || payload === undefined) {
    throw new NotATokenError()
  }
  // Its lifetime counts from now on, on a clock that may be wrong: issuing it was the last thing that its server did. That
  // its times are in whole seconds may have cost it up to one.
  const nominal = Math.max(payload.exp - payload.iat, 0) * 1_000
  const lifetime = Math.max(nominal - 1_000, nominal / 2, MIN_LIFETIME_MS)
  const expiresAt = now + lifetime
  const dueAt = expiresAt - Math.min(RENEWAL_MARGIN_MS, lifetime * RENEWAL_MARGIN_PART)
  const { beforeExpiry, minInterval } = await source.renewal(payload)
  const renewAt =
    beforeExpiry === undefined
      ? dueAt
      : Number.isFinite(beforeExpiry)
        ? Math.min(now + nominal - beforeExpiry, dueAt)
        : Number.POSITIVE_INFINITY
  return { text: token, generation: generationOf(token), payload, expiresAt, dueAt, renewAt, minInterval }
}

import { readToken } from '../token.js'
import type { DurableEventIteratorTokenPayload } from '../token.js'
import { NotATokenError } from './errors.js'

/** A token and what the client makes of its times. */
export interface HeldToken {
  readonly text: string
  readonly payload: DurableEventIteratorTokenPayload
  /** On this machine's clock, in milliseconds. */
  readonly expiresAt: number
  /** From then on a connection should not begin with it. */
  readonly dueAt: number
}

/** Holds the token that the next connection opens with, and gets new ones. */
export class TokenHolder {
  readonly #fetch: (signal: AbortSignal) => Promise<unknown>
  #current: HeldToken
  #renewal: Promise<HeldToken> | undefined

  /**
   * @param fetch - Makes the application's call again.
   * @throws {NotATokenError} When the first one is no token.
   */
  constructor(first: unknown, fetch: (signal: AbortSignal) => Promise<unknown>) {
    this.#current = hold(first)
    this.#fetch = fetch
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
  expire(token: HeldToken): void {
    if (this.#current === token) this.#current = { ...token, dueAt: 0, expiresAt: 0 }
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
    const timer = setTimeout(() => timeout.abort(new Error('No new token came in time.')), FETCH_TIMEOUT_MS)
    try {
      this.#current = hold(await this.#fetch(timeout.signal))
      return this.#current
    } finally {
      clearTimeout(timer)
    }
  }
}

/** A call for a new token that takes longer than this is given up and made again. */
const FETCH_TIMEOUT_MS = 30_000

/** A token is replaced this long before it expires: longer than a call and a handshake usually take. */
const RENEWAL_MARGIN_MS = 10_000

/** No token is taken for shorter-lived than this, or one that never lives would be replaced without end. */
const MIN_LIFETIME_MS = 1_000

/** Of short-lived tokens, this part of their lifetime. */
const RENEWAL_MARGIN_PART = 0.1

function hold(token: unknown): HeldToken {
  const payload = typeof token === 'string' ? readToken(token) : undefined
  if (typeof token !== 'string' || payload === undefined) {
    throw new NotATokenError()
  }
  // Its lifetime counts from now on, on a clock that may be wrong: issuing it was the last thing that its server did. That
  // its times are in whole seconds may have cost it up to one.
  const nominal = Math.max(payload.exp - payload.iat, 0) * 1_000
  const lifetime = Math.max(nominal - 1_000, nominal / 2, MIN_LIFETIME_MS)
  const margin = Math.min(RENEWAL_MARGIN_MS, lifetime * RENEWAL_MARGIN_PART)
  const expiresAt = Date.now() + lifetime
  return { text: token, payload, expiresAt, dueAt: expiresAt - margin }
}

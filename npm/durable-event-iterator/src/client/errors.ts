import { DurableIteratorError } from '../error.js'
import { DurableEventIteratorConnectionError } from './connection-error.js'

/** The Durable Object has ended the subscription because the token has expired. */
export class TokenExpiredError extends DurableIteratorError {
  override readonly name = 'TokenExpiredError'

  constructor() {
    super('the token of the subscription has expired')
  }
}

/** The application should have returned a token, but did not. */
export class NotATokenError extends DurableIteratorError {
  override readonly name = 'NotATokenError'

  /** @param expected - Who returns tokens, and of which form. */
  constructor(expected: string) {
    super(expected)
  }
}

/**
 * Whether the error states that the server rejected the request, so that a retry would fail too: its `status` is from 400 to 499,
 * except 408, 425 and 429. Otherwise the failure may be temporary.
 */
export function isRejection(error: unknown): boolean {
  if (error instanceof NotATokenError) return true
  // Its status is that of an upgrade, which a proxy may have rejected.
  if (error instanceof DurableEventIteratorConnectionError) return false
  const status = statusOf(error)
  return status !== undefined && status >= 400 && status < 500 && !TEMPORARY_STATUSES.has(status)
}

/** Whether a retry may succeed. */
export function isTemporary(error: unknown): boolean {
  if (error instanceof DurableEventIteratorConnectionError) return error.reason !== 'closed'
  return !isRejection(error)
}

/** Client errors that a retry may resolve: Request Timeout, Too Early, Too Many Requests. */
const TEMPORARY_STATUSES = new Set([408, 425, 429])

/** Returns the status of an error. It is recognized by its property, since there may be several copies of a class. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof Error && 'status' in error && typeof error.status === 'number' ? error.status : undefined
}

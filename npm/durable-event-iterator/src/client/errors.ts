import { DurableIteratorError } from '../error.js'
import { DurableEventIteratorConnectionError } from './connection-error.js'

/** The client cannot get a token: the application has returned something else, or the only token has expired. */
export class TokenError extends DurableIteratorError {
  override readonly name = 'TokenError'
}

/**
 * Whether the error states that the server rejected the request, so that a retry would fail too: its `status` is from 400 to 499,
 * except 408, 425 and 429. Otherwise the failure may be temporary.
 */
export function isRejection(error: unknown): boolean {
  if (error instanceof TokenError) return true
  // Its status is that of an upgrade, which a proxy may have rejected.
  if (error instanceof DurableEventIteratorConnectionError) return false
  // The status is recognized by its property, since there may be several copies of a class.
  return error instanceof Error && 'status' in error && isRejectedStatus(error.status)
}

/** Whether a retry may succeed. */
export function isTemporary(error: unknown): boolean {
  return error instanceof DurableEventIteratorConnectionError ? error.reason !== 'closed' : !isRejection(error)
}

/** Whether the status is that of a client error, except Request Timeout, Too Early and Too Many Requests. */
export function isRejectedStatus(status: unknown): boolean {
  return typeof status === 'number' && status >= 400 && status < 500 && ![408, 425, 429].includes(status)
}

/** Returns the message of a thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

import { DurableIteratorError } from '../error.js'
import { DurableEventIteratorConnectionError } from './connection-error.js'

/** An error of the token: it has expired, or the application has not returned one. */
export class TokenError extends DurableIteratorError {
  override readonly name = 'TokenError'
  /** Whether the client cannot get another token. */
  readonly isFinal: boolean

  constructor(message: string, isFinal: boolean) {
    super(message)
    this.isFinal = isFinal
  }
}

/**
 * Whether the error states that the server rejected the request, so that a retry would fail too: its `status` is from 400 to 499,
 * except 408, 425 and 429. Otherwise the failure may be temporary.
 */
export function isRejection(error: unknown): boolean {
  if (error instanceof TokenError) return error.isFinal
  // Its status is that of an upgrade, which a proxy may have rejected.
  if (error instanceof DurableEventIteratorConnectionError) return false
  return isRejectedStatus(statusOf(error))
}

/** Whether a retry may succeed. */
export function isTemporary(error: unknown): boolean {
  return error instanceof DurableEventIteratorConnectionError ? error.reason !== 'closed' : !isRejection(error)
}

/** Whether the status is that of a client error, except Request Timeout, Too Early and Too Many Requests. */
export function isRejectedStatus(status = 0): boolean {
  return status >= 400 && status < 500 && ![408, 425, 429].includes(status)
}

/** Returns the status of an error. It is recognized by its property, since there may be several copies of a class. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof Error && 'status' in error && typeof error.status === 'number' ? error.status : undefined
}

/** Returns the message of a thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

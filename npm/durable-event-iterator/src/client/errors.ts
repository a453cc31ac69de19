import { DurableIteratorError } from '../error.js'
import { DurableEventIteratorConnectionError } from './connection-error.js'

/** The Durable Object has ended the subscription because the token has expired. */
export class SubscriptionEndedError extends Error {
  override readonly name = 'SubscriptionEndedError'

  constructor() {
    super('the token of the subscription has expired; the subscription resumes with a new token')
  }
}

/** The subscription has ended because the buffer is full. It starts again when the application has read the buffer. */
export class BufferFullError extends Error {
  override readonly name = 'BufferFullError'

  constructor() {
    super('the application reads events more slowly than they arrive')
  }
}

/** The procedure should have responded with a token, but did not. */
export class NotATokenError extends DurableIteratorError {
  override readonly name = 'NotATokenError'

  constructor() {
    super('the procedure did not respond with a valid token; it must return the same kind of iterator on each call')
  }
}

/** Whether the server rejected the request, so that a retry would fail too. Otherwise the failure may be temporary. */
export function isRejection(error: unknown): boolean {
  if (error instanceof NotATokenError) return true
  const status = statusOf(error)
  return status !== undefined && status >= 400 && status < 500 && !TEMPORARY_STATUSES.has(status)
}

export function isUnauthorized(error: unknown): boolean {
  return statusOf(error) === 401
}

/** Whether a retry may succeed. */
export function isTemporary(error: unknown): boolean {
  if (error instanceof DurableEventIteratorConnectionError) return error.reason !== 'closed'
  return !isRejection(error)
}

/** Client errors that a retry may resolve: Request Timeout, Too Early, Too Many Requests. */
const TEMPORARY_STATUSES = new Set([408, 425, 429])

/** Returns the status of an ORPCError. It is recognized by its properties, since there may be several copies of the class. */
function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('status' in error)) return undefined
  return typeof error.status === 'number' ? error.status : undefined
}

import { DurableIteratorError } from '../error.js'
import { DurableEventIteratorConnectionError } from './connection-error.js'

/** The Durable Object has ended the subscription, because the token of its connection has expired. */
export class SubscriptionEndedError extends Error {
  override readonly name = 'SubscriptionEndedError'

  constructor() {
    super('the subscription has ended with its token, and continues with a new one')
  }
}

/** The buffer is full, and the subscription ended until the application has read it. */
export class BufferFullError extends Error {
  override readonly name = 'BufferFullError'

  constructor() {
    super('the application reads events more slowly than they arrive')
  }
}

/** The call that should respond with a token responded with something else. */
export class NotATokenError extends DurableIteratorError {
  override readonly name = 'NotATokenError'

  constructor() {
    super('the procedure responded with no token where one was expected')
  }
}

/** Whether a server rejects a request, as opposed to being unable to respond now: another try would get the same response. */
export function isRefusal(error: unknown): boolean {
  if (error instanceof NotATokenError) return true
  const status = statusOf(error)
  return status !== undefined && status >= 400 && status < 500 && !PASSING_STATUSES.has(status)
}

export function isUnauthorized(error: unknown): boolean {
  return statusOf(error) === 401
}

/** Whether what failed may succeed when it is tried again. */
export function isPassing(error: unknown): boolean {
  if (error instanceof DurableEventIteratorConnectionError) return error.reason !== 'closed'
  return !isRefusal(error)
}

/** Request Timeout, Too Early, Too Many Requests. */
const PASSING_STATUSES = new Set([408, 425, 429])

/** Of an ORPCError, by its shape: an application may hold several copies of the class. */
function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('status' in error)) return undefined
  return typeof error.status === 'number' ? error.status : undefined
}

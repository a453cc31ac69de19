// `ORPCError` of oRPC 1.x and of 2.x. That of 2.x has no `status`, and has `inferable`.

import { ORPCError } from '@orpc/client'

/** The members of an `ORPCError` of both versions. */
export interface AnyORPCError extends Error {
  readonly code: string
  readonly data: unknown
  readonly defined: boolean
  toJSON(): object
}

/** An `ORPCError` in the form in which clients receive it, that of oRPC 1.x. */
export interface ErrorJson {
  readonly defined: boolean
  readonly code: string
  readonly status: number
  readonly message: string
  readonly data: unknown
}

/** The HTTP statuses of error codes. */
export type ErrorStatuses = Readonly<Record<string, number>>

/** The HTTP statuses of the codes that oRPC defines. */
const STATUSES: ErrorStatuses = {
  BAD_REQUEST: 400,
  UNAUTHORIZED: 401,
  PAYMENT_REQUIRED: 402,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  METHOD_NOT_SUPPORTED: 405,
  NOT_ACCEPTABLE: 406,
  TIMEOUT: 408,
  CONFLICT: 409,
  GONE: 410,
  PRECONDITION_FAILED: 412,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  UNPROCESSABLE_CONTENT: 422,
  PRECONDITION_REQUIRED: 428,
  TOO_MANY_REQUESTS: 429,
  CLIENT_CLOSED_REQUEST: 499,
  INTERNAL_SERVER_ERROR: 500,
  NOT_IMPLEMENTED: 501,
  BAD_GATEWAY: 502,
  SERVICE_UNAVAILABLE: 503,
  GATEWAY_TIMEOUT: 504,
}

/** The error that clients receive instead of an exception whose details they must not see. */
export const INTERNAL_ERROR: Omit<ErrorJson, 'data'> = {
  defined: false,
  code: 'INTERNAL_SERVER_ERROR',
  status: 500,
  message: 'Internal server error',
}

/**
 * Returns whether an exception of the application is an `ORPCError` of any version. It is recognized by its members, since there
 * may be several copies of the class. Never throws.
 */
export function isORPCError(error: unknown): error is AnyORPCError {
  try {
    if (error instanceof ORPCError) return true
    if (!(error instanceof Error)) return false
    const { code, defined, toJSON } = error as Partial<AnyORPCError>
    return typeof code === 'string' && typeof defined === 'boolean' && typeof toJSON === 'function'
  } catch {
    return false // a Proxy whose traps throw
  }
}

/** Returns whether the installed version is oRPC 2.x. */
export function isORPC2(): boolean {
  return !('status' in new ORPCError('NOT_FOUND'))
}

/** Returns an `ORPCError` with a status. */
export function createORPCError(code: string, status: number, message: string, data: unknown): AnyORPCError {
  const options = { status, message, data }
  // Only that of oRPC 1.x has it already.
  return Object.assign(new ORPCError(code, options), { status })
}

/**
 * Returns an error of the installed class for an exception of the application: itself, a copy of an `ORPCError` of another class,
 * or an internal error.
 */
export function toInstalledError(error: unknown): unknown {
  if (!isORPCError(error)) return new ORPCError(INTERNAL_ERROR.code, { message: INTERNAL_ERROR.message, cause: error })
  if (error instanceof ORPCError) return error
  const { defined, code, status, message, data } = errorJson(error, undefined)
  return Object.assign(createORPCError(code, status, message, data), { defined, inferable: defined, cause: error })
}

/**
 * Returns an error in the form in which clients receive it.
 *
 * @param statuses - Of errors without a status. For codes that it does not contain, oRPC's, and 500 for other codes.
 */
export function errorJson(error: AnyORPCError, statuses: ErrorStatuses | undefined): ErrorJson {
  const { defined, inferable, code, message, data } = error.toJSON() as ErrorJson & { inferable?: boolean }
  // In oRPC 1.x, the types of all defined errors are inferable, and no others.
  return { defined: inferable ?? defined, code, status: statusOf(error, statuses), message, data }
}

/** Returns the HTTP status of an error. See {@link errorJson}. */
export function statusOf(error: { readonly code: string }, statuses: ErrorStatuses | undefined): number {
  if ('status' in error && isErrorStatus(error.status)) return error.status
  for (const known of [statuses, STATUSES]) if (known !== undefined && Object.hasOwn(known, error.code)) return known[error.code]!
  return INTERNAL_ERROR.status
}

/** Returns whether clients take a response with this status for an error. */
function isErrorStatus(status: unknown): status is number {
  return typeof status === 'number' && (status < 200 || status >= 400)
}

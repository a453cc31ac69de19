// Depends on oRPC 2.x: `ORPCError` and its JSON form.

import { createORPCErrorFromJson, ORPCError } from '@orpc/client'
import type { AnyORPCError } from '@orpc/client'

import type { ProcedureError } from '../client/procedure-error.js'

/** Returns the `ORPCError` for an error of the Durable Object. */
export function fromProcedureError({ code, status, message, data, defined }: ProcedureError): AnyORPCError {
  // oRPC 1.x, whose format Durable Objects use, has no `inferable`: there, the types of all defined errors are inferable.
  return withStatus(createORPCErrorFromJson({ code, message, data, defined, inferable: defined }), status)
}

/**
 * Adds the HTTP status to an `ORPCError`, which has none in oRPC 2.x: the status distinguishes a rejection from a temporary
 * failure. Other errors are not changed.
 */
export function withStatus<TError>(error: TError, status: number): TError {
  if (error instanceof ORPCError && !('status' in error)) Reflect.defineProperty(error, 'status', { value: status })
  return error
}

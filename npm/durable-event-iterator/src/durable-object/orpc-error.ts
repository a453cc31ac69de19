import { ORPCError } from '@orpc/client'

/** Returns whether an exception of the application is an `ORPCError`. Never throws. */
export function isORPCError(error: unknown): error is ORPCError<string, unknown> {
  try {
    return error instanceof ORPCError
  } catch {
    return false // a Proxy whose traps throw
  }
}

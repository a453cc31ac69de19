import { DurableIteratorError } from '../error.js'
import type { Serializer } from './wire/serializer.js'

/** The properties of a {@link ProcedureError}. */
export type ProcedureErrorOptions = Pick<ProcedureError, 'code' | 'status' | 'message' | 'data' | 'defined'>

/** An error that a procedure of the Durable Object responded with. */
export class ProcedureError extends DurableIteratorError {
  override readonly name = 'ProcedureError'
  /** Such as `FORBIDDEN`. */
  readonly code: string
  /** The HTTP status that belongs to the code. */
  readonly status: number
  readonly data: unknown
  /** Whether the procedure declares this error. */
  readonly defined: boolean

  constructor({ code, status, message, data, defined }: ProcedureErrorOptions) {
    super(message)
    this.code = code
    this.status = status
    this.data = data
    this.defined = defined
  }
}

/** Returns the error in the body of a response, or in the last item of a stream. */
export function errorOf(serializer: Serializer, status: number, body: unknown): ProcedureError {
  const error: ProcedureErrorOptions = {
    code: `STATUS_${status}`,
    status,
    message: `the Durable Object responds with status ${status}`,
    data: undefined,
    defined: false,
  }
  try {
    return new ProcedureError({ ...error, ...(serializer.deserialize(body) as Partial<ProcedureErrorOptions> | undefined) })
  } catch {
    // The body is not that of an error, such as a text: only the status is known.
    return new ProcedureError(error)
  }
}

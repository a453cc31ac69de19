import { DurableIteratorError } from '../error.js'
import type { Serializer } from './wire/serializer.js'

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

  constructor({ code, status, message, data, defined }: Pick<ProcedureError, 'code' | 'status' | 'message' | 'data' | 'defined'>) {
    super(message)
    this.code = code
    this.status = status
    this.data = data
    this.defined = defined
  }
}

/** Returns the error in the body of a response, or in the last item of a stream. */
export function errorOf(serializer: Serializer, status: number, body: unknown): ProcedureError {
  let json: Partial<Record<'code' | 'status' | 'message' | 'data' | 'defined', unknown>> = {}
  try {
    const value = body === undefined ? undefined : serializer.deserialize(body)
    if (typeof value === 'object' && value !== null) json = value
  } catch {
    // The status describes the error then.
  }
  const { code, message } = json
  return new ProcedureError({
    code: typeof code === 'string' ? code : `STATUS_${status}`,
    status: typeof json.status === 'number' ? json.status : status,
    message: typeof message === 'string' ? message : `the Durable Object responds with status ${status}`,
    data: json.data,
    defined: json.defined === true,
  })
}

import type { EncodedResponse } from './bodies.js'

/** A call as a request to the only procedure of the handler. */
export interface CallRequest {
  readonly headers: Record<string, string[]>
  readonly signal: AbortSignal
  /** Returns the path and the input in encoded form. */
  body(): Promise<unknown>
}

/** Runs a call with the interceptors and plugins. Returns undefined if one of them has not passed it on. */
export type CallHandler = (request: CallRequest, context: object) => Promise<EncodedResponse | undefined>

/** The name of the handler's only procedure. */
export const PROCEDURE = 'call'

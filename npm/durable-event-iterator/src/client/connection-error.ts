import { DurableIteratorError } from '../error.js'

/**
 * The reason of a {@link DurableEventIteratorConnectionError}:
 * - `lost`: the connection was lost before the response arrived. The Durable Object may or may not have executed the call.
 * - `unavailable`: there was no connection within the time limit. The call was not sent.
 * - `closed`: the iterator has ended; the error's `cause` is the reason, if there is one. The call was not sent, or its
 *   response was not received.
 */
export type DurableEventIteratorConnectionErrorReason = 'lost' | 'unavailable' | 'closed'

/** The options of a {@link DurableEventIteratorConnectionError}. */
export interface DurableEventIteratorConnectionErrorOptions extends ErrorOptions {
  /** @default A message for the reason. */
  message?: string | undefined
  /** The HTTP status of the upgrade endpoint, if it is known. */
  status?: number | undefined
}

/**
 * An error of the connection: a call failed, or an iterator cannot connect. Errors of the Durable Object itself are
 * `ORPCError`s.
 *
 * @example
 * ```ts
 * try {
 *   await iterator.publishMessage({ message })
 * } catch (error) {
 *   if (error instanceof DurableEventIteratorConnectionError && error.reason === 'unavailable') keepForLater(message)
 *   else throw error
 * }
 * ```
 */
export class DurableEventIteratorConnectionError extends DurableIteratorError {
  override readonly name = 'DurableEventIteratorConnectionError'
  readonly reason: DurableEventIteratorConnectionErrorReason
  /**
   * The HTTP status of the upgrade endpoint, if the WebSocket could not be opened and the status is known.
   */
  readonly status: number | undefined

  constructor(
    reason: DurableEventIteratorConnectionErrorReason,
    { message = MESSAGES[reason], status, ...options }: DurableEventIteratorConnectionErrorOptions = {},
  ) {
    super(message, options)
    this.reason = reason
    this.status = status
  }
}

const MESSAGES: Record<DurableEventIteratorConnectionErrorReason, string> = {
  lost: 'the connection was lost before the response arrived; whether the call took effect is unknown',
  unavailable: 'there was no connection within the time limit; the call was not sent',
  closed: 'the iterator has ended and its connection is closed',
}

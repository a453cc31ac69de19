import { DurableIteratorError } from '../error.js'

/**
 * Why a call did not get its answer:
 * - `lost`: the connection broke after the call was sent. The object may or may not have done what was asked.
 * - `unavailable`: there was no connection in time. The call was never sent.
 * - `closed`: the iterator has ended, by the error's `cause`. The call was never sent, or its answer will not come any more.
 */
export type DurableEventIteratorConnectionErrorReason = 'lost' | 'unavailable' | 'closed'

/**
 * A call to an object failed because of the connection, not because of the object.
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

  constructor(reason: DurableEventIteratorConnectionErrorReason, options?: ErrorOptions) {
    super(MESSAGES[reason], options)
    this.reason = reason
  }
}

const MESSAGES: Record<DurableEventIteratorConnectionErrorReason, string> = {
  lost: 'The connection was lost before the answer came; whether the call took effect is unknown.',
  unavailable: 'There was no connection in time; the call was not sent.',
  closed: 'The iterator has ended, and its connection with it.',
}

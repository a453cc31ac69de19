import { DurableIteratorError } from '../error.js'

/**
 * Why a call failed:
 * - `lost`: the connection broke after the call was sent. The Durable Object may or may not have executed it.
 * - `unavailable`: there was no connection in time. The call was never sent.
 * - `closed`: the iterator has ended, by the error's `cause`. The call was never sent, or its response cannot arrive anymore.
 */
export type DurableEventIteratorConnectionErrorReason = 'lost' | 'unavailable' | 'closed'

/** What is known beyond the reason. */
export interface DurableEventIteratorConnectionErrorOptions extends ErrorOptions {
  /** @default A sentence for the reason. */
  message?: string | undefined
  status?: number | undefined
}

/**
 * A call failed, or an iterator cannot connect, because of the connection and not because of the Durable Object.
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
   * The HTTP status with which the server answers at the URL of the upgrade, if the WebSocket could not be opened and the
   * status is known.
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
  unavailable: 'there was no connection in time; the call was not sent',
  closed: 'the iterator has ended, and its connection is closed',
}

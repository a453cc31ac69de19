import { DurableEventIteratorConnectionError } from './connection-error.js'
import { isTemporary } from './errors.js'
import { rememberMeta } from './event-meta.js'
import { errorOf } from './procedure-error.js'
import type { Session } from './session.js'
import { countdown } from './waiting.js'
import { isPeerStream } from './wire/peer.js'

/** The options of a procedure call. */
export interface CallOptions {
  /** Aborts the call, also on the Durable Object. */
  signal?: AbortSignal | undefined
  /**
   * How often the call is repeated if the connection is lost or the Durable Object cannot respond. After a lost connection it is
   * unknown whether the call took effect: use it only for calls that may be executed twice.
   *
   * @default 0
   */
  retry?: number | undefined
  /** For a procedure that returns a stream: the id of the last item that the client has received. */
  lastEventId?: string | undefined
}

/**
 * Calls a procedure of the Durable Object.
 *
 * @throws {ProcedureError} When the procedure responds with an error.
 * @throws {DurableEventIteratorConnectionError} When there is no connection in time, or it is lost before the response.
 */
export async function call(
  session: Session,
  path: readonly string[],
  input: unknown,
  { signal, retry = 0, lastEventId }: CallOptions = {},
): Promise<unknown> {
  const { serializer } = session
  const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
  for (let retries = 0; ; retries += 1) {
    try {
      const request = { url: '/call', headers, body: serializer.serialize({ path, input }) }
      const { status, body } = await session.request(request, signal, ({ event, data, meta }) => {
        if (event === 'error') throw errorOf(serializer, 500, data)
        return { done: event === 'done', value: rememberMeta(serializer.deserialize(data), meta) }
      })
      if (status >= 400) throw errorOf(serializer, status, body)
      return isPeerStream(body) ? body : serializer.deserialize(body)
    } catch (error) {
      if (retries >= retry || signal?.aborted === true || !isTemporary(error)) throw error
      // After a lost connection the call waits for the next one.
      if (!(error instanceof DurableEventIteratorConnectionError)) await session.wait(countdown(RETRY_DELAY_MS), signal)
    }
  }
}

/** The delay before a call is repeated that the Durable Object could not respond to, in milliseconds. */
const RETRY_DELAY_MS = 2_000

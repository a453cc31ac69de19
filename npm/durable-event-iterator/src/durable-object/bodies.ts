import { getEventMeta, withEventMeta } from '@orpc/server'

import { Serializer } from '../client/wire/serializer.js'
import type { CustomSerializer } from '../client/wire/serializer.js'
import { errorJson, INTERNAL_ERROR, isORPCError } from './orpc-error.js'
import type { ErrorStatuses } from './orpc-error.js'

/** An error of a stream, in encoded form. Its cause is the application's error. */
export class StreamError extends Error {
  override readonly name = 'StreamError'
  readonly data: unknown

  constructor(data: unknown, cause: unknown) {
    super('a stream failed', { cause })
    this.data = data
  }
}

/** A response to a call: the status, and the body in encoded form. */
export interface EncodedResponse {
  readonly status: number
  readonly body: unknown
}

/**
 * Converts inputs, outputs and errors of procedures to bodies and back, in oRPC's format. A stream is an async iterator of bodies,
 * which throws a {@link StreamError}.
 */
export class Bodies {
  readonly #serializer: Serializer
  readonly #statuses: ErrorStatuses | undefined

  /** @throws {TypeError} If two custom serializers have the same type. */
  constructor(customs: readonly CustomSerializer[], statuses: ErrorStatuses | undefined) {
    this.#serializer = new Serializer(customs)
    this.#statuses = statuses
  }

  /**
   * Returns a byte stream as it is: a WebSocket cannot send it.
   *
   * @throws {BodyError} If the output is circular or nested too deeply.
   */
  encode(output: unknown): unknown {
    if (output instanceof ReadableStream) return output
    return isAsyncIterator(output) ? this.#encodeStream(output) : this.#serializer.serialize(output)
  }

  /** Returns the response for an exception of a procedure. */
  encodeError(error: unknown): EncodedResponse {
    const json = isORPCError(error) ? errorJson(error, this.#statuses) : INTERNAL_ERROR
    return { status: json.status, body: this.#serializer.serialize(json) }
  }

  /** @throws {BodyError} If the body is malformed. */
  decode(body: unknown): unknown {
    return isAsyncIterator(body) ? this.#decodeStream(body) : this.#serializer.deserialize(body)
  }

  #encodeStream(stream: AsyncIterator<unknown>): AsyncIterableIterator<unknown> {
    const encoded = {
      next: async (): Promise<IteratorResult<unknown>> => {
        let result: IteratorResult<unknown>
        try {
          result = await stream.next()
        } catch (error) {
          throw new StreamError(this.encodeError(error).body, error)
        }
        try {
          return { done: result.done ?? false, value: this.#encodeItem(result.value) }
        } catch (error) {
          if (!result.done) await stream.return?.()
          throw error
        }
      },
      return: async (): Promise<IteratorResult<unknown>> => {
        await stream.return?.()
        return { done: true, value: undefined }
      },
      [Symbol.asyncIterator]: () => encoded,
    }
    return encoded
  }

  #encodeItem(value: unknown): unknown {
    const item = this.#serializer.serialize(value, true) as object
    const meta = typeof value === 'object' && value !== null ? getEventMeta(value) : undefined
    return meta === undefined ? item : withEventMeta(item, meta)
  }

  async *#decodeStream(stream: AsyncIterableIterator<unknown>): AsyncGenerator<unknown, void> {
    for await (const item of stream) yield this.#serializer.deserialize(item)
  }
}

export function isAsyncIterator(value: unknown): value is AsyncIterableIterator<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value && 'next' in value && typeof value.next === 'function'
}

import type { PeerStream, StreamItem } from './wire/peer.js'

/**
 * Returns an iterator over the mapped items of a stream. Not an async generator: the `return` of a generator would wait for the
 * next item.
 *
 * @param map - Returns the result for an item, or throws the error that an item `error` stands for.
 */
export function mapStream<T>(stream: PeerStream, map: (item: StreamItem) => IteratorResult<T, unknown>): AsyncGenerator<T, unknown, void> {
  const end = async (value?: unknown): Promise<IteratorReturnResult<unknown>> => {
    await stream.return()
    return { done: true, value }
  }
  const mapped: AsyncGenerator<T, unknown, void> = {
    async next() {
      const item = await stream.next()
      if (item.done === true) return { done: true, value: undefined }
      try {
        return map(item.value)
      } catch (error) {
        await stream.return()
        throw error
      }
    },
    return: end,
    async throw(error) {
      await end()
      throw error
    },
    [Symbol.asyncIterator]: () => mapped,
    [Symbol.asyncDispose]: async () => void (await end()),
  }
  return mapped
}

/** Whether the body of a response is a stream. */
export function isPeerStream(body: unknown): body is PeerStream {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body
}

/** The callbacks of a watched stream. If `beforeItem` or `onDone` throws, the stream ends with that error. */
export interface StreamWatcher {
  /** Called with an error of the stream. Returns the error to throw. */
  explain(error: unknown): unknown
  /** Called before each item is read. If it throws, the stream is aborted. */
  beforeItem?(): void
  /** Called at the end of the stream. */
  onDone?(): void
}

/** Wraps a body that is a stream, so that the callbacks are called. Returns any other body unchanged. */
export function watchStream(body: unknown, { explain, beforeItem, onDone }: StreamWatcher): unknown {
  if (!isAsyncIterator(body)) return body
  const watched: AsyncIterableIterator<unknown> = {
    async next() {
      try {
        beforeItem?.()
      } catch (error) {
        await body.return?.()
        throw error
      }
      let item: IteratorResult<unknown>
      try {
        item = await body.next()
      } catch (error) {
        throw explain(error)
      }
      if (item.done === true) onDone?.()
      return item
    },
    async return(value?: unknown) {
      await body.return?.(value)
      return { done: true, value }
    },
    [Symbol.asyncIterator]: () => watched,
  }
  return watched
}

function isAsyncIterator(value: unknown): value is AsyncIterator<unknown> {
  return typeof value === 'object' && value !== null && 'next' in value && Symbol.asyncIterator in value
}

/** What happens to a stream on its way. Each function but `explain` may throw, which ends the stream with that error. */
export interface StreamWatcher {
  /** May return another error in place of the stream's own. */
  explain(error: unknown): unknown
  /** Called before each item is read. If it throws, the stream is aborted. */
  beforeItem?(): void
  /** Called at the end of the stream. */
  onDone?(): void
}

/** The same stream, if the body is one, with somebody watching. */
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

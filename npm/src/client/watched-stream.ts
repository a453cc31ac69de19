/**
 * The same stream, if the body is one: `explain` may put another error in place of its own, and `onDone` sees its end, which
 * it may turn into an error.
 */
export function watchStream(body: unknown, explain: (error: unknown) => unknown, onDone: (() => void) | undefined): unknown {
  if (!isAsyncIterator(body)) return body
  const watched: AsyncIterableIterator<unknown> = {
    async next() {
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

/**
 * The iterator that the application holds: what was received and not yet taken.
 *
 * Events are taken off the connection as they come, whether the application asks for them or not, so that a broken
 * connection is noticed and mended while it is busy elsewhere.
 */
export class EventBuffer<TEvent> implements AsyncGenerator<TEvent, void, void> {
  readonly #onReturn: () => void
  #items: Item<TEvent>[] = []
  #takers: Taker<TEvent>[] = []
  #end: { error?: unknown } | undefined

  /** @param onReturn - Called when the application ends the iteration. */
  constructor(onReturn: () => void) {
    this.#onReturn = onReturn
  }

  push(event: TEvent): void {
    this.#add({ event })
  }

  /** Runs the action when everything before it has been taken. */
  mark(action: () => void): void {
    this.#add({ action })
  }

  /** Ends the iteration after what is here: cleanly, or with an error. */
  end(end: { error?: unknown }): void {
    if (this.#end !== undefined) return
    this.#end = end
    this.#settle()
  }

  /** Ends the iteration at once; what is here is dropped. */
  cancel(end: { error?: unknown }): void {
    this.#items = []
    this.end(end)
  }

  next(): Promise<IteratorResult<TEvent, void>> {
    return new Promise((resolve, reject) => {
      this.#takers.push({ resolve, reject })
      this.#settle()
    })
  }

  async return(): Promise<IteratorResult<TEvent, void>> {
    this.cancel({})
    this.#onReturn()
    return DONE
  }

  async throw(error: unknown): Promise<IteratorResult<TEvent, void>> {
    this.cancel({})
    this.#onReturn()
    throw error
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #add(item: Item<TEvent>): void {
    if (this.#end !== undefined) return
    this.#items.push(item)
    this.#settle()
  }

  #settle(): void {
    while (this.#takers.length > 0) {
      const item = this.#items.shift()
      if (item === undefined) {
        if (this.#end === undefined) return
        this.#finish(this.#end)
      } else if (item.action !== undefined) {
        item.action()
      } else {
        this.#takers.shift()?.resolve({ done: false, value: item.event })
      }
    }
  }

  /** The first one to ask gets the error, those after it that the iteration is over. */
  #finish(end: { error?: unknown }): void {
    this.#end = {}
    const taker = this.#takers.shift()
    if ('error' in end) taker?.reject(end.error)
    else taker?.resolve(DONE)
  }
}

type Item<TEvent> = { event: TEvent; action?: undefined } | { action: () => void }

interface Taker<TEvent> {
  resolve(result: IteratorResult<TEvent, void>): void
  reject(error: unknown): void
}

const DONE: IteratorReturnResult<void> = { done: true, value: undefined }

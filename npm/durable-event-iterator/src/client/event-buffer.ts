import { Queue } from './queue.js'

/** How many events a buffer may hold. */
export interface BufferLimits {
  readonly maxEvents: number
  /** As the sizes that are given with the events. */
  readonly maxBytes: number
}

/**
 * The events that were received and that the application has not taken yet, as the iterator that the application holds.
 *
 * Events are taken off the connection as they arrive, whether the application asks for them or not, so that a broken
 * connection is noticed and replaced while the application is busy. Whoever fills the buffer checks {@link isFull}, and
 * waits for {@link drained} before it goes on.
 */
export class EventBuffer<TEvent> implements AsyncGenerator<TEvent, void, void> {
  readonly #limits: BufferLimits
  readonly #onReturn: () => void
  readonly #items = new Queue<Item<TEvent>>()
  readonly #takers = new Queue<Taker<TEvent>>()
  readonly #onDrained: (() => void)[] = []
  #events = 0
  #bytes = 0
  #end: { error?: unknown } | undefined

  /** @param onReturn - Called when the application ends the iteration. */
  constructor(limits: BufferLimits, onReturn: () => void) {
    this.#limits = limits
    this.#onReturn = onReturn
  }

  /** Whether the application is so far behind that no more events should be added. */
  get isFull(): boolean {
    return this.#events >= this.#limits.maxEvents || this.#bytes >= this.#limits.maxBytes
  }

  /** Resolves when the application has taken all events, or the iteration has ended. */
  drained(): Promise<void> {
    if (this.#isDrained) return Promise.resolve()
    return new Promise((resolve) => this.#onDrained.push(resolve))
  }

  push(event: TEvent, bytes: number): void {
    if (this.#end !== undefined) return
    this.#events += 1
    this.#bytes += bytes
    this.#items.push({ event, bytes })
    this.#settle()
  }

  /** Runs the action when everything before it has been taken. */
  mark(action: () => void): void {
    if (this.#end !== undefined) return
    this.#items.push({ action })
    this.#settle()
  }

  /** Ends the iteration after the buffered events: cleanly, or with an error. */
  end(end: { error?: unknown }): void {
    if (this.#end !== undefined) return
    this.#end = end
    this.#settle()
  }

  /** Ends the iteration at once, and drops the buffered events. */
  cancel(end: { error?: unknown }): void {
    this.#items.clear()
    this.#events = 0
    this.#bytes = 0
    this.end(end)
    this.#settle()
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

  get #isDrained(): boolean {
    return this.#events === 0 || this.#end !== undefined
  }

  #settle(): void {
    while (this.#takers.length > 0) {
      const item = this.#items.shift()
      if (item === undefined) {
        if (this.#end === undefined) break
        this.#finish(this.#end)
      } else if (item.action !== undefined) {
        item.action()
      } else {
        this.#events -= 1
        this.#bytes -= item.bytes
        this.#takers.shift()?.resolve({ done: false, value: item.event })
      }
    }
    if (this.#isDrained) for (const resolve of this.#onDrained.splice(0)) resolve()
  }

  /** The first one to ask gets the error, those after it that the iteration is over. */
  #finish(end: { error?: unknown }): void {
    this.#end = {}
    const taker = this.#takers.shift()
    if ('error' in end) taker?.reject(end.error)
    else taker?.resolve(DONE)
  }
}

type Item<TEvent> = { event: TEvent; bytes: number; action?: undefined } | { action: () => void }

interface Taker<TEvent> {
  resolve(result: IteratorResult<TEvent, void>): void
  reject(error: unknown): void
}

const DONE: IteratorReturnResult<void> = { done: true, value: undefined }

import { Queue } from './queue.js'

/** The limits of an {@link EventBuffer}. */
export interface BufferLimits {
  readonly maxEvents: number
  /** In the unit of the sizes that `push` receives. */
  readonly maxBytes: number
}

/**
 * The received events that the application has not read yet, and the iterator from which it reads them.
 *
 * Events are read from the connection as they arrive, even if the application does not ask for them: so a lost connection is
 * detected and replaced while the application is busy. The producer checks {@link isFull}, and waits for {@link drained} before
 * it continues.
 */
export class EventBuffer<TEvent> implements AsyncGenerator<TEvent, void, void> {
  readonly #limits: BufferLimits
  readonly #onReturn: () => void
  readonly #items = new Queue<Item<TEvent>>()
  readonly #takers = new Queue<Taker<TEvent>>()
  readonly #onDrained: (() => void)[] = []
  #events = 0
  #bytes = 0
  #lastEventId: string | undefined
  #end: { error?: unknown } | undefined

  /** @param onReturn - Called when the application ends the iteration. */
  constructor(limits: BufferLimits, onReturn: () => void) {
    this.#limits = limits
    this.#onReturn = onReturn
  }

  /** Whether a limit is reached. */
  get isFull(): boolean {
    return this.#events >= this.#limits.maxEvents || this.#bytes >= this.#limits.maxBytes
  }

  /** Resolves when the application has read all events, or the iteration has ended. */
  drained(): Promise<void> {
    if (this.#isDrained) return Promise.resolve()
    return new Promise((resolve) => this.#onDrained.push(resolve))
  }

  /** The id of the last event that the application has read, or the cursor set by {@link start}. */
  get lastEventId(): string | undefined {
    return this.#lastEventId
  }

  /** Sets the cursor from which the next events follow. */
  start(lastEventId: string | undefined): void {
    this.#lastEventId = lastEventId
  }

  /** @param id - The id of the event, if it has one. */
  push(event: TEvent, bytes: number, id?: string): void {
    if (this.#end !== undefined) return
    this.#events += 1
    this.#bytes += bytes
    this.#items.push({ event, bytes, id })
    this.#settle()
  }

  /** Runs the action when the application has read all events before it and asks for the next one. */
  mark(action: () => void): void {
    if (this.#end !== undefined) return
    this.#items.push({ action })
    this.#settle()
  }

  /** Ends the iteration after the buffered events, with or without an error. */
  end(end: { error?: unknown }): void {
    if (this.#end !== undefined) return
    this.#end = end
    this.#settle()
  }

  /** Ends the iteration at once and drops the buffered events. */
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
        if (item.id !== undefined) this.#lastEventId = item.id
        this.#takers.shift()?.resolve({ done: false, value: item.event })
      }
    }
    if (this.#isDrained) for (const resolve of this.#onDrained.splice(0)) resolve()
  }

  /** The first `next` receives the error, later ones receive `done`. */
  #finish(end: { error?: unknown }): void {
    this.#end = {}
    const taker = this.#takers.shift()
    if ('error' in end) taker?.reject(end.error)
    else taker?.resolve(DONE)
  }
}

type Item<TEvent> = { event: TEvent; bytes: number; id: string | undefined; action?: undefined } | { action: () => void }

interface Taker<TEvent> {
  resolve(result: IteratorResult<TEvent, void>): void
  reject(error: unknown): void
}

const DONE: IteratorReturnResult<void> = { done: true, value: undefined }

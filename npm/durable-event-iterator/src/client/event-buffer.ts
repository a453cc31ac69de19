import { Queue } from './queue.js'

/** The limits of an {@link EventBuffer}. */
export interface BufferLimits {
  readonly maxEvents: number
  /** In the unit of the sizes that `push` receives. */
  readonly maxBytes: number
}

/** The end of an iteration: the error that `next` rejects with, or the value that it returns (of the stream of a procedure). */
export interface BufferEnd {
  readonly error?: unknown
  readonly value?: unknown
}

/**
 * The received events that the application has not read yet, and the iterator from which it reads them.
 *
 * Events are read from the connection as they arrive, even if the application does not ask for them: so a lost connection is
 * detected and replaced while the application is busy. The producer checks {@link isFull}, and uses {@link mark} to continue.
 */
export class EventBuffer<TEvent> implements AsyncGenerator<TEvent, void, void> {
  /** The id of the last event that the application has read, or the cursor from which the next events follow. */
  lastEventId: string | undefined
  readonly #onReturn: () => void
  readonly #limits: BufferLimits
  readonly #items = new Queue<Item<TEvent>>()
  readonly #readers: Reader<TEvent>[] = []
  #events = 0
  #bytes = 0
  #end: BufferEnd | undefined

  /** @param onReturn - Called when the application ends the iteration. */
  constructor(onReturn: () => void, limits: BufferLimits = { maxEvents: Infinity, maxBytes: Infinity }) {
    this.#onReturn = onReturn
    this.#limits = limits
  }

  /** Whether a limit is reached. */
  get isFull(): boolean {
    return this.#events >= this.#limits.maxEvents || this.#bytes >= this.#limits.maxBytes
  }

  /** @param id - The id of the event, if it has one. */
  push(event: TEvent, bytes: number, id?: string): void {
    this.#events += 1
    this.#bytes += bytes
    this.#add({ event, bytes, id })
  }

  /** Runs the action when the application has read all events before it and asks for the next one. */
  mark(action: () => void): void {
    this.#add({ action })
  }

  /** Ends the iteration after the buffered events. */
  end(end: BufferEnd): void {
    this.#end ??= end
    this.#settle()
  }

  /** Ends the iteration at once and drops the buffered events. */
  cancel(end: BufferEnd): void {
    this.#items.clear()
    this.end(end)
  }

  next(): Promise<IteratorResult<TEvent, void>> {
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject })
      this.#settle()
    })
  }

  async return(value?: unknown): Promise<IteratorResult<TEvent, void>> {
    this.cancel({})
    this.#onReturn()
    return { done: true, value: value as undefined }
  }

  async throw(error: unknown): Promise<IteratorResult<TEvent, void>> {
    await this.return()
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

  /** Passes events to the calls of `next`, in order. */
  #settle(): void {
    while (this.#readers.length > 0) {
      const item = this.#items.shift()
      if (item === undefined && this.#end === undefined) return
      if (item?.action !== undefined) {
        item.action()
        continue
      }
      const { resolve, reject } = this.#readers.shift()!
      if (item !== undefined) {
        this.#events -= 1
        this.#bytes -= item.bytes
        this.lastEventId = item.id ?? this.lastEventId
        resolve({ done: false, value: item.event })
      } else {
        const end = this.#end!
        // The first `next` receives the error or the value, later ones receive `done`.
        this.#end = {}
        if ('error' in end) reject(end.error)
        else resolve({ done: true, value: end.value as undefined })
      }
    }
  }
}

type Item<TEvent> = { event: TEvent; bytes: number; id: string | undefined; action?: undefined } | { action(): void }

interface Reader<TEvent> {
  resolve(result: IteratorResult<TEvent, void>): void
  reject(error: unknown): void
}

/** A queue whose operations take amortized constant time; `Array.prototype.shift` moves all elements of a long array. */
export class Queue<T> {
  #incoming: T[] = []
  #outgoing: (T | undefined)[] = []
  /** The index in `#outgoing` of the next element. */
  #next = 0

  push(element: T): void {
    this.#incoming.push(element)
  }

  /** Removes and returns the oldest element, or returns `undefined` if the queue is empty. */
  shift(): T | undefined {
    if (this.#next === this.#outgoing.length) {
      this.#outgoing = this.#incoming
      this.#incoming = []
      this.#next = 0
    }
    if (this.#outgoing.length === 0) return undefined
    const element = this.#outgoing[this.#next]
    // Releases the element: the array itself is kept until its last element is removed.
    this.#outgoing[this.#next] = undefined
    this.#next += 1
    return element
  }

  get length(): number {
    return this.#incoming.length + this.#outgoing.length - this.#next
  }

  clear(): void {
    this.#incoming = []
    this.#outgoing = []
    this.#next = 0
  }
}

/** A queue as a linked list; `Array.prototype.shift` moves all elements of a long array. */
export class Queue<T> {
  /** The node before the first element. */
  #head: Node<T> = {}
  #tail = this.#head

  push(element: T): void {
    this.#tail = this.#tail.next = { element }
  }

  /** Removes and returns the oldest element, or returns `undefined` if the queue is empty. */
  shift(): T | undefined {
    const first = this.#head.next
    if (first === undefined) return undefined
    this.#head = first
    const { element } = first
    // Releases the element: its node is kept as the head.
    first.element = undefined
    return element
  }

  clear(): void {
    this.#head = this.#tail = {}
  }
}

interface Node<T> {
  element?: T | undefined
  next?: Node<T>
}

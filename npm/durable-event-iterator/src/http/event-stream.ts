/** An event of a `text/event-stream`. */
export interface ServerSentEvent {
  /** @default 'message' */
  readonly event: string
  /** Undefined if the event has no data. */
  readonly data: string | undefined
  readonly id: string | undefined
  readonly retry: number | undefined
  readonly comments: readonly string[]
}

/** Reads the events of a `text/event-stream` from its parts, with bounded memory. */
export class EventStreamParser {
  readonly #maxLength: number
  /** The parts of the incomplete event. */
  #parts: string[] = []
  #length = 0
  /** The last character of the parts. */
  #last = ''

  /** @param maxLength - The maximum length of one event, in UTF-16 code units. */
  constructor(maxLength: number) {
    this.#maxLength = maxLength
  }

  /**
   * Returns the events that are complete.
   *
   * @throws {RangeError} When an event is too long.
   */
  push(part: string): ServerSentEvent[] {
    // The second half of a line ending may follow in the next part.
    let text = (this.#last === '\r' ? '\r' : '') + part
    const isHalf = text.endsWith('\r')
    text = (isHalf ? text.slice(0, -1) : text).replaceAll(/\r\n?/g, '\n')
    const isAtBlankLine = text.includes('\n\n') || (text.startsWith('\n') && this.#parts.at(-1)?.endsWith('\n') === true)
    if (text !== '') this.#parts.push(text)
    this.#last = isHalf ? '\r' : ''
    this.#length += text.length
    if (!isAtBlankLine) {
      if (this.#length > this.#maxLength) throw new RangeError(`an event of the stream is longer than ${this.#maxLength} characters`)
      return []
    }
    const blocks = this.#parts.join('').split('\n\n')
    const rest = blocks.pop()!
    this.#parts = rest === '' ? [] : [rest]
    this.#length = rest.length
    return blocks.map(eventOf).filter((event) => event !== undefined)
  }
}

/** Returns the event of a block of lines, or `undefined` if the block has only comments. */
function eventOf(block: string): ServerSentEvent | undefined {
  let event = 'message'
  let id: string | undefined
  let retry: number | undefined
  const data: string[] = []
  const comments: string[] = []
  let hasFields = false
  for (const line of block.split('\n')) {
    if (line === '') continue
    const [, name, value] = /^([^:]*):? ?([^]*)$/.exec(line)!
    if (name === '') {
      comments.push(value!)
      continue
    }
    hasFields = true
    if (name === 'event') event = value!
    else if (name === 'data') data.push(value!)
    else if (name === 'id') id = value!
    else if (name === 'retry' && /^\d+$/.test(value!)) retry = Number(value)
  }
  return hasFields ? { event, data: data.length === 0 ? undefined : data.join('\n'), id, retry, comments } : undefined
}

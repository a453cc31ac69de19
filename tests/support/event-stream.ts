// A client of server-sent events, which parses them as the HTML standard does.

/** A server-sent event, or a comment. */
export interface ServerSentEvent {
  event?: string
  id?: string
  retry?: number
  data?: any
  comment?: string
}

/** The events of a response, which can be awaited. */
export class EventStream {
  readonly response: Response
  /** All events and comments that have arrived. */
  readonly received: ServerSentEvent[] = []
  isEnded = false
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #decoder = new TextDecoder()
  #text = ''

  constructor(response: Response) {
    if (response.body === null) throw new Error('the response has no body')
    this.response = response
    this.#reader = response.body.getReader()
  }

  static async open(url: string | URL, init: RequestInit = {}): Promise<EventStream> {
    const headers = new Headers(init.headers)
    if (!headers.has('accept')) headers.set('accept', 'text/event-stream')
    const response = await fetch(url, { ...init, headers })
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`)
    return new EventStream(response)
  }

  /** The events, without comments. */
  get events(): ServerSentEvent[] {
    return this.received.filter(({ event }) => event !== undefined)
  }

  /** The JSON of all channel events. */
  get messages(): any[] {
    return this.events.filter(({ event }) => event === 'message').map(({ data }) => data.json)
  }

  /** Reads until the condition is met. */
  async until(condition: (stream: EventStream) => boolean): Promise<this> {
    while (!condition(this)) {
      if (this.isEnded) throw new Error(`ended after ${JSON.stringify(this.received).slice(0, 500)}`)
      await this.read()
    }
    return this
  }

  /** Resolves when this many channel events have arrived. */
  count(number: number): Promise<this> {
    return this.until(({ messages }) => messages.length >= number)
  }

  /** Resolves when the stream has ended. */
  async end(): Promise<this> {
    while (!this.isEnded) await this.read()
    return this
  }

  /** Reads one chunk. */
  async read(): Promise<void> {
    const { done, value } = await this.#reader.read()
    if (done) {
      this.isEnded = true
      return
    }
    this.#text += this.#decoder.decode(value, { stream: true })
    const blocks = this.#text.split('\n\n')
    this.#text = blocks.pop()!
    for (const block of blocks) {
      const event: ServerSentEvent = {}
      for (const line of block.split('\n')) {
        const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line)!
        if (name === '') event.comment = (event.comment === undefined ? '' : `${event.comment}\n`) + value
        else if (name === 'data') event.data = JSON.parse(value!)
        else if (name === 'retry') event.retry = Number(value)
        else (event as any)[name!] = value
      }
      this.received.push(event)
    }
  }

  async close(): Promise<void> {
    await this.#reader.cancel().catch(() => {})
  }
}

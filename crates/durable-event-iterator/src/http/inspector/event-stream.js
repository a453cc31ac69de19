// @ts-check
// A channel's events as they are published: server-sent events, which are requested again after the last event id when a connection
// ends. An `EventSource` cannot send a key.

import { ApiError } from './api.js'

/** @import { Api, Meta } from './api.js' */

/**
 * @typedef {object} ReceivedEvent
 * @property {string | null} id - `null` for an event that is not stored.
 * @property {unknown} json
 * @property {Meta[]} [meta]
 * @property {number} [retry]
 * @property {string[]} [comments]
 * @property {number} [receivedAt] - For an event that is not stored.
 *
 * @typedef {{ name: 'connecting' } | { name: 'live' } | { name: 'waiting', until: number, error: ApiError } | { name: 'stopped', error: ApiError }} StreamState
 *
 * @typedef {object} Handlers
 * @property {(event: ReceivedEvent) => void} onEvent
 * @property {(nextEventId: string) => void} onGap
 * @property {(state: StreamState) => void} onState
 */

/** The delays between attempts, in milliseconds: each failure doubles the bound of a random delay. */
const MIN_DELAY = 500
const MAX_DELAY = 10_000

/** The duration after which a connection is stable, in milliseconds. */
const STABLE = 5_000

/** The server sends a comment every 15 s. After this time without one, the connection is lost. In milliseconds. */
const SILENCE = 40_000

export class EventStream {
  /** The id of the last event; `null` if the channel has had none. */
  cursor
  #api
  #channel
  #handlers
  #stopped = new AbortController()
  #skipDelay = () => {}
  /** Whether an error has ended the stream. */
  #hasStopped = false
  /** When the response of the current attempt began. */
  #openedAt = Infinity

  /**
   * @param {Api} api
   * @param {string} channel
   * @param {string | null} cursor
   * @param {Handlers} handlers
   */
  constructor(api, channel, cursor, handlers) {
    this.#api = api
    this.#channel = channel
    this.cursor = cursor
    this.#handlers = handlers
    addEventListener('online', () => this.#skipDelay(), { signal: this.#stopped.signal })
    void this.#run()
  }

  stop() {
    this.#stopped.abort()
    this.#skipDelay()
  }

  /** Ends the delay before the next attempt. Returns false if the stream has stopped. */
  retryNow() {
    this.#skipDelay()
    return !this.#hasStopped
  }

  async #run() {
    const { signal } = this.#stopped
    let failures = 0
    while (!signal.aborted) {
      this.#handlers.onState({ name: 'connecting' })
      this.#openedAt = Infinity
      let error
      try {
        await this.#read()
        error = new ApiError(0, 'ENDED', 'The Worker ended the stream')
      } catch (thrown) {
        if (signal.aborted) return
        error = thrown instanceof ApiError ? thrown : new ApiError(0, 'LOST', 'The connection was lost')
      }
      if (signal.aborted) return
      if (error.isFinal) {
        this.#hasStopped = true
        return this.#handlers.onState({ name: 'stopped', error })
      }
      failures = performance.now() - this.#openedAt > STABLE ? 0 : failures + 1
      const bound = Math.min(MAX_DELAY, MIN_DELAY * 2 ** failures)
      const delay = Math.max(error.retryAfter ?? 0, MIN_DELAY + Math.random() * (bound - MIN_DELAY))
      this.#handlers.onState({ name: 'waiting', until: Date.now() + delay, error })
      await this.#wait(delay)
    }
  }

  /** @param {number} delay */
  #wait(delay) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, delay)
      this.#skipDelay = () => {
        clearTimeout(timer)
        resolve(undefined)
      }
    })
  }

  /** Reads one response to its end. */
  async #read() {
    const attempt = new AbortController()
    const signal = AbortSignal.any([attempt.signal, this.#stopped.signal])
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer
    const isAlive = () => {
      clearTimeout(timer)
      timer = setTimeout(() => attempt.abort(), SILENCE)
    }
    isAlive()
    try {
      const { body } = await this.#api.stream(this.#channel, this.cursor, signal)
      this.#openedAt = performance.now()
      this.#handlers.onState({ name: 'live' })
      if (body === null) return
      const reader = body.pipeThrough(new TextDecoderStream()).getReader()
      const parser = new Parser((block) => this.#handle(block))
      for (;;) {
        const { done, value } = await reader.read()
        if (done || this.#stopped.signal.aborted) return
        isAlive()
        parser.push(value)
      }
    } finally {
      clearTimeout(timer)
      attempt.abort()
    }
  }

  /** @param {Block} block */
  #handle({ event, id, data, retry, comments }) {
    if (this.#stopped.signal.aborted || data === undefined) return
    if (id !== undefined) this.cursor = id
    const { json, meta } = JSON.parse(data)
    if (event === 'gap') return this.#handlers.onGap(String(json.nextEventId))
    if (event !== 'message') return
    this.#handlers.onEvent({
      id: id ?? null,
      json,
      meta,
      ...(retry !== undefined && { retry }),
      ...(comments.length > 0 && { comments }),
      ...(id === undefined && { receivedAt: Date.now() }),
    })
  }
}

/** @typedef {{ event: string, id?: string, data?: string, retry?: number, comments: string[] }} Block */

/** Splits the text of a response into events. */
class Parser {
  #onBlock
  #text = ''
  /** @type {Block} */
  #block = { event: 'message', comments: [] }

  /** @param {(block: Block) => void} onBlock */
  constructor(onBlock) {
    this.#onBlock = onBlock
  }

  /** @param {string} text */
  push(text) {
    const lines = (this.#text + text).split('\n')
    this.#text = lines.pop() ?? ''
    for (const line of lines) this.#line(line)
  }

  /** @param {string} line */
  #line(line) {
    if (line === '') {
      const block = this.#block
      this.#block = { event: 'message', comments: [] }
      return this.#onBlock(block)
    }
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1))
    const block = this.#block
    if (field === '') block.comments.push(value)
    else if (field === 'event') block.event = value
    else if (field === 'id') block.id = value
    else if (field === 'retry') block.retry = Number(value)
    else if (field === 'data') block.data = block.data === undefined ? value : `${block.data}\n${value}`
  }
}

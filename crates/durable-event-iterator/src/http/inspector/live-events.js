// @ts-check
// The newest events of a channel: retained ones at first, then those of the stream.

import { textOf } from './api.js'
import { find } from './dom.js'
import { EventRows } from './event-rows.js'
import { EventStream } from './event-stream.js'
import { count, counted } from './format.js'

/**
 * @import { Api } from './api.js'
 * @import { Entry } from './event-rows.js'
 * @import { StreamState } from './event-stream.js'
 */

/** The maximum number of events in the list, and of those that wait while it is paused. */
const LIMIT = 500

/** The number of events that are loaded at once. */
const PAGE = 100

/** The interval in which events are added to the page, in milliseconds. */
const INTERVAL = 60

export class LiveEvents {
  #rows = new EventRows(find('live', HTMLOListElement), LIMIT)
  #pause = find('pause', HTMLButtonElement)
  #older = find('older', HTMLButtonElement)
  #empty = find('live-empty', HTMLElement)
  #olderNote = find('older-note', HTMLElement)
  #onState
  #onChange
  /** @type {EventStream | undefined} */
  #stream
  /** @type {{ api: Api, channel: string } | undefined} */
  #source
  /** Entries that are not in the list yet, the oldest first. @type {Entry[]} */
  #waiting = []
  #received = 0
  #isPaused = false
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer
  /** @type {string | undefined} */
  #oldestId

  /**
   * @param {(state: StreamState) => void} onState
   * @param {(hasNewEvents: boolean) => void} onChange - Called when the number of events or the pause has changed.
   */
  constructor(onState, onChange) {
    this.#onState = onState
    this.#onChange = onChange
    this.#pause.addEventListener('click', () => this.togglePause())
    this.#older.addEventListener('click', () => void this.#loadOlder())
  }

  /** The text of the number of events. */
  get countText() {
    const { size, filter, matching } = this.#rows
    if (filter !== '') return `${count(matching)} of ${counted(size, 'event')} match`
    const dropped = this.#received - this.#waiting.length - size
    return dropped > 0 ? `newest ${count(size)} of ${count(this.#received)} received` : counted(size, 'event')
  }

  /** The number of events that wait while the list is paused; `undefined` if it is not. */
  get pausedText() {
    if (!this.#isPaused) return undefined
    const waiting = this.#waiting.length
    return waiting > LIMIT ? `more than ${count(LIMIT)} new events` : counted(waiting, 'new event')
  }

  /** @param {string} text */
  set filter(text) {
    this.#rows.filter = text
    this.#show()
  }

  /**
   * Loads the newest events of a channel, and follows it.
   *
   * @param {Api} api
   * @param {string} channel
   */
  async open(api, channel) {
    this.close()
    const source = (this.#source = { api, channel })
    this.#empty.textContent = 'Loading events …'
    const page = await api.events(channel, { last: PAGE })
    if (this.#source !== source) return
    this.#empty.textContent = 'No events are retained. New ones appear here.'
    this.#received = page.events.length
    this.#oldestId = page.events[0]?.id
    this.#rows.add(page.events)
    this.#older.hidden = page.events.length < PAGE
    this.#show()
    this.#stream = new EventStream(api, channel, page.next, {
      onEvent: (event) => this.#receive(event),
      onGap: (gap) => this.#receive({ gap }),
      onState: (state) => this.#source === source && this.#onState(state),
    })
  }

  close() {
    this.#stream?.stop()
    this.#stream = undefined
    this.#source = undefined
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#waiting = []
    this.#received = 0
    this.#oldestId = undefined
    this.#rows.clear()
    this.#older.hidden = true
    this.#olderNote.textContent = ''
    if (this.#isPaused) this.togglePause()
    this.#show()
  }

  /** Ends the delay before the next attempt to connect. Returns false if there is no stream that is waiting. */
  retryNow() {
    return this.#stream?.retryNow() ?? false
  }

  focus() {
    this.#rows.focus()
  }

  togglePause() {
    this.#isPaused = !this.#isPaused
    if (!this.#isPaused) this.#flush()
    this.#show()
  }

  /** @param {Entry} entry */
  #receive(entry) {
    this.#waiting.push(entry)
    if (!('gap' in entry)) this.#received += 1
    if (this.#waiting.length > 2 * LIMIT) this.#waiting.splice(0, this.#waiting.length - LIMIT)
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      if (!this.#isPaused) this.#flush()
      this.#show(true)
    }, INTERVAL)
  }

  #flush() {
    this.#rows.add(this.#waiting)
    this.#waiting = []
  }

  #show(hasNewEvents = false) {
    this.#empty.hidden = !this.#rows.isEmpty
    this.#pause.textContent = this.#isPaused ? 'Resume' : 'Pause'
    this.#onChange(hasNewEvents)
  }

  async #loadOlder() {
    const source = this.#source
    if (source === undefined) return
    const wanted = this.#received + PAGE
    if (this.#rows.isFull || wanted > 1_000) return this.#noMore('The list is full. Use History or the timeline for older events.')
    try {
      const { events } = await source.api.events(source.channel, { last: wanted })
      if (this.#source !== source) return
      const oldest = BigInt(this.#oldestId ?? 0)
      const older = events.filter(({ id }) => BigInt(id) < oldest)
      this.#rows.addOlder(older)
      this.#received += older.length
      this.#oldestId = older[0]?.id ?? this.#oldestId
      if (events.length < wanted) this.#noMore('These are all retained events.')
      else if (this.#rows.isFull) this.#noMore('The list is full. Use History or the timeline for older events.')
      this.#show()
    } catch (error) {
      this.#noMore(textOf(error))
    }
  }

  /** @param {string} text */
  #noMore(text) {
    this.#olderNote.textContent = text
    this.#older.hidden = true
    // The button had the focus.
    this.#olderNote.focus()
  }
}

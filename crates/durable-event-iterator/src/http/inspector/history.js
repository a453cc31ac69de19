// @ts-check
// Retained events from a time on, page by page.

import { textOf } from './api.js'
import { find } from './dom.js'
import { EventRows } from './event-rows.js'
import { counted, dateTime, timeOfId } from './format.js'

/** @import { Api, EventPage } from './api.js' */

/** The number of events of a page. */
const PAGE = 100

export class History {
  #rows = new EventRows(find('history', HTMLOListElement), PAGE + 1)
  #form = find('history-form', HTMLFormElement)
  #from = find('history-from', HTMLInputElement)
  #previous = find('history-previous', HTMLButtonElement)
  #next = find('history-next', HTMLButtonElement)
  #note = find('history-note', HTMLElement)
  #onPage
  /** @type {{ api: Api, channel: string } | undefined} */
  #source
  /** The queries of the pages up to the current one. @type {Record<string, string | number>[]} */
  #queries = []
  /** Those of the page that is loading. @type {Record<string, string | number>[] | undefined} */
  #loading
  /** @type {EventPage | undefined} */
  #page

  /** @param {() => void} onPage - Called when another page is shown. */
  constructor(onPage) {
    this.#onPage = onPage
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault()
      const date = new Date(this.#from.value)
      void this.show(Number.isNaN(date.getTime()) ? 0 : date.getTime())
    })
    find('history-oldest', HTMLButtonElement).addEventListener('click', () => void this.show(0))
    this.#previous.addEventListener('click', () => {
      if (this.#loading !== undefined || this.#queries.length < 2) return
      void this.#load(this.#queries.slice(0, -1))
    })
    this.#next.addEventListener('click', () => {
      const next = this.#page?.next
      if (this.#loading !== undefined || this.#page?.more !== true || next === null || next === undefined) return
      void this.#load([...this.#queries, { after: next }])
    })
  }

  get countText() {
    const { size, filter, matching } = this.#rows
    return filter === '' ? counted(size, 'event') : `${matching} of ${counted(size, 'event')} match`
  }

  /** @param {string} text */
  set filter(text) {
    this.#rows.filter = text
    this.#onPage()
  }

  /**
   * @param {Api} api
   * @param {string} channel
   */
  open(api, channel) {
    this.#source = { api, channel }
    this.#queries = []
    this.#loading = undefined
    this.#page = undefined
    this.#rows.clear()
    this.#note.textContent = ''
    delete this.#note.dataset['kind']
  }

  /** Shows the oldest events, unless a page is shown or loading. */
  async start() {
    if (this.#queries.length === 0 && this.#loading === undefined) await this.show(0)
  }

  /**
   * Shows the events from a time on.
   *
   * @param {number} milliseconds
   */
  async show(milliseconds) {
    if (milliseconds > 0) {
      const local = new Date(milliseconds - new Date(milliseconds).getTimezoneOffset() * 60_000)
      this.#from.value = local.toISOString().slice(0, 19)
    }
    await this.#load([{ since: milliseconds / 1_000 }])
  }

  focus() {
    this.#rows.focus()
  }

  /**
   * Loads a page. If that fails, the current page stays.
   *
   * @param {Record<string, string | number>[]} queries - Those of the pages up to this one.
   */
  async #load(queries) {
    const source = this.#source
    const query = queries.at(-1)
    if (source === undefined || query === undefined) return
    this.#loading = queries
    this.#note.textContent = 'Loading …'
    delete this.#note.dataset['kind']
    try {
      const page = await source.api.events(source.channel, { ...query, limit: PAGE })
      if (this.#loading !== queries) return
      this.#queries = queries
      this.#page = page
      this.#rows.clear()
      this.#rows.add([...(page.gap === null || query['since'] === 0 ? [] : [{ gap: page.gap }]), ...page.events])
      const [first] = page.events
      const last = page.events.at(-1)
      this.#note.textContent =
        first === undefined || last === undefined
          ? 'No events from here on.'
          : `${dateTime(timeOfId(first.id))} to ${dateTime(timeOfId(last.id))}`
    } catch (error) {
      if (this.#loading !== queries) return
      this.#note.textContent = textOf(error)
      this.#note.dataset['kind'] = 'error'
    }
    this.#loading = undefined
    this.#enable(this.#previous, this.#queries.length > 1)
    this.#enable(this.#next, this.#page?.more === true)
    this.#onPage()
  }

  /**
   * @param {HTMLButtonElement} control
   * @param {boolean} isEnabled
   */
  #enable(control, isEnabled) {
    // A disabled button would lose the focus.
    control.setAttribute('aria-disabled', String(!isEnabled))
  }
}

// @ts-check
// Rows of events, the newest first. One row is a tab stop; the arrow keys move between the rows.

import { copyButton, element } from './dom.js'
import { count, dateTime, time, timeOfId } from './format.js'
import { tree } from './tree.js'
import { Value } from './value.js'

/** @import { ReceivedEvent } from './event-stream.js' */

/** @typedef {{ gap: string } | ReceivedEvent} Entry */

/** The number of characters of an event in its row. */
const PREVIEW = 240

/** A row, and the text in which the filter searches. */
class Row {
  /** @readonly */ item
  /** @readonly */ isEvent
  #entry
  /** @type {string | undefined} */
  #text

  /** @param {Entry} entry */
  constructor(entry) {
    this.#entry = entry
    this.isEvent = !('gap' in entry)
    this.item = 'gap' in entry ? gapItem(entry.gap) : eventItem(entry)
  }

  /** @param {string} filter - In lower case. */
  matches(filter) {
    if (filter === '' || 'gap' in this.#entry) return true
    const { id, json, comments = [] } = this.#entry
    this.#text ??= `${id ?? ''}\n${JSON.stringify(json)}\n${comments.join('\n')}`.toLowerCase()
    return this.#text.includes(filter)
  }
}

export class EventRows {
  #list
  #limit
  /** The newest first. @type {Row[]} */
  #rows = []
  #filter = ''

  /**
   * @param {HTMLOListElement} list
   * @param {number} limit - The maximum number of rows. The oldest ones are removed.
   */
  constructor(list, limit) {
    this.#list = list
    this.#limit = limit
    list.addEventListener('keydown', (event) => this.#move(event))
    list.addEventListener('focusin', ({ target }) => target instanceof HTMLElement && target.matches('.event > details > summary') && this.#stop(target))
  }

  /** The number of events. Rows of gaps are not counted, here and below. */
  get size() {
    return this.#rows.reduce((sum, { isEvent }) => sum + (isEvent ? 1 : 0), 0)
  }

  /** The number of events that match the filter. */
  get matching() {
    return this.#rows.reduce((sum, { item, isEvent }) => sum + (isEvent && !item.hidden ? 1 : 0), 0)
  }

  get isEmpty() {
    return this.#rows.length === 0
  }

  get isFull() {
    return this.#rows.length >= this.#limit
  }

  get filter() {
    return this.#filter
  }

  set filter(text) {
    this.#filter = text.trim().toLowerCase()
    for (const row of this.#rows) row.item.hidden = !row.matches(this.#filter)
    this.#ensureStop()
  }

  /**
   * Adds newer entries.
   *
   * @param {readonly Entry[]} entries - The oldest first.
   */
  add(entries) {
    const rows = entries.slice(-this.#limit).map((entry) => this.#row(entry))
    rows.reverse()
    this.#list.prepend(...rows.map(({ item }) => item))
    this.#rows.unshift(...rows)
    const removed = this.#rows.splice(this.#limit)
    const hadFocus = removed.some(({ item }) => item.contains(document.activeElement))
    for (const { item } of removed) item.remove()
    this.#ensureStop()
    if (hadFocus) this.#summaries().at(-1)?.focus()
  }

  /**
   * Adds older entries, as far as there is space.
   *
   * @param {readonly Entry[]} entries - The oldest first.
   */
  addOlder(entries) {
    const space = this.#limit - this.#rows.length
    const rows = space > 0 ? entries.slice(-space).map((entry) => this.#row(entry)) : []
    rows.reverse()
    this.#list.append(...rows.map(({ item }) => item))
    this.#rows.push(...rows)
    this.#ensureStop()
  }

  clear() {
    this.#rows = []
    this.#list.replaceChildren()
  }

  /** Moves the focus to the newest row. */
  focus() {
    this.#summaries()[0]?.focus()
  }

  /** @param {Entry} entry */
  #row(entry) {
    const row = new Row(entry)
    row.item.hidden = !row.matches(this.#filter)
    return row
  }

  /** @returns {HTMLElement[]} */
  #summaries() {
    return [...this.#list.querySelectorAll(':scope > .event:not([hidden]) > details > summary')].filter((found) => found instanceof HTMLElement)
  }

  /**
   * Makes a row the tab stop.
   *
   * @param {HTMLElement} summary
   */
  #stop(summary) {
    if (summary.tabIndex === 0) return
    for (const other of this.#list.querySelectorAll('.event > details > summary[tabindex="0"]')) other.setAttribute('tabindex', '-1')
    summary.tabIndex = 0
  }

  #ensureStop() {
    const stop = this.#list.querySelector(':scope > .event:not([hidden]) > details > summary[tabindex="0"]')
    if (stop !== null) return
    const [first] = this.#summaries()
    if (first !== undefined) this.#stop(first)
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    const { target, key } = event
    if (event.ctrlKey || event.metaKey || event.altKey || !(target instanceof HTMLElement) || !target.matches('.event > details > summary')) return
    const summaries = this.#summaries()
    const at = summaries.indexOf(target)
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 10, PageUp: at - 10, Home: 0, End: summaries.length - 1 }[key]
    if (next === undefined) return
    event.preventDefault()
    summaries[Math.min(Math.max(next, 0), summaries.length - 1)]?.focus()
  }
}

/** @param {ReceivedEvent} event */
function eventItem(event) {
  const { id, json, meta, receivedAt = Date.now() } = event
  const at = id === null ? new Date(receivedAt) : timeOfId(id)
  const value = Value.of(json, meta)
  const moment = element('time', { datetime: Number.isNaN(at.getTime()) ? undefined : at.toISOString() }, Number.isNaN(at.getTime()) ? '–' : time(at))
  const idText = element('span', { class: 'id' }, id ?? 'not stored')
  const summary = element('summary', { tabindex: -1 }, moment, ' ', element('span', { class: 'preview' }, value.preview(PREVIEW)), ' ', idText)
  const details = element('details', {}, summary)
  details.addEventListener('toggle', () => {
    if (details.open && details.childElementCount === 1) details.append(body(event, value, at))
  })
  return element('li', { class: id === null ? 'event live-only' : 'event' }, details)
}

/**
 * @param {ReceivedEvent} event
 * @param {Value} value
 * @param {Date} at
 */
function body({ id, json, meta, retry, comments }, value, at) {
  /** @type {[string, string][]} */
  const facts = [
    ['Id', id ?? 'none: this event is sent to connected clients and not stored'],
    [id === null ? 'Received' : 'Stored', dateTime(at)],
  ]
  if (retry !== undefined) facts.push(['Retry', `${count(retry)} ms`])
  for (const comment of comments ?? []) facts.push(['Comment', comment])
  const list = element('dl', { class: 'facts' })
  for (const [name, text] of facts) list.append(element('div', {}, element('dt', {}, name), element('dd', {}, text)))
  const buttons = element('div', { class: 'buttons' }, copyButton(JSON.stringify(json, null, 2), 'Copy JSON'))
  if (meta !== undefined && meta.length > 0) buttons.append(copyButton(JSON.stringify({ json, meta }), 'Copy oRPC form'))
  if (id !== null) buttons.append(copyButton(id, 'Copy id'))
  return element('div', { class: 'body' }, list, element('div', { class: 'tree' }, tree(value)), buttons)
}

/** @param {string} nextEventId */
function gapItem(nextEventId) {
  const at = timeOfId(nextEventId)
  const since = Number.isNaN(at.getTime()) ? '' : ` (${time(at)})`
  return element(
    'li',
    { class: 'gap' },
    element('strong', {}, 'Gap'),
    ` Missed events are no longer retained. Every event from id ${nextEventId}${since} on is.`,
  )
}

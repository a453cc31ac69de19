// @ts-check
// The panels of numbers and of clients.

import { textOf } from './api.js'
import { button, element, find } from './dom.js'
import { bytes, count, dateTime, duration, shortDateTime } from './format.js'
import { Value } from './value.js'

/** @import { Api, Connection, Member, Stats } from './api.js' */

/** The number of connections of a page. */
const PAGE = 100

const OFF = 'Presence is off.'

/**
 * Replaces the children of an element, if they have changed. The focus stays on the control with the same `data-key`.
 *
 * @param {HTMLElement} parent
 * @param {Node[]} children
 */
function replace(parent, children) {
  const holder = element('div', {}, ...children)
  if (holder.textContent === parent.textContent && holder.childElementCount === parent.childElementCount) return
  const { activeElement } = document
  const key = activeElement instanceof HTMLElement && parent.contains(activeElement) ? activeElement.dataset['key'] : undefined
  parent.replaceChildren(...children)
  if (key === undefined) return
  const same = [...parent.querySelectorAll('[data-key]')].find((found) => found instanceof HTMLElement && found.dataset['key'] === key)
  if (same instanceof HTMLElement) same.focus()
  else {
    parent.tabIndex = -1
    parent.focus()
  }
}

/**
 * @param {[name: string, value: string][]} facts
 * @returns {HTMLElement[]}
 */
const facts = (facts) => facts.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value)))

export class Numbers {
  #now = find('numbers-now', HTMLElement)
  #retained = find('numbers-retained', HTMLElement)
  #total = find('numbers-total', HTMLElement)
  #since = find('numbers-since', HTMLElement)

  clear() {
    for (const part of [this.#now, this.#retained, this.#total, this.#since]) part.replaceChildren()
  }

  /** @param {Stats} stats */
  show(stats) {
    const { events } = stats
    replace(
      this.#now,
      facts([
        ['Sockets', count(stats.sockets)],
        ['Subscriptions', count(stats.subscriptions)],
        ['Parked', count(stats.parked)],
        ['Members', stats.members === null ? 'off' : count(stats.members)],
      ]),
    )
    replace(
      this.#retained,
      facts([
        ['Events', `${count(events.count)} of at most ${count(events.maxEvents)}`],
        ['Size', `${bytes(events.bytes)} of at most ${bytes(events.maxBytes)}`],
        ['Retention', duration(events.retentionSeconds)],
        ['First id', events.firstId ?? '–'],
        ['Last id', events.lastId ?? '–'],
        ['Database', bytes(stats.databaseBytes)],
      ]),
    )
    this.#since.textContent = `Since this instance started, ${dateTime(new Date(stats.since))}`
    replace(
      this.#total,
      facts([
        ['Published', count(stats.published)],
        ['Duplicates', count(stats.duplicates)],
        ['Delivered', count(stats.delivered)],
        ['Gaps reported', count(stats.gaps)],
        ['Slow readers parked', count(stats.parkings)],
        ['Disconnected', count(stats.disconnected)],
        ...Object.entries(stats.rejections).map(([reason, number]) => /** @type {[string, string]} */ ([`Rejected: ${reason}`, count(number)])),
      ]),
    )
  }
}

export class Clients {
  #members = find('members', HTMLElement)
  #membersNote = find('members-note', HTMLElement)
  #rows = find('connection-rows', HTMLTableSectionElement)
  #note = find('connections-note', HTMLElement)
  #more = find('connections-more', HTMLButtonElement)
  #onDisconnect
  /** The number of pages that are shown. */
  #pages = 1
  #refresh = () => {}

  /** @param {(connection: Connection) => void} onDisconnect - Called when a client is chosen. */
  constructor(onDisconnect) {
    this.#onDisconnect = onDisconnect
    this.#more.addEventListener('click', () => {
      this.#pages += 1
      this.#refresh()
    })
  }

  clear() {
    this.#pages = 1
    for (const part of [this.#members, this.#rows]) part.replaceChildren()
    for (const note of [this.#membersNote, this.#note]) note.textContent = ''
    this.#more.hidden = true
  }

  /**
   * Requests the clients and shows them.
   *
   * @param {Api} api
   * @param {string} channel
   * @param {boolean} hasPresence - Whether presence may be on.
   * @param {() => boolean} isCurrent - Whether the channel is still the open one.
   */
  async load(api, channel, hasPresence, isCurrent) {
    this.#refresh = () => void this.#loadConnections(api, channel, isCurrent)
    if (!hasPresence) {
      this.#membersNote.textContent = OFF
      this.#members.replaceChildren()
    }
    await Promise.all([hasPresence && this.#loadMembers(api, channel, isCurrent), this.#loadConnections(api, channel, isCurrent)])
  }

  /**
   * @param {Api} api
   * @param {string} channel
   * @param {() => boolean} isCurrent
   */
  async #loadMembers(api, channel, isCurrent) {
    try {
      const members = await api.presence(channel)
      if (!isCurrent()) return
      this.#membersNote.textContent = members === null ? OFF : members.length === 0 ? 'No members.' : ''
      replace(this.#members, (members ?? []).map(memberItem))
    } catch (error) {
      if (isCurrent()) this.#membersNote.textContent = textOf(error)
    }
  }

  /**
   * @param {Api} api
   * @param {string} channel
   * @param {() => boolean} isCurrent
   */
  async #loadConnections(api, channel, isCurrent) {
    try {
      const connections = []
      /** @type {string | undefined} */
      let after
      for (let page = 0; page < this.#pages; page++) {
        const { connections: more, next } = await api.connections(channel, PAGE, after)
        if (!isCurrent()) return
        connections.push(...more)
        after = next ?? undefined
        if (after === undefined) break
      }
      this.#note.textContent = connections.length === 0 ? 'No sockets are open.' : ''
      replace(
        this.#rows,
        connections.map((connection) => this.#connectionRow(connection)),
      )
      this.#more.hidden = after === undefined
    } catch (error) {
      if (isCurrent()) this.#note.textContent = textOf(error)
    }
  }

  /** @param {Connection} connection */
  #connectionRow(connection) {
    const { connection: id, subject, tags, subscription, expiresAt } = connection
    const name = element('th', { scope: 'row' }, element('span', { class: 'id' }, id ?? 'no connection id'))
    if (subject !== undefined) name.append(element('span', { class: 'subject' }, subject))
    for (const tag of tags) name.append(element('span', { class: 'tag' }, tag))
    const state = element('td', {}, element('span', { class: `state-text ${subscription ?? 'none'}` }, subscription ?? 'no subscription'))
    if (expiresAt) state.append(element('span', { class: 'faint' }, `until ${shortDateTime(new Date(expiresAt))}`))
    const action = element('td')
    if (id !== undefined || subject !== undefined) {
      const label = `Disconnect ${id ?? subject} …`
      const control = button('Disconnect …', () => this.#onDisconnect(connection), { class: 'small', 'aria-label': label, 'data-key': `${id}/${subject}` })
      action.append(control)
    }
    return element('tr', {}, name, state, action)
  }
}

/** @param {Member} member */
function memberItem({ id, state, connections }) {
  const item = element('li', {}, element('span', { class: 'id' }, id))
  if (connections !== 1) item.append(element('span', { class: 'faint' }, connections === 0 ? 'reconnecting' : `${count(connections)} connections`))
  if (state !== undefined && state !== null) item.append(element('span', { class: 'preview' }, Value.of(state).preview(120)))
  return item
}

// @ts-check
// The forms: publish an event, disconnect clients, and revoke tokens.

import { ApiError, textOf } from './api.js'
import { find } from './dom.js'
import { count, counted } from './format.js'

/** @import { Api, Connection } from './api.js' */

/**
 * The open channel.
 *
 * @typedef {{ api: Api, channel: string }} Source
 */

/** The number of connections that are compared with an audience before a confirmation. */
const COMPARED = 1_000

/**
 * Returns the lines of a text field that are not empty.
 *
 * @param {string} id
 */
const lines = (id) =>
  find(id, HTMLTextAreaElement)
    .value.split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')

/** @param {string} id */
const textIn = (id) => find(id, HTMLInputElement).value.trim()

/**
 * Returns what is wrong with an event.
 *
 * @param {string} text
 * @param {boolean} isSerialized - Whether it is oRPC's serialized form.
 * @returns {string | undefined}
 */
function problemOf(text, isSerialized) {
  let json
  try {
    json = JSON.parse(text)
  } catch (error) {
    return `Invalid JSON: ${error instanceof Error ? error.message : error}`
  }
  if (typeof json !== 'object' || json === null) return 'An event must be an object or an array.'
  if (!isSerialized) return undefined
  const isForm = !Array.isArray(json) && 'json' in json && Object.keys(json).every((key) => key === 'json' || key === 'meta')
  return isForm ? undefined : 'oRPC’s serialized form is an object with the members json and, optionally, meta.'
}

/** A form with a result line. While a request runs, it cannot be submitted again. */
class Form {
  #result
  #isBusy = false

  /**
   * @param {string} id
   * @param {() => Promise<string | undefined>} submit - Returns the result, or `undefined` if it was cancelled.
   */
  constructor(id, submit) {
    const form = find(id, HTMLFormElement)
    this.#result = find(`${id}-result`, HTMLElement)
    form.addEventListener('submit', async (event) => {
      event.preventDefault()
      if (this.#isBusy) return
      this.#isBusy = true
      form.setAttribute('aria-busy', 'true')
      this.state('', '')
      try {
        const result = await submit()
        this.state(result ?? '', 'done')
      } catch (error) {
        this.state(textOf(error), 'failed')
      } finally {
        this.#isBusy = false
        form.removeAttribute('aria-busy')
      }
    })
  }

  /**
   * @param {string} text
   * @param {'done' | 'failed' | ''} kind
   */
  state(text, kind) {
    this.#result.textContent = text
    this.#result.dataset['kind'] = kind
  }
}

export class Forms {
  #source
  #event = find('event', HTMLTextAreaElement)
  #isSerialized = find('serialized', HTMLInputElement)
  #problem = find('event-problem', HTMLElement)
  #everyone = find('everyone', HTMLInputElement)
  #audience = find('disconnect-audience', HTMLFieldSetElement)
  #revoke = find('revoke', HTMLFormElement)
  /** @type {Form[]} */
  #forms

  /**
   * @param {() => Source} source - Returns the open channel.
   * @param {() => void} onDone - Called after a change.
   */
  constructor(source, onDone) {
    this.#source = source
    const after = (/** @type {() => Promise<string | undefined>} */ submit) => async () => {
      const result = await submit()
      if (result !== undefined) onDone()
      return result
    }
    this.#forms = [
      new Form('publish', after(() => this.#publish())),
      new Form('disconnect', after(() => this.#disconnect())),
      new Form('revoke', after(() => this.#submitRevoke())),
    ]
    for (const control of [this.#event, this.#isSerialized]) control.addEventListener('input', () => this.#validate())
    this.#event.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.#event.form?.requestSubmit()
    })
    find('new-idempotency-key', HTMLButtonElement).addEventListener('click', () => {
      find('idempotency-key', HTMLInputElement).value = crypto.randomUUID()
    })
    for (const name of ['everyone', 'selected']) {
      find(name, HTMLInputElement).addEventListener('change', () => {
        this.#audience.disabled = this.#everyone.checked
      })
    }
    for (const kind of ['connection', 'subject', 'issuedBefore']) {
      find(`revoke-by-${kind}`, HTMLInputElement).addEventListener('change', () => this.#showRevokeField())
    }
    this.#showRevokeField()
  }

  clear() {
    for (const form of this.#forms) form.state('', '')
  }

  /**
   * Fills the forms in for a client.
   *
   * @param {Connection} connection
   */
  select({ connection, subject }) {
    find('selected', HTMLInputElement).checked = true
    this.#audience.disabled = false
    const ids = find('disconnect-to', HTMLTextAreaElement)
    ids.value = connection ?? ''
    for (const other of ['disconnect-tags', 'disconnect-except']) find(other, HTMLTextAreaElement).value = ''
    const kind = connection === undefined ? 'subject' : 'connection'
    find(`revoke-by-${kind}`, HTMLInputElement).checked = true
    find('revoke-value', HTMLInputElement).value = connection ?? subject ?? ''
    this.#showRevokeField()
    if (connection === undefined) find('revoke-value', HTMLInputElement).focus()
    else ids.focus()
  }

  #validate() {
    const problem = this.#event.value.trim() === '' ? undefined : problemOf(this.#event.value, this.#isSerialized.checked)
    this.#problem.textContent = problem ?? ''
    this.#event.setAttribute('aria-invalid', String(problem !== undefined))
    return problem
  }

  async #publish() {
    const { api, channel } = this.#source()
    const text = this.#event.value
    const problem = problemOf(text, this.#isSerialized.checked)
    if (problem !== undefined) {
      this.#validate()
      this.#event.focus()
      throw new Error(problem)
    }
    const retry = textIn('retry')
    const { id, duplicate } = await api.publish(channel, {
      text,
      isSerialized: this.#isSerialized.checked,
      idempotencyKey: textIn('idempotency-key'),
      query: {
        to: lines('publish-to'),
        tags: lines('publish-tags'),
        except: lines('publish-except'),
        comments: lines('comments'),
        retry: retry === '' ? undefined : retry,
      },
    })
    return duplicate ? `Not published again: event ${id} has this idempotency key.` : `Published as event ${id}.`
  }

  async #disconnect() {
    const { api, channel } = this.#source()
    const [to, tags, except] = [lines('disconnect-to'), lines('disconnect-tags'), lines('disconnect-except')]
    const isEveryone = this.#everyone.checked
    if (!isEveryone && to.length + tags.length + except.length === 0) {
      find('disconnect-to', HTMLTextAreaElement).focus()
      throw new Error('Enter connection ids, tags or exceptions, or select Everyone.')
    }
    const audience = isEveryone
      ? { everyone: true }
      : { ...(to.length > 0 && { to }), ...(tags.length > 0 && { tags }), ...(except.length > 0 && { except }) }
    const reason = textIn('disconnect-reason')
    const number = await this.#matching(({ connection, tags: own }) => {
      if (isEveryone) return true
      if (connection !== undefined && except.includes(connection)) return false
      if (to.length > 0 && (connection === undefined || !to.includes(connection))) return false
      return tags.length === 0 || own.some((tag) => tags.includes(tag))
    })
    const question = `This closes ${number} of the channel “${channel}”. Clients with a valid token may reconnect.`
    if (!(await confirmed('Disconnect clients?', question, 'Disconnect'))) return undefined
    const { disconnected } = await api.close('disconnect', channel, { ...audience, ...(reason !== '' && { reason }) })
    return `Disconnected ${counted(disconnected, 'socket')}.`
  }

  async #submitRevoke() {
    const { api, channel } = this.#source()
    const kind = this.#revokeKind()
    const reason = textIn('revoke-reason')
    /** @type {string | number} */
    let value = textIn('revoke-value')
    let issuedBefore = Number.NaN
    if (kind === 'issuedBefore') {
      const date = new Date(textIn('revoke-time'))
      if (Number.isNaN(date.getTime())) throw new Error('Enter a time.')
      value = date.toISOString()
      issuedBefore = date.getTime()
    } else if (value === '') {
      find('revoke-value', HTMLInputElement).focus()
      throw new Error(kind === 'connection' ? 'Enter a connection id.' : 'Enter a subject.')
    }
    const number = await this.#matching(({ connection, subject, issuedAt }) => {
      if (kind === 'connection') return connection === value
      if (kind === 'subject') return subject === value
      return issuedAt ? new Date(issuedAt).getTime() < issuedBefore : false
    })
    const tokens =
      kind === 'issuedBefore' ? 'all tokens issued before this time' : `the tokens issued until now for the ${kind === 'connection' ? 'connection id' : 'subject'} “${value}”`
    const question = `This rejects ${tokens} on the channel “${channel}” until they expire, and closes ${number}. It cannot be undone; tokens issued later are valid.`
    if (!(await confirmed('Revoke tokens?', question, 'Revoke'))) return undefined
    const { disconnected } = await api.close('revoke', channel, { [kind]: value, ...(reason !== '' && { reason }) })
    return `Revoked. Disconnected ${counted(disconnected, 'socket')}.`
  }

  /**
   * Returns the number of open sockets to which something applies.
   *
   * @param {(connection: Connection) => boolean} applies
   */
  async #matching(applies) {
    const { api, channel } = this.#source()
    try {
      const { connections, next } = await api.connections(channel, COMPARED)
      const number = connections.filter(applies).length
      if (next === null || next === undefined) return counted(number, 'socket')
      return `at least ${count(number)} sockets (${count(connections.length)} were compared)`
    } catch (error) {
      // A key may have the right to disconnect without the right to the list.
      if (error instanceof ApiError && error.status === 403) return 'an unknown number of sockets'
      throw error
    }
  }

  #revokeKind() {
    return ['connection', 'subject', 'issuedBefore'].find((kind) => find(`revoke-by-${kind}`, HTMLInputElement).checked) ?? 'connection'
  }

  #showRevokeField() {
    const kind = this.#revokeKind()
    this.#revoke.dataset['kind'] = kind
    find('revoke-value-label', HTMLElement).textContent = kind === 'subject' ? 'Subject' : 'Connection id'
    find('revoke-value-field', HTMLElement).hidden = kind === 'issuedBefore'
    find('revoke-time-field', HTMLElement).hidden = kind !== 'issuedBefore'
  }
}

/**
 * Asks for a confirmation.
 *
 * @param {string} title
 * @param {string} question
 * @param {string} action - The text of the button that confirms.
 * @returns {Promise<boolean>}
 */
function confirmed(title, question, action) {
  const dialog = find('confirmation', HTMLDialogElement)
  find('confirmation-title', HTMLElement).textContent = title
  find('confirmation-text', HTMLElement).textContent = question
  find('confirmation-action', HTMLButtonElement).textContent = action
  const opener = document.activeElement
  dialog.returnValue = ''
  dialog.showModal()
  return new Promise((resolve) => {
    const onClose = () => {
      if (opener instanceof HTMLElement) opener.focus()
      resolve(dialog.returnValue === 'confirm')
    }
    dialog.addEventListener('close', onClose, { once: true })
  })
}

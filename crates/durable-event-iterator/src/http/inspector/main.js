// @ts-check
// The inspector: shows one channel. The key is kept for the tab only (`sessionStorage`) and is sent in a header, never in a URL.

import { Api, ApiError, textOf } from './api.js'
import { button, element, find } from './dom.js'
import { Forms } from './forms.js'
import { clock } from './format.js'
import { History } from './history.js'
import { LiveEvents } from './live-events.js'
import { Clients, Numbers } from './panels.js'
import { BUCKETS, Timeline } from './timeline.js'

/**
 * @import { StreamState } from './event-stream.js'
 *
 * @typedef {object} Source
 * @property {Api} api
 * @property {string} channel
 * @property {string} key
 * @property {boolean} isRemembered - Whether the key and the channel are stored.
 */

const KEY = 'durable-event-iterator inspector: key'
const RECENT = 'durable-event-iterator inspector: channels'
const SINGLE_KEYS = 'durable-event-iterator inspector: single-key shortcuts'

/** The number of recent channels. */
const MAX_RECENT = 8

/** The interval in which the numbers are refreshed while the page is visible, and the minimum interval, in milliseconds. */
const REFRESH = 10_000
const MIN_REFRESH = 2_000

/** The time after an error without another automatic refresh, in milliseconds. */
const PAUSE_AFTER_ERROR = 30_000

/** The delay after a failed attempt to load the first events, in milliseconds. */
const RETRY = 3_000

/** The duration of an attempt to connect that is not shown, in milliseconds, so that the state does not flicker. */
const GRACE = 400

const prefix = document.documentElement.dataset['prefix'] ?? '/channels'

/** Storage of the browser, which may be off. */
const store = {
  /**
   * @param {Storage | undefined} storage
   * @param {string} name
   */
  get(storage, name) {
    try {
      return storage?.getItem(name) ?? null
    } catch {
      return null
    }
  },
  /**
   * @param {Storage | undefined} storage
   * @param {string} name
   * @param {string | null} value
   */
  set(storage, name, value) {
    try {
      if (value === null) storage?.removeItem(name)
      else storage?.setItem(name, value)
    } catch {
      // The value lasts as long as the page.
    }
  },
  /** @param {'localStorage' | 'sessionStorage'} kind */
  of(kind) {
    try {
      return window[kind]
    } catch {
      return undefined
    }
  },
}
const tab = store.of('sessionStorage')
const browser = store.of('localStorage')

/** @returns {string[]} */
function recentChannels() {
  try {
    const names = JSON.parse(store.get(browser, RECENT) ?? '[]')
    return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : []
  } catch {
    return []
  }
}

class Inspector {
  #key = store.get(tab, KEY)
  /** The open channel. @type {Source | undefined} */
  #source
  #state = find('state', HTMLElement)
  #note = find('note', HTMLElement)
  #retryNow = find('retry-now', HTMLButtonElement)
  #events = find('events', HTMLElement)
  #count = find('event-count', HTMLElement)
  #filter = find('filter', HTMLInputElement)
  #channel = find('channel', HTMLInputElement)
  #entryChannel = find('entry-channel', HTMLInputElement)
  #keyInput = find('key', HTMLInputElement)
  #entryError = find('entry-error', HTMLElement)
  #autoRefresh = find('auto-refresh', HTMLInputElement)
  #tabs = [...document.querySelectorAll('[role="tab"]')].filter((found) => found instanceof HTMLButtonElement)
  #numbers = new Numbers()
  #timeline = new Timeline((time) => {
    this.view = 'history'
    void this.#history.show(time).then(() => this.#history.focus())
  })
  #clients = new Clients((connection) => {
    this.#select('disconnect')
    this.#forms.select(connection)
  })
  #live = new LiveEvents(
    (state) => this.#showState(state),
    (hasNewEvents) => {
      this.#showCount()
      if (hasNewEvents) this.#refreshSoon(MIN_REFRESH)
    },
  )
  #history = new History(() => this.#showCount())
  #forms = new Forms(
    () => {
      if (this.#source === undefined) throw new Error('Open a channel first.')
      return this.#source
    },
    () => this.#refreshSoon(0),
  )
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #stateTimer
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #refreshTimer
  #refreshAt = Infinity
  #refreshedAt = -Infinity
  #streamNote = ''

  start() {
    find('entry', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault()
      this.#key = this.#keyInput.value.trim()
      this.#go(this.#entryChannel.value)
    })
    find('switch', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault()
      this.#go(this.#channel.value)
    })
    find('change-key', HTMLButtonElement).addEventListener('click', () => this.#lock(''))
    find('forget-recent', HTMLButtonElement).addEventListener('click', () => {
      store.set(browser, RECENT, null)
      this.#showRecent()
      this.#keyInput.focus()
    })
    find('help', HTMLButtonElement).addEventListener('click', () => this.#showShortcuts())
    find('refresh', HTMLButtonElement).addEventListener('click', () => this.#refreshSoon(0))
    this.#autoRefresh.addEventListener('change', () => this.#refreshSoon(0))
    find('skip', HTMLAnchorElement).addEventListener('click', (event) => {
      event.preventDefault() // the address contains the channel
      find('main', HTMLElement).focus()
    })
    this.#retryNow.addEventListener('click', () => {
      const source = this.#source
      if (!this.#live.retryNow() && source !== undefined) {
        this.#showState({ name: 'connecting' })
        void this.#follow(source)
        this.#refreshSoon(0)
      }
      // The button, which disappears, had the focus.
      find(this.#isLive ? 'pause' : 'view-history', HTMLElement).focus()
    })
    this.#filter.addEventListener('input', () => {
      this.#live.filter = this.#filter.value
      this.#history.filter = this.#filter.value
    })
    for (const view of /** @type {const} */ (['live', 'history'])) {
      find(`view-${view}`, HTMLInputElement).addEventListener('change', () => {
        this.view = view
        if (view === 'history') void this.#history.start()
      })
    }
    for (const [index, control] of this.#tabs.entries()) {
      control.addEventListener('click', () => this.#select(nameOf(control)))
      control.addEventListener('keydown', (event) => {
        const last = this.#tabs.length - 1
        const next = { ArrowRight: index === last ? 0 : index + 1, ArrowLeft: index === 0 ? last : index - 1, Home: 0, End: last }[event.key]
        const chosen = next === undefined ? undefined : this.#tabs[next]
        if (chosen === undefined) return
        event.preventDefault()
        this.#select(nameOf(chosen))
        chosen.focus()
      })
    }
    const singleKeys = find('single-keys', HTMLInputElement)
    singleKeys.checked = store.get(browser, SINGLE_KEYS) !== 'off'
    singleKeys.addEventListener('change', () => store.set(browser, SINGLE_KEYS, singleKeys.checked ? null : 'off'))
    addEventListener('keydown', (event) => singleKeys.checked && this.#onKey(event))
    document.addEventListener('visibilitychange', () => this.#refreshSoon(0))
    addEventListener('hashchange', () => this.#open())
    this.#showRecent()
    this.#open()
  }

  /** @param {'live' | 'history'} view */
  set view(view) {
    const isLive = view === 'live'
    this.#events.dataset['view'] = view
    find(`view-${view}`, HTMLInputElement).checked = true
    for (const id of ['live', 'live-empty']) find(id, HTMLElement).classList.toggle('other-view', !isLive)
    find('history', HTMLElement).hidden = isLive
    find('history-form', HTMLElement).hidden = isLive
    this.#showCount()
  }

  /**
   * Opens a channel by the address, so that it can be bookmarked and the Back button works.
   *
   * @param {string} channel
   */
  #go(channel) {
    const hash = `#channel=${encodeURIComponent(channel)}`
    if (location.hash === hash) this.#open()
    else location.hash = hash
  }

  /** Opens the channel of the address. */
  #open() {
    const hash = new URLSearchParams(location.hash.slice(1).replaceAll('+', '%2B'))
    const channel = hash.get('channel') ?? ''
    this.#clearTimers()
    this.#channel.value = this.#entryChannel.value = channel
    const key = this.#key
    if (key === null || key === '' || channel === '') return this.#lock('', key ?? '')
    document.title = `${channel} · Inspector`
    const source = (this.#source = { api: new Api(prefix, key), channel, key, isRemembered: false })
    this.#numbers.clear()
    this.#timeline.clear()
    this.#clients.clear()
    this.#forms.clear()
    this.#history.open(source.api, channel)
    this.view = 'live'
    this.#state.dataset['state'] = 'none' // that of another channel
    this.#showState({ name: 'connecting' })
    document.body.dataset['state'] = 'open'
    void this.#follow(source)
    this.#refreshSoon(0)
  }

  /** @param {Source} source */
  async #follow(source) {
    const { api, channel } = source
    try {
      await this.#live.open(api, channel)
      if (this.#source === source) this.#remember(source)
    } catch (error) {
      if (this.#source !== source) return
      const failure = error instanceof ApiError ? error : new ApiError(0, 'FAILED', textOf(error))
      find('live-empty', HTMLElement).textContent = ''
      if (failure.isFinal) return this.#showState({ name: 'stopped', error: failure })
      const delay = Math.max(failure.retryAfter ?? 0, RETRY)
      this.#showState({ name: 'waiting', until: Date.now() + delay, error: failure })
      this.#stateTimer = setTimeout(() => {
        this.#showState({ name: 'connecting' })
        void this.#follow(source)
      }, delay)
    }
  }

  /**
   * Closes the channel, and requests a key and a channel.
   *
   * @param {string} error
   * @param {string} [key] - A key that is kept.
   */
  #lock(error, key = '') {
    this.#source = undefined
    this.#live.close()
    this.#clearTimers()
    this.#key = key
    if (key === '') store.set(tab, KEY, null)
    document.title = 'Inspector'
    document.body.dataset['state'] = 'locked'
    this.#state.textContent = ''
    this.#state.dataset['state'] = 'none'
    this.#entryError.textContent = error
    this.#keyInput.value = key
    ;(key === '' ? this.#keyInput : this.#entryChannel).focus()
  }

  /**
   * Stores the key and the channel, once. It is called when the server has accepted the key, which need not have the right to read events.
   *
   * @param {Source} source
   */
  #remember(source) {
    if (source.isRemembered) return
    source.isRemembered = true
    store.set(tab, KEY, source.key)
    const others = recentChannels().filter((name) => name !== source.channel)
    store.set(browser, RECENT, JSON.stringify([source.channel, ...others].slice(0, MAX_RECENT)))
    this.#showRecent()
  }

  #showRecent() {
    const names = recentChannels()
    find('recent', HTMLElement).hidden = names.length === 0
    find('recent-channels', HTMLDataListElement).replaceChildren(...names.map((name) => element('option', { value: name })))
    const choose = (/** @type {string} */ name) => () => {
      this.#entryChannel.value = name
      ;(this.#keyInput.value === '' ? this.#keyInput : find('entry', HTMLFormElement).querySelector('button'))?.focus()
    }
    find('recent-list', HTMLUListElement).replaceChildren(...names.map((name) => element('li', {}, button(name, choose(name)))))
  }

  /** @param {StreamState} state */
  #showState(state) {
    if (state.name === 'stopped' && state.error.status === 401) return this.#lock(state.error.text)
    clearTimeout(this.#stateTimer)
    const show = () => {
      const isRetrying = this.#state.dataset['state'] === 'waiting' || this.#state.dataset['state'] === 'retrying'
      const name = state.name === 'connecting' && isRetrying ? 'retrying' : state.name
      const text = { connecting: 'Connecting', retrying: 'Reconnecting', live: 'Live', waiting: 'Reconnecting', stopped: 'Stopped' }[name]
      this.#state.dataset['state'] = name
      // The text is announced: it is set only when it changes.
      if (this.#state.textContent !== text) this.#state.textContent = text
      this.#streamNote =
        state.name === 'waiting'
          ? `${state.error.text} The next attempt is at ${clock(new Date(state.until))}; no events are lost.`
          : state.name === 'stopped'
            ? state.error.text
            : name === 'retrying'
              ? this.#streamNote
              : ''
      this.#retryNow.hidden = name !== 'waiting' && name !== 'stopped'
      this.#showCount()
    }
    if (state.name === 'connecting' && this.#state.dataset['state'] === 'live') this.#stateTimer = setTimeout(show, GRACE)
    else show()
  }

  get #isLive() {
    return this.#events.dataset['view'] === 'live'
  }

  #showCount() {
    const isLive = this.#isLive
    const count = isLive ? this.#live.countText : this.#history.countText
    if (this.#count.textContent !== count) this.#count.textContent = count
    const paused = this.#live.pausedText
    const hint = isLive ? 'Newest first. Select an event to expand it.' : 'Retained events, by page, the newest of the page first.'
    const note = this.#streamNote !== '' ? this.#streamNote : isLive && paused !== undefined ? `Paused: ${paused}.` : hint
    if (this.#note.textContent !== note) this.#note.textContent = note
    this.#note.dataset['kind'] = this.#streamNote !== '' ? 'error' : isLive && paused !== undefined ? 'paused' : 'hint'
  }

  /** @param {string} name - The name of a tab. */
  #select(name) {
    for (const control of this.#tabs) {
      const isSelected = nameOf(control) === name
      control.setAttribute('aria-selected', String(isSelected))
      control.tabIndex = isSelected ? 0 : -1
      find(`panel-${nameOf(control)}`, HTMLElement).hidden = !isSelected
    }
    find('side', HTMLElement).dataset['panel'] = name
    if (name === 'clients') this.#refreshSoon(0)
  }

  #clearTimers() {
    clearTimeout(this.#stateTimer)
    clearTimeout(this.#refreshTimer)
    this.#refreshTimer = undefined
    this.#refreshAt = Infinity
  }

  /**
   * Refreshes the numbers after this time, and at least `MIN_REFRESH` after the last time, while the page is visible.
   *
   * @param {number} delay
   */
  #refreshSoon(delay) {
    if (this.#source === undefined || document.visibilityState === 'hidden') return
    if (delay > 0 && !this.#autoRefresh.checked) return
    const at = Math.max(performance.now() + delay, delay === 0 ? 0 : this.#refreshedAt + MIN_REFRESH)
    if (at >= this.#refreshAt) return
    clearTimeout(this.#refreshTimer)
    this.#refreshAt = at
    this.#refreshTimer = setTimeout(() => void this.#refresh(), Math.max(at - performance.now(), 0))
  }

  async #refresh() {
    this.#refreshAt = Infinity
    const source = this.#source
    if (source === undefined || document.visibilityState === 'hidden') return
    this.#refreshedAt = performance.now()
    const { api, channel } = source
    const isCurrent = () => this.#source === source
    const error = find('refresh-error', HTMLElement)
    let hasPresence = true
    try {
      const stats = await api.stats(channel, BUCKETS)
      if (!isCurrent()) return
      this.#remember(source)
      this.#numbers.show(stats)
      this.#timeline.show(stats)
      hasPresence = stats.members !== null
      error.textContent = ''
      find('refreshed', HTMLElement).textContent = `at ${clock(new Date())}`
    } catch (failure) {
      if (!isCurrent()) return
      if (failure instanceof ApiError && failure.status === 401) return this.#lock(failure.text)
      // A valid key without this right.
      if (failure instanceof ApiError && failure.status === 403) this.#remember(source)
      const text = textOf(failure)
      if (error.textContent !== text) error.textContent = text
      this.#refreshedAt = performance.now() + PAUSE_AFTER_ERROR
    }
    if (!find('panel-clients', HTMLElement).hidden) await this.#clients.load(api, channel, hasPresence, isCurrent)
    this.#refreshSoon(REFRESH)
  }

  #showShortcuts() {
    find('shortcuts', HTMLDialogElement).showModal()
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const { target, key } = event
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector('dialog[open]') !== null) return
    const isTyping = target instanceof HTMLTextAreaElement || (target instanceof HTMLInputElement && !['checkbox', 'radio'].includes(target.type))
    if (isTyping) return
    /** @type {Record<string, () => void>} */
    const always = { '?': () => this.#showShortcuts() }
    /** @type {Record<string, () => void>} */
    const open = {
      c: () => this.#channel.select(),
      e: () => (this.#isLive ? this.#live : this.#history).focus(),
      f: () => this.#filter.focus(),
      '/': () => this.#filter.focus(),
      p: () => {
        // The list is not visible in the history.
        if (this.#isLive) this.#live.togglePause()
      },
      l: () => (this.view = 'live'),
      h: () => {
        this.view = 'history'
        void this.#history.start()
      },
      r: () => this.#refreshSoon(0),
    }
    for (const [index, control] of this.#tabs.entries()) {
      open[String(index + 1)] = () => {
        this.#select(nameOf(control))
        control.focus()
      }
    }
    const action = always[key] ?? (this.#source === undefined ? undefined : open[key.toLowerCase()])
    if (action === undefined) return
    event.preventDefault()
    action()
  }
}

/** @param {HTMLElement} control */
const nameOf = (control) => control.id.replace('tab-', '')

new Inspector().start()

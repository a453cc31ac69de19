// @ts-check
// The HTTP API of the channels.

/**
 * @typedef {import('./value.js').Meta} Meta
 *
 * @typedef {object} StoredEvent
 * @property {string} id
 * @property {unknown} json
 * @property {Meta[]} [meta]
 * @property {number} [retry]
 * @property {string[]} [comments]
 *
 * @typedef {object} EventPage
 * @property {StoredEvent[]} events
 * @property {string | null} next
 * @property {string | null} gap
 * @property {boolean} more
 *
 * @typedef {object} Segment
 * @property {string} after
 * @property {string | null} lastId
 * @property {number} events
 * @property {number} bytes
 *
 * @typedef {{ from: string, events: number, bytes: number }} Bucket
 *
 * @typedef {object} Stats
 * @property {string | null} channel
 * @property {number} sockets
 * @property {number} subscriptions
 * @property {number} parked
 * @property {number | null} members
 * @property {{ count: number, bytes: number, firstId: string | null, lastId: string | null, retentionSeconds: number, maxEvents: number, maxBytes: number }} events
 * @property {Segment[]} segments
 * @property {string} since
 * @property {number} published
 * @property {number} duplicates
 * @property {number} delivered
 * @property {number} gaps
 * @property {number} parkings
 * @property {Record<string, number>} rejections
 * @property {number} disconnected
 * @property {number} databaseBytes
 * @property {Bucket[]} [timeline]
 *
 * @typedef {object} Connection
 * @property {string} [connection]
 * @property {string} [subject]
 * @property {string[]} tags
 * @property {string | null} [issuedAt]
 * @property {string | null} [expiresAt]
 * @property {'live' | 'replaying' | 'parked' | null} subscription
 * @property {string} [member]
 *
 * @typedef {{ connections: Connection[], next: string | null }} ConnectionPage
 * @typedef {{ id: string, state?: unknown, connections: number }} Member
 * @typedef {string | number | readonly string[] | undefined} QueryValue
 */

/** The time limit of a request, in milliseconds. */
const TIMEOUT = 20_000

/** What to do about an error, by its status. */
const ADVICE = new Map([
  [400, 'Correct the input and try again.'],
  [401, 'Enter the value of the secret INSPECT_KEY, or an access key: button “Key”.'],
  [403, 'Use a key that has this right for this channel: button “Key”.'],
  [404, 'The Worker does not serve this path, or the feature is off.'],
  [405, 'The Worker and this page have different versions. Reload the page.'],
  [409, 'Try again.'],
  [413, 'The limits are in docs/limits.md.'],
  [429, 'Wait, then try again.'],
  [500, 'The Worker’s log states the reason: npx wrangler tail.'],
  [501, 'The Durable Object has another version than the Worker. Deploy both.'],
  [503, 'The Durable Object is overloaded or restarting. Try again.'],
])

/** A failed request. */
export class ApiError extends Error {
  /** The HTTP status; 0 if there is no response. */
  status
  code
  /** What to do about it. */
  advice
  /** The time that the server requests before another attempt, in milliseconds. */
  retryAfter

  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   * @param {number} [retryAfter]
   */
  constructor(status, code, message, retryAfter) {
    super(message)
    this.name = 'ApiError'
    this.status = status
    this.code = code
    this.retryAfter = retryAfter
    this.advice = status === 0 ? 'Check the network, and that the Worker is running.' : (ADVICE.get(status) ?? '')
  }

  /** Whether another attempt with the same key and input fails in the same way. */
  get isFinal() {
    return this.status >= 400 && this.status < 500 && this.status !== 408 && this.status !== 429
  }

  /** The message with its advice. */
  get text() {
    const message = /[.!?]$/.test(this.message) ? this.message : `${this.message}.`
    return this.advice === '' ? message : `${message} ${this.advice}`
  }
}

/**
 * Returns the text of an error for the page.
 *
 * @param {unknown} error
 */
export function textOf(error) {
  return error instanceof ApiError ? error.text : error instanceof Error ? error.message : String(error)
}

export class Api {
  #prefix
  #key

  /**
   * @param {string} prefix - The path prefix of the API.
   * @param {string} key - The key.
   */
  constructor(prefix, key) {
    this.#prefix = prefix
    this.#key = key
  }

  /**
   * Returns a page of events.
   *
   * @param {string} channel
   * @param {Record<string, QueryValue>} query
   * @returns {Promise<EventPage>}
   */
  events(channel, query) {
    return this.#json('events', channel, query)
  }

  /**
   * Returns the response with server-sent events.
   *
   * @param {string} channel
   * @param {string | null} cursor - The id of the last event. `null` if the channel has had none.
   * @param {AbortSignal} signal
   * @returns {Promise<Response>}
   */
  stream(channel, cursor, signal) {
    /** @type {Record<string, string>} */
    const headers = cursor === null ? {} : { 'last-event-id': cursor }
    const query = cursor === null ? { since: 0 } : {}
    return this.#fetch('events', channel, query, { headers: { accept: 'text/event-stream', ...headers }, signal })
  }

  /**
   * @param {string} channel
   * @param {number} buckets - The number of buckets of the timeline.
   * @returns {Promise<Stats>}
   */
  stats(channel, buckets) {
    return this.#json('stats', channel, { timeline: buckets })
  }

  /**
   * @param {string} channel
   * @param {number} limit
   * @param {string} [after]
   * @returns {Promise<ConnectionPage>}
   */
  connections(channel, limit, after) {
    return this.#json('connections', channel, { limit, after })
  }

  /**
   * Returns the members, or `null` if presence is off.
   *
   * @param {string} channel
   * @returns {Promise<Member[] | null>}
   */
  async presence(channel) {
    try {
      const { members } = await this.#json('presence', channel, {})
      return members
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return null
      throw error
    }
  }

  /**
   * @param {string} channel
   * @param {{ text: string, isSerialized: boolean, query: Record<string, QueryValue>, idempotencyKey: string }} event
   * @returns {Promise<{ id: string, duplicate: boolean }>}
   */
  publish(channel, { text, isSerialized, query, idempotencyKey }) {
    /** @type {Record<string, string>} */
    const headers = { 'content-type': isSerialized ? 'application/vnd.orpc+json' : 'application/json' }
    if (idempotencyKey !== '') headers['idempotency-key'] = idempotencyKey
    return this.#json('events', channel, query, { method: 'POST', headers, body: text })
  }

  /**
   * @param {'disconnect' | 'revoke'} route
   * @param {string} channel
   * @param {object} body
   * @returns {Promise<{ disconnected: number }>}
   */
  close(route, channel, body) {
    const headers = { 'content-type': 'application/json' }
    return this.#json(route, channel, {}, { method: 'POST', headers, body: JSON.stringify(body) })
  }

  /**
   * @param {string} route
   * @param {string} channel
   * @param {Record<string, QueryValue>} query
   * @param {RequestInit} [init]
   * @returns {Promise<any>}
   */
  async #json(route, channel, query, init = {}) {
    const response = await this.#fetch(route, channel, query, { ...init, signal: AbortSignal.timeout(TIMEOUT) })
    try {
      return await response.json()
    } catch {
      throw new ApiError(response.status, 'MALFORMED_RESPONSE', 'The response is not JSON')
    }
  }

  /**
   * @param {string} route
   * @param {string} channel
   * @param {Record<string, QueryValue>} query
   * @param {RequestInit} init
   * @returns {Promise<Response>}
   */
  async #fetch(route, channel, query, init) {
    // The name is in the query, since a path cannot contain the names `.` and `..`.
    const url = new URL(`${this.#prefix}/${route}`, location.origin)
    url.searchParams.set('channel', channel)
    for (const [name, value] of Object.entries(query)) {
      if (value === undefined) continue
      for (const item of Array.isArray(value) ? value : [value]) url.searchParams.append(name, String(item))
    }
    let response
    try {
      const headers = { ...init.headers, authorization: `Bearer ${this.#key}` }
      response = await fetch(url, { ...init, headers, cache: 'no-store', credentials: 'omit', redirect: 'error' })
    } catch (error) {
      if (init.signal?.aborted === true && !isTimeout(error)) throw error
      throw new ApiError(0, 'UNREACHABLE', isTimeout(error) ? 'The Worker did not respond in time' : 'The Worker cannot be reached')
    }
    if (response.ok) return response
    throw await errorOf(response)
  }
}

/** @param {unknown} error */
const isTimeout = (error) => error instanceof DOMException && error.name === 'TimeoutError'

/** @param {Response} response */
async function errorOf(response) {
  const { status } = response
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN)
  const retryAfter = Number.isFinite(seconds) ? seconds * 1_000 : undefined
  try {
    const { json } = await response.json()
    return new ApiError(status, String(json.code), String(json.message), retryAfter)
  } catch {
    // Not from the API: Cloudflare's error pages, for example.
    return new ApiError(status, String(status), `The response has the status ${status}`, retryAfter)
  }
}

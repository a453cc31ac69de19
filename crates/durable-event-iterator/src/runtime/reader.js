// Reading a channel from a Worker: a subscription over a WebSocket that the Worker opens through a stub, with resume, and its
// conversion to server-sent events. The Durable Object hibernates while no events arrive. Messages are not parsed: an event is
// copied from the message to the response.

import { call, freshStub } from './namespace.js'

/** The id of the subscription: the same as that of our clients, so that the Durable Object sends the same text to all. */
const ID = '1'

/** The beginning of a message of the subscription up to the data, and of one with another kind of item. */
const EVENT = `{"i":"${ID}","t":3,"p":{"e":"message","d":`
const ITEM = `{"i":"${ID}","t":3,`

/** The end of the message of an event with an id: the id is the last member of its meta, which contains no objects. */
const WITH_ID = '"}}}'

const GAP_HEADER = 'x-durable-event-gap'
const FLOW_HEADER = 'x-durable-event-flow'

/** The number of received characters after which an acknowledgement is sent. */
const ACKNOWLEDGED = 65_536

/**
 * The number of unread characters at which a reader closes its socket, if the Durable Object does not support acknowledgements, and
 * at which it does not connect again before they are read.
 */
const MAX_QUEUED = 4 * 1024 * 1024

/** The interval of keep-alives, and of checks whether the connection still exists, in milliseconds. */
const KEEP_ALIVE = 15_000

/** The minimum and maximum delay before another connection attempt, in milliseconds. */
const MIN_DELAY = 100
const MAX_DELAY = 10_000

/** The duration after which a connection is stable, so that the first attempt after its loss has no delay, in milliseconds. */
const STABLE = 5_000

/** The time limit of an attempt to subscribe, in milliseconds. */
const TIMEOUT = 10_000

/** Close code "policy violation": the token has expired (of a `DurableIterator` client), or is revoked. */
const POLICY = 1008

/**
 * The attempts, and the interval between them in milliseconds, of a Worker's first connection if its own token is rejected: tokens of
 * the same second may have been revoked. It then requests another token.
 */
const TOKEN_ATTEMPTS = 4
const TOKEN_INTERVAL = 1_000

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Creates an error that a later attempt may not have. */
const temporary = (message) => Object.assign(new Error(message), { retryable: true })

/** Rejects after the time limit. */
async function inTime(promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(temporary('the Durable Object did not respond in time')), TIMEOUT)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Opens a WebSocket to a channel. Returns the accepted socket, or the response that rejects it.
 *
 * The token is verified by the Durable Object: neither the origin nor the path has a meaning. `isCall` states that the socket is used for
 * a single call.
 */
export async function open(stub, token, id, isCall = false) {
  const opening = request(stub, token, id, isCall)
  try {
    return await inTime(opening)
  } catch (error) {
    opening.then(close, () => {}) // it may open later
    throw error
  }
}

async function request(stub, token, id, isCall) {
  const url = new URL('https://channel/')
  url.searchParams.set('token', token)
  if (id !== undefined) url.searchParams.set('id', id)
  if (isCall) url.searchParams.set('call', '1')
  const response = await freshStub(stub).fetch(url.href, { headers: { upgrade: 'websocket' } })
  const socket = response.webSocket
  if (!socket) return response
  socket.binaryType = 'arraybuffer'
  socket.accept()
  return socket
}

export function close(socket) {
  try {
    socket?.close?.(1000)
  } catch {} // it has closed
}

/** Reads the rejection of an upgrade: `[status, text, retryAfter]`. */
export async function rejectionOf(response) {
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN)
  return [response.status, await response.text(), retryAfter]
}

/** Whether another attempt may succeed after a rejection with this status. */
const isTemporary = (status) => status === 429 || status >= 502

/** A subscription. */
export class Reader {
  #stub
  #given
  #tokenOptions
  #id
  #cursor
  #since
  #socket
  /** The messages that have not been read, and `{ gap }` for a gap. */
  #queue = []
  #queued = 0
  /** The last message with an event id. The cursor is read from it when it is needed. */
  #last
  #wake = () => {}
  /** The timer of keep-alives. */
  #keepAlive
  #isAcknowledging = false
  #unacknowledged = 0
  /** The number of unread characters that belong to an earlier subscription. */
  #earlier = 0
  /** What to do when the queue has been read: `subscribe` again, or `connect` again. */
  #pending
  #isHeard = true
  #isConnecting = false
  /** When the subscription began, in milliseconds since 1970. */
  #began = 0
  /** The number of attempts to connect since a connection was stable. */
  #attempts = 0
  /** Why the subscription has ended: `expired`, `closed`, or the rejection. */
  #end
  /** Receives the response to `/subscribe`. */
  #responded = () => {}

  /**
   * Without a token, the reader requests tokens from the Durable Object, with these options of `~token`. `cursor` is the id of the
   * last event that it knows; `since` applies without a cursor, see `SINCE_HEADER` of channel/subscription.rs.
   */
  constructor(stub, token, tokenOptions, id, cursor, since) {
    this.#stub = stub
    this.#given = token
    this.#tokenOptions = tokenOptions
    // Each subscription of a Worker is a connection of its own.
    this.#id = id ?? (token === undefined ? crypto.randomUUID() : undefined)
    this.#cursor = cursor
    this.#since = since
  }

  /** Subscribes. Returns undefined, or the rejection. Throws an exception of the Workers runtime. */
  async start() {
    let rejection = await this.#connect()
    for (let n = 1; n < TOKEN_ATTEMPTS && this.#isOwnTokenRejected(rejection); n++) {
      await pause(TOKEN_INTERVAL)
      rejection = await this.#connect()
    }
    if (rejection !== undefined) this.#end = rejection
    return rejection
  }

  #isOwnTokenRejected(rejection) {
    return this.#given === undefined && rejection?.[0] === 401
  }

  /** Returns the gap with which the subscription has begun, and removes it from the queue. */
  takeGap() {
    return this.#queue[0]?.gap === undefined ? undefined : this.#queue.shift().gap
  }

  /**
   * Returns the messages that have arrived and the gaps, in order. Waits until there is at least one; returns an empty list after
   * the keep-alive interval, and when the subscription has ended.
   */
  async next() {
    if (!this.hasNews) await new Promise((resolve) => this.onNews(resolve))
    return this.take()
  }

  /** Whether something has arrived, or the subscription has ended. */
  get hasNews() {
    return this.#queue.length > 0 || this.#end !== undefined
  }

  /** Returns the messages that have arrived and the gaps, in order. */
  take() {
    const items = this.#queue
    this.#queue = []
    this.#read(this.#queued)
    this.#queued = 0
    return items
  }

  /**
   * Calls a function, instead of the previous one, when something has arrived or the subscription has ended, and at each keep-alive.
   * Everything that had arrived must have been taken.
   */
  onNews(wake) {
    this.#wake = wake
    this.#proceed()
    this.#keepAlive ??= setInterval(() => {
      if (!this.hasNews) this.#check()
      this.#wake()
    }, KEEP_ALIVE)
  }

  /** Why the subscription has ended, or undefined. */
  get end() {
    return this.#end
  }

  /** Ends the subscription. */
  close() {
    this.#finish('closed')
  }

  /** Accounts for characters that have been read. */
  #read(characters) {
    const earlier = Math.min(this.#earlier, characters)
    this.#earlier -= earlier
    this.#unacknowledged += characters - earlier
    if (this.#pending === undefined && this.#isAcknowledging && this.#unacknowledged >= ACKNOWLEDGED) {
      this.#send({ i: ID, t: 5, p: this.#unacknowledged })
      this.#unacknowledged = 0
    }
  }

  /** Continues after the queue was read. */
  #proceed() {
    const pending = this.#pending
    this.#pending = undefined
    if (pending === 'subscribe') this.#subscribe()
    if (pending === 'connect') void this.#reconnect()
  }

  /** Replaces a connection on which nothing has arrived since the last ping. The runtime responds to pings, which wake nobody. */
  #check() {
    if (this.#socket === undefined) return // it is connecting
    if (!this.#isHeard) return this.#lose(this.#socket)
    this.#isHeard = false
    try {
      this.#socket.send('ping')
    } catch {
      this.#lose(this.#socket)
    }
  }

  #finish(end) {
    this.#end ??= end
    clearInterval(this.#keepAlive)
    const socket = this.#socket
    this.#socket = undefined
    close(socket)
    this.#responded()
    this.#wake()
  }

  /** Connects and subscribes. Returns undefined, or the rejection. */
  async #connect() {
    this.#isConnecting = true
    let isSubscribed = false
    try {
      const rejection = await this.#attempt()
      isSubscribed = rejection === undefined
      return rejection
    } finally {
      this.#isConnecting = false
      if (!isSubscribed) {
        close(this.#socket)
        this.#socket = undefined
      }
    }
  }

  async #attempt() {
    let token = this.#given
    if (token === undefined) {
      const { value, error } = await inTime(call(freshStub(this.#stub), '~token', [this.#tokenOptions]))
      if (error !== undefined) return [error.status, error.message, Number.NaN]
      token = value.token
    }
    const socket = await open(this.#stub, token, this.#id)
    if (socket instanceof Response) return rejectionOf(socket)
    if (this.#end !== undefined) return close(socket)
    this.#socket = socket
    this.#isHeard = true
    socket.addEventListener('message', ({ data }) => {
      if (socket === this.#socket) this.#receive(data)
    })
    socket.addEventListener('close', ({ code }) => {
      close(socket)
      if (socket !== this.#socket) return
      if (code === POLICY && this.#given !== undefined) this.#finish('expired')
      else this.#lose(socket)
    })
    socket.addEventListener('error', () => this.#lose(socket))
    const responded = new Promise((resolve) => (this.#responded = resolve))
    this.#subscribe()
    const rejection = await inTime(responded)
    if (this.#socket !== socket && this.#end === undefined) throw temporary('the connection was lost')
    return rejection
  }

  /** Handles a lost connection. */
  #lose(socket) {
    if (socket !== this.#socket) return
    this.#socket = undefined
    close(socket)
    this.#responded()
    if (this.#isConnecting) return // `start` or `#reconnect` handles it
    // A reader that does not read must not receive more with every connection.
    if (this.#pending !== undefined || this.#queued > MAX_QUEUED) this.#pending = 'connect'
    else void this.#reconnect()
  }

  async #reconnect() {
    if (Date.now() - this.#began > STABLE) this.#attempts = 0
    while (this.#end === undefined) {
      if (this.#attempts > 0) await pause(Math.min(MAX_DELAY, MIN_DELAY * 2 ** this.#attempts) * (0.5 + Math.random() / 2))
      this.#attempts++
      if (this.#end !== undefined) return
      try {
        const rejection = await this.#connect()
        if (rejection === undefined) return
        if (rejection[0] === 401 && this.#given !== undefined) return this.#finish('expired')
        if (!isTemporary(rejection[0]) && !this.#isOwnTokenRejected(rejection)) return this.#finish(rejection)
      } catch {} // the Durable Object cannot be reached now
    }
  }

  #subscribe() {
    this.#cursor = this.#last === undefined ? this.#cursor : idOf(this.#last)
    this.#last = undefined
    this.#earlier = this.#queued
    this.#unacknowledged = 0
    this.#isAcknowledging = false
    const h = { [FLOW_HEADER]: '1' }
    if (this.#cursor !== undefined) h['last-event-id'] = this.#cursor
    else if (this.#since !== undefined) h['x-durable-event-since'] = String(this.#since)
    this.#send({ i: ID, p: { u: '/subscribe', m: 'GET', h, b: {} } })
  }

  #send(frame) {
    try {
      this.#socket?.send(JSON.stringify(frame))
    } catch {} // it has closed
  }

  #receive(data) {
    this.#isHeard = true
    if (typeof data !== 'string' || this.#pending === 'connect') return
    if (data.startsWith(EVENT)) return this.#push(data)
    if (!data.startsWith(`{"i":"${ID}"`)) return // a pong
    if (!data.startsWith(ITEM)) return this.#respond(JSON.parse(data).p ?? {})
    const { e, m } = JSON.parse(data).p
    if (e === 'parked') {
      // The position may be after the last event, when further events are for other clients.
      if (m?.id !== undefined) {
        this.#cursor = String(m.id)
        this.#last = undefined
      }
      this.#again('subscribe')
    }
    // The client's subscription has failed, and begins again on another socket after a delay.
    else if (e === 'error') this.#lose(this.#socket)
    else if (e === 'done') this.#given === undefined ? this.#lose(this.#socket) : this.#finish('expired')
  }

  #respond({ s = 200, h = {}, b }) {
    if (s >= 400) {
      const { message, code } = b?.json ?? {}
      return this.#responded([s, String(message ?? code ?? 'The subscription was rejected'), Number.NaN])
    }
    this.#began = Date.now()
    this.#isAcknowledging = h[FLOW_HEADER] !== undefined
    if (h[GAP_HEADER] !== undefined) this.#push({ gap: String(h[GAP_HEADER]) })
    this.#responded()
  }

  #push(item) {
    this.#queue.push(item)
    if (typeof item === 'string') {
      this.#queued += item.length
      if (item.endsWith(WITH_ID)) this.#last = item
      if (this.#queued > MAX_QUEUED && !this.#isAcknowledging) {
        const socket = this.#socket
        this.#socket = undefined
        close(socket)
        this.#again('connect')
      }
    }
    this.#wake()
  }

  /** Subscribes or connects again when everything has been read. */
  #again(what) {
    this.#pending = what
    this.#wake()
    if (this.#queue.length === 0) this.#proceed()
  }
}

/** Returns the id in the message of an event. */
function idOf(message) {
  return message.slice(message.lastIndexOf('"', message.length - WITH_ID.length - 1) + 1, -WITH_ID.length)
}

/** Returns the parts of an event's message: `[data, id, retry, comments]`. */
export function partsOf(message) {
  if (!message.endsWith(WITH_ID)) return [message.slice(EVENT.length, -2)]
  // Quotes in strings are escaped, and the meta of an event contains no objects.
  const at = message.lastIndexOf(',"m":{')
  const id = idOf(message)
  const end = message.length - WITH_ID.length - id.length - '"id":"'.length
  const data = message.slice(EVENT.length, at)
  if (end === at + ',"m":{'.length) return [data, id]
  const { retry, comments } = JSON.parse(message.slice(at + ',"m":'.length, -2))
  return [data, id, retry, comments]
}

/** Returns a server-sent event. */
export function eventText(kind, [data, id, retry, comments = []]) {
  let text = ''
  for (const comment of comments) text += `: ${comment}\n`
  text += `event: ${kind}\n`
  if (retry !== undefined) text += `retry: ${retry}\n`
  if (id !== undefined) text += `id: ${id}\n`
  return `${text}data: ${data}\n\n`
}

/** Returns the server-sent event of a gap. It has no id, so that it does not change the client's cursor. */
function gapText(id) {
  return eventText('gap', [`{"json":{"nextEventId":"${id}"}}`])
}

export const encoder = new TextEncoder()

/**
 * Returns the server-sent events of a subscription as a stream. Everything that has arrived is one chunk, and nothing is taken from
 * the subscription before the client has read the last one. `comment` is the text of an empty comment. With `endsWithDone` the end
 * of the token is an event. `begin` is the text before the first event.
 */
export function eventStream(reader, comment, endsWithDone, begin) {
  let controller
  /** Whether the client has read the last chunk. */
  let isWanted = false
  let text = begin
  // Called with each message. A chunk is passed on at once, since a promise for each of them would double its cost.
  const flush = () => {
    if (!isWanted) return
    for (const item of reader.take()) {
      text += typeof item === 'string' ? eventText('message', partsOf(item)) : gapText(item.gap)
    }
    const { end } = reader
    if (end === 'expired' && endsWithDone) text += eventText('done', ['{}'])
    const chunk = text === '' && end === undefined ? comment : text
    text = ''
    isWanted = false
    if (chunk !== '') controller.enqueue(encoder.encode(chunk))
    if (end === 'expired') controller.close()
    // A stream that ended without an error would be complete for oRPC's clients, and they would not resume.
    else if (end !== undefined) controller.error(new Error('the subscription has ended'))
  }
  return new ReadableStream(
    {
      start(started) {
        controller = started
      },
      pull() {
        isWanted = true
        if (text !== '' || reader.hasNews) flush()
        else reader.onNews(flush)
      },
      cancel() {
        isWanted = false
        reader.close()
      },
    },
    { highWaterMark: 0 },
  )
}

/**
 * Returns a response with the server-sent events of a subscription. `gap` is a gap before its beginning, `headers` are those of every
 * response.
 */
export function eventStreamResponse(reader, comment, endsWithDone, gap, headers) {
  const first = gap ?? reader.takeGap()
  const all = new Headers(headers)
  all.set('content-type', 'text/event-stream')
  all.set('cache-control', 'no-store, no-transform')
  all.set('x-accel-buffering', 'no')
  if (first !== undefined) all.set(GAP_HEADER, first)
  const begin = first === undefined ? comment : comment + gapText(first)
  return new Response(eventStream(reader, comment, endsWithDone, begin), { headers: all })
}

/** Returns a response. */
export function respond(status, body, headers) {
  return new Response(body, { status, headers })
}

/** Returns the cursor and the gap of a page without events: `[next, gap]`. Returns undefined for another page. */
export function emptyPage(text) {
  if (!text.startsWith('{"events":[],')) return undefined
  const { next, gap } = JSON.parse(text)
  return [next ?? undefined, gap ?? undefined]
}

/** Waits for the first event or gap, up to a number of milliseconds. Ends the subscription. */
export async function waitForEvent(reader, milliseconds) {
  const until = Date.now() + milliseconds
  try {
    for (;;) {
      const left = until - Date.now()
      if (left <= 0 || reader.end !== undefined) return
      const timer = setTimeout(() => reader.close(), left)
      const items = await reader.next()
      clearTimeout(timer)
      // A live event is not stored, and is not part of a page.
      if (items.some((item) => typeof item !== 'string' || item.endsWith(WITH_ID))) return
    }
  } finally {
    reader.close()
  }
}

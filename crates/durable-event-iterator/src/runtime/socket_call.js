// A call of a procedure for an HTTP request, over a WebSocket that the Worker opens for it.

import { readBody } from './body.js'
import { close, encoder, eventText, open, rejectionOf } from './reader.js'

/** The id of the call. */
const ID = '1'

/** Separates the JSON of a binary message from its attached bytes, as in crates/durable-event-wire/src/frame/mod.rs. */
const DELIMITER = 0xff

/** Maximum size of a request body in bytes. The Durable Object limits messages too, but the Worker holds the body before. */
const MAX_BODY = 2 * 1024 * 1024

/** Maximum size of the items of a stream that the client has not read, in characters. */
const MAX_QUEUED = 16 * 1024 * 1024

/** Close code "message too big" (RFC 6455, section 7.4.1). */
const TOO_BIG = 1009

/** The request headers that are part of the call. */
const HEADERS = ['last-event-id']

const TOO_LARGE = [413, 'The request body is too large.', Number.NaN]

/** Returns the message of the call, or undefined if the body is malformed. */
function frameOf(request, body) {
  const h = {}
  for (const name of HEADERS) {
    const value = request.headers.get(name)
    if (value !== null) h[name] = value
  }
  const type = request.headers.get('content-type') ?? ''
  const p = { u: '/call', h }
  if (/^multipart\/form-data\b/i.test(type)) {
    h['content-type'] = type
    const json = encoder.encode(JSON.stringify({ i: ID, p }))
    const frame = new Uint8Array(json.byteLength + 1 + body.byteLength)
    frame.set(json)
    frame[json.byteLength] = DELIMITER
    frame.set(body, json.byteLength + 1)
    return frame
  }
  try {
    const text = body.byteLength === 0 ? '{}' : new TextDecoder('utf-8', { fatal: true }).decode(body)
    JSON.parse(text) // a body that is not JSON must not change the message
    return `{"i":"${ID}","p":{"u":"/call","h":${JSON.stringify(h)},"b":${text}}}`
  } catch {
    return undefined
  }
}

/** Splits a message into its JSON and the attached bytes. */
function split(data) {
  if (typeof data === 'string') return [data]
  const bytes = new Uint8Array(data)
  const end = bytes.indexOf(DELIMITER)
  return [new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end)), end < 0 ? undefined : bytes.subarray(end + 1)]
}

/**
 * Calls the procedure of a request. Returns its response, or a rejection `[status, text, retryAfter]`. `comment` is the text of an
 * empty comment, `common` are the headers of every response.
 */
export async function callOverSocket(stub, token, id, request, comment, common) {
  if (/^text\/event-stream\b/i.test(request.headers.get('content-type') ?? '')) {
    return [415, 'Streaming input requires a WebSocket.', Number.NaN]
  }
  const body = await readBody(request, MAX_BODY)
  if (body === undefined) return TOO_LARGE
  const frame = frameOf(request, body)
  if (frame === undefined) return [400, undefined, Number.NaN]
  const socket = await open(stub, token, id, true)
  if (socket instanceof Response) return rejectionOf(socket)
  try {
    return await respond(socket, frame, comment, common)
  } catch (error) {
    close(socket)
    throw error
  }
}

/** Sends the message of the call. Returns its response, or a rejection. */
async function respond(socket, frame, comment, common) {
  const messages = new Messages(socket)
  socket.send(frame)
  const [json, attached] = split((await messages.next()) ?? '')
  if (json === '') {
    close(socket)
    return messages.code === TOO_BIG ? TOO_LARGE : [503, 'The connection to the Durable Object was lost.', 2]
  }
  const { s: status = 200, h = {} } = JSON.parse(json).p
  const headers = new Headers(common)
  for (const [name, value] of Object.entries(h)) headers.set(name, String(value))
  if (h['content-type'] === 'text/event-stream') return new Response(items(messages, comment), { status, headers })
  close(socket)
  if (attached !== undefined) return new Response(attached, { status, headers })
  // The body is the last member. Quotes in the values of headers are escaped.
  const at = json.indexOf('"b":')
  const text = at < 0 ? '{}' : json.slice(at + '"b":'.length, -2)
  if (text.startsWith('"')) {
    headers.set('content-type', 'text/plain;charset=UTF-8')
    return new Response(JSON.parse(text), { status, headers })
  }
  headers.set('content-type', 'application/json')
  return new Response(text, { status, headers })
}

/** The messages of a call. */
class Messages {
  /** The close code, once the socket has closed. */
  code
  #socket
  #queue = []
  #queued = 0
  #wake = () => {}

  constructor(socket) {
    this.#socket = socket
    const end = (code) => {
      this.code ??= code
      close(socket)
      this.#wake()
    }
    socket.addEventListener('message', ({ data }) => {
      if (this.code !== undefined) return
      // Type 4 stops an upload, which a request is not.
      if (data === 'pong' || (typeof data === 'string' && data.startsWith(`{"i":"${ID}","t":4`))) return
      this.#queue.push(data)
      this.#queued += data.length ?? data.byteLength
      if (this.#queued > MAX_QUEUED) end(TOO_BIG)
      this.#wake()
    })
    socket.addEventListener('close', ({ code }) => end(code))
    socket.addEventListener('error', () => end(1006))
  }

  /** Returns the next message, or undefined when the socket has closed. With a time limit, returns null when it is over. */
  async next(milliseconds) {
    if (this.#queue.length === 0 && this.code === undefined) {
      let timer
      await new Promise((resolve) => {
        this.#wake = resolve
        if (milliseconds !== undefined) timer = setTimeout(resolve, milliseconds)
      })
      clearTimeout(timer)
    }
    const message = this.#queue.shift()
    if (message === undefined) return this.code === undefined ? null : undefined
    this.#queued -= message.length ?? message.byteLength
    return message
  }

  /** Aborts the call. */
  abort() {
    try {
      this.#socket.send(JSON.stringify({ i: ID, t: 4 }))
    } catch {} // it has closed
    close(this.#socket)
  }
}

/** The period without items after which a stream sends a comment, in milliseconds: that of oRPC's servers. */
const KEEP_ALIVE = 5_000

/** Returns the items of a stream as server-sent events. */
function items(messages, comment) {
  let isFirst = true
  return new ReadableStream(
    {
      async pull(controller) {
        if (isFirst) {
          isFirst = false
          return controller.enqueue(encoder.encode(comment))
        }
        const message = await messages.next(KEEP_ALIVE)
        if (message === null) return controller.enqueue(encoder.encode(comment))
        if (message === undefined) return controller.error(new Error('the connection to the Durable Object was lost'))
        const { e, d = {}, m = {} } = JSON.parse(split(message)[0]).p
        controller.enqueue(encoder.encode(eventText(e, [JSON.stringify(d), m.id, m.retry, m.comments])))
        if (e === 'message') return
        messages.abort()
        controller.close()
      },
      cancel() {
        messages.abort()
      },
    },
    { highWaterMark: 0 },
  )
}

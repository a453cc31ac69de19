import { getEventMeta } from '@orpc/server'

import { isAsyncIterator, StreamError } from './bodies.js'
import type { Bodies } from './bodies.js'
import type { Answer, Call, Item, Response, WireBlob } from './call.js'
import type { ObjectCore } from './core.js'
import type { ClassOptions } from './options.js'
import { INTERNAL_ERROR, isORPCError } from './orpc-error.js'
import type { Procedures } from './procedures.js'

/** The kinds of a stream's item, as in `object/embedding/tasks.rs` of the library. */
const MESSAGE = 0
const DONE = 1
const ERROR = 2

/** The largest body of a response, in characters of JSON. The Workers runtime sends no larger message. */
const MAX_BODY = 32 * 1024 * 1024

/** The body of a response to a call that has failed for a reason that clients must not see. */
const INTERNAL_ERROR_JSON = JSON.stringify(INTERNAL_ERROR)

/** Calls the application's `onSubscribed`. */
export type OnSubscribed = (ws: WebSocket, lastEventId: string | undefined, gap: string | undefined, isResumed: boolean) => unknown

/** Calls the application's `onClosed`. */
export type OnClosed = (ws: WebSocket) => unknown

/** A running call. */
interface Running {
  readonly ws: WebSocket
  /** The id of the call, which its client has chosen. */
  readonly id: string
  readonly controller: AbortController
  stream?: AsyncIterator<unknown>
}

/** The number of items that are sent before other tasks run. */
const ITEMS_PER_TURN = 64

/** The functions that the core calls. None of them throws, except `subscribed`. */
export class Hooks {
  readonly #options: ClassOptions
  readonly #procedures: Procedures
  readonly #onSubscribed: OnSubscribed | undefined
  readonly #onClosed: OnClosed | undefined
  readonly #bodies: Bodies
  #core!: ObjectCore
  /** The running calls, by the numbers that the core gives them. */
  readonly #running = new Map<number, Running>()
  #latest: Promise<void> | undefined

  constructor(
    options: ClassOptions,
    procedures: Procedures,
    onSubscribed: OnSubscribed | undefined,
    onClosed: OnClosed | undefined,
    bodies: Bodies,
  ) {
    this.#options = options
    this.#procedures = procedures
    this.#onSubscribed = onSubscribed
    this.#onClosed = onClosed
    this.#bodies = bodies
  }

  /** Sets the core, which needs the hooks for its construction. */
  attach(core: ObjectCore): void {
    this.#core = core
  }

  options(): string {
    return JSON.stringify(this.#options)
  }

  call(
    task: number,
    ws: WebSocket,
    id: string,
    path: string,
    headers: string | undefined,
    json: string | undefined,
    meta: string | undefined,
    blobs: readonly WireBlob[] | undefined,
    upload: Call['upload'],
  ): void {
    const running: Running = { ws, id, controller: new AbortController() }
    this.#running.set(task, running)
    const call: Call = {
      ws,
      path: JSON.parse(path),
      headers: headers === undefined ? {} : JSON.parse(headers),
      json: json === undefined ? undefined : JSON.parse(json),
      meta: meta === undefined ? [] : JSON.parse(meta),
      blobs: blobs ?? [],
      upload,
      signal: running.controller.signal,
    }
    this.#latest = this.#run(task, running, call)
  }

  /** Returns a promise for the end of the call that the last message began, if it began one. The promise is never rejected. */
  takeLatest(): Promise<void> | undefined {
    const latest = this.#latest
    this.#latest = undefined
    return latest
  }

  end(task: number): void {
    const running = this.#running.get(task)
    if (running === undefined) return
    this.#running.delete(task)
    running.controller.abort()
    if (running.stream !== undefined) void close(running.stream)
  }

  /**
   * Returns the body of the `ORPCError` that the application throws, or undefined. Throws another `Error` for any other
   * exception.
   */
  subscribed(
    ws: WebSocket,
    lastEventId: string | undefined,
    gap: string | undefined,
    isResumed: boolean,
  ): readonly [json: string | undefined, meta: string | undefined] | undefined {
    try {
      const result = this.#onSubscribed?.(ws, lastEventId, gap, isResumed)
      if (result instanceof Promise) {
        result.catch((error: unknown) => console.error('durable-event-iterator: onSubscribed failed:', error))
      }
      return undefined
    } catch (error) {
      const body = this.#bodyOf(error)
      if (body !== undefined) return body
      console.error('durable-event-iterator: onSubscribed failed:', error)
      // Not the exception itself: WebAssembly cannot catch it if the stack has overflowed.
      throw new Error('an exception of onSubscribed')
    }
  }

  /** Calls the application's `onClosed`. */
  closed(ws: WebSocket): void {
    const report = (error: unknown): void => console.error('durable-event-iterator: onClosed failed:', error)
    try {
      const result = this.#onClosed?.(ws)
      if (result instanceof Promise) result.catch(report)
    } catch (error) {
      report(error)
    }
  }

  /** Returns the body of an `ORPCError`. */
  #bodyOf(error: unknown): readonly [json: string | undefined, meta: string | undefined] | undefined {
    try {
      if (!isORPCError(error)) return undefined
      const { json, meta } = this.#bodies.encodeError(error).body as Body
      return [textOf(json), textOf(meta)]
    } catch {
      return undefined // its data cannot be serialized
    }
  }

  async #run(task: number, running: Running, call: Call): Promise<void> {
    const forget = this.#core.untilLost(() => {
      this.end(task)
      this.#core.fail(running.ws, running.id)
    })
    try {
      const { answer, stream } = await this.#procedures.respond(call).then(encode).catch((error: unknown) => failed(call, error))
      const isAborted = this.#running.get(task) !== running
      if (isAborted || !this.#core.respond(task, answer)) {
        if (stream !== undefined) await close(stream)
      } else if (stream !== undefined) {
        running.stream = stream
        await this.#send(task, running, stream)
      }
    } catch (error) {
      console.error('durable-event-iterator: a response could not be sent:', error)
    } finally {
      forget()
      if (this.#running.get(task) === running) this.#running.delete(task)
    }
  }

  /** Sends the items of a stream until it ends, fails or is aborted. */
  async #send(task: number, running: Running, stream: AsyncIterator<unknown>): Promise<void> {
    for (let sent = 1; ; sent++) {
      const item = await nextOf(stream)
      if (this.#running.get(task) !== running) return // `end` has closed the stream
      if (!this.#core.sendItem(task, item)) {
        if (item[0] === MESSAGE) await close(stream)
        return
      }
      if (sent % ITEMS_PER_TURN === 0) await new Promise((resolve) => setTimeout(resolve, 0))
    }
  }
}

interface Encoded {
  answer: Answer
  /** The items, if the response is a stream. */
  stream?: AsyncIterator<unknown>
}

/** Returns the response to a call that failed outside the application's procedure. */
function failed({ path }: Call, error: unknown): Encoded {
  console.error(`durable-event-iterator: ${path.join('.')} failed:`, error)
  return { answer: [500, INTERNAL_ERROR_JSON, undefined, undefined, false] }
}

/** Returns the next item of a stream. */
async function nextOf(stream: AsyncIterator<unknown>): Promise<Item> {
  try {
    const { done, value } = await stream.next()
    const { json, meta } = (value ?? {}) as Body
    const eventMeta = typeof value === 'object' && value !== null ? getEventMeta(value) : undefined
    return [
      done ? DONE : MESSAGE,
      textOf(json),
      textOf(meta),
      undefined,
      eventMeta === undefined ? undefined : JSON.stringify(eventMeta),
    ]
  } catch (error) {
    if (!(error instanceof StreamError)) {
      console.error('durable-event-iterator: a stream failed:', error)
      return [ERROR, INTERNAL_ERROR_JSON, undefined, undefined, undefined]
    }
    if (!isORPCError(error.cause)) console.error('durable-event-iterator: a stream failed:', error.cause)
    const { json, meta } = error.data as Body
    return [ERROR, textOf(json), textOf(meta), undefined, undefined]
  }
}

interface Body {
  json?: unknown
  meta?: unknown
}

function textOf(value: unknown): string | undefined {
  const text = JSON.stringify(value)
  if (text !== undefined && text.length > MAX_BODY) {
    throw new RangeError(`A response must have at most ${MAX_BODY} characters of JSON, got ${text.length}`)
  }
  return text
}

function encode({ status, body }: Response): Encoded | Promise<Encoded> {
  if (body === undefined) return { answer: [status, undefined, undefined, undefined, false] }
  if (body instanceof FormData) return encodeForm(status, body)
  if (isAsyncIterator(body)) return { answer: [status, undefined, undefined, undefined, true], stream: body }
  if (!isBody(body)) {
    throw new TypeError('A procedure, or a plugin, returned a response that cannot be sent over a WebSocket')
  }
  return { answer: [status, textOf(body.json), textOf(body.meta), undefined, false] }
}

async function encodeForm(status: number, form: FormData): Promise<Encoded> {
  const { json, meta, maps } = JSON.parse(String(form.get('data'))) as Body & { maps: (string | number)[][] }
  const blobs = await Promise.all(maps.map((path, n) => blobOf(path, form.get(String(n)))))
  return { answer: [status, textOf(json), textOf(meta), blobs, false] }
}

async function blobOf(path: (string | number)[], blob: unknown): Promise<WireBlob> {
  const { type } = blob as Blob
  const name = blob instanceof File ? blob.name : undefined
  return [JSON.stringify(path), new Uint8Array(await (blob as Blob).arrayBuffer()), type, name]
}

function isBody(body: unknown): body is Body {
  return typeof body === 'object' && body !== null && !(body instanceof Blob) && !(body instanceof ReadableStream)
}

/** Ends a stream that is not read to its end. The application's error in doing so has no recipient. */
async function close(stream: AsyncIterator<unknown>): Promise<void> {
  try {
    await stream.return?.()
  } catch (error) {
    console.error('durable-event-iterator: closing a stream failed:', error)
  }
}

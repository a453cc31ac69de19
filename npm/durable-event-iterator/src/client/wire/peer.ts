import { EventBuffer } from '../event-buffer.js'
import { decodeBody, isStream, isStreamResponse } from './bodies.js'
import type { PeerHeaders } from './bodies.js'
import { toBodyError } from './body-error.js'
import { ABORT, decodeMessage, encodeRequest, STREAM_ITEM } from './frames.js'
import type { PeerRequest, WireMessage } from './frames.js'

export type { PeerHeaders } from './bodies.js'
export type { PeerRequest, WireMessage } from './frames.js'

export interface PeerResponse {
  readonly status: number
  readonly headers: PeerHeaders
  /** A JSON value, `File`, `FormData`, `URLSearchParams` or undefined. For {@link Peer.request}, a stream is a {@link PeerStream}. */
  readonly body: unknown
}

export interface EventMeta {
  readonly id?: string
  readonly retry?: number
  readonly comments?: readonly string[]
}

/** An item of a stream. `error` and `done` end the stream. */
export interface StreamItem {
  readonly event: 'message' | 'error' | 'done'
  readonly data: unknown
  readonly meta: EventMeta | undefined
}

/**
 * An item that a request body yields. `data` is sent as it is, so it must be serialized.
 *
 * The body may end with an item `error` or `done`, yielded or returned. Without one, `done` is sent when it ends, and `error` when
 * it throws.
 */
export interface UploadItem {
  /** @default 'message', or 'done' for the returned item */
  readonly event?: StreamItem['event']
  readonly data?: unknown
  readonly meta?: EventMeta | undefined
}

/** The items of a response, including the last one, `error` or `done`. Its `return` aborts the call. */
export type PeerStream = AsyncGenerator<StreamItem, void, void>

/** The callbacks of a call. They are called synchronously in `receive`, so that events keep their order. */
export interface CallHandler {
  /** Without items if {@link isStream} is false. */
  onResponse(response: PeerResponse, isStream: boolean): void
  /** @param bytes - The size of the message: characters if it is text, which is close enough for limits. */
  onItem(item: StreamItem, bytes: number): void
  /**
   * The connection was lost, or a body could not be encoded or decoded ({@link BodyError}). Called before `open` returns if the
   * request cannot be sent.
   */
  onFailed(error: unknown): void
}

export interface PeerCall {
  /** Aborts the call on the server too. No callback is called afterwards. */
  abort(): void
}

interface Call {
  /** Undefined after an abort. */
  handler: CallHandler | undefined
  isSent: boolean
  /** Whether the response has been received, and items follow. */
  isStream: boolean
  /** Set while the client sends a stream. */
  stopUpload: (() => void) | undefined
}

/** The client's side of a connection: sends requests, and passes responses and items to the calls. */
export class Peer {
  readonly #send: (message: WireMessage) => void
  readonly #calls = new Map<unknown, Call>()
  #lastId = 0

  constructor(send: (message: WireMessage) => void) {
    this.#send = send
  }

  /** The number of calls in flight. */
  get size(): number {
    return this.#calls.size
  }

  /** Starts a call. The request is sent before this method returns, unless the body contains files. */
  open(request: PeerRequest, handler: CallHandler): PeerCall {
    const id = (this.#lastId += 1).toString(36)
    const call: Call = { handler, isSent: false, isStream: false, stopUpload: undefined }
    this.#calls.set(id, call)
    const fail = (error: unknown): void => {
      if (this.#end(id, call)) call.handler?.onFailed(error)
    }
    const start = (message: WireMessage): void => {
      if (!this.#calls.has(id)) return
      try {
        this.#send(message)
      } catch (error) {
        fail(error)
        return
      }
      call.isSent = true
      if (isStream(request.body)) void this.#upload(id, call, request.body as AsyncIterator<UploadItem>)
    }
    try {
      const message = encodeRequest(id, request)
      if (message instanceof Promise) message.then(start, (error) => fail(toBodyError('cannot encode the request', error)))
      else start(message)
    } catch (error) {
      fail(toBodyError('cannot encode the request', error))
    }
    return {
      abort: () => {
        call.handler = undefined
        if (this.#end(id, call) && call.isSent) this.#post({ i: id, t: ABORT })
      },
    }
  }

  /**
   * Starts a call, and resolves with its response. The body of a stream is a {@link PeerStream}.
   *
   * @param signal - Aborts the call, and also the stream after the response.
   */
  request(request: PeerRequest, signal?: AbortSignal): Promise<PeerResponse> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      let call: PeerCall | undefined
      let stream: EventBuffer<StreamItem> | undefined
      const onAbort = (): void => {
        call?.abort()
        reject(signal?.reason)
        stream?.cancel({ error: signal?.reason })
      }
      const onEnd = (): void => signal?.removeEventListener('abort', onAbort)
      signal?.addEventListener('abort', onAbort)
      call = this.open(request, {
        onResponse: (response, isStream) => {
          if (!isStream) {
            onEnd()
            resolve(response)
            return
          }
          stream = new EventBuffer(UNLIMITED, () => {
            onEnd()
            call?.abort()
          })
          resolve({ ...response, body: stream satisfies PeerStream })
        },
        onItem: (item, bytes) => {
          stream?.push(item, bytes)
          if (item.event === 'message') return
          onEnd()
          stream?.end({})
        },
        onFailed: (error) => {
          onEnd()
          reject(error)
          stream?.end({ error })
        },
      })
    })
  }

  /** Passes a received message to its call. Malformed messages and messages for unknown calls are ignored. */
  receive(message: string | ArrayBuffer): void {
    const frame = decodeMessage(message)
    const call = this.#calls.get(frame?.i)
    if (frame === undefined || call?.handler === undefined) return
    if (frame.t === ABORT) call.stopUpload?.()
    const { p: payload } = frame
    if (typeof payload !== 'object' || payload === null) return
    if (frame.t === STREAM_ITEM) {
      const { e: event, d: data, m: meta } = payload
      const isLast = event === 'done' || event === 'error'
      if (!call.isStream || (event !== 'message' && !isLast)) return
      if (isLast) this.#end(frame.i, call)
      call.handler.onItem({ event, data, meta: meta ?? undefined }, typeof message === 'string' ? message.length : message.byteLength)
    } else if (frame.t === undefined && !call.isStream) {
      const { s: status = 200, h: headers = {}, b: json } = payload
      this.#respond(frame.i, call, { status, headers, body: json }, frame.binary)
    }
  }

  /** Fails all calls in flight. */
  lose(error: unknown): void {
    for (const [id, call] of [...this.#calls]) if (this.#end(id, call)) call.handler?.onFailed(error)
  }

  #respond(id: unknown, call: Call, response: PeerResponse, binary: Uint8Array<ArrayBuffer> | undefined): void {
    const { status, headers, body: json } = response
    if (typeof status !== 'number' || typeof headers !== 'object' || headers === null) return
    if (isStreamResponse(headers)) {
      call.isStream = true
      call.handler?.onResponse({ ...response, body: undefined }, true)
      return
    }
    this.#end(id, call)
    const succeed = (body: unknown): void => call.handler?.onResponse({ ...response, body }, false)
    const fail = (error: unknown): void => call.handler?.onFailed(toBodyError('malformed response', error))
    let body: unknown
    try {
      body = decodeBody(headers, json, binary)
    } catch (error) {
      fail(error)
      return
    }
    if (body instanceof Promise) body.then(succeed, fail)
    else succeed(body)
  }

  async #upload(id: string, call: Call, body: AsyncIterator<UploadItem, UploadItem | undefined>): Promise<void> {
    const stop = (): void => {
      call.stopUpload = undefined
      void (async () => body.return?.())().catch(() => {})
    }
    call.stopUpload = stop
    let event: unknown = 'message'
    while (event === 'message') {
      let isDone: boolean | undefined = true
      let payload: object
      try {
        const result = await body.next()
        isDone = result.done
        const item: UploadItem = result.value ?? { data: {} }
        event = item.event ?? (isDone ? 'done' : 'message')
        payload = { e: event, d: item.data, m: item.meta }
      } catch {
        event = 'error'
        payload = { e: event }
      }
      if (call.stopUpload !== stop) return
      if (isDone) call.stopUpload = undefined
      this.#post({ i: id, t: STREAM_ITEM, p: payload })
    }
    call.stopUpload?.()
  }

  /** Sends a frame. If the connection does not accept it, the connection is lost, and `lose` follows. */
  #post(frame: object): void {
    try {
      this.#send(JSON.stringify(frame))
    } catch {}
  }

  /** Returns false if the call is already over. */
  #end(id: unknown, call: Call): boolean {
    call.stopUpload?.()
    return this.#calls.delete(id)
  }
}

const UNLIMITED = { maxEvents: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY }

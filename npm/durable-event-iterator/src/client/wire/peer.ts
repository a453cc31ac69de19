import { EventBuffer } from '../event-buffer.js'
import { BodyError } from './body-error.js'
import { ABORT, decodeBody, decodeMessage, encodeRequest, isStream, STREAM, STREAM_ITEM } from './frames.js'
import type { PeerHeaders, PeerRequest, StreamItem, UploadItem, WireMessage } from './frames.js'

export type { EventMeta, PeerHeaders, PeerRequest, StreamItem, UploadItem, WireMessage } from './frames.js'

export interface PeerResponse {
  readonly status: number
  readonly headers: PeerHeaders
  /** A JSON value, `File`, `FormData`, `URLSearchParams` or undefined. For {@link Peer.request}, a stream is a {@link PeerStream}. */
  readonly body: unknown
}

/** The items of a response, including the last one, `error` or `done`. Its `return` aborts the call. */
export type PeerStream = AsyncGenerator<StreamItem, void, void>

/** The callbacks of a call. They are called synchronously in `receive`, so that events keep their order. */
export interface CallHandler {
  /** @param isStream - Whether items follow. Otherwise the call is over. */
  onResponse(response: PeerResponse, isStream: boolean): void
  /** @param bytes - The size of the message: characters if it is text, which is close enough for limits. */
  onItem(item: StreamItem, bytes: number): void
  /**
   * The call has failed: a body cannot be encoded or is malformed ({@link BodyError}), `send` has thrown this error, or the
   * connection is lost. Called before `open` returns if the request cannot be encoded or sent.
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
  /** Whether the response has been received, and items follow. */
  isStream: boolean
  /** Set while the client sends a stream. */
  stopUpload: (() => void) | undefined
}

const UNLIMITED = { maxEvents: Infinity, maxBytes: Infinity }

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
    const call: Call = { handler, isStream: false, stopUpload: undefined }
    this.#calls.set(id, call)
    const fail = (error: unknown): void => {
      if (this.#end(id)) handler.onFailed(error)
    }
    const failToEncode = (error: unknown): void => fail(new BodyError('the request cannot be encoded', error))
    const start = (message: WireMessage): void => {
      if (!this.#calls.has(id)) return
      try {
        this.#send(message)
      } catch (error) {
        fail(error)
        return
      }
      if (isStream(request.body)) void this.#upload(id, call, request.body[Symbol.asyncIterator]())
    }
    let message
    try {
      message = encodeRequest(id, request)
    } catch (error) {
      failToEncode(error)
    }
    if (message instanceof Promise) message.then(start, failToEncode)
    else if (message !== undefined) start(message)
    return {
      abort: () => {
        call.handler = undefined
        if (this.#end(id)) this.#post(`{"i":"${id}","t":${ABORT}}`)
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
      if (signal?.aborted === true) {
        reject(signal.reason)
        return
      }
      let call: PeerCall | undefined
      const onAbort = (): void => {
        call?.abort()
        stream.cancel({ error: signal?.reason })
        onFailed(signal?.reason)
      }
      const onFailed = (error: unknown): void => {
        onEnd()
        reject(error)
        stream.end({ error })
      }
      const onEnd = (): void => signal?.removeEventListener('abort', onAbort)
      const stream = new EventBuffer<StreamItem>(UNLIMITED, () => {
        onEnd()
        call?.abort()
      })
      signal?.addEventListener('abort', onAbort)
      call = this.open(request, {
        onResponse: (response, isStream) => {
          if (!isStream) onEnd()
          resolve(isStream ? { ...response, body: stream satisfies PeerStream } : response)
        },
        onItem: (item, bytes) => {
          stream.push(item, bytes)
          if (item.event === 'message') return
          onEnd()
          stream.end({})
        },
        onFailed,
      })
      // `send` may have aborted the signal.
      if (signal?.aborted) onAbort()
    })
  }

  /** Passes a received message to its call. Malformed messages and messages for unknown calls are ignored. */
  receive(message: string | ArrayBuffer): void {
    const frame = decodeMessage(message)
    const call = this.#calls.get(frame?.i)
    if (!frame || !call) return
    const { i: id, t: type, p: payload } = frame
    if (type === ABORT) call.stopUpload?.()
    if (typeof payload !== 'object' || !payload) return
    if (type === STREAM_ITEM && call.isStream) {
      const { e: event, d: data, m: meta } = payload
      const isLast = event === 'done' || event === 'error'
      if (isLast) this.#end(id)
      else if (event !== 'message') return
      call.handler?.onItem({ event, data, meta }, typeof message === 'string' ? message.length : message.byteLength)
    } else if (type === undefined && !call.isStream) {
      const { s: status = 200, h: headers = {}, b: json } = payload
      if (typeof status === 'number') this.#respond(id, call, { status, headers, body: json }, frame.binary)
    }
  }

  /** Fails all calls in flight. */
  lose(error: unknown): void {
    for (const [id, { handler }] of [...this.#calls]) if (this.#end(id)) handler?.onFailed(error)
  }

  #respond(id: unknown, call: Call, response: PeerResponse, binary: Uint8Array<ArrayBuffer> | undefined): void {
    const succeed = (body: unknown): void => call.handler?.onResponse({ ...response, body }, call.isStream)
    const fail = (error: unknown): void => call.handler?.onFailed(new BodyError('malformed response', error))
    let body: unknown
    try {
      body = decodeBody(response.headers, response.body, binary)
    } catch (error) {
      body = Promise.reject(error)
    }
    call.isStream = body === STREAM
    if (call.isStream) body = undefined
    else this.#end(id)
    if (body instanceof Promise) body.then(succeed, fail)
    else succeed(body)
  }

  async #upload(id: string, call: Call, items: AsyncIterator<UploadItem, UploadItem | undefined>): Promise<void> {
    const stop = (): void => {
      call.stopUpload = undefined
      void (async () => items.return?.())().catch(() => {})
    }
    call.stopUpload = stop
    for (let event = 'message'; event === 'message'; ) {
      let text
      const encode = (data?: unknown, meta?: unknown): string => JSON.stringify({ i: id, t: STREAM_ITEM, p: { e: event, d: data, m: meta } })
      try {
        const { done, value = { data: {} } } = await items.next()
        event = value.event ?? (done ? 'done' : 'message')
        text = encode(value.data, value.meta)
      } catch {
        event = 'error'
        text = encode()
      }
      if (call.stopUpload !== stop) return
      this.#post(text)
    }
    stop()
  }

  /** Sends a frame. If the connection does not accept it, it is lost, and `lose` follows. */
  #post(text: string): void {
    try {
      this.#send(text)
    } catch {}
  }

  /** Returns false if the call is already over. */
  #end(id: unknown): boolean {
    this.#calls.get(id)?.stopUpload?.()
    return this.#calls.delete(id)
  }
}

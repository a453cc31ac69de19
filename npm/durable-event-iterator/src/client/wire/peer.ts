import { EventBuffer } from '../event-buffer.js'
import { BodyError } from './body-error.js'
import { ABORT, ACKNOWLEDGEMENT, decodeBody, decodeMessage, encodeRequest, STREAM, STREAM_ITEM } from './frames.js'
import type { Frame, PeerHeaders, PeerRequest, StreamItem, WireMessage } from './frames.js'

export type { EventMeta, PeerHeaders, PeerRequest, StreamItem, WireMessage } from './frames.js'

export interface PeerResponse {
  readonly status: number
  readonly headers: PeerHeaders
  /** A JSON value, `FormData` or undefined. For {@link Peer.request}, a stream is a {@link PeerStream}. */
  readonly body: unknown
}

/** The stream of a response. Its `return` aborts the call. By default it yields all items, including `error` and `done`. */
export type PeerStream = AsyncGenerator<StreamItem, void, void>

/** Returns the result for an item of a stream, or throws the error that the item stands for. */
export type ReadItem<T> = (item: StreamItem) => IteratorResult<T, unknown>

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
  /** States that this many characters of items were received since the last acknowledgement. */
  acknowledge(characters: number): void
}

interface Call {
  readonly handler: CallHandler
  /** Whether the response has been received, and items follow. */
  isStream: boolean
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
    this.#calls.set(id, { handler, isStream: false })
    const fail = (error: unknown): void => this.#end(id)?.onFailed(error)
    const send = (message: WireMessage): void => {
      if (this.#calls.has(id)) this.#send(message)
    }
    try {
      const message = encodeRequest(id, request)
      if (message instanceof Promise) message.then(send).catch(fail)
      else send(message)
    } catch (error) {
      fail(error)
    }
    const trySend = (type: string): void => {
      try {
        this.#send(`{"i":"${id}","t":${type}}`)
      } catch {
        // The connection is lost, and `lose` follows.
      }
    }
    return {
      abort: () => {
        if (this.#end(id) !== undefined) trySend(`${ABORT}`)
      },
      acknowledge: (characters) => trySend(`${ACKNOWLEDGEMENT},"p":${characters}`),
    }
  }

  /**
   * Starts a call, and resolves with its response. The body of a stream is a {@link PeerStream}.
   *
   * @param signal - Aborts the call, and also the stream after the response.
   */
  request<T = StreamItem>(request: PeerRequest, signal?: AbortSignal, read?: ReadItem<T>): Promise<PeerResponse> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason)
      const onAbort = (): void => {
        stream.cancel({ error: signal?.reason })
        reject(signal?.reason)
        stop()
      }
      const stop = (): void => {
        signal?.removeEventListener('abort', onAbort)
        call?.abort()
      }
      const stream = new EventBuffer<unknown>(stop)
      signal?.addEventListener('abort', onAbort)
      let call: PeerCall | undefined
      call = this.open(request, {
        onResponse: (response, isStream) => {
          if (!isStream) stop()
          resolve(isStream ? { ...response, body: stream } : response)
        },
        onItem: (item, bytes) => {
          try {
            const { done = false, value } = read?.(item) ?? { value: item }
            if (done) stream.end({ value })
            else stream.push(value, bytes)
            if (item.event === 'message') return
            stream.end({})
          } catch (error) {
            stream.end({ error })
          }
          stop()
        },
        onFailed: (error) => {
          stream.end({ error })
          reject(error)
          stop()
        },
      })
      // `send` may have aborted the signal.
      if (signal?.aborted) stop()
    })
  }

  /** Passes a received message to its call. Malformed messages and messages for unknown calls are ignored. */
  receive(message: string | ArrayBuffer): void {
    const frame = decodeMessage(message)
    const call = this.#calls.get(frame?.i)
    const payload = frame?.p
    if (!call || typeof payload !== 'object' || !payload) return
    if (frame?.t === STREAM_ITEM && call.isStream) {
      const { e: event, d: data, m: meta } = payload as Partial<Record<string, any>>
      if (event === 'done' || event === 'error' || event === 'parked') this.#end(frame.i)
      else if (event !== 'message') return
      call.handler.onItem({ event, data, meta }, typeof message === 'string' ? message.length : message.byteLength)
    } else if (frame?.t === undefined && !call.isStream) this.#respond(frame!, call)
  }

  /** Fails all calls in flight. */
  lose(error: unknown): void {
    for (const id of [...this.#calls.keys()]) this.#end(id)?.onFailed(error)
  }

  #respond(frame: Frame, call: Call): void {
    const { s: status = 200, h: headers = {}, b: json } = frame.p as Partial<Record<string, any>>
    if (typeof status !== 'number') return
    const succeed = (body: unknown): void => this.#end(frame.i)?.onResponse({ status, headers, body }, false)
    const fail = (error: unknown): void => this.#end(frame.i)?.onFailed(new BodyError('malformed response', error))
    let body: unknown
    try {
      body = decodeBody(headers, json, frame.binary)
    } catch (error) {
      return fail(error)
    }
    if (body === STREAM) {
      call.isStream = true
      call.handler.onResponse({ status, headers, body: undefined }, true)
    } else if (body instanceof Promise) body.then(succeed, fail)
    else succeed(body)
  }

  /** Returns the handler of a call that ends, or undefined if the call is already over. */
  #end(id: unknown): CallHandler | undefined {
    const handler = this.#calls.get(id)?.handler
    this.#calls.delete(id)
    return handler
  }
}

/** Whether the body of a response is a stream. */
export function isPeerStream(body: unknown): body is PeerStream {
  return body instanceof EventBuffer
}

/** The data that a WebSocket can send. */
export type SocketData = string | ArrayBufferLike | ArrayBufferView<ArrayBufferLike> | Blob

type LinkSocketEvent = 'open' | 'message' | 'close'
type LinkSocketListener = (event: { data?: unknown }) => void

/** The part of a WebSocket that an oRPC link uses. */
export class LinkSocket {
  /** Always `OPEN`: the session checks the connection before it sends. */
  readonly readyState = 1
  readonly send: (data: SocketData) => void
  readonly #listeners: Record<LinkSocketEvent, Set<LinkSocketListener>> = {
    open: new Set(),
    message: new Set(),
    close: new Set(),
  }
  #eventBytes = 0

  constructor(send: (data: SocketData) => void) {
    this.send = send
  }

  addEventListener(type: LinkSocketEvent, listener: LinkSocketListener): void {
    this.#listeners[type].add(listener)
  }

  removeEventListener(type: LinkSocketEvent, listener: LinkSocketListener): void {
    this.#listeners[type].delete(listener)
  }

  receive(data: unknown): void {
    this.#eventBytes += sizeOfStreamEvent(data)
    for (const listener of this.#listeners.message) listener({ data })
  }

  /** Fails all calls in flight. */
  lose(): void {
    for (const listener of this.#listeners.close) listener({})
  }

  /**
   * Returns the size in bytes of the stream events that have arrived since the last call: approximately the size of the event
   * that was just read.
   */
  takeEventBytes(): number {
    const bytes = this.#eventBytes
    this.#eventBytes = 0
    return bytes
  }
}

/**
 * Returns the size of a frame if it is a stream event (type 3), and 0 otherwise. A Durable Object writes the short call id and
 * the type at the beginning of a frame. A stream event that is not recognized counts as 0 bytes, but still as an event.
 */
function sizeOfStreamEvent(data: unknown): number {
  if (typeof data === 'string') return data.slice(0, HEAD_LENGTH).includes(STREAM_EVENT) ? data.length : 0
  if (!(data instanceof ArrayBuffer)) return 0
  const head = String.fromCharCode(...new Uint8Array(data, 0, Math.min(data.byteLength, HEAD_LENGTH)))
  return head.includes(STREAM_EVENT) ? data.byteLength : 0
}

const HEAD_LENGTH = 40
const STREAM_EVENT = ',"t":3,'

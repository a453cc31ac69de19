// The load generator: sockets that count the messages that they receive, with as little work per message as possible.
//
// They implement WebSocket (RFC 6455) themselves. A library takes about as long per message as the runtime: it would be slower
// than a fast variant and faster than a slow one. A process that waits for messages is woken for each of them, which costs CPU
// time in the sender. Therefore the load generator must always be the faster side.

import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'

/** The time limit of all waits, in milliseconds, so that a hanging variant is not measured as a slow one. */
const TIMEOUT = 60_000

/** The first byte of an unfragmented text message. */
export const TEXT = 0x81

/** Returns the frame of an ASCII text message, as a string of bytes. The mask is zero, which does not change the text. */
export function framed(text: string): string {
  const length = text.length < 126 ? [text.length] : [126, text.length >> 8, text.length & 0xff]
  return String.fromCharCode(TEXT, 0x80 | length[0]!, ...length.slice(1), 0, 0, 0, 0) + text
}

export class LoadSocket {
  readonly #socket: Socket
  #received = 0
  #first = ''
  #waiting: { count: number; resolve: () => void } | undefined
  #onMessages: ((count: number) => void) | undefined
  /** The beginning of a frame whose header is not complete. */
  #begun: Buffer = Buffer.alloc(0)
  /** The number of missing bytes of the payload that is skipped. */
  #rest = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => this.#read(chunk))
  }

  static async open(url: string): Promise<LoadSocket> {
    const { hostname, port, pathname, search } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.setNoDelay(true)
    // The response to the key is not checked.
    const key = 'dGhlIHNhbXBsZSBub25jZQ=='
    socket.write(
      `GET ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    )
    const [head] = (await once(socket, 'data', { signal: AbortSignal.timeout(TIMEOUT) })) as [Buffer]
    const end = head.indexOf('\r\n\r\n')
    if (!head.subarray(0, 12).equals(Buffer.from('HTTP/1.1 101')) || end < 0) {
      throw new Error(`the upgrade failed: ${head.toString('latin1', 0, 200)}`)
    }
    const opened = new LoadSocket(socket)
    opened.#read(head.subarray(end + 4))
    return opened
  }

  /** Counts the messages that start in a chunk. */
  #read(chunk: Buffer): void {
    let at = 0
    if (this.#begun.length > 0) {
      chunk = Buffer.concat([this.#begun, chunk])
      this.#begun = Buffer.alloc(0)
    } else {
      at = Math.min(this.#rest, chunk.length)
      this.#rest -= at
    }
    const before = this.#received
    while (at < chunk.length) {
      const [size, length] = headerOf(chunk, at)
      const end = at + size + length
      // A message counts when its header is complete. The first message is read, so it must be complete.
      const isRead = this.#received === 0 && this.#onMessages === undefined
      if (size === 0 || (isRead && end > chunk.length)) {
        this.#begun = chunk.subarray(at)
        break
      }
      if (chunk[at] !== TEXT) throw new Error(`not an unfragmented text message: ${chunk.toString('latin1', at, at + 100)}`)
      if (isRead) this.#first = chunk.toString('latin1', at + size, end)
      this.#received++
      this.#rest = Math.max(0, end - chunk.length)
      at = end
    }
    const count = this.#received - before
    if (count === 0) return
    if (this.#onMessages) this.#onMessages(count)
    else if (this.#waiting && this.#received >= this.#waiting.count) this.#waiting.resolve()
  }

  send(text: string): void {
    this.#socket.write(framed(text), 'latin1')
  }

  /** Resolves when `count` messages have arrived since `forget` or since the socket opened. */
  received(count: number): Promise<void> {
    if (this.#received >= count) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`only ${this.#received} of ${count} messages arrived`)), TIMEOUT)
      this.#waiting = {
        count,
        resolve: () => {
          clearTimeout(timer)
          this.#waiting = undefined
          resolve()
        },
      }
    })
  }

  /** Reads nothing more: what arrives stays in the buffers of the system, and then with the sender. */
  stopReading(): void {
    this.#socket.pause()
  }

  /** Returns the first message since `forget`. */
  get first(): string {
    return this.#first
  }

  forget(): void {
    this.#received = 0
    this.#first = ''
  }

  /** Makes calls, with a number of them in flight. Each call has a response of one message. Returns the latencies. */
  async calls(count: number, inFlight: number, frame: (n: number) => string): Promise<number[]> {
    const latencies: number[] = []
    const sentAt: number[] = []
    const call = (calls: number): void => {
      const first = sentAt.length
      const last = Math.min(count, first + calls)
      let frames = ''
      for (let n = first; n < last; n++) frames += framed(frame(n))
      if (frames !== '') this.#socket.write(frames, 'latin1')
      sentAt.length = last
      sentAt.fill(performance.now(), first)
    }
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`only ${latencies.length} of ${count} calls received a response`)), TIMEOUT)
      this.#onMessages = (answered) => {
        const now = performance.now()
        while (answered-- > 0) latencies.push(now - (sentAt[latencies.length] ?? Number.NaN))
        call(Math.min(inFlight, latencies.length + inFlight - sentAt.length))
        if (latencies.length >= count) {
          clearTimeout(timer)
          resolve()
        }
      }
      call(inFlight)
    })
    this.#onMessages = undefined
    this.forget()
    return latencies
  }

  close(): void {
    this.#socket.destroy()
  }
}

/** Returns the sizes of the header and the payload of an unmasked frame, or 0 if the header is not complete. */
export function headerOf(chunk: Buffer, at: number): [header: number, payload: number] {
  const left = chunk.length - at
  const length = left < 2 ? 0 : chunk[at + 1]!
  const size = length === 127 ? 10 : length === 126 ? 4 : 2
  if (left < size) return [0, 0]
  if (size === 4) return [size, chunk.readUInt16BE(at + 2)]
  return size === 10 ? [size, Number(chunk.readBigUInt64BE(at + 2))] : [size, length]
}

// The load: sockets that count what they get, and read no more of it than they must.
//
// They speak WebSocket themselves (RFC 6455): a library takes as long for a message as the runtime does, so that it would be
// the slower one beside a fast variant and the faster one beside a slow one. Whoever waits is woken for each message, and that
// costs the sender. So the load has to be the faster one always.

import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'

/** How long anything that is waited for may take, in milliseconds: what hangs must not look slow. */
const TIMEOUT = 60_000

/** The first byte of a whole text message. */
const TEXT = 0x81

/** A text message of ASCII, as the bytes of a string. It is masked with zeros, which leaves it as it is. */
function framed(text: string): string {
  const length = text.length < 126 ? [text.length] : [126, text.length >> 8, text.length & 0xff]
  return String.fromCharCode(TEXT, 0x80 | length[0]!, ...length.slice(1), 0, 0, 0, 0) + text
}

export class LoadSocket {
  readonly #socket: Socket
  #received = 0
  #first = ''
  #waiting: { count: number; resolve: () => void } | undefined
  #onMessages: ((count: number) => void) | undefined
  /** What has come of a frame whose header is not there yet. */
  #begun: Buffer = Buffer.alloc(0)
  /** Of the payload that is passed over, so many bytes are still to come. */
  #rest = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => this.#read(chunk))
  }

  static async open(url: string): Promise<LoadSocket> {
    const { hostname, port, pathname, search } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.setNoDelay(true)
    // It has no other use than to be answered, and nobody looks at that.
    const key = 'dGhlIHNhbXBsZSBub25jZQ=='
    socket.write(
      `GET ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    )
    const [head] = (await once(socket, 'data', { signal: AbortSignal.timeout(TIMEOUT) })) as [Buffer]
    const end = head.indexOf('\r\n\r\n')
    if (!head.subarray(0, 12).equals(Buffer.from('HTTP/1.1 101')) || end < 0) {
      throw new Error(`No WebSocket: ${head.toString('latin1', 0, 200)}`)
    }
    const opened = new LoadSocket(socket)
    opened.#read(head.subarray(end + 4))
    return opened
  }

  /** Counts the messages that begin in a chunk. */
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
      // A message counts when its header is there; the first one is read, and so has to be whole.
      const isRead = this.#received === 0 && this.#onMessages === undefined
      if (size === 0 || (isRead && end > chunk.length)) {
        this.#begun = chunk.subarray(at)
        break
      }
      if (chunk[at] !== TEXT) throw new Error(`Neither a text nor whole: ${chunk.toString('latin1', at, at + 100)}`)
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

  /** Resolves when so many messages have come since `forget`, or since it was opened. */
  received(count: number): Promise<void> {
    if (this.#received >= count) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${this.#received} of ${count} messages came`)), TIMEOUT)
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

  /** The first message since `forget`. */
  get first(): string {
    return this.#first
  }

  forget(): void {
    this.#received = 0
    this.#first = ''
  }

  /** Makes calls, so many of them in flight, each of which is answered by one message. Answers with their latencies. */
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
      const timer = setTimeout(() => reject(new Error(`${latencies.length} of ${count} calls were answered`)), TIMEOUT)
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

/** The sizes of a frame's header and payload from the server, which masks nothing; 0 where the header is not whole yet. */
function headerOf(chunk: Buffer, at: number): [header: number, payload: number] {
  const left = chunk.length - at
  const length = left < 2 ? 0 : chunk[at + 1]!
  const size = length === 127 ? 10 : length === 126 ? 4 : 2
  if (left < size) return [0, 0]
  if (size === 4) return [size, chunk.readUInt16BE(at + 2)]
  return size === 10 ? [size, Number(chunk.readBigUInt64BE(at + 2))] : [size, length]
}

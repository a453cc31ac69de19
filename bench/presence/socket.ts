// The sockets of members. They implement WebSocket themselves, with as little work per message as possible: thousands of members
// receive thousands of changes.

import { connect } from 'node:net'
import type { Socket } from 'node:net'

import { framed, headerOf, TEXT } from '../client.ts'

export interface MemberSocketOptions {
  url: string
  /** Called for each message, with its text if `isRead`. The first message is always read. */
  onMessage(text: string | undefined): void
  onClose(): void
  isRead: boolean
}

export class MemberSocket {
  readonly #socket: Socket
  readonly #options: MemberSocketOptions
  /** The received bytes, and messages. */
  bytes = 0
  messages = 0
  #isOpen = false
  #isClosed = false
  /** What is not read yet: the head of the response, or the beginning of a message that is read. */
  #begun: Buffer[] = []
  #begunBytes = 0
  /** The number of bytes of `#begun` that are needed to go on. */
  #needed = 0
  /** The number of missing bytes of the payload that is skipped. */
  #rest = 0

  constructor(options: MemberSocketOptions) {
    this.#options = options
    const { hostname, port, pathname, search } = new URL(options.url)
    const socket = connect(Number(port), hostname)
    this.#socket = socket
    socket.setNoDelay(true)
    // The response to the key is not checked.
    socket.write(
      `GET ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    )
    socket.on('data', (chunk) => this.#read(chunk))
    socket.on('error', () => {}) // followed by its close
    socket.on('close', () => this.#end())
  }

  send(text: string): void {
    this.#socket.write(framed(text), 'latin1')
  }

  /** Ends the connection without a close frame, and without a call of `onClose`. */
  vanish(): void {
    this.#isClosed = true
    this.#socket.destroy()
  }

  #end(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#socket.destroy()
    this.#options.onClose()
  }

  /** Returns the bytes that are not read yet, if there are enough of them. */
  #joined(chunk: Buffer): Buffer | undefined {
    if (this.#begun.length === 0) return chunk
    this.#begun.push(chunk)
    this.#begunBytes += chunk.length
    if (this.#begunBytes < this.#needed) return undefined
    const joined = Buffer.concat(this.#begun)
    this.#begun = []
    return joined
  }

  #keep(chunk: Buffer, needed: number): void {
    this.#begun = [chunk]
    this.#begunBytes = chunk.length
    this.#needed = needed
  }

  #read(received: Buffer): void {
    if (this.#isClosed) return
    let at = 0
    if (this.#rest > 0) {
      at = Math.min(this.#rest, received.length)
      this.#rest -= at
      this.bytes += at
      if (at === received.length) return
    }
    const chunk = this.#joined(at === 0 ? received : received.subarray(at))
    if (chunk === undefined) return
    at = 0
    if (!this.#isOpen) {
      const end = chunk.indexOf('\r\n\r\n')
      if (end < 0) return this.#keep(chunk, 0)
      if (!chunk.subarray(0, 12).equals(Buffer.from('HTTP/1.1 101'))) return this.#end()
      this.#isOpen = true
      at = end + 4
      this.send('{"i":"0","p":{"u":"/subscribe","b":{}}}')
    }
    while (at < chunk.length && !this.#isClosed) {
      const [size, length] = headerOf(chunk, at)
      const end = at + size + length
      if (size === 0) return this.#keep(chunk.subarray(at), 0)
      // A close frame, before the end of the connection.
      if (chunk[at] !== TEXT) return this.#end()
      const isRead = this.#options.isRead || this.messages === 0
      if (isRead && end > chunk.length) return this.#keep(chunk.subarray(at), end - at)
      this.messages++
      this.bytes += Math.min(end, chunk.length) - at
      this.#rest = Math.max(0, end - chunk.length)
      this.#options.onMessage(isRead ? chunk.toString('utf8', at + size, end) : undefined)
      at = end
    }
  }
}

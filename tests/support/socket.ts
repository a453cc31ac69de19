// A plain WebSocket, to send messages that no real client sends, and to inspect frames.

import WebSocket from 'ws'
import type { ClientOptions } from 'ws'

/** A plain WebSocket whose messages and end can be awaited. */
export class BareSocket {
  readonly socket: WebSocket
  readonly messages: string[] = []
  /** The same messages, with binary ones as bytes. */
  readonly received: (string | Buffer)[] = []
  closed: { code: number; reason: string } | undefined
  #waiting: (() => void)[] = []

  private constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data, isBinary) => {
      this.messages.push(isBinary ? (data as Buffer).toString('latin1') : data.toString())
      this.received.push(isBinary ? (data as Buffer) : data.toString())
      this.#wake()
    })
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() }
      this.#wake()
    })
    socket.on('error', () => this.#wake())
  }

  static async open(url: string | URL, options: ClientOptions = {}): Promise<BareSocket> {
    const socket = new WebSocket(url, options)
    const bare = new BareSocket(socket)
    await new Promise<void>((resolve, reject) => {
      socket.once('open', () => resolve())
      socket.once('error', reject)
    })
    return bare
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  send(frame: string | Uint8Array | object): void {
    this.socket.send(typeof frame === 'string' || frame instanceof Uint8Array ? frame : JSON.stringify(frame))
  }

  /** Resolves when `count` messages have arrived, with all of them parsed. */
  async frames(count: number): Promise<any[]> {
    await this.#count(count)
    return this.messages.map((message) => JSON.parse(message))
  }

  /** Resolves with the message of this index when it has arrived. */
  async message(number: number): Promise<string | Buffer> {
    await this.#count(number + 1)
    return this.received[number]!
  }

  #count(count: number): Promise<void> {
    return this.until(({ length }) => length >= count)
  }

  /** Resolves when the condition is met. It is checked with every message. */
  async until(condition: (messages: string[]) => boolean): Promise<void> {
    while (!condition(this.messages)) {
      if (this.closed) throw new Error(`closed after ${this.messages.length} messages: ${JSON.stringify(this.closed)}`)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** Resolves when the socket has closed. */
  async end(): Promise<{ code: number; reason: string }> {
    while (!this.closed) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return this.closed
  }

  /** Ends the connection without a close frame. */
  vanish(): void {
    this.socket.terminate()
  }
}

/** Returns the response to an upgrade request that may be rejected, with `Retry-After` if it has this header. */
export function upgradeAnswer(url: string | URL): Promise<{ status: number; text: string; retryAfter?: string }> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url)
    socket.once('open', () => {
      socket.terminate()
      resolve({ status: 101, text: '' })
    })
    socket.once('unexpected-response', (request, response) => {
      let text = ''
      response.on('data', (chunk) => (text += chunk))
      response.on('end', () => {
        request.destroy()
        const retryAfter = response.headers['retry-after']
        resolve({ status: response.statusCode ?? 0, text, ...(retryAfter === undefined ? {} : { retryAfter }) })
      })
    })
    socket.once('error', reject)
  })
}

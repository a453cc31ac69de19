// The load of HTTP readers, with as little work per event as possible: see `bench/client.ts`.

import { connect } from 'node:net'
import type { Socket } from 'node:net'

/** The time limit of all waits, in milliseconds. */
const TIMEOUT = 60_000

/** A connection that sends requests and counts how often a text arrives in the responses. */
export class Connection {
  readonly #socket: Socket
  readonly #host: string
  #mark: Buffer = Buffer.from('\r\n\r\n')
  #count = 0
  /** The end of what was read: the text may be split between two chunks. */
  #rest = Buffer.alloc(0)
  #text = ''
  #isKept = false
  #waiting: { count: number; resolve: () => void } | undefined

  private constructor(socket: Socket, host: string) {
    this.#socket = socket
    this.#host = host
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#read(chunk))
  }

  static async open(url: URL): Promise<Connection> {
    const socket = connect(Number(url.port), url.hostname)
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new Connection(socket, url.host)
  }

  #read(chunk: Buffer): void {
    if (this.#isKept) this.#text += chunk.toString('latin1')
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    for (let found = bytes.indexOf(this.#mark); found >= 0; found = bytes.indexOf(this.#mark, at)) {
      this.#count++
      at = found + this.#mark.length
    }
    this.#rest = Buffer.from(bytes.subarray(Math.max(at, bytes.length - this.#mark.length + 1)))
    if (this.#waiting && this.#count >= this.#waiting.count) this.#waiting.resolve()
  }

  /** Sends a GET request, and counts this text from now on. With `keeps`, it keeps the whole response. */
  get(path: string, headers: Record<string, string>, mark: string, keeps = false): void {
    this.#mark = Buffer.from(mark)
    this.#count = 0
    this.#rest = Buffer.alloc(0)
    this.#text = ''
    this.#isKept = keeps
    const lines = Object.entries({ host: this.#host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
    this.#socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`)
  }

  /** Resolves when the text has arrived this many times since the request or since `forget`. */
  received(count: number): Promise<void> {
    if (this.#count >= count) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`only ${this.#count} of ${count} arrived: ${this.#text.slice(0, 300)}`)), TIMEOUT)
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

  /** Counts this text from now on. */
  count(mark: string): void {
    this.#mark = Buffer.from(mark)
    this.#count = 0
    this.#rest = Buffer.alloc(0)
  }

  forget(): void {
    this.#count = 0
  }

  get text(): string {
    return this.#text
  }

  close(): void {
    this.#socket.destroy()
  }
}

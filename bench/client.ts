// The load: sockets that count what they get, and read no more of it than they must.

import { once } from 'node:events'

import WebSocket from 'ws'

/** How long anything that is waited for may take, in milliseconds: what hangs must not look slow. */
const TIMEOUT = 60_000

export class LoadSocket {
  readonly #socket: WebSocket
  #received = 0
  #last = ''
  #waiting: { count: number; resolve: () => void } | undefined
  #onMessage: (() => void) | undefined

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (data: Buffer) => {
      this.#received++
      if (this.#onMessage) return this.#onMessage()
      if (this.#received === 1) this.#last = data.toString()
      if (this.#waiting && this.#received >= this.#waiting.count) this.#waiting.resolve()
    })
  }

  static async open(url: string): Promise<LoadSocket> {
    const socket = new WebSocket(url, { perMessageDeflate: false })
    const opened = new LoadSocket(socket)
    await once(socket, 'open', { signal: AbortSignal.timeout(TIMEOUT) })
    return opened
  }

  send(text: string): void {
    this.#socket.send(text)
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
    return this.#last
  }

  forget(): void {
    this.#received = 0
    this.#last = ''
  }

  /** Makes calls, so many of them in flight, each of which is answered by one message. Answers with their latencies. */
  async calls(count: number, inFlight: number, frame: (n: number) => string): Promise<number[]> {
    const latencies: number[] = []
    const sentAt: number[] = []
    let sent = 0
    const call = (): void => {
      sentAt.push(performance.now())
      this.#socket.send(frame(sent++))
    }
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${latencies.length} of ${count} calls were answered`)), TIMEOUT)
      this.#onMessage = () => {
        latencies.push(performance.now() - (sentAt.shift() ?? Number.NaN))
        if (sent < count) call()
        if (latencies.length === count) {
          clearTimeout(timer)
          resolve()
        }
      }
      for (let n = 0; n < inFlight; n++) call()
    })
    this.#onMessage = undefined
    this.forget()
    return latencies
  }

  close(): void {
    this.#socket.terminate()
  }
}

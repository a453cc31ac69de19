// A proxy between a client and a Worker that simulates network failures.

import { createConnection, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

export class Proxy {
  /** The upgrade requests of the client, in order. */
  readonly upgrades: URL[] = []
  /** The other requests that opened connections. */
  readonly requests: URL[] = []
  /** The time of each connection, in milliseconds. */
  readonly attempts: number[] = []
  /** Closes new connections at once. */
  refuses = false
  /** Delays the responses of the Worker to new connections, in milliseconds. */
  handshakeDelay = 0
  readonly url: URL
  readonly #server
  readonly #pairs = new Set<[Socket, Socket]>()

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server
    this.url = new URL(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  }

  static async start(target: URL): Promise<Proxy> {
    const server = createServer({ allowHalfOpen: false })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const proxy = new Proxy(server)
    server.on('connection', (client) => proxy.#accept(client, target))
    return proxy
  }

  /** The number of open connections. */
  get open(): number {
    return this.#pairs.size
  }

  /** Ends all connections without a close frame. */
  cut(): void {
    for (const [client, server] of this.#pairs) {
      client.destroy()
      server.destroy()
    }
  }

  /** Drops all data of the current connections silently. Later connections are not affected. */
  silence(): void {
    for (const [client, server] of this.#pairs) {
      client.unpipe(server).resume()
      server.unpipe(client).resume()
    }
  }

  /** Holds back the data of the Worker from now on. The data of the client is passed. */
  holdAnswers(): void {
    for (const [client, server] of this.#pairs) server.unpipe(client).resume()
  }

  /** Does not read from the Worker from now on, until the returned function is called. Nothing is dropped. */
  stall(): () => void {
    const stalled = [...this.#pairs]
    for (const [client, server] of stalled) server.unpipe(client).pause()
    return () => {
      for (const [client, server] of stalled) server.pipe(client)
    }
  }

  /** Resolves when the last connection has closed. */
  async closed(): Promise<void> {
    while (this.#pairs.size > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  async dispose(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(client: Socket, target: URL): void {
    this.attempts.push(Date.now())
    client.on('error', () => {})
    if (this.refuses) {
      client.destroy()
      return
    }
    client.once('data', (data) => {
      const head = data.toString('latin1')
      const path = /^GET (\S+)/.exec(head)?.[1]
      const requests = /^upgrade: *websocket/im.test(head) ? this.upgrades : this.requests
      if (path !== undefined) requests.push(new URL(path, this.url))
    })
    const server = createConnection(Number(target.port), target.hostname)
    server.on('error', () => {})
    const pair: [Socket, Socket] = [client, server]
    this.#pairs.add(pair)
    const end = (): void => {
      this.#pairs.delete(pair)
      client.destroy()
      server.destroy()
    }
    client.on('close', end)
    server.on('close', end)
    client.pipe(server)
    if (this.handshakeDelay === 0) server.pipe(client)
    else setTimeout(() => server.pipe(client), this.handshakeDelay)
  }
}

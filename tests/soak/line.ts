// Simulates the network between one client and the runtime, with faults.

import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

/** The time for which the server's end of a vanished client stays open, in milliseconds. For the server it is a slow client. */
const GHOST_LIFETIME = 6_000

export type Direction = 'down' | 'up'

interface Connection {
  client: Socket
  server: Socket
  /** The number of bytes in a direction after which the connection breaks. */
  breaksAfter: { [way in Direction]?: number }
  /** Whether it is a WebSocket; undefined before the first request. */
  isWebSocket?: boolean
}

/** A separate port that forwards to the runtime. */
export class Line {
  readonly #server: Server
  readonly #target: number
  readonly #connections = new Set<Connection>()
  readonly #ghosts = new Set<Socket>()
  /** No connection is forwarded before this time. */
  #closedUntil = 0
  #slowUntil = 0
  /** No WebSocket works before this time. */
  #webSocketsBlockedUntil = 0

  private constructor(target: number) {
    this.#target = target
    this.#server = createServer((client) => this.#connect(client))
  }

  static async open(target: number): Promise<Line> {
    const line = new Line(target)
    await new Promise<void>((resolve, reject) => {
      line.#server.once('error', reject)
      line.#server.listen(0, '127.0.0.1', resolve)
    })
    return line
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Breaks all connections at once. */
  cut(): void {
    for (const connection of [...this.#connections]) this.#break(connection)
  }

  /** Breaks the connection after a number of bytes in a direction, usually in the middle of a frame. */
  cutAfter(bytes: number, way: Direction): void {
    for (const connection of this.#connections) connection.breaksAfter[way] = bytes
  }

  /** The client vanishes: for the server the connection stays open, but nothing is read any more. */
  vanish(): void {
    for (const connection of [...this.#connections]) {
      const { client, server } = connection
      this.#connections.delete(connection)
      server.pause()
      server.removeAllListeners('data')
      client.destroy()
      this.#ghosts.add(server)
      setTimeout(() => this.#bury(server), GHOST_LIFETIME).unref()
    }
  }

  /** Holds back data to the client for some milliseconds, like a slow reader. */
  slow(duration: number): void {
    this.#slowUntil = Math.max(this.#slowUntil, Date.now() + duration)
    for (const { server } of this.#connections) server.pause()
    setTimeout(() => this.#resume(), duration + 1).unref()
  }

  /** Breaks all connections, and allows no new ones for some milliseconds. */
  away(duration: number): void {
    this.#closedUntil = Math.max(this.#closedUntil, Date.now() + duration)
    this.cut()
  }

  /** Breaks all WebSockets, and allows no new ones for some milliseconds, like a proxy that knows only HTTP. */
  blockWebSockets(duration: number): void {
    this.#webSocketsBlockedUntil = Math.max(this.#webSocketsBlockedUntil, Date.now() + duration)
    for (const connection of [...this.#connections]) if (connection.isWebSocket) this.#break(connection)
  }

  /** Ends all faults. */
  heal(): void {
    this.#closedUntil = 0
    this.#webSocketsBlockedUntil = 0
    this.#slowUntil = 0
    for (const connection of this.#connections) connection.breaksAfter = {}
    this.#resume()
    for (const ghost of [...this.#ghosts]) this.#bury(ghost)
  }

  async close(): Promise<void> {
    this.heal()
    this.#closedUntil = Number.POSITIVE_INFINITY
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #connect(client: Socket): void {
    if (Date.now() < this.#closedUntil) {
      client.destroy()
      return
    }
    const server = connect(this.#target, '127.0.0.1')
    const connection: Connection = { client, server, breaksAfter: {} }
    this.#connections.add(connection)
    client.setNoDelay(true)
    server.setNoDelay(true)
    for (const end of [client, server]) {
      end.on('error', () => {}) // followed by its close
      end.on('close', () => this.#break(connection))
    }
    client.on('data', (bytes) => this.#pass(connection, bytes, 'up'))
    server.on('data', (bytes) => this.#pass(connection, bytes, 'down'))
    if (Date.now() < this.#slowUntil) server.pause()
  }

  #pass(connection: Connection, bytes: Buffer, way: Direction): void {
    if (way === 'up') {
      connection.isWebSocket ??= /^upgrade: websocket\r$/im.test(bytes.toString('latin1'))
      if (connection.isWebSocket && Date.now() < this.#webSocketsBlockedUntil) return this.#break(connection)
    }
    const [from, to] = way === 'up' ? [connection.client, connection.server] : [connection.server, connection.client]
    const left = connection.breaksAfter[way]
    if (left !== undefined && bytes.length >= left) {
      to.end(bytes.subarray(0, left))
      from.destroy()
      return
    }
    if (left !== undefined) connection.breaksAfter[way] = left - bytes.length
    if (!to.write(bytes)) {
      from.pause()
      to.once('drain', () => {
        if (way === 'up' || Date.now() >= this.#slowUntil) from.resume()
      })
    }
  }

  #resume(): void {
    if (Date.now() < this.#slowUntil) return
    for (const { server } of this.#connections) server.resume()
  }

  #break(connection: Connection): void {
    if (!this.#connections.delete(connection)) return
    // Only data that was already written to the client is delivered.
    connection.client.end()
    connection.server.destroy()
    setTimeout(() => connection.client.destroy(), 50).unref()
  }

  #bury(ghost: Socket): void {
    ghost.destroy()
    this.#ghosts.delete(ghost)
  }
}

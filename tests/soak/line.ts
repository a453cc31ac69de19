// The network between one client and the runtime, which can be made to fail.

import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

/** How long the server's end of a client that vanished stays, in milliseconds: to the server it looks like a slow one. */
const GHOST_LIFETIME = 6_000

export type Direction = 'down' | 'up'

interface Connection {
  client: Socket
  server: Socket
  /** After how many more bytes in a direction it breaks. */
  breaksAfter: { [way in Direction]?: number }
}

/** A port of its own that leads to the runtime. */
export class Line {
  readonly #server: Server
  readonly #target: number
  readonly #connections = new Set<Connection>()
  readonly #ghosts = new Set<Socket>()
  /** No connection comes through before this time. */
  #closedUntil = 0
  #slowUntil = 0

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

  /** Breaks every connection now, whatever is on its way. */
  cut(): void {
    for (const connection of [...this.#connections]) this.#break(connection)
  }

  /** Breaks after so many more bytes in a direction: in the middle of whatever frame that is. */
  cutAfter(bytes: number, way: Direction): void {
    for (const connection of this.#connections) connection.breaksAfter[way] = bytes
  }

  /** The client goes without a word: to the server the connection stays open, though nothing is read any more. */
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

  /** Lets nothing through to the client for so many milliseconds: it reads slowly. */
  slow(duration: number): void {
    this.#slowUntil = Math.max(this.#slowUntil, Date.now() + duration)
    for (const { server } of this.#connections) server.pause()
    setTimeout(() => this.#resume(), duration + 1).unref()
  }

  /** Breaks every connection, and lets none be made for so many milliseconds. */
  away(duration: number): void {
    this.#closedUntil = Math.max(this.#closedUntil, Date.now() + duration)
    this.cut()
  }

  /** Ends whatever was made to fail. */
  heal(): void {
    this.#closedUntil = 0
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
      end.on('error', () => {}) // its close follows
      end.on('close', () => this.#break(connection))
    }
    client.on('data', (bytes) => this.#pass(connection, bytes, 'up'))
    server.on('data', (bytes) => this.#pass(connection, bytes, 'down'))
    if (Date.now() < this.#slowUntil) server.pause()
  }

  #pass(connection: Connection, bytes: Buffer, way: Direction): void {
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
    // What was written to the client is still delivered, and nothing else.
    connection.client.end()
    connection.server.destroy()
    setTimeout(() => connection.client.destroy(), 50).unref()
  }

  #bury(ghost: Socket): void {
    ghost.destroy()
    this.#ghosts.delete(ghost)
  }
}

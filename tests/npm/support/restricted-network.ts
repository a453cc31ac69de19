// A network between clients and a Worker that restricts WebSockets and collects or cuts responses, as some proxies do.

import { createServer, request as forward } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createConnection } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** How the network treats new WebSockets: it passes or rejects them, never responds, or passes no data. */
export type WebSocketPolicy = 'pass' | 'reject' | 'hang' | 'swallow'

export interface SeenRequest {
  method: string
  /** Without the query. */
  path: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
}

export class RestrictedNetwork {
  webSockets: WebSocketPolicy = 'reject'
  /** Whether streams arrive only when they are complete. */
  collectsStreams = false
  /** Whether the data of the current streams is held back. */
  stallsStreams = false
  /** Whether the data of the Worker is dropped. */
  holdsAnswers = false
  /** Whether every request fails. */
  isDown = false
  /** Responds to a request instead of the Worker, if it returns true. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined
  /** The upgrade requests. */
  readonly upgrades: SeenRequest[] = []
  /** The other requests. */
  readonly requests: SeenRequest[] = []
  readonly url: URL
  readonly #server: ReturnType<typeof createServer>
  readonly #webSockets = new Set<Duplex>()
  readonly #responses = new Map<ServerResponse, SeenRequest>()

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server
    this.url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  }

  static async start(target: URL): Promise<RestrictedNetwork> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const network = new RestrictedNetwork(server)
    server.on('request', (request, response) => network.#onRequest(request, response, target))
    server.on('upgrade', (request, socket, head) => network.#onUpgrade(request, socket, head, target))
    return network
  }

  /** The number of open WebSockets. */
  get openWebSockets(): number {
    return this.#webSockets.size
  }

  /** The paths of the responses that have not ended, such as streams. */
  get openResponses(): string[] {
    return [...this.#responses.values()].map(({ path }) => path)
  }

  /** Cuts all WebSockets and responses. */
  cut(): void {
    for (const socket of this.#webSockets) socket.destroy()
    this.cutResponses()
  }

  /** Cuts all responses that have not ended. */
  cutResponses(): void {
    for (const response of this.#responses.keys()) response.destroy()
  }

  async dispose(): Promise<void> {
    this.cut()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #onRequest(request: IncomingMessage, response: ServerResponse, target: URL): void {
    const seen = seenOf(request)
    this.requests.push(seen)
    this.#responses.set(response, seen)
    response.on('close', () => this.#responses.delete(response))
    if (this.isDown) return void request.socket.destroy()
    if (this.intercept?.(request, response) === true) return
    const { method, headers, url } = request
    const upstream = forward({ host: target.hostname, port: target.port, method, path: url, headers }, (answer) => {
      const isCollected = this.collectsStreams && answer.headers['content-type']?.startsWith('text/event-stream') === true
      if (isCollected || this.holdsAnswers) {
        answer.on('error', () => {})
        answer.resume()
        return
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      response.flushHeaders()
      answer.on('data', (data) => this.stallsStreams || response.write(data))
      answer.on('end', () => response.end())
      answer.on('error', () => response.destroy())
    })
    upstream.on('error', () => response.destroy())
    response.on('close', () => upstream.destroy())
    request.pipe(upstream)
  }

  #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, target: URL): void {
    this.upgrades.push(seenOf(request))
    socket.on('error', () => {})
    if (this.isDown || this.webSockets === 'reject') return void socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
    this.#webSockets.add(socket)
    socket.on('close', () => this.#webSockets.delete(socket))
    if (this.webSockets === 'hang') return
    const server: Socket = createConnection(Number(target.port), target.hostname)
    const lines = [`GET ${request.url} HTTP/1.1`]
    for (let index = 0; index < request.rawHeaders.length; index += 2) lines.push(`${request.rawHeaders[index]}: ${request.rawHeaders[index + 1]}`)
    server.write(`${lines.join('\r\n')}\r\n\r\n`)
    server.write(head)
    server.on('error', () => socket.destroy())
    server.on('close', () => socket.destroy())
    socket.on('close', () => server.destroy())
    socket.pipe(server)
    if (this.webSockets === 'pass') return void server.on('data', (data) => this.holdsAnswers || socket.write(data))
    // Passes the handshake, and nothing else.
    server.once('data', (data) => {
      socket.write(data.subarray(0, data.indexOf('\r\n\r\n') + 4))
      server.resume()
    })
  }
}

function seenOf({ method = '', url = '', headers }: IncomingMessage): SeenRequest {
  const { pathname, searchParams } = new URL(url, 'http://localhost')
  return { method, path: pathname, query: searchParams, headers }
}

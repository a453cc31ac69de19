import { DurableEventIteratorConnectionError } from '../client/connection-error.js'
import { EmittingSocket } from '../client/emitting-socket.js'
import { isRejectedStatus, messageOf } from '../client/errors.js'
import type { SocketLike, SocketSource } from '../client/socket-source.js'

/** The part of a stub that opens a socket. Every `DurableObjectStub` has it. */
export interface FetchingStub {
  fetch(url: string, init: { headers: Record<string, string> }): Promise<object>
}

/** A WebSocket of the Workers runtime. */
interface WorkerSocket {
  binaryType?: string
  accept(): void
  send(message: string | Uint8Array<ArrayBuffer>): void
  close(code: number, reason: string): void
  addEventListener: SocketLike['addEventListener']
}

/** Returns a source of sockets that stay inside the Workers runtime. */
export function stubSockets(stub: FetchingStub): SocketSource {
  return {
    open: (url) => new StubSocket(stub, url),
    // The error of the socket states the reason.
    diagnose: async (_, cause) => {
      const error =
        cause instanceof DurableEventIteratorConnectionError ? cause : new DurableEventIteratorConnectionError('unavailable', { message: messageOf(cause), cause })
      return { error, isRejection: isRejectedStatus(error.status), retryAfter: 0 }
    },
  }
}

class StubSocket extends EmittingSocket implements SocketLike {
  #socket: WorkerSocket | undefined
  #isEnded = false

  constructor(stub: FetchingStub, url: string) {
    super()
    void this.#open(stub, url)
  }

  send(message: string | Uint8Array<ArrayBuffer>): void {
    this.#socket?.send(message)
  }

  close(): void {
    this.#isEnded = true
    // Without a code, the runtime sends no close frame.
    this.#socket?.close(1000, 'unsubscribed')
    this.#socket = undefined
  }

  async #open(stub: FetchingStub, url: string): Promise<void> {
    try {
      const response = await stub.fetch(url.replace(/^ws/, 'http'), { headers: { upgrade: 'websocket' } })
      const { webSocket: socket } = response as { webSocket?: WorkerSocket | null }
      if (socket === undefined || socket === null) throw await rejectionOf(response as Response)
      this.#use(socket)
    } catch (cause) {
      const isKnown = cause instanceof DurableEventIteratorConnectionError
      const error = isKnown ? cause : new DurableEventIteratorConnectionError('unavailable', { message: `the Durable Object cannot be reached: ${messageOf(cause)}`, cause })
      this.#end('error', { error })
    }
  }

  #use(socket: WorkerSocket): void {
    socket.binaryType = 'arraybuffer'
    socket.accept()
    this.#socket = socket
    if (this.#isEnded) return this.close()
    socket.addEventListener('message', ({ data }) => this.dispatch('message', { data }))
    socket.addEventListener('close', ({ code, reason }) => this.#end('close', { code: code ?? 0, reason: reason ?? '' }))
    socket.addEventListener('error', (event) => this.#end('error', event))
    this.dispatch('open', {})
  }

  #end(type: 'error' | 'close', event: Parameters<EmittingSocket['dispatch']>[1]): void {
    if (this.#isEnded) return
    this.close()
    if (type === 'error') this.dispatch('error', event)
    this.dispatch('close', type === 'close' ? event : {})
  }
}

async function rejectionOf(response: Response): Promise<Error> {
  const text = (await response.text()).slice(0, MAX_TEXT_LENGTH)
  const message = `the Durable Object responds with ${response.status}${text && ` "${text}"`}`
  return new DurableEventIteratorConnectionError('unavailable', { message, status: response.status })
}

/** The maximum length of the response text in an error message, in UTF-16 code units. */
const MAX_TEXT_LENGTH = 200

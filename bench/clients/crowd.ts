// Many clients in one process, which is controlled by the messages of its parent.

import { KINDS, PlainWebSocket } from './kinds.ts'
import type { KindName, Numbered, OpenClient } from './kinds.ts'

/** The messages of the parent. */
export type Request =
  /** Opens clients. The response arrives when all have event 1. */
  | { type: 'open'; kind: KindName; url: string; channel: string; issuedAt: number; count: number }
  /** The response arrives when all clients have this event. */
  | { type: 'await'; n: number }
  /** The response arrives at once, and contains what was recorded since the last `mark`. */
  | { type: 'report' }
  /** Forgets all records. */
  | { type: 'mark' }

export type Response = { type: 'done' } | { type: 'report'; records: Records }

/** Times are milliseconds since 1970. */
export interface Records {
  /** The last event of each client. */
  last: number[]
  /** The time at which each client received its last event. */
  receivedAt: number[]
  /** The start of each handshake. */
  attempts: number[]
  /** The time at which each socket opened. */
  opened: number[]
  /** The number of events that clients have skipped, and received again. */
  lost: number
  repeated: number
  /** The errors that ended clients. */
  ended: string[]
}

/** The number of clients that connect at once, before the measurement. */
const OPEN_AT_ONCE = 20

class Crowd {
  #records: Records = { last: [], receivedAt: [], attempts: [], opened: [], lost: 0, repeated: 0, ended: [] }
  readonly #clients: OpenClient[] = []
  #awaited: { n: number; missing: number; resolve: () => void } | undefined

  async open({ kind, count, ...options }: Extract<Request, { type: 'open' }>): Promise<void> {
    let next = 0
    const openOne = async (): Promise<void> => {
      while (next < count) {
        const index = next++
        await new Promise<void>((resolve) => {
          this.#records.last[index] = 0
          const client = KINDS[kind].open({
            ...options,
            WebSocket: this.#recordingWebSocket(),
            onEvent: ({ n }: Numbered) => {
              this.#onEvent(index, n)
              resolve()
            },
            onEnd: (error) => {
              this.#records.ended.push(String(error))
              resolve()
            },
          })
          this.#clients.push(client)
        })
      }
    }
    await Promise.all(Array.from({ length: OPEN_AT_ONCE }, openOne))
  }

  #onEvent(index: number, n: number): void {
    const last = this.#records.last[index]!
    if (n <= last) {
      this.#records.repeated += 1
      return
    }
    this.#records.lost += n - last - 1
    this.#records.last[index] = n
    this.#records.receivedAt[index] = Date.now()
    const awaited = this.#awaited
    if (awaited !== undefined && last < awaited.n && n >= awaited.n && --awaited.missing === 0) awaited.resolve()
  }

  #recordingWebSocket(): typeof PlainWebSocket {
    const crowd = this
    return class extends PlainWebSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        crowd.#records.attempts.push(Date.now())
        super(url, protocols)
        this.addEventListener('open', () => crowd.#records.opened.push(Date.now()))
      }
    }
  }

  /** Resolves when all clients have this event. */
  received(n: number): Promise<void> {
    const missing = this.#records.last.filter((last) => last < n).length
    return missing === 0 ? Promise.resolve() : new Promise((resolve) => (this.#awaited = { n, missing, resolve }))
  }

  mark(): void {
    const { last, receivedAt } = this.#records
    this.#records = { last, receivedAt, attempts: [], opened: [], lost: 0, repeated: 0, ended: [] }
  }

  get records(): Records {
    return this.#records
  }
}

/** Serves the requests of the parent process, and ends with it. */
export function serve(): void {
  const crowd = new Crowd()
  const respond = (response: Response): void => {
    process.send?.(response)
  }
  process.on('disconnect', () => process.exit())
  process.on('message', async (request: Request) => {
    if (request.type === 'open') await crowd.open(request)
    else if (request.type === 'await') await crowd.received(request.n)
    else if (request.type === 'mark') crowd.mark()
    else return respond({ type: 'report', records: crowd.records })
    respond({ type: 'done' })
  })
}

/** The Rust side: the program `tests/peers/src/bin/wire.rs`, as a socket that oRPC's clients can use. */

import { execFileSync, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

type Message = { text: string } | { binary: string }

/** The part of a WebSocket that oRPC's links use. */
export interface Socket {
  readonly readyState: number
  addEventListener(type: string, listener: (event: { data: unknown }) => void): void
  removeEventListener(type: string, listener: (event: { data: unknown }) => void): void
  send(message: string | ArrayBufferLike | ArrayBufferView): void
}

/** The requests to the Rust side other than frames, see `tests/peers/src/bin/wire.rs`. */
export type Question =
  | { urls: string[] }
  | { regexps: [source: string, flags: string][] }
  | { candidate: { body: string; retry?: number; comments?: string[]; event_id?: string } }

/** The frames of a body, with an empty call id. */
export interface Frames {
  rejected: string | null
  output: string | null
  item: string | null
  event: string | null
}

export interface Server {
  /** Returns the response to a request. */
  ask(question: Question): Promise<unknown[]>
  /** Opens a connection that records its frames. */
  connect(): Socket & { readonly sent: (string | Uint8Array)[]; readonly received: (string | Uint8Array)[] }
  close(): void
}

const OPEN = 1

/** Starts the program, and builds it first if necessary. */
export function startServer(): Server {
  const args = ['--quiet', '-p', 'test-peers', '--bin', 'wire']
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  // A separate command, so that a failed build is reported at once.
  execFileSync('cargo', ['build', ...args], { cwd, stdio: 'inherit' })
  const child = spawn('cargo', ['run', ...args], { cwd, stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = linesOf(child.stdout)
  // Responses arrive in the order of the messages.
  let last: Promise<unknown> = Promise.resolve()

  function ask<Answer = Message>(message: Message | Question): Promise<Answer[]> {
    child.stdin.write(`${JSON.stringify(message)}\n`)
    const answer = last.then(async () => {
      const { value, done } = await lines.next()
      if (done) throw new Error('the Rust side has ended')
      const parsed = JSON.parse(value) as Answer[] | { error: string }
      if (!Array.isArray(parsed)) throw new Error(parsed.error)
      return parsed
    })
    last = answer.catch(() => undefined)
    return answer
  }

  return {
    ask,
    connect() {
      const listeners = new Set<(event: { data: unknown }) => void>()
      const sent: (string | Uint8Array)[] = []
      const received: (string | Uint8Array)[] = []
      return {
        sent,
        received,
        readyState: OPEN,
        addEventListener(type, listener) {
          if (type === 'message') listeners.add(listener)
        },
        removeEventListener(_, listener) {
          listeners.delete(listener)
        },
        send(message) {
          const frame = typeof message === 'string' ? message : bytesOf(message)
          sent.push(frame)
          const line: Message = typeof frame === 'string' ? { text: frame } : { binary: Buffer.from(frame).toString('base64') }
          void ask(line).then((answers) => {
            for (const answer of answers) {
              const data = 'text' in answer ? answer.text : new Uint8Array(Buffer.from(answer.binary, 'base64'))
              received.push(data)
              const event = { data: typeof data === 'string' ? data : data.buffer }
              for (const listener of listeners) listener(event)
            }
          })
        },
      }
    },
    close: () => child.stdin.end(),
  }
}

function bytesOf(message: ArrayBufferLike | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(message)
    ? new Uint8Array(message.buffer, message.byteOffset, message.byteLength)
    : new Uint8Array(message)
}

/** Splits lines. Not with readline of Node.js, which also splits at U+2028, and JSON may contain it. */
async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true })
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
}

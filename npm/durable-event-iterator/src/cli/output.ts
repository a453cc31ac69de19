import type { WriteStream } from 'node:tty'

import { plain } from './text.js'

/** The styles of texts in a terminal, as the numbers of SGR sequences. */
const STYLES = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39], blue: [34, 39], cyan: [36, 39] } as const

export type Style = keyof typeof STYLES

/** One of the two output streams. */
export class Output {
  readonly hasColors: boolean
  readonly #stream: NodeJS.WriteStream
  #outlivesReader = false
  #isClosed = false
  /** Ends the wait of a `line`. */
  #drained: () => void = () => {}

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
    // `hasColors` respects NO_COLOR, FORCE_COLOR and TERM.
    this.hasColors = stream.isTTY === true && (stream as WriteStream).hasColors()
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // The reader has ended, as `head` does.
      if (error.code === 'EPIPE') {
        if (!this.#outlivesReader) process.exit(process.exitCode ?? 0)
        this.#isClosed = true
        this.#drained()
        return
      }
      process.stderr.write(`durable-event-iterator: cannot write: ${error.message}\n`, () => process.exit(1))
    })
  }

  /** Discards what is written after the reader of the stream has ended. Without it, the process ends. */
  outliveReader(): void {
    this.#outlivesReader = true
  }

  /** Writes a line. Resolves when the stream accepts more. */
  async line(text = ''): Promise<void> {
    if (this.#isClosed || this.#stream.write(`${text}\n`)) return
    await new Promise<void>((resolve) => {
      this.#drained = resolve
      this.#stream.once('drain', resolve)
    })
  }

  /** Writes a value as one line of JSON. Control characters are escaped, also those that JSON allows. */
  json(value: unknown): Promise<void> {
    return this.line(JSON.stringify(value).replaceAll(/[\u007f-\u009f]/g, (character) => `\\u00${character.charCodeAt(0).toString(16)}`))
  }

  /** Resolves when everything is written. */
  flush(): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    return new Promise((resolve) => this.#stream.write('', () => resolve()))
  }

  /** Returns the text in a style, if the stream is a terminal with colors. Control characters are replaced. */
  style(style: Style, text: string): string {
    const [on, off] = STYLES[style]
    return this.hasColors ? `\u001b[${on}m${plain(text)}\u001b[${off}m` : plain(text)
  }
}

export const stdout = new Output(process.stdout)
export const stderr = new Output(process.stderr)

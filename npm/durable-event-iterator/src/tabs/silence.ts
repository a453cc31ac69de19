/**
 * Detects that the leading tab does not respond, such as a frozen tab.
 *
 * It counts steps instead of comparing times: after this tab was frozen itself, the leading tab has time to respond.
 */
export class Silence {
  readonly #interval: number
  readonly #ask: () => void
  readonly #onSilent: () => void
  #steps = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  /** @param timeout - The silence until `onSilent` is called, in milliseconds. Before, `ask` is called several times. */
  constructor(timeout: number, ask: () => void, onSilent: () => void) {
    this.#interval = timeout / STEPS
    this.#ask = ask
    this.#onSilent = onSilent
  }

  /** Called with each message of the leading tab. */
  heard(): void {
    this.#steps = 0
  }

  /** Asks at once, and again until a message arrives. */
  check(): void {
    this.stop()
    this.#ask()
    this.#wait()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #wait(): void {
    // Random, so that usually one tab asks or takes over before the others do.
    this.#timer = setTimeout(() => {
      this.#steps += 1
      if (this.#steps < STEPS) {
        if (this.#steps > 1) this.#ask()
        this.#wait()
      } else {
        this.#steps = 0
        this.#wait()
        this.#onSilent()
      }
    }, this.#interval * (1 + Math.random() / STEPS))
  }
}

const STEPS = 4

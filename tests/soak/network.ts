// Simulates the network events of browsers, which Node.js does not have.

import { setMaxListeners } from 'node:events'

/** The interval of `offline` events in a storm of `online` events. */
const OFFLINE_EVERY = 4

export class Network {
  readonly #target = new EventTarget()
  readonly #storms = new Set<ReturnType<typeof setInterval>>()

  constructor() {
    // All clients of a run add listeners.
    setMaxListeners(0, this.#target)
  }

  /** Installs the events for clients that connect from now on. */
  install(): void {
    const target = this.#target
    Object.assign(globalThis, {
      addEventListener: target.addEventListener.bind(target),
      removeEventListener: target.removeEventListener.bind(target),
    })
  }

  uninstall(): void {
    this.calm()
    Reflect.deleteProperty(globalThis, 'addEventListener')
    Reflect.deleteProperty(globalThis, 'removeEventListener')
  }

  /** Reports for `duration` milliseconds that the network is available, once per `interval` milliseconds. */
  storm(duration: number, interval: number): void {
    const end = Date.now() + duration
    let count = 0
    const storm = setInterval(() => {
      if (count++ % OFFLINE_EVERY === 0) this.#target.dispatchEvent(new Event('offline'))
      this.#target.dispatchEvent(new Event('online'))
      if (Date.now() < end) return
      clearInterval(storm)
      this.#storms.delete(storm)
    }, interval)
    this.#storms.add(storm)
  }

  /** Ends all storms. */
  calm(): void {
    for (const storm of this.#storms) clearInterval(storm)
    this.#storms.clear()
  }
}

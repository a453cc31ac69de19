import type { SocketEvent, SocketLike } from './socket-source.js'

type Type = Parameters<SocketLike['addEventListener']>[0]
type Listener = (event: SocketEvent) => void

/** The part of a socket with the listeners. */
export abstract class EmittingSocket {
  binaryType = 'arraybuffer'
  readonly #listeners = new Map<Type, Listener[]>()

  addEventListener(type: Type, listener: Listener): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener])
  }

  protected dispatch(type: Type, event: SocketEvent): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event)
  }
}

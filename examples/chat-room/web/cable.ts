// Simulates a network cable that can be cut, to demonstrate reconnecting.

let isCut = false
let restored = Promise.resolve()
let restore = (): void => {}
const open = new Set<WebSocket>()
let requests = new AbortController()

/** A WebSocket that loses its connection when the cable is cut. */
export class CuttableWebSocket extends WebSocket {
  constructor(url: string | URL, protocols?: string | string[]) {
    super(url, protocols)
    open.add(this)
    this.addEventListener('close', () => open.delete(this))
    if (isCut) this.close()
  }
}

/** Sends a request that fails when the cable is cut. */
export const cuttableFetch: typeof fetch = async (target, { signal, ...init } = {}) => {
  if (isCut) throw new TypeError('the cable is cut')
  return fetch(target, { ...init, signal: AbortSignal.any([requests.signal, ...(signal ? [signal] : [])]) })
}

export function isWhole(): boolean {
  return !isCut
}

/** Ends all WebSockets and requests, and prevents new ones until `mend`. */
export function cut(): void {
  if (isCut) return
  isCut = true
  requests.abort(new TypeError('the cable was cut'))
  requests = new AbortController()
  restored = new Promise((resolve) => {
    restore = resolve
  })
  for (const socket of open) socket.close()
}

export function mend(): void {
  if (!isCut) return
  isCut = false
  restore()
  // Browsers dispatch this event when a network is available again: the client then shortens its delay.
  dispatchEvent(new Event('online'))
}

/** Resolves when the cable is not cut. */
export function whole(): Promise<void> {
  return restored
}

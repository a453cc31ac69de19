// A network cable to pull, so that one can see what happens then.

let isCut = false
let restored = Promise.resolve()
let restore = (): void => {}
const open = new Set<WebSocket>()

/** A WebSocket that breaks when the cable is cut. */
export class CuttableWebSocket extends WebSocket {
  constructor(url: string | URL, protocols?: string | string[]) {
    super(url, protocols)
    open.add(this)
    this.addEventListener('close', () => open.delete(this))
    if (isCut) this.close()
  }
}

/** Breaks all WebSockets, and lets no new ones through until `mend`. */
export function cut(): void {
  if (isCut) return
  isCut = true
  restored = new Promise((resolve) => {
    restore = resolve
  })
  for (const socket of open) socket.close()
}

export function mend(): void {
  if (!isCut) return
  isCut = false
  restore()
  // As the browser does when a network is back: what waits for its next try need not wait any longer.
  dispatchEvent(new Event('online'))
}

/** Resolves when the cable is whole. */
export function whole(): Promise<void> {
  return restored
}

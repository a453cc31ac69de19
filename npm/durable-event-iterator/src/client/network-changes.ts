/**
 * What the environment reports about the network and the page:
 * - `better`: the network may work again. The browser is online, or the page is visible.
 * - `worse`: the browser is offline.
 * - `left`: the page leaves the screen, for good, or for the back/forward cache, which does not take pages with an open WebSocket.
 * - `returned`: the page returns from the back/forward cache, or runs again after it was frozen.
 */
export type NetworkChange = 'better' | 'worse' | 'left' | 'returned'

/**
 * Calls the listener when the network has probably changed. In environments without these events, it is never called.
 *
 * @returns A function that removes the listener.
 */
export function onNetworkChange(listener: (change: NetworkChange) => void): () => void {
  const scope = globalThis as Scope
  const { document } = scope
  const listeners: [target: Partial<Target> | null | undefined, type: string, listener: (event: { persisted?: boolean }) => void][] = [
    [scope, 'online', () => listener('better')],
    [scope, 'offline', () => listener('worse')],
    [scope, 'pagehide', () => listener('left')],
    [scope, 'pageshow', ({ persisted }) => listener(persisted ? 'returned' : 'better')],
    [document, 'resume', () => listener('returned')],
    [document, 'visibilitychange', () => document?.visibilityState === 'visible' && listener('better')],
  ]
  for (const [target, type, listener] of listeners) target?.addEventListener?.(type, listener as EventListener)
  return () => {
    for (const [target, type, listener] of listeners) target?.removeEventListener?.(type, listener as EventListener)
  }
}

/** The global scope. Pages, workers, React Native, test environments and servers have different parts of it. */
interface Scope extends Partial<Target> {
  readonly document?: (Partial<Target> & { readonly visibilityState?: string }) | null | undefined
}

type Target = Pick<EventTarget, 'addEventListener' | 'removeEventListener'>

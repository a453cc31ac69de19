/** What the environment reports about the network and the page. */
export interface NetworkListener {
  /** The network may work again: the browser is online, or the page is visible. */
  onBetter(): void
  /** The browser is offline. */
  onWorse(): void
  /** The page leaves the screen: for good, or for the back/forward cache, which does not take pages with an open WebSocket. */
  onLeave(): void
  /** The page returns from the back/forward cache, or runs again after it was frozen. */
  onReturn(): void
}

/**
 * Calls the listener when the network has probably changed. In environments without these events, it is never called.
 *
 * @returns A function that removes the listener.
 */
export function onNetworkChange({ onBetter, onWorse, onLeave, onReturn }: NetworkListener): () => void {
  const scope = globalThis as Scope
  const { document } = scope
  const listeners: [target: Partial<Target> | null | undefined, type: string, listener: (event: { persisted?: boolean }) => void][] = [
    [scope, 'online', onBetter],
    [scope, 'offline', onWorse],
    [scope, 'pagehide', onLeave],
    [scope, 'pageshow', ({ persisted }) => (persisted ? onReturn() : onBetter())],
    [document, 'resume', onReturn],
    [document, 'visibilitychange', () => document?.visibilityState === 'visible' && onBetter()],
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

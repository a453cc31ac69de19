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
  const removers = [
    listen(scope, 'online', onBetter),
    listen(scope, 'offline', onWorse),
    listen(scope, 'pagehide', onLeave),
    listen(scope, 'pageshow', ({ persisted }) => (persisted === true ? onReturn() : onBetter())),
    listen(document, 'resume', onReturn),
    listen(document, 'visibilitychange', () => {
      if (document?.visibilityState === 'visible') onBetter()
    }),
  ]
  return () => {
    for (const remove of removers) remove()
  }
}

/** The global scope. Pages, workers, React Native, test environments and servers have different parts of it. */
interface Scope extends Partial<Target> {
  readonly document?: (Partial<Target> & { readonly visibilityState?: string }) | undefined
}

type Target = Pick<EventTarget, 'addEventListener' | 'removeEventListener'>

function listen(target: Partial<Target> | undefined, type: string, listener: (event: { persisted?: boolean }) => void): () => void {
  if (typeof target?.addEventListener !== 'function') return () => {}
  target.addEventListener(type, listener as EventListener)
  return () => target.removeEventListener?.(type, listener as EventListener)
}

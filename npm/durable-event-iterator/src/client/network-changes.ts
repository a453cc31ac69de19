/**
 * Calls the listener when the network has probably changed: the browser is online or offline, or the page becomes visible after
 * a time in which its timers may have been suspended. In environments without these events, the listener is never called.
 *
 * @returns A function that removes the listener.
 */
export function onNetworkChange(listener: (change: 'better' | 'worse') => void): () => void {
  const scope = globalThis as Scope
  const better = (): void => listener('better')
  const removers = [
    listen(scope, 'online', better),
    listen(scope, 'offline', () => listener('worse')),
    listen(scope, 'pageshow', better),
    listen(scope.document, 'visibilitychange', () => {
      if (scope.document?.visibilityState === 'visible') better()
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

function listen(target: Partial<Target> | undefined, type: string, listener: () => void): () => void {
  if (typeof target?.addEventListener !== 'function') return () => {}
  target.addEventListener(type, listener)
  return () => target.removeEventListener?.(type, listener)
}

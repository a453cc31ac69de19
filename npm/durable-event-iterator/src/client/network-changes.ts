/**
 * Reports when the state of the network has probably changed: the browser is online or offline, or the page is shown again
 * after a time in which its timers were suspended. Without a page or a worker that has such events, it never does.
 *
 * @returns What stops it.
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

/** What may be there. React Native, workers, test environments and servers each have other parts of it. */
interface Scope extends Partial<Target> {
  readonly document?: (Partial<Target> & { readonly visibilityState?: string }) | undefined
}

type Target = Pick<EventTarget, 'addEventListener' | 'removeEventListener'>

function listen(target: Partial<Target> | undefined, type: string, listener: () => void): () => void {
  if (typeof target?.addEventListener !== 'function') return () => {}
  target.addEventListener(type, listener)
  return () => target.removeEventListener?.(type, listener)
}

/**
 * Tells when the state of the network has probably changed: the browser went on- or offline, or the page is shown again
 * after a time in which its timers stood still. Where there is no page, never.
 *
 * @returns What ends it.
 */
export function onNetworkChange(listener: (change: 'better' | 'worse') => void): () => void {
  const target = globalThis as Partial<Pick<Window, 'addEventListener' | 'removeEventListener' | 'document'>>
  if (target.addEventListener === undefined) return () => {}
  const listeners = new AbortController()
  const { signal } = listeners
  target.addEventListener('online', () => listener('better'), { signal })
  target.addEventListener('offline', () => listener('worse'), { signal })
  target.document?.addEventListener(
    'visibilitychange',
    () => {
      if (target.document?.visibilityState === 'visible') listener('better')
    },
    { signal },
  )
  return () => listeners.abort()
}

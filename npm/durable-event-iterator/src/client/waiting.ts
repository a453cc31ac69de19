/** Resolves after a time in milliseconds, or at once when the signal is aborted. */
export function delay(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve()
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', finish)
      resolve()
    }
    const timer = setTimeout(finish, milliseconds)
    signal?.addEventListener('abort', finish)
  })
}

/**
 * Settles like the promise. Rejects with the result of `tooLate` after a time limit, or with the reason of the signal when it
 * is aborted.
 */
export function within<T>(
  milliseconds: number,
  tooLate: () => unknown,
  signal: AbortSignal | undefined,
  promise: Promise<T>,
): Promise<T> {
  if (signal?.aborted === true) {
    promise.catch(() => {})
    return Promise.reject(signal.reason)
  }
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal?.reason)
    const timer = setTimeout(() => reject(tooLate()), milliseconds)
    signal?.addEventListener('abort', abort)
    promise.then(resolve, reject).finally(() => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    })
  })
}

/** What this package itself reports, as opposed to an oRPC server or an object. */
export class DurableIteratorError extends Error {
  override readonly name: string = 'DurableIteratorError'
}

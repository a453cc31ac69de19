/** An error that this package itself reports, as opposed to an error of the oRPC server or of the Durable Object. */
export class DurableIteratorError extends Error {
  override readonly name: string = 'DurableIteratorError'
}

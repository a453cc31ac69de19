/**
 * Calls `publish` or another RPC method of a Durable Object written in Rust. Errors of the Durable Object have their
 * properties (`code`, `status`, `data`, `failure`) at every compatibility date.
 *
 * A direct call, such as `stub.publish(event)`, throws errors with these properties only if both Workers have a compatibility
 * date of 2026-04-21 or later. Otherwise the Workers runtime removes the properties: the error is a plain `Error` whose message
 * begins with `ORPCError: `.
 *
 * @typeParam TResult - The result of the RPC method. It is not checked.
 *
 * @example
 * ```ts
 * try {
 *   const { id } = await callStub<Published>(env.CHAT_ROOM.getByName('some-room'), 'publish', { message: 'Hello' })
 * } catch (error) {
 *   if (error instanceof StubError && error.code === 'PAYLOAD_TOO_LARGE') …
 *   else throw error
 * }
 * ```
 *
 * @throws {StubError} When the RPC method fails with an error of its own. Other errors are those of the Workers runtime: the
 * Durable Object cannot be reached, or it has crashed.
 */
export async function callStub<TResult>(stub: object, method: string, ...args: readonly unknown[]): Promise<TResult> {
  const { error, value } = await settle(stub, method, args)
  if (error !== undefined) throw new StubError(error)
  return value as TResult
}

/** An error of a Durable Object written in Rust, thrown by {@link callStub}. */
export class StubError extends Error {
  override readonly name: string = 'ORPCError'
  /** The error code, such as `BAD_REQUEST`, or a custom code. */
  readonly code: string
  /** The HTTP status, 400 to 599. */
  readonly status: number
  /** The data of the error, if it has any. */
  readonly data: unknown
  /** The reason why an event was not published, such as `EventTooLarge`. */
  readonly failure: string | undefined

  constructor({ message, code, status, data, failure }: SettledError) {
    super(message)
    this.code = code
    this.status = status
    this.data = data
    this.failure = failure
  }
}

interface SettledError {
  readonly message: string
  readonly code: string
  readonly status: number
  readonly data?: unknown
  readonly failure?: string | undefined
}

interface Settled {
  readonly value?: unknown
  readonly error?: SettledError
}

type Methods = Record<string, (...args: readonly unknown[]) => Promise<unknown>>

async function settle(stub: object, method: string, args: readonly unknown[]): Promise<Settled> {
  const methods = stub as Methods
  const settled = await methods['~settle']?.(method, args).catch((error: unknown) => {
    // The class has no `~settle`: it is of an earlier version or another library. Nothing has been called yet.
    if (error instanceof TypeError && error.message.includes('~settle')) return undefined
    throw error
  })
  // Undefined if the Rust class does not define the RPC method: a JavaScript class that extends it may.
  return (settled as Settled | undefined) ?? { value: await methods[method]?.(...args) }
}

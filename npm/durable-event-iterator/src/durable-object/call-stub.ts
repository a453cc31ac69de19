/**
 * Calls an RPC method of a Durable Object written in Rust, `publish` included, and throws its errors with their properties
 * (`code`, `status`, `data`, `failure`) whatever the compatibility dates.
 *
 * `stub.publish(event)` itself does so if both Workers have a compatibility date of 2026-04-21 or later. With an earlier date
 * on either side, the runtime takes the properties off: the error that arrives is a plain `Error` whose message begins with
 * `ORPCError: `.
 *
 * @example
 * ```ts
 * try {
 *   const id = await callStub<string>(env.CHAT_ROOM.getByName('some-room'), 'publish', { message: 'Hello' })
 * } catch (error) {
 *   if (error instanceof StubError && error.code === 'PAYLOAD_TOO_LARGE') …
 *   else throw error
 * }
 * ```
 *
 * @throws {StubError} What the Durable Object has thrown. Anything else is the runtime's: the Durable Object could not be
 * reached, or has failed unexpectedly.
 */
export async function callStub<TResult>(stub: object, method: string, ...args: readonly unknown[]): Promise<TResult> {
  const { error, value } = await settle(stub, method, args)
  if (error !== undefined) throw new StubError(error)
  return value as TResult
}

/** An error of a Durable Object written in Rust, as its stub's caller gets it. */
export class StubError extends Error {
  override readonly name: string = 'ORPCError'
  /** Such as `BAD_REQUEST`, or a custom one. */
  readonly code: string
  /** HTTP status, 400 to 599. */
  readonly status: number
  readonly data: unknown
  /** Why an event was not published, such as `EventTooLarge`. */
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
    // A class of an earlier version, or one that is not ours: nothing has run yet.
    if (error instanceof TypeError && error.message.includes('~settle')) return undefined
    throw error
  })
  // Undefined for methods that the Rust class does not define: a class in JavaScript that extends it may.
  return (settled as Settled | undefined) ?? { value: await methods[method]?.(...args) }
}

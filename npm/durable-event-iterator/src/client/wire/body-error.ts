/** A body that cannot be sent, or a received body that is malformed. */
export class BodyError extends TypeError {
  override readonly name = 'BodyError'

  /** @param cause - The error, or the rest of the message. */
  constructor(what: string, cause: unknown) {
    super(`${what}: ${(cause as Error | undefined)?.message ?? cause}`, { cause })
  }
}

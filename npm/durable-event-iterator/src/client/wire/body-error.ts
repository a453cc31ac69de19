/** A body that cannot be encoded, or that was received and is malformed. */
export class BodyError extends TypeError {
  override readonly name = 'BodyError'
}

/** Returns the error itself if it is a {@link BodyError}, and otherwise a new one with this cause. */
export function toBodyError(what: string, cause: unknown): BodyError {
  return cause instanceof BodyError ? cause : new BodyError(`${what}: ${String((cause as Error)?.message ?? cause)}`, { cause })
}

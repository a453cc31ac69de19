/** A failure that is explained by its message, which is printed without a stack trace. */
export class Failure extends Error {
  readonly exitCode: number = 1
}

/** Invalid arguments or settings. */
export class UsageError extends Failure {
  override readonly exitCode = 2
}

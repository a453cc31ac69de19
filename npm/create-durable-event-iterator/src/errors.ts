/** A failure that the user can fix. Its message is printed without a stack trace. */
export class UserError extends Error {
  readonly exitCode: number = 1
}

/** Invalid arguments. */
export class UsageError extends UserError {
  override readonly exitCode = 2
}

/** The user cancelled a prompt. */
export class CancelledError extends UserError {
  // By convention, the exit code after Ctrl+C.
  override readonly exitCode = 130

  constructor() {
    super('cancelled: no project was created')
  }
}

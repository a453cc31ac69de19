/** A value, or a function that returns it. */
type ValueOrFunction<TValue, TOptions> = TValue | PromiseLike<TValue> | ((options: TOptions) => TValue | PromiseLike<TValue>)

/** A call of a procedure over the socket. */
export interface ProcedureCallDetails {
  /** The path of the procedure, such as `['publishMessage']`. */
  readonly path: readonly string[]
  readonly input: unknown
}

/** A failed call of a procedure, before it is retried. */
export interface ProcedureCallFailure extends ProcedureCallDetails {
  readonly error: unknown
}

/** The context of a procedure call that oRPC's retry plugin reads, in oRPC 1.x and 2.x. */
export interface ProcedureRetryContext {
  /**
   * The maximum number of retries.
   *
   * @default 0
   */
  retry?: ValueOrFunction<number, ProcedureCallDetails>

  /**
   * The delay before a retry, in milliseconds.
   *
   * @default 0 after a lost connection, 2000 otherwise
   */
  retryDelay?: ValueOrFunction<number, ProcedureCallFailure>

  /**
   * Whether a failed call is retried.
   *
   * @default true, unless the Durable Object rejected the call
   */
  shouldRetry?: ValueOrFunction<boolean, ProcedureCallFailure>

  /** Called before each retry. The returned function is called with the result of the retry. */
  onRetry?: (failure: ProcedureCallFailure) => void | ((isSuccess: boolean) => void)
}

/**
 * The context of a procedure call: the context of oRPC's retry plugin.
 *
 * `iterator.publishMessage(input, { context: { retry: 3 } })` retries the call up to three times if the connection is lost or
 * the Durable Object cannot respond. Without `retry`, a call is sent once. After a lost connection it is unknown whether the
 * call took effect: use `retry` only for calls that may be executed twice.
 */
export interface ClientDurableEventIteratorRpcContext extends ProcedureRetryContext {}

/**
 * The context of a procedure call on a `ClientDurableIterator`. See {@link ClientDurableEventIteratorRpcContext}.
 *
 * To add properties for custom plugins and interceptors, extend the interface:
 * `declare module 'durable-event-iterator/orpc-v1' { interface ClientDurableIteratorRpcContext { … } }`, or with `orpc-v2`.
 */
export interface ClientDurableIteratorRpcContext extends ProcedureRetryContext {}

// The compiled core: `core/src/lib.rs`, with the members that `runtime/class.js` of the library defines.

import type { Published } from '../src/durable-object/channel-stub.ts'

export class Core {
  /** Without a `ctx`, the core can only `handle` requests. */
  constructor(ctx?: DurableObjectState, env?: unknown, hooks?: object)
  fetch(request: Request): Response | Promise<Response>
  webSocketMessage(ws: WebSocket, message: string | ArrayBuffer): void | Promise<void>
  webSocketClose(ws: WebSocket, code: number, reason: string, wasClean: boolean): void
  webSocketError(ws: WebSocket): void
  alarm(): void | Promise<void>
  /** Publishes an event that a stub has passed. Rejects with an error whose stack trace is not logged. */
  publish(event: unknown, options: unknown): Published | Promise<Published>
  /** Does the same for several events. */
  publishBatch(events: unknown, options: unknown): Promise<Published[]>
  /** Calls the trusted RPC method of the same name, and returns its parsed result. */
  stats(query?: unknown): Promise<unknown>
  connections(query?: unknown): Promise<unknown>
  members(): Promise<unknown>
  disconnect(options: unknown): Promise<unknown>
  revoke(options: unknown): Promise<unknown>
  /** Calls a method for a stub and returns its `ORPCError` as a value. */
  '~settle'(method: string, args: readonly unknown[]): Promise<{ value?: unknown; error?: object } | undefined>
  /** Handles an HTTP request that reads a channel. `options` is JSON: `EndpointOptions` of `object/embedding/endpoint.rs`. */
  handle(request: Request, namespace: object, options: string): Response | Promise<Response>
  /** Runs an operation. Throws an `Error` with the name, code, status and data of an `ORPCError`. */
  operate(operation: number, first?: unknown, second?: unknown, third?: unknown, fourth?: unknown): unknown
  /** Calls a function if the instance is lost, until the returned function is called. */
  untilLost(lost: () => void): () => void
  /** Responds to a call with an internal error. */
  fail(ws: WebSocket, id: string): void
  /** Does the same as `operate`, but returns a promise that is rejected. */
  operateOrReject(operation: number, first?: unknown, second?: unknown, third?: unknown, fourth?: unknown): unknown
}

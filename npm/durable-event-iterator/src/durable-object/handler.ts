import type { StandardHandlerOptions } from '@orpc/server/standard'

import type { CustomSerializer } from '../client/wire/serializer.js'
import type { Bodies, EncodedResponse } from './bodies.js'
import { createHandlerV1 } from './handler-v1.js'
import { createHandlerV2 } from './handler-v2.js'
import { isORPC2 } from './orpc-error.js'
import type { ErrorStatuses } from './orpc-error.js'

/** The context of the handler's interceptors and plugins. */
export interface DurableEventIteratorObjectContext {
  /** The Durable Object. */
  readonly object: object
  /** The socket of the calling client. */
  readonly websocket: WebSocket
}

/**
 * The options of the handler of calls: interceptors, plugins and custom JSON serializers. Interceptors and plugins are those of the
 * installed version of oRPC, 1.x or 2.x.
 */
export interface DurableEventIteratorObjectHandlerOptions extends StandardHandlerOptions<DurableEventIteratorObjectContext> {
  /** Custom types of events, attachments, inputs and outputs, in the form of oRPC 1.x. Clients need the same. */
  customJsonSerializers?: readonly CustomSerializer[] | undefined
  /**
   * The HTTP statuses of custom error codes, from 400 to 599. Clients retry calls according to the status. Only for oRPC 2.x, whose
   * errors have no status. Default for other codes: the status that oRPC defines, or 500.
   */
  errorStatusMap?: ErrorStatuses | undefined
}

/** A call as a request to the only procedure of the handler. */
export interface CallRequest {
  readonly headers: Record<string, string[]>
  readonly signal: AbortSignal
  /** Returns the path and the input in encoded form. */
  body(): Promise<unknown>
}

/** Runs a call with the interceptors and plugins. Returns undefined if one of them has not passed it on. */
export type CallHandler = (request: CallRequest, context: object) => Promise<EncodedResponse | undefined>

/** The name of the handler's only procedure. */
export const PROCEDURE = 'call'

/** Creates the handler of the installed version of oRPC. The procedure receives the path and the input. */
export function createHandler(procedure: object, bodies: Bodies, options: object): CallHandler {
  return isORPC2() ? createHandlerV2(procedure, bodies, options) : createHandlerV1(procedure, bodies, options)
}

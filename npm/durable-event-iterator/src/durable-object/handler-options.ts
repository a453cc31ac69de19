import type { StandardHandlerOptions } from '@orpc/server/standard'

import type { CustomSerializer } from '../client/wire/serializer.js'
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

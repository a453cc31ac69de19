/**
 * The client: subscribes to the events of a channel, and calls the procedures of its Durable Object. It needs no other package.
 *
 * @module
 */

export { DurableIteratorError } from '../error.js'
export type { CallOptions } from './call.js'
export { DurableEventIteratorConnectionError } from './connection-error.js'
export type {
  DurableEventIteratorConnectionErrorOptions,
  DurableEventIteratorConnectionErrorReason,
} from './connection-error.js'
export { getEventMeta } from './event-meta.js'
export type { SubscriptionGap, SubscriptionHooks, SubscriptionState, SubscriptionStateDetails } from './hooks.js'
export type { ConnectingOptions, LoadState, RefreshOptions, SubscribeOptions, UrlValue } from './options.js'
export { isPresenceEvent, PresenceMembers } from './presence.js'
export type { PresenceEvent, PresenceMember } from './presence.js'
export { ProcedureError } from './procedure-error.js'
export type { SocketEvent, SocketInfo, SocketLayer, SocketLike, SocketSource, Transport, WebSocketClass } from './socket-source.js'
export { subscribe } from './subscription.js'
export type { NoProcedures, Procedures, Subscription, SubscriptionEvent, SubscriptionProcedures } from './subscription.js'
export type { EventMeta } from './wire/peer.js'
export type { CustomSerializer } from './wire/serializer.js'

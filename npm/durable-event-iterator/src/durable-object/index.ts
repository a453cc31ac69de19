/**
 * For Workers in TypeScript: the Durable Object classes to extend, the upgrade of WebSocket requests, and the types of stubs.
 *
 * @module
 */

export { withEventMeta } from '@orpc/server'

export { DurableEventIteratorConnectionError } from '../client/connection-error.js'
export { getEventMeta } from '../client/event-meta.js'
export type { SubscriptionGap, SubscriptionState, SubscriptionStateDetails } from '../client/hooks.js'
export { readStub } from '../stub/read-stub.js'
export type { Page, ReadQuery } from '../stub/read-stub.js'
export { subscribeToStub } from '../stub/subscribe-to-stub.js'
export type { StubAudience, StubSubscription, SubscribeToStubOptions } from '../stub/subscribe-to-stub.js'
export type { DurableEventIteratorTokenPayload, DurableIteratorTokenPayload } from '../token/payload.js'
export type { Subscribed } from './base-object.js'
export { handleChannelRequest } from './channel-request.js'
export type { AccessKey, AccessRight, ChannelRequestCors, HandleChannelRequestOptions } from './channel-request.js'
export { callStub, StubError } from './call-stub.js'
export type {
  ChannelMember,
  ChannelMembers,
  ChannelStats,
  ChannelStub,
  Connection,
  ConnectionsPage,
  ConnectionsQuery,
  Disconnected,
  DisconnectOptions,
  Published,
  PublishOptions,
  RetainedEvents,
  RevokeOptions,
  SegmentStats,
  StatsQuery,
  TimelineBucket,
} from './channel-stub.js'
export type { SessionClaims } from './core.js'
export { DurableEventIteratorObject } from './durable-event-iterator-object.js'
export type {
  DurableEventIteratorObjectOptions,
  DurableEventIteratorPublishOptions,
  DurableEventIteratorWebsocketManager,
} from './durable-event-iterator-object.js'
export { DurableIteratorObject } from './durable-iterator-object.js'
export type { DurableIteratorObjectOptions, PublishEventOptions, SocketSelection } from './durable-iterator-object.js'
export type { DurableEventIteratorObjectContext, DurableEventIteratorObjectHandlerOptions } from './handler-options.js'
export { isPresenceEvent, PresenceMembers } from '../client/presence.js'
export type { PresenceEvent, PresenceMember } from '../client/presence.js'
export type { DurableEventIteratorObjectLimits, PresenceOptions } from './options.js'
export { upgradeDurableEventIteratorRequest, upgradeDurableIteratorRequest } from './upgrade.js'
export type {
  DurableEventIteratorNamespace,
  UpgradeDurableEventIteratorRequestInterceptor,
  UpgradeDurableEventIteratorRequestInterceptorOptions,
  UpgradeDurableEventIteratorRequestOptions,
  UpgradeDurableIteratorRequestInterceptor,
  UpgradeDurableIteratorRequestInterceptorOptions,
  UpgradeDurableIteratorRequestOptions,
} from './upgrade.js'
export { toDurableIteratorWebsocket } from './websockets.js'
export type { DurableIteratorWebsocket, DurableIteratorWebsocketInternal } from './websockets.js'

/**
 * For Workers and servers that reach a Durable Object only by its stub: the upgrade of WebSocket requests, `callStub`, and the types
 * of stubs. The same as in `durable-event-iterator/durable-object`, without the classes and the compiled core.
 *
 * @module
 */

export { callStub, StubError } from '../durable-object/call-stub.js'
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
} from '../durable-object/channel-stub.js'
export { upgradeDurableEventIteratorRequest, upgradeDurableIteratorRequest } from '../durable-object/upgrade.js'
export type {
  DurableEventIteratorNamespace,
  UpgradeDurableEventIteratorRequestInterceptor,
  UpgradeDurableEventIteratorRequestInterceptorOptions,
  UpgradeDurableEventIteratorRequestOptions,
  UpgradeDurableIteratorRequestInterceptor,
  UpgradeDurableIteratorRequestInterceptorOptions,
  UpgradeDurableIteratorRequestOptions,
} from '../durable-object/upgrade.js'
export { DurableEventIteratorConnectionError } from '../client/connection-error.js'
export { getEventMeta } from '../client/event-meta.js'
export type { SubscriptionGap, SubscriptionState, SubscriptionStateDetails } from '../client/hooks.js'
export { readStub } from './read-stub.js'
export type { Page, ReadQuery } from './read-stub.js'
export { subscribeToStub } from './subscribe-to-stub.js'
export type { StubAudience, StubSubscription, SubscribeToStubOptions } from './subscribe-to-stub.js'
export type { DurableEventIteratorTokenPayload, DurableIteratorTokenPayload } from '../token/payload.js'

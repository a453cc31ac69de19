/**
 * For a Worker in TypeScript: the upgrade of WebSocket requests to the Rust Durable Object of another script, and the types of
 * its stubs.
 *
 * @module
 */

export type { DurableEventIteratorObject, DurableIteratorObject } from '../object.js'
export type { DurableEventIteratorTokenPayload, DurableIteratorTokenPayload } from '../token/payload.js'
export { callStub, StubError } from './call-stub.js'
export type { ChannelStub, Published, PublishOptions } from './channel-stub.js'
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

/**
 * For a Worker in TypeScript that routes clients to the Rust Durable Object of another script, and calls its methods.
 *
 * @module
 */

export type { DurableEventIteratorObject, DurableIteratorObject } from '../object.js'
export type { DurableEventIteratorTokenPayload, DurableIteratorTokenPayload } from '../token/payload.js'
export { callStub, StubError } from './call-stub.js'
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

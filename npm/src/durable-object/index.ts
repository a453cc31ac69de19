/**
 * For a Worker in TypeScript that routes clients to the Rust object of another script.
 *
 * @module
 */

export type { DurableEventIteratorObject } from '../object.js'
export type { DurableEventIteratorTokenPayload } from '../token.js'
export { upgradeDurableEventIteratorRequest } from './upgrade.js'
export type {
  DurableEventIteratorNamespace,
  UpgradeDurableEventIteratorRequestInterceptor,
  UpgradeDurableEventIteratorRequestInterceptorOptions,
  UpgradeDurableEventIteratorRequestOptions,
} from './upgrade.js'

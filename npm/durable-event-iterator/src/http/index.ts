/**
 * For networks without WebSockets: a fallback to HTTP.
 *
 * @module
 */

export type { Fetch } from './door.js'
export { httpFallback } from './http-fallback.js'
export type { HttpFallbackOptions } from './http-fallback.js'

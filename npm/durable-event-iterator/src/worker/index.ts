/**
 * The generic Worker, built: a Worker without code of your own. It opens WebSockets at its root path, and publishes events that
 * are sent to it over HTTP.
 *
 * @example
 * ```ts
 * // The main module of the Worker. Its Durable Object namespace has the binding `CHANNEL`.
 * export { default, DurableEventIteratorObject } from 'durable-event-iterator/worker'
 * ```
 *
 * @module
 */

export { default, DurableEventIteratorObject } from '#worker'
export type { GenericWorkerEnv } from '#worker'

// What makes a class that wasm-bindgen exported into one that stubs may call, and only as far as they should.

import { DurableObject } from 'cloudflare:workers'

/** Names that the platform or JavaScript itself gives a meaning: no method of the application can take them. */
const RESERVED = new Set([
  'constructor', 'fetch', 'connect', 'alarm', 'webSocketMessage', 'webSocketClose', 'webSocketError',
  'publish', 'then', 'catch', 'finally', 'dup', 'free', '__proto__',
])

/**
 * Lets the class of `dummy` extend DurableObject, since a stub's methods are refused to any other class, and takes
 * away what wasm-bindgen leaves there for JavaScript's memory management: `stub.free()` would destroy the object.
 * The method behind `dispatch` is what the application's own methods are called through; it is not left reachable.
 * Answers with the names that could not be defined.
 */
export function extend(dummy, dispatch, methods) {
  const cls = dummy.constructor
  Object.setPrototypeOf(cls, DurableObject)
  Object.setPrototypeOf(cls.prototype, DurableObject.prototype)
  const call = cls.prototype[dispatch]
  for (const name of [dispatch, 'free', '__destroy_into_raw', Symbol.dispose]) {
    delete cls.prototype[name]
  }
  const refused = []
  for (const name of methods) {
    if (RESERVED.has(name)) {
      refused.push(name)
      continue
    }
    // Start functions run again when the WASM instance is rebuilt: hence configurable.
    Object.defineProperty(cls.prototype, name, {
      value(...args) {
        return call.call(this, name, args)
      },
      configurable: true,
    })
  }
  return refused
}

/** An error for a stub's caller. `failure` names what can be told apart besides the code. */
export function errorFor({ message, code, status, data, failure }) {
  const error = new Error(message)
  error.name = 'ORPCError'
  return Object.assign(error, { code, status }, data === undefined ? {} : { data }, failure === undefined ? {} : { failure })
}

// Distinguishes the loss of the WebAssembly instance from every other exception, by the origin of the exception.
//
// Entry points of WebAssembly never throw for an expected failure: they return a `Failure`. An exception that leaves one
// therefore means that WebAssembly has trapped (a panic, or its memory or stack is exhausted), or that the exception has unwound
// its frames, which corrupts its stack. wasm-bindgen detects both wherever WebAssembly is called, also from a timer or a
// promise, and the next call of one of its functions creates a new instance. Any other exception, regardless of its class and
// text, leaves the instance intact.

import { entering, instanceLost, recoverWork } from './hot.js'

/** The functions that fail the calls waiting for WebAssembly. */
const waiting = new Set()

/**
 * The failure of an entry point, which returns it instead of throwing. The caller gets an exception with these properties.
 * `failure` is a machine-readable reason that is more specific than `code`.
 */
export class Failure {
  constructor({ message = 'Internal server error', code = 'INTERNAL_SERVER_ERROR', status = 500, data, failure } = {}) {
    this.message = message
    this.properties = { name: 'ORPCError', code, status }
    if (data !== undefined) this.properties.data = data
    if (failure !== undefined) this.properties.failure = failure
  }

  /**
   * Returns a promise that is rejected with the exception. The Workers runtime logs every exception of an RPC method, including
   * expected ones. `wrangler dev` prints the stack trace that V8 captured when the error was created, and ignores the property
   * `stack`: the trace would show frames of this library. An error that a built-in function creates in a microtask has none.
   */
  rejection() {
    return Promise.resolve(this.message)
      .then(Error)
      .then((error) => {
        error.stack = `ORPCError: ${this.message}`
        throw Object.assign(error, this.properties)
      })
  }
}

/** Calls `fail` if the instance is lost, until the returned function is called. */
export function whileWaiting(fail) {
  waiting.add(fail)
  return () => waiting.delete(fail)
}

/** Creates a `Failure` for Rust. */
export const failureFor = (parts) => new Failure(parts)

/** A function of WebAssembly that does nothing. Called after a loss, it creates the new instance. */
let probe

/** The number of the instance to which the waiting calls belong. */
let instance

/**
 * Returns the state that `worker-build` keeps: `instanceId` changes with the instance, and `criticalError` makes its wrapper of
 * the class create a new instance.
 */
const state = () => globalThis.__worker_init_state

/** Sets the probe. Each start function calls this. */
export function watch(nothing) {
  probe ??= nothing
}

/** Creates a new instance if the current one is lost, and fails the calls that were waiting in it. Returns whether it was lost. */
function replaceIfLost() {
  try {
    probe()
    state().criticalError = false // a panic sets it, and the new instance exists
  } catch {
    state().criticalError = true
  }
  return forget()
}

/** Fails the waiting calls if their instance was lost. Returns whether it was. */
function forget() {
  const { instanceId } = state()
  if (instance === instanceId) return false
  const isFirst = instance === undefined
  instance = instanceId
  if (!isFirst) instanceLost()
  for (const fail of waiting) fail()
  waiting.clear()
  return !isFirst
}

/** The exception that has left an entry point and has not been handled, in a list. */
let unhandled

/** Calls an entry point. Returns a `Failure` if the instance is lost during the call. */
export function enter(entry, object, first, second, third, fourth, fifth) {
  if (unhandled !== undefined) handle()
  // worker-build's wrapper replaces the instance when one of its methods is called, such as this one, which does nothing. The classes
  // in TypeScript call others without the wrapper.
  if (state().criticalError) object['~settle']()
  forget()
  entering(object)
  try {
    return entry.call(object, first, second, third, fourth, fifth)
  } catch (error) {
    unhandled = [error]
    // After an overflow in a deep recursion of the application, the stack may have no room to handle it now.
    queueMicrotask(handle)
    handle()
    return new Failure()
  }
}

/** Handles an exception that has left an entry point, unless it has been handled. */
function handle() {
  if (unhandled === undefined) return
  const [error] = unhandled
  report(error)
  // After an overflow, wasm-bindgen may have had no room to mark the instance, whose frames are unwound.
  if (!replaceIfLost() && error instanceof RangeError) state().criticalError = true
  recoverWork() // now: the Durable Object may hibernate before the next call, and forget it
  unhandled = undefined
}

function report(error) {
  console.error('durable-event-iterator: the WebAssembly instance was lost and is replaced:', error)
}

/** Returns the result of an entry point. Throws a `Failure` unconverted, which only class.js catches. */
export function outcome(result) {
  if (result instanceof Failure) throw result
  return result instanceof Promise ? watched(result) : result
}

/** Returns the result of an entry point, or a promise that is rejected, for callers that see the exception (stubs and alarms). */
export function outcomeOrRejection(result) {
  return result instanceof Failure ? result.rejection() : outcome(result)
}

/** Returns the result of an entry point that returns no promise. Throws an `Error` with the properties of the failure. */
export function outcomeOrThrow(result) {
  if (result instanceof Failure) throw Object.assign(new Error(result.message), result.properties)
  return result
}

/** Wraps a promise of WebAssembly so that it is rejected if its instance is lost: it would never settle otherwise. */
function watched(promise) {
  return new Promise((resolve, reject) => {
    const fail = () => resolve(new Failure().rejection())
    waiting.add(fail)
    const settle = (settled) => (value) => {
      waiting.delete(fail)
      if (value instanceof Failure) resolve(value.rejection())
      else settled(value)
    }
    promise.then(settle(resolve), settle(reject))
  })
}

/** Returns whether a function of WebAssembly is on the call stack. */
function isWithin() {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = Number.POSITIVE_INFINITY
  const { stack } = new Error()
  Error.stackTraceLimit = stackTraceLimit
  return /\bwasm:/.test(stack)
}

// Tasks of WebAssembly run in their own turns of the event loop, where only this listener sees an exception.
addEventListener('error', (event) => {
  // worker-build's wrapper of the class treats every error of this class as the loss of its instance.
  if (event.error instanceof WebAssembly.RuntimeError) event.stopImmediatePropagation()
  // During a call of WebAssembly, `enter` handles the exception.
  if (probe === undefined || isWithin()) return
  if (replaceIfLost()) report(event.error)
})

/** Returns the message of any thrown value. Never throws. */
export function textOf(thrown) {
  try {
    const text = thrown instanceof Error ? thrown.message : thrown
    if (typeof text === 'string') return text
  } catch {} // a getter, or a Proxy
  return 'an exception that is not an Error'
}

/** Returns whether the Workers runtime marks the exception as temporary, so that a later retry may succeed. */
export function isTransient(thrown) {
  try {
    return thrown.retryable === true || thrown.overloaded === true
  } catch {
    return false
  }
}

// Tells the loss of the WebAssembly instance from every other exception, by where the exception came from.
//
// Entry points of WebAssembly never throw for an expected failure: they return a `Failure`. So an exception that leaves one
// means that WebAssembly has trapped (a panic, or the end of its memory or its stack), or that the exception has unwound its
// frames, which leaves its stack in disorder. wasm-bindgen notices either wherever WebAssembly is called, also by a timer or a
// promise, and the next call of one of its functions makes a new instance. Any other exception, whatever its class or its
// text, says nothing about the instance.

import { instanceLost } from './hot.js'

/**
 * What an entry point returns instead of throwing: its caller gets an exception with these properties. `failure` names what can
 * be told apart besides the code.
 */
export class Failure {
  constructor({ message = 'Internal server error', code = 'INTERNAL_SERVER_ERROR', status = 500, data, failure } = {}) {
    this.message = message
    this.properties = { name: 'ORPCError', code, status }
    if (data !== undefined) this.properties.data = data
    if (failure !== undefined) this.properties.failure = failure
  }

  /**
   * A promise that is rejected with the exception. The runtime logs every exception of an RPC method, including expected ones.
   * `wrangler dev` prints the stack trace that V8 captured when the error was created, whatever its property `stack` is: here
   * that would be frames of this library. An error that a microtask creates by a built-in function has an empty one.
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

/** For WebAssembly. */
export const failureFor = (parts) => new Failure(parts)

/** What fails each call that waits for WebAssembly. */
const waiting = new Set()

/** A function of WebAssembly that does nothing: called after a loss, it makes the new instance. */
let probe

/** The number of the instance that the waiting calls are of. */
let instance

/** Of the crate `worker`: `instanceId` changes with the instance, `criticalError` asks its wrapper of the class for a new one. */
const state = () => globalThis.__worker_init_state

/** Called by each start function. */
export function watch(nothing) {
  probe ??= nothing
}

/** Makes a new instance if the present one is lost, and fails the calls that waited in it. */
function renew() {
  try {
    probe()
    state().criticalError = false // what a panic has asked for is done
  } catch {
    state().criticalError = true
  }
  return forget()
}

/** Fails the calls of an instance that is lost. */
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

/** Calls an entry point. Where the instance is lost in the call, returns a `Failure` too. */
export function enter(entry, object, first, second, third, fourth) {
  forget()
  try {
    return entry.call(object, first, second, third, fourth)
  } catch (error) {
    report(error)
    renew()
    return new Failure()
  }
}

function report(error) {
  console.error('durable-event-iterator: the WebAssembly instance is lost and made anew:', error)
}

/** What an entry point has returned. Throws a `Failure` as it is, which only class.js sees. */
export function outcome(result) {
  if (result instanceof Failure) throw result
  return result instanceof Promise ? watched(result) : result
}

/** What an entry point has returned, where somebody sees the exception: the caller of a stub, or the log of an alarm. */
export function outcomeOrRejection(result) {
  return result instanceof Failure ? result.rejection() : outcome(result)
}

/** A promise of WebAssembly, which would never be settled once its instance is lost. */
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

/** Whether this is called, by whatever detour, by a function of WebAssembly. */
function isWithin() {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = Number.POSITIVE_INFINITY
  const { stack } = new Error()
  Error.stackTraceLimit = stackTraceLimit
  return /\bwasm:/.test(stack)
}

// Tasks of WebAssembly run in turns of their own, where nobody but this sees an exception.
addEventListener('error', (event) => {
  // worker-build's wrapper of the class takes any error of this class for the loss of its instance.
  if (event.error instanceof WebAssembly.RuntimeError) event.stopImmediatePropagation()
  // Within a call of WebAssembly, the end of that call decides.
  if (probe === undefined || isWithin()) return
  if (renew()) report(event.error)
})

/** What can be said of anything that was thrown, without throwing. */
export function textOf(thrown) {
  try {
    const text = thrown instanceof Error ? thrown.message : thrown
    if (typeof text === 'string') return text
  } catch {} // a getter, or a Proxy
  return 'an exception that is not an Error'
}

/** Whether the runtime says that trying again later may succeed. */
export function isTransient(thrown) {
  try {
    return thrown.retryable === true || thrown.overloaded === true
  } catch {
    return false
  }
}

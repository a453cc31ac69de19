// Turns a class that wasm-bindgen exported into a Durable Object class, and limits what stubs can call on it. The event handlers
// of the Workers runtime are defined here: they pass messages to WASM with little overhead, and fail the waiting calls after a trap.

import { DurableObject } from 'cloudflare:workers'

import { enter, outcome, outcomeOrRejection, outcomeOrThrow, watch, whileWaiting } from './exceptions.js'
import { close, interrupt, idOf, replaying, WAKE } from './hot.js'

/** Names with a meaning for the Workers runtime or JavaScript. The application cannot define RPC methods with these names. */
const RESERVED = new Set([
  'constructor', 'fetch', 'connect', 'alarm', 'webSocketMessage', 'webSocketClose', 'webSocketError',
  'publish', 'publishBatch', 'stats', 'members', 'connections', 'disconnect', 'revoke',
  'then', 'catch', 'finally', 'dup', 'free', '__proto__',
])

/** The methods that only the library calls, from Workers: see object/host/trusted/mod.rs. They are no members of the class. */
const TRUSTED_METHODS = new Set([
  '~token', '~read', '~stats', '~connections', '~members', '~disconnect', '~revoke', '~publishBatch',
])

/** The RPC methods of every class that return the parsed result of the trusted method of the same name. */
const PUBLIC_METHODS = ['stats', 'connections', 'members', 'disconnect', 'revoke']

/** The entry points of `__enter`, as in object/instance.rs. */
const MAX_FRAME = 0
const FETCH = 1
const CLOSE = 2
const ERROR = 3
const ALARM = 4
const PUBLISH = 5
const METHOD = 6
const LOST = 7
const PUBLISH_BATCH = 10
const TRUSTED = 11
const PRESENCE = 12

/** The classes that have been extended. Start functions run again for a new WASM instance, but the class stays the same. */
const extended = new WeakSet()

/** `WebSocket.OPEN`, a ready state (WHATWG WebSockets Standard). */
const OPEN = 1

/** Close codes "message too big" and "internal error" (RFC 6455, section 7.4.1). */
const TOO_BIG = 1009
const INTERNAL_ERROR = 1011

/** Separates the JSON of a binary message from its attached bytes, as in crates/durable-event-wire/src/frame/mod.rs. */
const DELIMITER = 0xff

/** The property of an instance that contains the maximum size of its messages, in bytes. */
const maxFrame = Symbol('maxFrame')

/** The ids of the calls whose response is a stream that has begun, by socket. */
const streams = new WeakMap()

/** Records that the response to a call is a stream whose items follow. */
export function beginStream(ws, id) {
  const begun = streams.get(ws)
  if (begun === undefined) streams.set(ws, new Set([id]))
  else begun.add(id)
}

/** Records that the stream of a call has ended or was aborted. */
export function endStream(ws, id) {
  streams.get(ws)?.delete(id)
}

/** The sockets whose end was handled: the Workers runtime may report it twice, as a failure and as a close. */
const gone = new WeakSet()

/** Closes the socket of a publisher's subscriber if the rest of its replay, a promise or undefined, fails: see `fail`. */
export function watchReplay(ws, rest) {
  if (rest instanceof Promise) outcome(rest).catch(() => interrupt(ws))
}

/** Responds to a call with an internal error, without its cause. Does nothing if `id` is undefined: the message was not a call. */
function fail(ws, id) {
  if (id === undefined) return
  try {
    if (replaying.get(ws) === id) return interrupt(ws)
    const json = { defined: false, code: 'INTERNAL_SERVER_ERROR', status: 500, message: 'Internal server error' }
    const hasBegun = streams.get(ws)?.delete(id)
    ws.send(JSON.stringify(hasBegun ? { i: id, t: 3, p: { e: 'error', d: { json } } } : { i: id, p: { s: 500, b: { json } } }))
  } catch {} // the socket has closed
}

/** Matches the beginning of the messages with which oRPC's clients make calls. */
const CALL = /^\{"i":("[^"\\]{1,64}"),"p":/

/**
 * Returns the id of a call, or undefined if the message is not a call. The id is a copy: a substring would keep the whole
 * message in memory while the call waits.
 */
function callOf(frame) {
  try {
    const text = typeof frame === 'string' ? frame : jsonOf(new Uint8Array(frame))
    const id = CALL.exec(text)?.[1]
    if (id !== undefined) return JSON.parse(id)
    const { i, t } = JSON.parse(text)
    return typeof i === 'string' && t === undefined ? i : undefined
  } catch {} // not a valid message
}

/** Returns the JSON of a binary message, which ends before the delimiter. */
function jsonOf(bytes) {
  const end = bytes.indexOf(DELIMITER)
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end))
}

/**
 * Makes the class of `dummy` extend `DurableObject`, which RPC requires, and defines its event handlers and RPC methods.
 * Returns the method names that are reserved and could not be defined. The memory management methods of wasm-bindgen are
 * removed: `stub.free()` would destroy the instance.
 */
export function extend(dummy, methods) {
  const cls = dummy.constructor
  if (extended.has(cls)) return []
  extended.add(cls)
  const { __text: text, __bytes: bytes, __enter: inner, __operate: operate, __handle: handle } = cls.prototype
  watch(cls.__nothing)
  Object.setPrototypeOf(cls, DurableObject)
  Object.setPrototypeOf(cls.prototype, DurableObject.prototype)
  // All members, since wasm-bindgen may rename its own.
  for (const name of Reflect.ownKeys(cls.prototype)) if (name !== 'constructor') delete cls.prototype[name]
  delete cls.__nothing
  const define = (method, value) => {
    // worker-build's wrapper of the class makes a method async unless its constructor is the global `Function`, which Cloudflare's
    // vitest plugin replaces.
    Object.defineProperty(value, 'constructor', { get: () => Function })
    Object.defineProperty(cls.prototype, method, { value })
  }

  const call = (object, entry, first, second) => outcome(enter(inner, object, entry, first, second))
  const callOrReject = (object, entry, first, second) => outcomeOrRejection(enter(inner, object, entry, first, second))

  define('webSocketMessage', function (ws, frame) {
    // The runtime delivers what a client sends until it has responded to the close frame.
    if (ws.readyState !== OPEN) return
    const isText = typeof frame === 'string'
    const size = isText ? frame.length : (frame?.byteLength ?? Number.POSITIVE_INFINITY)
    try {
      // Of the instance: all classes in TypeScript have cores of the same class.
      this[maxFrame] ??= call(this, MAX_FRAME)
      // Checked before the message enters WASM, whose memory never shrinks.
      if (size > this[maxFrame]) return void close(ws, TOO_BIG, 'Frame too large')
      const result = isText
        ? enter(text, this, ws, idOf(ws), Date.now(), frame)
        : enter(bytes, this, ws, idOf(ws), Date.now(), new Uint8Array(frame))
      if (result === undefined) return // most calls are complete here
      const id = callOf(frame)
      return outcome(result)?.catch(() => fail(ws, id))
    } catch {
      fail(ws, callOf(frame))
    }
  })
  define('fetch', function (request) {
    const failed = () => new Response('Internal Server Error', { status: 500 })
    try {
      const response = call(this, FETCH, request)
      return response instanceof Promise ? response.catch(failed) : response
    } catch {
      return failed()
    }
  })
  define('webSocketClose', function (ws, code, reason, wasClean) {
    if (wasClean) closed(this, CLOSE, ws, code)
    else closed(this, LOST, ws)
  })
  define('webSocketError', function (ws) {
    closed(this, ERROR, ws)
  })
  function closed(object, entry, ws, code) {
    if (gone.has(ws)) return
    gone.add(ws)
    try {
      call(object, entry, ws, code)
    } catch {
      close(ws, INTERNAL_ERROR, 'Internal error')
    }
  }
  define(WAKE, function () {
    try {
      call(this, PRESENCE)
    } catch {} // the loss of the instance is reported, and the next activity of presence sends the full list
  })
  define('alarm', function () {
    return callOrReject(this, ALARM)
  })
  define('publish', function (event, options) {
    return callOrReject(this, PUBLISH, event, options)
  })
  if (operate !== undefined) {
    // The core of a class in TypeScript: see `npm/durable-event-iterator/src/durable-object/core.ts`.
    define('operate', function (operation, first, second, third, fourth) {
      return outcomeOrThrow(enter(operate, this, operation, first, second, third, fourth))
    })
    // Calls `lost` if the instance is lost. Returns a function that ends this.
    define('untilLost', whileWaiting)
    define('fail', fail)
    // Handles an HTTP request that reads a channel. It needs no Durable Object.
    define('handle', function (request, namespace, options) {
      return outcomeOrRejection(enter(handle, this, request, namespace, options))
    })
    define('operateOrReject', function (operation, first, second, third, fourth) {
      return outcomeOrRejection(enter(operate, this, operation, first, second, third, fourth))
    })
  }
  define('publishBatch', async function (events, options) {
    return JSON.parse(await callOrReject(this, PUBLISH_BATCH, events, options))
  })
  for (const method of PUBLIC_METHODS) {
    define(method, async function (argument) {
      return JSON.parse(await callOrReject(this, TRUSTED, `~${method}`, argument))
    })
  }
  /** The methods that `~settle` may call. */
  const callable = new Set(['publish', 'publishBatch', ...PUBLIC_METHODS])
  define('~settle', function (method, args) {
    if (TRUSTED_METHODS.has(method)) {
      const call = () => callOrReject(this, TRUSTED, method, args[0])
      return settle(method === '~token' ? async () => ({ token: await call() }) : call)
    }
    return callable.has(method) ? settle(() => this[method](...args)) : undefined
  })
  const reserved = []
  for (const method of methods) {
    if (RESERVED.has(method)) {
      reserved.push(method)
      continue
    }
    callable.add(method)
    define(method, function (...args) {
      return callOrReject(this, METHOD, method, args)
    })
  }
  return reserved
}

/**
 * Returns the result of a call, or its `ORPCError`, as a value. An exception's own properties (`code`, `status`, `data`,
 * `failure`) reach the caller of a stub only if both Workers have a compatibility date of 2026-04-21 or later; values do at
 * every date. Other exceptions are thrown: those of the Workers runtime, and the loss of an instance.
 */
async function settle(call) {
  try {
    return { value: await call() }
  } catch (error) {
    if (error?.name !== 'ORPCError') throw error
    const { name, message, code, status, data, failure } = error
    return { error: { name, message, code, status, data, failure } }
  }
}

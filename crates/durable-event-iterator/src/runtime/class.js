// What makes a class that wasm-bindgen exported into one that stubs may call, and only as far as they should; and what is
// between it and the platform: frames go into WASM by the shortest way, and when WASM traps nobody is left waiting.

import { DurableObject } from 'cloudflare:workers'

import { enter, outcome, outcomeOrRejection, watch } from './exceptions.js'
import { close, interrupt, idOf, replaying } from './hot.js'

/** Names that the platform or JavaScript itself gives a meaning: no method of the application can take them. */
const RESERVED = new Set([
  'constructor', 'fetch', 'connect', 'alarm', 'webSocketMessage', 'webSocketClose', 'webSocketError',
  'publish', 'then', 'catch', 'finally', 'dup', 'free', '__proto__',
])

/** What `__enter` is called for: as in src/object/instance.rs. */
const MAX_FRAME = 0
const FETCH = 1
const CLOSE = 2
const ERROR = 3
const ALARM = 4
const PUBLISH = 5
const METHOD = 6
const LOST = 7

/** The classes that are extended already. Start functions run again when the WASM instance is rebuilt; the class stays. */
const extended = new WeakSet()

/** Close codes "message too big" and "internal error" (RFC 6455, section 7.4.1). */
const TOO_BIG = 1009
const INTERNAL_ERROR = 1011

/** Between a binary frame's JSON and what is attached: as in src/wire/frame/mod.rs. */
const DELIMITER = 0xff

/** The calls of each socket whose answer is a stream that has begun. */
const streams = new WeakMap()

/** The answer to a call is a stream, whose items follow. */
export function beginStream(ws, id) {
  const begun = streams.get(ws)
  if (begun === undefined) streams.set(ws, new Set([id]))
  else begun.add(id)
}

/** Such a stream has ended, or nobody reads it any more. */
export function endStream(ws, id) {
  streams.get(ws)?.delete(id)
}

/** Tells the client that its call has failed, where its frame was one. Of the reason it learns nothing. */
function fail(ws, id) {
  if (id === undefined) return
  try {
    if (replaying.get(ws) === id) return interrupt(ws)
    const json = { defined: false, code: 'INTERNAL_SERVER_ERROR', status: 500, message: 'Internal server error' }
    const hasBegun = streams.get(ws)?.delete(id)
    ws.send(JSON.stringify(hasBegun ? { i: id, t: 3, p: { e: 'error', d: { json } } } : { i: id, p: { s: 500, b: { json } } }))
  } catch {} // the socket has gone
}

/** How the frames of oRPC's calls begin. */
const CALL = /^\{"i":("[^"\\]{1,64}"),"p":/

/** The id of the call that a frame is, if it is one. A copy: a part of the frame would keep all of it in memory while the call waits. */
function callOf(frame) {
  try {
    const text = typeof frame === 'string' ? frame : jsonOf(new Uint8Array(frame))
    const id = CALL.exec(text)?.[1]
    if (id !== undefined) return JSON.parse(id)
    const { i, t } = JSON.parse(text)
    return typeof i === 'string' && t === undefined ? i : undefined
  } catch {} // no frame
}

/** The JSON of a binary frame, which ends before the delimiter. */
function jsonOf(bytes) {
  const end = bytes.indexOf(DELIMITER)
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end))
}

/**
 * Lets the class of `dummy` extend DurableObject, since a stub's methods are refused to any other class, and takes
 * away what wasm-bindgen leaves there for JavaScript's memory management: `stub.free()` would destroy the object.
 * Answers with the names that could not be defined.
 */
export function extend(dummy, methods) {
  const cls = dummy.constructor
  if (extended.has(cls)) return []
  extended.add(cls)
  const { __text: text, __bytes: bytes, __enter: inner } = cls.prototype
  watch(cls.__nothing)
  Object.setPrototypeOf(cls, DurableObject)
  Object.setPrototypeOf(cls.prototype, DurableObject.prototype)
  // Whatever wasm-bindgen calls them.
  for (const name of Reflect.ownKeys(cls.prototype)) if (name !== 'constructor') delete cls.prototype[name]
  delete cls.__nothing
  const define = (method, value) => Object.defineProperty(cls.prototype, method, { value })

  const call = (object, entry, first, second) => outcome(enter(inner, object, entry, first, second))
  const callOrReject = (object, entry, first, second) => outcomeOrRejection(enter(inner, object, entry, first, second))

  /** In bytes. The same for all objects of the class. */
  let maxFrame

  define('webSocketMessage', function (ws, frame) {
    const isText = typeof frame === 'string'
    const size = isText ? frame.length : (frame?.byteLength ?? Number.POSITIVE_INFINITY)
    try {
      maxFrame ??= call(this, MAX_FRAME)
      // Before it enters WASM, whose memory never shrinks.
      if (size > maxFrame) return void close(ws, TOO_BIG, 'Frame too large')
      const result = isText
        ? enter(text, this, ws, idOf(ws), Date.now(), frame)
        : enter(bytes, this, ws, idOf(ws), Date.now(), new Uint8Array(frame))
      if (result === undefined) return // most calls have ended here
      const id = callOf(frame)
      return outcome(result)?.catch(() => fail(ws, id))
    } catch {
      fail(ws, callOf(frame))
    }
  })
  define('fetch', function (request) {
    try {
      return call(this, FETCH, request)
    } catch {
      return new Response('Internal Server Error', { status: 500 })
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
    try {
      call(object, entry, ws, code)
    } catch {
      close(ws, INTERNAL_ERROR, 'Internal error')
    }
  }
  define('alarm', function () {
    return callOrReject(this, ALARM)
  })
  define('publish', function (event, options) {
    return callOrReject(this, PUBLISH, event, options)
  })
  /** What callers of `~settle` may name. */
  const callable = new Set(['publish'])
  define('~settle', function (method, args) {
    return callable.has(method) ? settle(() => this[method](...args)) : undefined
  })
  const refused = []
  for (const method of methods) {
    if (RESERVED.has(method)) {
      refused.push(method)
      continue
    }
    callable.add(method)
    define(method, function (...args) {
      return callOrReject(this, METHOD, method, args)
    })
  }
  return refused
}

/**
 * What a call returns or throws, as a value. An exception's own properties (`code`, `status`, `data`, `failure`) reach a stub's
 * caller only if both Workers have a compatibility date of 2026-04-21 or later; values do at every date. Exceptions other than
 * ours stay exceptions: the runtime's, and the loss of an instance.
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

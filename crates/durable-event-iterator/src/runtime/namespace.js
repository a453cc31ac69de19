// Calls of the Workers runtime for which the `worker` crate has no binding. Functions that return a promise are `async`: Rust's
// `async` bindings catch a rejected promise, but not an exception that is thrown before there is one.

/** The functions that return another stub of the same Durable Object, by stub. */
const makers = new WeakMap()

/** Returns the stub of the Durable Object with this name. */
export function stubOf(namespace, name, locationHint, jurisdiction) {
  const objects = jurisdiction === undefined ? namespace : namespace.jurisdiction(jurisdiction)
  const make = () => objects.getByName(name, locationHint === undefined ? undefined : { locationHint })
  const stub = make()
  makers.set(stub, make)
  return stub
}

/** Returns another stub of the same Durable Object: a stub is of no use after some failures. */
export function freshStub(stub) {
  return makers.get(stub)()
}

/** Returns the `Upgrade` header ('' without one) and the URL of a request, as one text: it crosses into WASM in one call. */
export function headOf(request) {
  return `${request.headers.get('upgrade') ?? ''} ${request.url}`
}

/** The kinds of a publisher's request, as in namespace.rs. */
const PUBLISH = 0
const SUBSCRIBE = 1

/**
 * The headers that a publisher's request may have: those of oRPC's publisher, and those that tracing adds. A client's request has
 * others, such as `host`, and keeps them when a Worker forwards it.
 */
const PUBLISHER_HEADERS = new Set([
  'content-length', 'content-type', 'last-event-id', 'upgrade',
  'baggage', 'sentry-trace', 'traceparent', 'tracestate',
])

/**
 * Returns the kind and the cursor of a request of oRPC's publisher in a Worker, or undefined for any other request. It must never
 * accept a request that was forwarded from a client.
 */
export function publisherRequest(request) {
  const { url, method, headers } = request
  const isPublish = url === 'http://localhost/publish' && method === 'POST'
  const isSubscribe = url === 'http://localhost/subscribe' && method === 'GET' && headers.get('upgrade') === 'websocket'
  if (!isPublish && !isSubscribe) return undefined
  if (request.cf !== undefined) return undefined // a client's request, or a copy of one
  for (const name of headers.keys()) if (!PUBLISHER_HEADERS.has(name)) return undefined
  return isPublish ? [PUBLISH] : [SUBSCRIBE, headers.get('last-event-id') ?? undefined]
}

/**
 * Returns the response to a rejected upgrade. `retryAfter`, in seconds, sets the header of that name. Pages of any origin may
 * read the response: it holds no secret, and our client reports the reason.
 */
export function rejectionResponse(status, text, retryAfter) {
  const headers = { 'content-type': 'text/plain;charset=UTF-8', 'access-control-allow-origin': '*' }
  if (retryAfter !== undefined) headers['retry-after'] = String(retryAfter)
  return new Response(text, { status, headers })
}

/** The results of `Identity.is`. */
const YES = 0
const NO = 1
const UNKNOWN = 2

/** Determines the channel that a Durable Object serves. */
export class Identity {
  #id
  #env
  #name

  constructor(ctx, env) {
    this.#id = ctx.id
    this.#env = env
    this.#name = ctx.id.name
  }

  /** Returns the channel name, or undefined if it is not known. */
  name() {
    return this.#name
  }

  /**
   * Returns whether the Durable Object serves the channel of this name. An id that came from another process, or was created
   * from text, has no name. A namespace among the bindings can then prove the name: only the namespace of the Durable Object's
   * own class derives this id from it.
   */
  is(channel) {
    if (this.#name !== undefined) return this.#name === channel ? YES : NO
    for (const binding of Object.values(this.#env)) {
      try {
        if (!binding.idFromName(channel).equals(this.#id)) continue
        this.#name = channel
        return YES
      } catch {} // another kind of binding
    }
    return UNKNOWN
  }
}

/** Forwards a request unchanged: the Durable Object reads only its query and one header, and a copy would cost more. */
export async function forward(stub, request) {
  return stub.fetch(request)
}

/**
 * Calls an RPC method. Returns `{ value }`, or `{ error }` with the properties of an `ORPCError` (see `settle` of class.js).
 * Any other exception is thrown.
 */
export async function call(stub, method, args) {
  const settled = await stub['~settle'](method, args).catch((error) => {
    // The class is of an earlier version, or not of this library. No code of the method has run yet.
    if (error instanceof TypeError && error.message.includes('~settle')) return undefined
    throw error
  })
  return settled ?? { value: await stub[method](...args) }
}

// Calls that have no binding elsewhere. Those that return a promise are async functions: Rust's `async` bindings catch what a
// promise is rejected with, and nothing that is thrown before there is one.

export function stubOf(namespace, name, locationHint, jurisdiction) {
  const objects = jurisdiction === undefined ? namespace : namespace.jurisdiction(jurisdiction)
  return objects.getByName(name, locationHint === undefined ? undefined : { locationHint })
}

/** The `Upgrade` header ('' without one) and the URL of a request: one text, since that is one way into WASM. */
export function headOf(request) {
  return `${request.headers.get('upgrade') ?? ''} ${request.url}`
}

/**
 * The answer to an upgrade that is refused. Without `retryAfter`, in seconds, it has no such header. A page of any origin may
 * read it: it holds nothing secret, and our client reports why it cannot connect.
 */
export function refuse(status, text, retryAfter) {
  const headers = { 'content-type': 'text/plain;charset=UTF-8', 'access-control-allow-origin': '*' }
  if (retryAfter !== undefined) headers['retry-after'] = String(retryAfter)
  return new Response(text, { status, headers })
}

/** What `Identity.is` returns. */
const YES = 0
const NO = 1
const UNKNOWN = 2

/** Which channel a Durable Object is. */
export class Identity {
  #id
  #env
  #name

  constructor(ctx, env) {
    this.#id = ctx.id
    this.#env = env
    this.#name = ctx.id.name
  }

  /** Its name, as far as it is known. */
  name() {
    return this.#name
  }

  /**
   * Whether it is the channel of this name. An id that came from another process, or was made from text, has no name. Then a
   * namespace among the bindings can prove it: only that of the Durable Object's own class makes its id from the name.
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

/** The request as it came: the object looks at its query and at one header, and a copy would cost more than both. */
export async function forward(stub, request) {
  return stub.fetch(request)
}

/**
 * Calls a method: `{ value }`, or `{ error }` with the properties of an error of ours (see `settle` of class.js). Any other
 * exception is thrown.
 */
export async function call(stub, method, args) {
  const settled = await stub['~settle'](method, args).catch((error) => {
    // A class of an earlier version, or one that is not ours: nothing has run yet.
    if (error instanceof TypeError && error.message.includes('~settle')) return undefined
    throw error
  })
  return settled ?? { value: await stub[method](...args) }
}

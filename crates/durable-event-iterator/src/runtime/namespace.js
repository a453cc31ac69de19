// Calls that have no binding elsewhere.

export function stubOf(namespace, name, locationHint, jurisdiction) {
  const objects = jurisdiction === undefined ? namespace : namespace.jurisdiction(jurisdiction)
  return objects.getByName(name, locationHint === undefined ? undefined : { locationHint })
}

/** The `Upgrade` header ('' without one) and the URL of a request: one text, since that is one way into WASM. */
export function headOf(request) {
  return `${request.headers.get('upgrade') ?? ''} ${request.url}`
}

/** The request as it came: the object looks at its query and at one header, and a copy would cost more than both. */
export function forward(stub, request) {
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

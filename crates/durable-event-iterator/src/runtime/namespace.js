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

export function call(stub, method, args) {
  return stub[method](...args)
}

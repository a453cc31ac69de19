// Calls that have no binding elsewhere.

export function stubOf(namespace, name, locationHint, jurisdiction) {
  const objects = jurisdiction === undefined ? namespace : namespace.jurisdiction(jurisdiction)
  return objects.get(objects.idFromName(name), locationHint === undefined ? undefined : { locationHint })
}

/** A request of its own: the object must not see a path that somebody might come to rely on. */
export function forward(stub, request) {
  const query = request.url.indexOf('?')
  return stub.fetch(new Request('https://durable-object/' + (query < 0 ? '' : request.url.slice(query)), request))
}

export function call(stub, method, args) {
  return stub[method](...args)
}

// Values of a stub's caller, to and from oRPC's serialized form, which is how they cross into WASM: as text, once.
// The types and their numbers are those of `src/wire/tag.rs`.

/** As `MAX_DEPTH` of src/wire/mod.rs. */
const MAX_DEPTH = 127

/** `path` is where the value is: it is extended and shortened on the way, and copied into `meta`. */
function walk(value, path, meta) {
  if (path.length > MAX_DEPTH) throw new TypeError(`Nested deeper than ${MAX_DEPTH}`)
  switch (typeof value) {
    case 'bigint':
      meta.push([0, ...path])
      return value.toString()
    case 'undefined':
      meta.push([3, ...path])
      return null
    case 'number':
      if (Number.isNaN(value)) meta.push([2, ...path])
      return value
    case 'function':
    case 'symbol':
      throw new TypeError(`A ${typeof value} cannot be sent`)
    case 'object':
      break
    default:
      return value
  }
  if (value === null) return null
  if (Array.isArray(value)) return value.map((item, n) => walkAt(n, item, path, meta))
  if (value instanceof Date) {
    meta.push([1, ...path])
    return Number.isNaN(value.getTime()) ? null : value.toISOString()
  }
  if (value instanceof URL) {
    meta.push([4, ...path])
    return value.href
  }
  if (value instanceof RegExp) {
    meta.push([5, ...path])
    return value.toString()
  }
  if (value instanceof Set) {
    const json = walk([...value], path, meta)
    meta.push([6, ...path])
    return json
  }
  if (value instanceof Map) {
    const json = walk([...value], path, meta) // the entries are arrays
    meta.push([7, ...path])
    return json
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`A ${prototype.constructor?.name ?? 'value of this kind'} cannot be sent`)
  }
  const json = {}
  for (const key of Object.keys(value)) {
    const item = value[key]
    if (item === undefined) continue
    const serialized = walkAt(key, item, path, meta)
    if (key !== '__proto__') {
      json[key] = serialized
    } else {
      // An assignment would set the prototype, and the key would vanish.
      Object.defineProperty(json, key, { value: serialized, enumerable: true, configurable: true, writable: true })
    }
  }
  return json
}

function walkAt(key, value, path, meta) {
  path.push(key)
  const json = walk(value, path, meta)
  path.pop()
  return json
}

/**
 * The JSON as text; with its meta where there is one, `[json, meta]`; of undefined nothing. Throws a TypeError for what has
 * no serialized form.
 */
export function toWire(value) {
  if (value === undefined) return undefined
  const meta = []
  const json = JSON.stringify(walk(value, [], meta))
  return meta.length === 0 ? json : [json, JSON.stringify(meta)]
}

function revive(type, json) {
  switch (type) {
    case 0:
      return BigInt(json)
    case 1:
      return new Date(json ?? 'Invalid Date')
    case 2:
      return Number.NaN
    case 3:
      return undefined
    case 4:
      return json // what stubs carry is cloned, and a URL cannot be
    case 5: {
      const end = json.lastIndexOf('/')
      return new RegExp(json.slice(1, end), json.slice(end + 1))
    }
    case 6:
      return new Set(json)
    case 7:
      return new Map(json)
    default:
      return json // an application's own type: its JSON is what a caller outside the application gets
  }
}

/** The value that Rust serialized. */
export function fromWire(json, meta) {
  if (json === undefined) return undefined
  const root = { value: JSON.parse(json) }
  for (const [type, ...path] of meta === undefined ? [] : JSON.parse(meta)) {
    let parent = root
    let key = 'value'
    for (const segment of path) {
      parent = parent[key]
      key = segment
    }
    parent[key] = revive(type, parent[key])
  }
  return root.value
}

// Converts the arguments and results of RPC methods to and from oRPC's serialized form. They cross into WASM as one text.
// The type numbers are those of `crates/durable-event-wire/src/tag.rs`.
//
// The size of a caller's value is limited here: WASM's memory never shrinks, and a structured clone can be far larger than the
// bytes that carried it (shared references, holes of an array).

/** Maximum nesting depth: `MAX_DEPTH` of crates/durable-event-wire/src/lib.rs. */
const MAX_DEPTH = 127

/**
 * Maximum number of digits of a bigint, `MAX_DIGITS` of crates/durable-event-wire/src/value/types/bigint.rs, and the smallest
 * integer that exceeds it.
 */
const MAX_DIGITS = 4_300
let tooManyDigits

/** Maximum number of values that a value may contain, counted once per occurrence. One value takes 40 bytes in WASM. */
const MAX_VALUES = 1_000_000

/** Maximum size of a RegExp's source, in bytes: `MAX_BYTES` of crates/durable-event-wire/src/value/types/regexp.rs. */
const MAX_REGEXP = 10_000

/** The errors of this module. An `instanceof` of an exception of the application could run its code. */
const own = new WeakSet()

/** Thrown for a value that exceeds a size limit. `value.rs` recognises it by its class. */
class TooLarge extends RangeError {
  constructor() {
    super()
    own.add(this)
  }
}

/** Thrown for a value without a serialized form. */
class NotWire extends TypeError {
  constructor(message) {
    super(message)
    own.add(this)
  }
}

/** Converts one value to its JSON and its meta. */
class Writer {
  meta = []
  /** The path of the value being written: one array, extended and shortened during the walk, and copied into `meta`. */
  #path = []
  /** Minimum size of the path in an entry of `meta`, in bytes. */
  #pathSize = 0
  /** The objects that contain the value being written. */
  #ancestors = []
  /** Remaining bytes. Each part subtracts its minimum size. */
  #room
  #values = MAX_VALUES
  #isFinite
  /** The application's serializers of custom types. */
  #customs

  constructor(limit, isFinite, customs) {
    this.#room = limit
    this.#isFinite = isFinite
    this.#customs = customs
  }

  #take(size) {
    this.#room -= size
    if (this.#room < 0) throw new TooLarge()
  }

  #count() {
    if (--this.#values < 0) throw new TooLarge()
  }

  /** Checks that there is room for this many items of at least one byte each. */
  #expect(items) {
    if (items > Math.min(this.#room, this.#values)) throw new TooLarge()
  }

  #entry(type) {
    this.#take(this.#pathSize + 3)
    this.meta.push([type, ...this.#path])
  }

  /** Returns the value to pass to `JSON.stringify`. */
  value(value) {
    if (this.#customs !== undefined) {
      for (const custom of this.#customs) if (custom.condition(value)) return this.#custom(custom, value)
    }
    switch (typeof value) {
      case 'string':
        this.#take(value.length + 2)
        return value
      case 'boolean':
        this.#take(4)
        return value
      case 'number':
        this.#take(1)
        if (Number.isNaN(value)) this.#entry(2)
        else if (this.#isFinite && !Number.isFinite(value)) throw new NotWire(`${this.#place()} must be a finite number, got ${value}`)
        return value
      case 'bigint':
        return this.#bigint(value)
      case 'undefined':
        this.#take(4)
        this.#entry(3)
        return null
      case 'object':
        return value === null ? this.#null() : this.#object(value)
      default:
        throw new NotWire(`A ${typeof value} cannot be sent`)
    }
  }

  #custom(custom, value) {
    // It counts as a level: a serializer may return its own type again.
    this.#enter(value)
    const json = this.value(custom.serialize(value))
    this.#ancestors.pop()
    this.#entry(custom.type)
    return json
  }

  #null() {
    this.#take(4)
    return null
  }

  #bigint(value) {
    tooManyDigits ??= 10n ** BigInt(MAX_DIGITS)
    // Compared first, since the conversion to text takes quadratic time.
    if (value >= tooManyDigits || value <= -tooManyDigits) {
      throw new NotWire(`A bigint must have at most ${MAX_DIGITS} digits`)
    }
    const digits = value.toString()
    this.#take(digits.length + 2)
    this.#entry(0)
    return digits
  }

  #object(value) {
    if (value instanceof Date) return this.#date(value)
    if (value instanceof URL) return this.#text(4, value.href)
    if (value instanceof RegExp) return this.#regexp(value)
    this.#enter(value)
    const json = this.#container(value)
    this.#ancestors.pop()
    return json
  }

  #enter(value) {
    this.#ancestors.push(value)
    if (this.#ancestors.length > MAX_DEPTH) {
      const isCyclic = new Set(this.#ancestors).size < this.#ancestors.length
      throw new NotWire(isCyclic ? 'A value that contains itself cannot be sent' : `A value must be nested at most ${MAX_DEPTH} levels deep`)
    }
  }

  #container(value) {
    if (Array.isArray(value)) return this.#array(value)
    if (value instanceof Set || value instanceof Map) {
      this.#expect(value.size)
      const json = this.#array([...value]) // a Map's entries are arrays
      this.#entry(value instanceof Set ? 6 : 7)
      return json
    }
    const prototype = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) {
      const name = prototype.constructor?.name
      throw new NotWire(`A ${typeof name === 'string' && name !== '' ? name : 'value of this kind'} cannot be sent`)
    }
    return this.#properties(value)
  }

  #date(value) {
    const text = Number.isNaN(value.getTime()) ? null : value.toISOString()
    this.#take(text === null ? 4 : text.length + 2)
    this.#entry(1)
    return text
  }

  #text(type, text) {
    this.#take(text.length + 2)
    this.#entry(type)
    return text
  }

  /** Writes a RegExp as crates/durable-event-wire/src/value/types/regexp.rs accepts it. */
  #regexp(value) {
    if (value.source.length > MAX_REGEXP) throw new NotWire(`A RegExp must have a source of at most ${MAX_REGEXP} bytes`)
    return this.#text(5, value.toString())
  }

  #array(value) {
    this.#take(value.length + 1)
    this.#expect(value.length) // holes count too, since each one is visited
    const json = new Array(value.length)
    for (let n = 0; n < value.length; n++) {
      this.#count()
      const item = value[n]
      // As in oRPC, a hole is written as null without an entry.
      json[n] = item === undefined && !(n in value) ? this.#null() : this.#at(n, 2, item)
    }
    return json
  }

  #properties(value) {
    this.#take(2)
    const json = {}
    for (const key of Object.keys(value)) {
      const item = value[key]
      this.#count()
      if (item === undefined) continue
      this.#take(key.length + 3)
      const written = this.#at(key, key.length + 3, item)
      if (key !== '__proto__') {
        json[key] = written
      } else {
        // An assignment would set the prototype instead of the property.
        Object.defineProperty(json, key, { value: written, enumerable: true, configurable: true, writable: true })
      }
    }
    return json
  }

  #at(key, size, value) {
    this.#path.push(key)
    this.#pathSize += size
    const json = this.value(value)
    this.#path.pop()
    this.#pathSize -= size
    return json
  }

  #place() {
    return this.#path.length === 0 ? 'The value' : `"${this.#path.join('.')}"`
  }
}

/**
 * Serializes a value. Returns its JSON as text, or `[json, meta]` if it has meta, or undefined for undefined. With `isFinite`
 * an infinity is an error; otherwise it is written as null, as in oRPC. Throws a TypeError for a value without a serialized
 * form, and a RangeError if the result would exceed `limit` bytes. Throws no exception of the application. `customs` are serializers
 * of custom types in oRPC's form.
 */
export function toWire(value, limit, isFinite, customs) {
  if (value === undefined) return undefined
  const writer = new Writer(limit, isFinite, customs)
  let json
  try {
    json = JSON.stringify(writer.value(value))
  } catch (error) {
    if (own.has(error)) throw error
    // Code of the application has failed: a getter, a Proxy, or a serializer of a custom type. Its exception does not enter WASM,
    // which cannot catch it if the stack has overflowed, and its text does not reach clients.
    console.error('durable-event-iterator: reading a value failed:', error)
    throw new NotWire('reading the value has failed')
  }
  // Exact, except for characters of several bytes, which the log counts.
  if (json.length > limit) throw new TooLarge()
  return writer.meta.length === 0 ? json : [json, JSON.stringify(writer.meta)]
}

/** Returns the two texts of an event that its publisher has serialized, `{ json, meta? }`. Throws the same errors as `toWire`. */
export function serializedOf(event, limit) {
  const { json, meta } = event ?? {}
  if (typeof json !== 'string' || !(meta === undefined || typeof meta === 'string')) {
    throw new TypeError('A serialized event must be { json: string, meta?: string }')
  }
  if (json.length + (meta?.length ?? 0) > limit) throw new TooLarge()
  return [json, meta]
}

/** Returns the number of items of an array, or undefined for any other value. */
export function lengthOf(values) {
  return Array.isArray(values) ? values.length : undefined
}

/**
 * Serializes the items of an array of at most `limit` bytes each and `total` bytes together. Returns one text with two lines for each
 * item: its JSON, which is empty for undefined, and its meta, which may be empty. With `isSerialized` the items are `{ json, meta? }`.
 * Throws the errors of `toWire`, with the index of the item in the property `index`.
 */
export function toWireAll(values, limit, total, isSerialized, customs) {
  const lines = []
  let room = total
  for (let n = 0; n < values.length; n++) {
    try {
      const wire = isSerialized ? serializedOf(values[n], limit) : toWire(itemOf(values, n), limit, false, customs)
      const [json = '', meta = ''] = typeof wire === 'string' ? [wire] : (wire ?? [])
      room -= json.length + meta.length
      // Only the publisher's own JSON can contain line breaks: between two tokens, where a space means the same.
      lines.push(isSerialized ? json.replaceAll('\n', ' ') : json, isSerialized ? meta.replaceAll('\n', ' ') : meta)
    } catch (error) {
      error.index = n
      throw error
    }
    if (room < 0) throw new TooLarge()
  }
  return lines.join('\n')
}

/** Returns an item. Throws no exception of the application. */
function itemOf(values, n) {
  try {
    return values[n]
  } catch (error) {
    console.error('durable-event-iterator: reading a value failed:', error)
    throw new NotWire('reading the value has failed')
  }
}

/** Returns a text that is a property of an object, or undefined if it is not a text. Throws a RangeError if it is longer than `limit`. */
export function textMember(object, name, limit) {
  const text = object?.[name]
  if (typeof text !== 'string') return undefined
  if (text.length > limit) throw new TooLarge()
  return text
}

/** Whether a property of an object is true. */
export function flagMember(object, name) {
  return object?.[name] === true
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
      return json // RPC clones its values, and a URL cannot be cloned
    case 5: {
      const end = json.lastIndexOf('/')
      return new RegExp(json.slice(1, end), json.slice(end + 1))
    }
    case 6:
      return new Set(json)
    case 7:
      return new Map(json)
    default:
      return json // a custom type: callers outside the application get its JSON
  }
}

/** Returns the value that Rust serialized as `json` and `meta`. */
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

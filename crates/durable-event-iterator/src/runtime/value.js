// Values of a stub's caller, to and from oRPC's serialized form, which is how they cross into WASM: as text, once.
// The types and their numbers are those of `src/wire/tag.rs`.
//
// A caller's value is bounded here: WASM's memory never shrinks, and what comes by structured clone can be far larger than the
// bytes that carried it (shared references, holes of an array).

/** As `MAX_DEPTH` of src/wire/mod.rs. */
const MAX_DEPTH = 127

/** As `MAX_DIGITS` of src/wire/types/bigint.rs, and the least integer that has more. */
const MAX_DIGITS = 4_300
let tooManyDigits

/** How many values a value may be made of, each counted as often as it is there: in WASM one takes 40 bytes. */
const MAX_VALUES = 1_000_000

/** As `MAX_BYTES` of src/wire/types/regexp.rs. */
const MAX_REGEXP = 10_000

/** A value that is larger than allowed: value.rs tells it from others by its class. */
class TooLarge extends RangeError {}

/** Writes one value. */
class Writer {
  meta = []
  /** Where the value being written is: it is extended and shortened on the way, and copied into `meta`. */
  #path = []
  /** The least that the path takes in an entry of `meta`. */
  #pathSize = 0
  /** The objects that the value being written is in. */
  #ancestors = []
  /** Bytes that may still be written. What is taken off is the least that a part takes. */
  #room
  #values = MAX_VALUES
  #isFinite

  constructor(limit, isFinite) {
    this.#room = limit
    this.#isFinite = isFinite
  }

  #take(size) {
    this.#room -= size
    if (this.#room < 0) throw new TooLarge()
  }

  #count() {
    if (--this.#values < 0) throw new TooLarge()
  }

  /** So many items follow, of at least one byte each. */
  #expect(items) {
    if (items > Math.min(this.#room, this.#values)) throw new TooLarge()
  }

  #entry(type) {
    this.#take(this.#pathSize + 3)
    this.meta.push([type, ...this.#path])
  }

  /** What has to be written with `JSON.stringify`. */
  value(value) {
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
        else if (this.#isFinite && !Number.isFinite(value)) throw new TypeError(`${this.#place()} must be a finite number, got ${value}`)
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
        throw new TypeError(`A ${typeof value} cannot be sent`)
    }
  }

  #null() {
    this.#take(4)
    return null
  }

  #bigint(value) {
    tooManyDigits ??= 10n ** BigInt(MAX_DIGITS)
    // Compared before it is written: that takes quadratic time.
    if (value >= tooManyDigits || value <= -tooManyDigits) {
      throw new TypeError(`A bigint must have at most ${MAX_DIGITS} digits`)
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
    this.#ancestors.push(value)
    if (this.#ancestors.length > MAX_DEPTH) {
      const isCyclic = new Set(this.#ancestors).size < this.#ancestors.length
      throw new TypeError(isCyclic ? 'A value that contains itself cannot be sent' : `A value must be nested at most ${MAX_DEPTH} levels deep`)
    }
    const json = this.#container(value)
    this.#ancestors.pop()
    return json
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
      throw new TypeError(`A ${typeof name === 'string' && name !== '' ? name : 'value of this kind'} cannot be sent`)
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

  /** As `RegExp` of src/wire/types/regexp.rs accepts it. */
  #regexp(value) {
    if (value.source.length > MAX_REGEXP) throw new TypeError(`A RegExp must have a source of at most ${MAX_REGEXP} bytes`)
    return this.#text(5, value.toString())
  }

  #array(value) {
    this.#take(value.length + 1)
    this.#expect(value.length) // also where it is full of holes, each of which is looked at
    const json = new Array(value.length)
    for (let n = 0; n < value.length; n++) {
      this.#count()
      const item = value[n]
      // As oRPC has it, a hole is null without an entry.
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
        // An assignment would set the prototype, and the key would vanish.
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
 * The JSON as text; with its meta where there is one, `[json, meta]`; of undefined nothing. Throws a TypeError for what has
 * no serialized form, and where it would be larger than `limit` bytes a RangeError. With `isFinite` an infinity is an error;
 * otherwise it is null, as oRPC has it.
 */
export function toWire(value, limit, isFinite) {
  if (value === undefined) return undefined
  const writer = new Writer(limit, isFinite)
  const json = JSON.stringify(writer.value(value))
  // Exactly, but for characters of several bytes, which the log counts.
  if (json.length > limit) throw new TooLarge()
  return writer.meta.length === 0 ? json : [json, JSON.stringify(writer.meta)]
}

/** The two texts of an event that its publisher has serialized, `{ json, meta? }`, with the same errors. */
export function serializedOf(event, limit) {
  const { json, meta } = event ?? {}
  if (typeof json !== 'string' || !(meta === undefined || typeof meta === 'string')) {
    throw new TypeError('A serialized event must be { json, meta? } with texts')
  }
  if (json.length + (meta?.length ?? 0) > limit) throw new TooLarge()
  return [json, meta]
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

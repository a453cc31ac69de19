import { BodyError } from './body-error.js'
import { isInstance } from './platform.js'

/** The maximum depth of a value. A server accepts fewer levels; without a limit a circular value would overflow the stack. */
const MAX_DEPTH = 1_000

const NOT_SERIALIZED = 'the value cannot be serialized'

const BIGINT = 0
const DATE = 1
const NAN = 2
const UNDEFINED = 3
const URL_TYPE = 4
const REGEXP = 5
const SET = 6
const MAP = 7

/** Converts an application's own type to a type that can be sent. The same shape as in oRPC 1.x. */
export interface CustomSerializer {
  /** The number of the type, unique among the serializers; 0 to 7 replace built-in types when values are read. */
  type: number
  condition(value: unknown): boolean
  /** The result is serialized again. */
  serialize(value: unknown): unknown
  deserialize(value: unknown): unknown
}

type Path = (string | number)[]

/**
 * Converts values to bodies and back, in oRPC's format `{ json, meta }`: `meta` lists the paths of the values that JSON does not
 * have, each with the number of its type.
 */
export class Serializer {
  readonly #custom: readonly CustomSerializer[]

  /** @throws {TypeError} When two serializers have the same type. */
  constructor(custom: readonly CustomSerializer[] = []) {
    if (new Set(custom.map(({ type }) => type)).size < custom.length) {
      throw new TypeError('customJsonSerializers: each `type` must be unique')
    }
    this.#custom = custom
  }

  /**
   * Returns the body of a value: `{ json, meta }`, where both may be undefined, or a form if the value contains files.
   *
   * @param isItem - Whether the body is the item of a stream, which cannot contain files.
   * @throws {BodyError} When the value is circular or nested too deeply, or an item contains a file.
   */
  serialize(value: unknown, isItem?: boolean): unknown {
    const meta: Path[] = []
    const maps: Path[] = []
    const blobs: Blob[] = []

    // Of the visited value. It is copied only where it is needed: most values need none.
    const path: Path = []

    const visit = (value: any, depth = path.length): unknown => {
      const typed = (type: number, json: unknown): unknown => {
        meta.push([type, ...path])
        return json
      }
      if (depth > MAX_DEPTH) throw new BodyError(NOT_SERIALIZED, 'it is circular or has more than 1000 levels')
      for (const custom of this.#custom) {
        if (custom.condition(value)) return typed(custom.type, visit(custom.serialize(value), depth + 1))
      }
      if (typeof value === 'bigint') return typed(BIGINT, `${value}`)
      if (Number.isNaN(value)) return typed(NAN, null)
      if (typeof value !== 'object' || value === null) return value
      if (Array.isArray(value)) {
        return value.map((element, n) => {
          path.push(n)
          const json = element === undefined ? typed(UNDEFINED, null) : visit(element)
          path.pop()
          return json
        })
      }
      const prototype = Object.getPrototypeOf(value)
      // Checked first, since most objects are plain.
      if (prototype !== Object.prototype && prototype !== null) {
        if (value instanceof Date) return typed(DATE, Number.isNaN(+value) ? null : value.toISOString())
        if (isInstance(value, 'URL')) return typed(URL_TYPE, `${value}`)
        if (value instanceof RegExp) return typed(REGEXP, `${value}`)
        if (value instanceof Set) return typed(SET, visit([...value]))
        if (value instanceof Map) return typed(MAP, visit([...value]))
        if (isInstance(value, 'Blob')) {
          maps.push([...path])
          blobs.push(value)
          return {}
        }
        if (prototype.constructor) return value
      }
      const json: Record<string, unknown> = {}
      for (const key in value) {
        // A method `toJSON` would replace the object.
        if (key === 'toJSON' && typeof value[key] === 'function') continue
        path.push(key)
        const member = visit(value[key])
        path.pop()
        // An assignment would set the prototype.
        if (key === '__proto__') Object.defineProperty(json, key, { value: member, enumerable: true })
        else json[key] = member
      }
      return json
    }

    const body = { json: visit(value), meta: meta[0] && meta }
    if (!blobs[0]) return body
    if (isItem) throw new BodyError(NOT_SERIALIZED, 'an item of a stream cannot contain files')
    const form = new FormData()
    form.set('data', JSON.stringify({ ...body, maps }))
    blobs.forEach((blob, n) => form.set(`${n}`, blob))
    return form
  }

  /**
   * Returns the value of a received body. Values are restored in place: the body must not be used afterwards.
   *
   * @throws {BodyError} When the body is malformed.
   */
  deserialize(body: unknown): unknown {
    if (body === undefined) return undefined
    try {
      const form = isInstance(body, 'FormData') && body
      const { json, meta, maps } = form ? JSON.parse(form.get('data') as string) : body
      if (typeof body !== 'object' || Array.isArray(body)) throw new TypeError('expected an object')
      if (!meta && !form) return json
      const root = { json }
      if (form) {
        maps.forEach((path: Path, n: number) => {
          const blob = form.get(`${n}`)
          if (!isInstance(blob, 'Blob')) throw new TypeError(`file ${n} is missing`)
          replaceAt(root, path, () => blob)
        })
      }
      for (const [type, ...path] of meta ?? []) {
        const custom = this.#custom.find((custom) => custom.type === type)
        replaceAt(root, path, (json) => (custom ? custom.deserialize(json) : restore(type, json)))
      }
      return root.json
    } catch (error) {
      throw new BodyError('malformed body', error)
    }
  }
}

/** Replaces the value at a path of the JSON. The path must exist: only elements and own properties are followed. */
function replaceAt(root: { json: unknown }, path: Path, replace: (value: unknown) => unknown): void {
  let parent: any = root
  let key: string | number = 'json'
  for (const segment of path) {
    parent = parent[key]
    key = segment
    const isOwn = Object.prototype.propertyIsEnumerable.call(parent, key)
    if (!isOwn || typeof key !== (Array.isArray(parent) ? 'number' : 'string')) {
      throw new TypeError(`the path ${JSON.stringify(path)} does not exist`)
    }
  }
  parent[key] = replace(parent[key])
}

function restore(type: unknown, json: unknown): unknown {
  if (typeof json === 'string') {
    if (type === BIGINT && /^-?(0|[1-9]\d{0,4299})$/.test(json)) return BigInt(json)
    if (type === DATE) return new Date(json)
    if (type === URL_TYPE) return new URL(json)
    const match = type === REGEXP && /^\/(.*)\/([a-z]*)$/.exec(json)
    if (match) return new RegExp(match[1]!, match[2])
  } else if (Array.isArray(json)) {
    if (type === SET) return new Set(json)
    if (type === MAP) return new Map(json)
  } else if (json === null) {
    if (type === DATE) return new Date(NaN)
    if (type === NAN) return NaN
    if (type === UNDEFINED) return undefined
  }
  // A custom type that this client does not have.
  if (typeof type === 'number' && type > MAP) return json
  throw new TypeError(`invalid value of type ${JSON.stringify(type)}`)
}

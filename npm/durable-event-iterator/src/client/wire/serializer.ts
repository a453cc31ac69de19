import { BodyError, toBodyError } from './body-error.js'
import { isInstance } from './platform.js'

/** Converts an application's own type to a type that can be sent. The same shape as in oRPC 1.x. */
export interface CustomSerializer {
  /** The number of the type, unique among the serializers; 0 to 7 replace built-in types when values are read. */
  type: number
  condition(value: unknown): boolean
  /** The result is serialized again. */
  serialize(value: any): unknown
  deserialize(value: any): unknown
}

type Path = (string | number)[]

/**
 * Converts values to bodies and back, in oRPC's format `{ json, meta }`: `meta` lists the paths of the values that JSON does not
 * have, each with the number of its type.
 */
export class Serializer {
  readonly #custom: ReadonlyMap<number, CustomSerializer>

  /** @throws {TypeError} When two serializers have the same type. */
  constructor(custom: readonly CustomSerializer[] = []) {
    this.#custom = new Map(custom.map((serializer) => [serializer.type, serializer]))
    if (this.#custom.size < custom.length) throw new TypeError('customJsonSerializers: each `type` must be unique')
  }

  /**
   * Returns the body of a value: `{ json, meta }`, where properties may be undefined, or a form if the value contains files.
   *
   * @param isItem - Whether the body is the item of a stream, which cannot contain files.
   * @throws {BodyError} When the value is circular or nested too deeply, or an item contains a file.
   */
  serialize(value: unknown, isItem?: boolean): unknown {
    const meta: Path[] = []
    const maps: Path[] = []
    const blobs: Blob[] = []
    const path: Path = []

    /** Visits the value at a path. Each level, including a custom type, counts toward the depth. */
    const visitAt = (segment: string | number, value: unknown, depth: number): unknown => {
      path.push(segment)
      const json = visit(value, depth)
      path.pop()
      return json
    }
    const typed = (type: number, json: unknown): unknown => {
      meta.push([type, ...path])
      return json
    }
    const visit = (value: any, depth: number): unknown => {
      if (depth > MAX_DEPTH) throw new BodyError(`cannot serialize: the value is circular or has more than ${MAX_DEPTH} levels`)
      depth += 1
      for (const [type, custom] of this.#custom) {
        if (custom.condition(value)) return typed(type, visit(custom.serialize(value), depth))
      }
      if (typeof value === 'bigint') return typed(BIGINT, `${value}`)
      if (Number.isNaN(value)) return typed(NAN, null)
      if (typeof value !== 'object' || value === null) return value
      if (Array.isArray(value)) {
        return value.map((element, n) => {
          if (element !== undefined) return visitAt(n, element, depth)
          meta.push([UNDEFINED, ...path, n])
          return null
        })
      }
      if (value instanceof Date) return typed(DATE, Number.isNaN(value.getTime()) ? null : value.toISOString())
      if (isInstance(value, 'URL')) return typed(URL_TYPE, `${value}`)
      if (value instanceof RegExp) return typed(REGEXP, `${value}`)
      if (value instanceof Set) return typed(SET, visit([...value], depth))
      if (value instanceof Map) return typed(MAP, visit([...value], depth))
      if (isInstance(value, 'Blob')) {
        maps.push([...path])
        blobs.push(value)
        return {}
      }
      const prototype = Object.getPrototypeOf(value)
      if (prototype !== Object.prototype && prototype?.constructor) return value
      // Without a prototype, so that a key `__proto__` is like any other.
      const json = Object.create(null)
      for (const key in value) {
        // A method `toJSON` would replace the object.
        if (key !== 'toJSON' || typeof value[key] !== 'function') json[key] = visitAt(key, value[key], depth)
      }
      return json
    }

    const body = { json: visit(value, 0), meta: meta.length > 0 ? meta : undefined }
    if (blobs.length === 0) return body
    if (isItem) throw new BodyError('cannot serialize: an item of a stream cannot contain files')
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
      const form = isInstance(body, 'FormData') ? body : undefined
      const { json, meta, maps }: any = form ? JSON.parse(form.get('data') as string) : body
      if (!form && (typeof body !== 'object' || Array.isArray(body))) throw new BodyError('malformed body: expected an object')
      if (!meta && !form) return json
      const root = { json }
      maps?.forEach((path: unknown, n: number) => {
        const blob = form?.get(`${n}`)
        if (!isInstance(blob, 'Blob')) throw new BodyError(`malformed body: file ${n} is missing`)
        replaceAt(root, path as Path, 0, () => blob)
      })
      for (const entry of meta ?? []) {
        const [type] = entry
        if (type >>> 0 !== type) throw new BodyError('malformed body: invalid type in `meta`')
        const custom = this.#custom.get(type)
        replaceAt(root, entry, 1, (value) => (custom ? custom.deserialize(value) : revive(type, value)))
      }
      return root.json
    } catch (error) {
      throw toBodyError('malformed body', error)
    }
  }
}

/** The maximum depth of a value. A server accepts fewer levels; without a limit a circular value would overflow the stack. */
const MAX_DEPTH = 1_000

const BIGINT = 0
const DATE = 1
const NAN = 2
const UNDEFINED = 3
const URL_TYPE = 4
const REGEXP = 5
const SET = 6
const MAP = 7

/** Replaces the value at the path that starts at this index, which must exist: only elements and own properties are followed. */
function replaceAt(root: { json: unknown }, path: Path, start: number, replace: (value: unknown) => unknown): void {
  let parent: any = root
  let key: string | number = 'json'
  for (const segment of path.slice(start)) {
    parent = parent[key]
    key = segment
    const isOwn = Object.prototype.propertyIsEnumerable.call(parent, key)
    if (!isOwn || typeof key !== (Array.isArray(parent) ? 'number' : 'string')) {
      throw new BodyError(`malformed body: the path ${JSON.stringify(path.slice(start))} does not exist`)
    }
  }
  parent[key] = replace(parent[key])
}

function revive(type: number, json: any): unknown {
  const isText = typeof json === 'string'
  if (type === BIGINT && isText && /^-?\d{1,4300}$/.test(json)) return BigInt(json)
  if (type === DATE && (isText || json === null)) return new Date(json ?? Number.NaN)
  if (type === NAN && json === null) return Number.NaN
  if (type === UNDEFINED && json == null) return undefined
  if (type === URL_TYPE && isText) return new URL(json)
  if (type === REGEXP && isText) {
    const match = /^\/(.*)\/([a-z]*)$/.exec(json)
    if (match) return new RegExp(match[1]!, match[2])
  }
  if (type === SET && Array.isArray(json)) return new Set(json)
  if (type === MAP && Array.isArray(json) && json.every((pair) => Array.isArray(pair) && pair.length === 2)) return new Map(json)
  // A custom type that this client does not have.
  if (type > MAP) return json
  throw new BodyError(`malformed body: invalid value of type ${type}`)
}

import { BodyError } from './body-error.js'
import { isInstance } from './platform.js'

/** The maximum depth of a value. A server accepts fewer levels; without a limit a circular value would overflow the stack. */
const MAX_DEPTH = 1_000

/** The number of the last built-in type. The numbers are those of oRPC 1.x. */
const MAX_BUILT_IN = 7

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
   * @throws {BodyError} When the value is circular or nested too deeply.
   */
  serialize(value: unknown): unknown {
    const meta: Path[] = []
    const maps: Path[] = []
    const blobs: Blob[] = []

    const visit = (value: any, path: Path, depth = path.length): unknown => {
      const typed = (type: number, json: unknown): unknown => {
        meta.push([type, ...path])
        return json
      }
      if (depth > MAX_DEPTH) throw new BodyError('the value cannot be serialized', 'it is circular or has more than 1000 levels')
      for (const custom of this.#custom) {
        if (custom.condition(value)) return typed(custom.type, visit(custom.serialize(value), path, depth + 1))
      }
      if (typeof value === 'bigint') return typed(0, `${value}`)
      if (Number.isNaN(value)) return typed(2, null)
      if (typeof value !== 'object' || value === null) return value
      if (value instanceof Date) return typed(1, Number.isNaN(+value) ? null : value.toISOString())
      if (isInstance(value, 'URL')) return typed(4, `${value}`)
      if (value instanceof RegExp) return typed(5, `${value}`)
      if (value instanceof Set) return typed(6, visit([...value], path))
      if (value instanceof Map) return typed(7, visit([...value], path))
      if (isInstance(value, 'Blob')) {
        maps.push(path)
        blobs.push(value)
        return {}
      }
      if (Array.isArray(value)) {
        return value.map((element, n) => {
          const segments = [...path, n]
          if (element !== undefined) return visit(element, segments)
          meta.push([3, ...segments])
          return null
        })
      }
      const prototype = Object.getPrototypeOf(value)
      if (prototype !== Object.prototype && prototype?.constructor) return value
      // Without a prototype, so that a key `__proto__` is like any other.
      const json = Object.create(null)
      for (const key in value) {
        // A method `toJSON` would replace the object.
        if (key !== 'toJSON' || typeof value[key] !== 'function') json[key] = visit(value[key], [...path, key])
      }
      return json
    }

    const body = { json: visit(value, []), meta: meta[0] && meta }
    if (!blobs[0]) return body
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

/** Returns the value that a JSON value stands for. */
function restore(type: unknown, json: any): unknown {
  // A custom type that this client does not have.
  if (typeof type === 'number' && type > MAX_BUILT_IN) return json
  switch (`${type} ${json === null ? 'null' : Array.isArray(json) ? 'array' : typeof json}`) {
    case '0 string':
      if (/^-?(0|[1-9]\d{0,4299})$/.test(json)) return BigInt(json)
      break
    case '1 string':
      return new Date(json)
    case '1 null':
      return new Date(NaN)
    case '2 null':
      return NaN
    case '3 null':
      return undefined
    case '4 string':
      return new URL(json)
    case '5 string': {
      const [, source, flags] = /^\/(.*)\/([a-z]*)$/.exec(json) ?? []
      if (source !== undefined) return new RegExp(source, flags)
      break
    }
    case '6 array':
      return new Set(json)
    case '7 array':
      return new Map(json)
  }
  throw new TypeError(`invalid value of type ${JSON.stringify(type)}`)
}

// @ts-check
// Values in oRPC's serialized form: JSON, and the types that JSON does not have.

/** The types of oRPC's meta, by their numbers. */
const TYPES = ['bigint', 'date', 'nan', 'undefined', 'url', 'regexp', 'set', 'map']

/** @typedef {[type: number, ...path: (string | number)[]]} Meta */

/** @param {(string | number)[]} path */
const keyOf = (path) => JSON.stringify(path.map(String))

/** A value, or a value in it. */
export class Value {
  /** @readonly */ json
  #path
  #types

  /**
   * @param {unknown} json
   * @param {readonly Meta[]} [meta]
   * @returns {Value}
   */
  static of(json, meta = []) {
    /** @type {Map<string, string>} */
    const types = new Map()
    for (const [type, ...path] of meta) types.set(keyOf(path), TYPES[type] ?? `custom type ${type}`)
    return new Value(json, [], types)
  }

  /**
   * @private
   * @param {unknown} json
   * @param {(string | number)[]} path
   * @param {Map<string, string>} types
   */
  constructor(json, path, types) {
    this.json = json
    this.#path = path
    this.#types = types
  }

  /** The type, such as `string`, `date` or `map`. */
  get kind() {
    const type = this.#types.get(keyOf(this.#path))
    if (type !== undefined) return type
    if (this.json === null) return 'null'
    return Array.isArray(this.json) ? 'array' : typeof this.json
  }

  /** Whether the value contains others. */
  get isContainer() {
    return typeof this.json === 'object' && this.json !== null
  }

  get size() {
    if (Array.isArray(this.json)) return this.json.length
    return this.isContainer ? Object.keys(/** @type {object} */ (this.json)).length : 0
  }

  /**
   * Returns the values in this one, with their names. The entries of a map are named by their keys.
   *
   * @returns {Generator<[name: string, value: Value]>}
   */
  *entries() {
    const { json } = this
    if (Array.isArray(json)) {
      const isMap = this.kind === 'map'
      for (const [index, item] of json.entries()) {
        if (isMap && Array.isArray(item)) yield [this.#child(item[0], index, 0).preview(40), this.#child(item[1], index, 1)]
        else yield [String(index), this.#child(item, index)]
      }
    } else if (typeof json === 'object' && json !== null) {
      for (const [key, value] of Object.entries(json)) yield [key, this.#child(value, key)]
    }
  }

  /**
   * @param {unknown} json
   * @param {...(string | number)} path
   */
  #child(json, ...path) {
    return new Value(json, [...this.#path, ...path], this.#types)
  }

  /** The text of a value that contains no others. */
  get text() {
    switch (this.kind) {
      case 'string':
        return JSON.stringify(this.json)
      case 'bigint':
        return `${this.json}n`
      case 'date':
        return this.json === null ? 'Invalid Date' : String(this.json)
      case 'nan':
        return 'NaN'
      case 'undefined':
        return 'undefined'
      default:
        return String(this.json)
    }
  }

  /**
   * Returns the value in one line of about this number of characters.
   *
   * @param {number} length
   * @returns {string}
   */
  preview(length) {
    if (!this.isContainer) {
      const { text } = this
      return text.length > length ? `${text.slice(0, Math.max(length - 1, 0))}…` : text
    }
    const { kind } = this
    const isList = Array.isArray(this.json)
    const [open, close] = isList ? ['[', ']'] : ['{', '}']
    const name = kind === 'array' || kind === 'object' ? '' : `${kind[0]?.toUpperCase()}${kind.slice(1)} `
    let text = name + open
    let isFirst = true
    for (const [key, value] of this.entries()) {
      const separator = isFirst ? (isList ? '' : ' ') : ', '
      isFirst = false
      if (text.length > length) {
        text += `${separator}…`
        break
      }
      const label = kind === 'map' ? `${key} → ` : isList ? '' : `${key}: `
      text += separator + label + value.preview(Math.max(length - text.length, 8))
    }
    return `${text}${isList || isFirst ? '' : ' '}${close}`
  }
}

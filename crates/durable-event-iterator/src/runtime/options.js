// The options and the result of `stub.publish`.

/**
 * The first of the names that is a property of its own and undefined, or else undefined. Serialized, such a property is as
 * good as missing.
 */
export function undefinedOption(options, names) {
  if (typeof options !== 'object' || options === null) return undefined
  return names.find((name) => Object.hasOwn(options, name) && options[name] === undefined)
}

/** The result of `stub.publish`. */
export function published(id, duplicate) {
  return { id, duplicate }
}

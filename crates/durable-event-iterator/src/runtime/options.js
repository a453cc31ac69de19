// The options and the result of `stub.publish`.

/**
 * Returns the first of `names` that is an own property of `options` with the value undefined, or undefined if there is none.
 * Such a property would be lost in serialization, so it has to be found before.
 */
export function undefinedOption(options, names) {
  if (typeof options !== 'object' || options === null) return undefined
  return names.find((name) => Object.hasOwn(options, name) && options[name] === undefined)
}

/** Does the same for a list of options. Returns the index and the name. */
export function undefinedOptionIn(list, names) {
  for (let n = 0; n < list.length; n++) {
    const name = undefinedOption(list[n], names)
    if (name !== undefined) return [n, name]
  }
  return undefined
}

/** Returns the result of `stub.publish`. */
export function published(id, duplicate) {
  return { id, duplicate }
}

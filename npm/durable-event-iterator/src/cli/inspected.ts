// Values of events, printed as in JavaScript.

import { inspect } from 'node:util'
import type { InspectOptionsStylized } from 'node:util'

import type { CustomSerializer } from '../client/wire/serializer.js'
import { stdout } from './output.js'
import { plain } from './text.js'

/** Returns a value on one line, with the colors of the standard output. Control characters are escaped. */
export function inspected(value: unknown): string {
  const text = inspect(value, {
    colors: stdout.hasColors,
    depth: Number.POSITIVE_INFINITY,
    breakLength: Number.POSITIVE_INFINITY,
    compact: true,
    maxArrayLength: null,
    maxStringLength: null,
  })
  return stdout.hasColors ? text : plain(text)
}

/** Reads regular expressions as {@link PrintedRegExp}: `inspect` does not escape the control characters in a `RegExp`. */
export const PRINTED_REGEXP: CustomSerializer = {
  // The number of the type in oRPC's format.
  type: 5,
  condition: () => false,
  serialize: (value) => value,
  deserialize: (json) => {
    if (typeof json !== 'string') throw new TypeError('invalid regular expression')
    return new PrintedRegExp(json)
  },
}

/** A regular expression that is only printed. */
class PrintedRegExp {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  [inspect.custom](_: number, { stylize }: InspectOptionsStylized): string {
    return stylize(plain(this.#text), 'regexp')
  }
}

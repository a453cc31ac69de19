// The token form of `DurableIterator` clients: the JSON of the payload, a dot, and the signature.

import type { TokenForm } from './form.js'

export const signedJson: TokenForm = {
  async seal(payload, sign) {
    return `${payload}.${await sign(payload)}`
  },
  open(token) {
    // The last dot: the payload may contain dots, the signature does not.
    const end = token.lastIndexOf('.')
    if (end === -1) return undefined
    const payload = token.slice(0, end)
    return { payload, message: payload, signature: token.slice(end + 1) }
  },
}

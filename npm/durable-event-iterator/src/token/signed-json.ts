// Generation 2: the payload as it is, a dot, and its signature.

import type { TokenForm } from './form.js'

export const signedJson: TokenForm = {
  async seal(payload, sign) {
    return `${payload}.${await sign(payload)}`
  },
  open(token) {
    // The payload may hold dots, a signature does not.
    const end = token.lastIndexOf('.')
    if (end === -1) return undefined
    const payload = token.slice(0, end)
    return { payload, message: payload, signature: token.slice(end + 1) }
  },
}

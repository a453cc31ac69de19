// The token form of `DurableEventIterator` clients: a JWT with HS256. Other algorithms and extensions are not supported.

import { decode, encode } from './base64url.js'
import type { TokenForm } from './form.js'

const utf8 = new TextEncoder()

const HEADER = encode(utf8.encode('{"alg":"HS256"}'))

export const jwt: TokenForm = {
  async seal(payload, sign) {
    const message = `${HEADER}.${encode(utf8.encode(payload))}`
    return `${message}.${await sign(message)}`
  },
  open(token) {
    const [header, encoded, signature, ...rest] = token.split('.')
    if (header === undefined || encoded === undefined || signature === undefined || rest.length > 0) return undefined
    const payload = textOf(encoded)
    if (payload === undefined || !isHeader(textOf(header))) return undefined
    return { payload, message: `${header}.${encoded}`, signature }
  },
}

/** Whether the header is supported: HS256, without `crit`, which would require extensions (RFC 7515, section 4.1.11). */
function isHeader(json: string | undefined): boolean {
  if (json === undefined) return false
  try {
    const header: unknown = JSON.parse(json)
    return typeof header === 'object' && header !== null && 'alg' in header && header.alg === 'HS256' && !('crit' in header)
  } catch {
    return false
  }
}

function textOf(part: string): string | undefined {
  const bytes = decode(part)
  if (bytes === undefined) return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes)
  } catch {
    return undefined
  }
}

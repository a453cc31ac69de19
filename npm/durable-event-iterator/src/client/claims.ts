import type { ClientKind, DurableIteratorTokenPayload } from '../token/payload.js'

/** A token's kind and claims. */
export interface TokenClaims {
  readonly kind: ClientKind
  readonly payload: DurableIteratorTokenPayload
}

/**
 * Reads the claims of a token without verification, as clients have no signing key. Returns `undefined` if it is not a token.
 *
 * It checks the claims that the client uses; the server checks all of them.
 */
export function readClaims(token: unknown): TokenClaims | undefined {
  if (typeof token !== 'string') return undefined
  try {
    // Signed JSON starts with a brace, a JWT with a letter.
    const isSignedJson = token.startsWith('{')
    const json = isSignedJson ? token.slice(0, token.lastIndexOf('.')) : textOf(token.split('.')[1] ?? '')
    const payload = JSON.parse(json)
    const { chn, rpc = [], iat, exp } = payload
    const isValid = typeof chn === 'string' && Array.isArray(rpc) && Number.isFinite(iat) && Number.isFinite(exp)
    return isValid ? { kind: isSignedJson ? 'DurableIterator' : 'DurableEventIterator', payload } : undefined
  } catch {
    return undefined
  }
}

/** Decodes base64url of UTF-8. React Native has no `TextDecoder`. */
function textOf(base64url: string): string {
  const binary = atob(base64url.replaceAll('-', '+').replaceAll('_', '/'))
  return decodeURIComponent(binary.replace(/[^]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`))
}

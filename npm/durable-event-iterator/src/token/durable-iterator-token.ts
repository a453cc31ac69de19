// The token functions that `@orpc/experimental-durable-iterator` exports under the same names.

import { DurableIteratorError } from '../error.js'
import type { DurableIteratorTokenPayload } from './payload.js'
import { checkAttachment, checkClaims, checkTags } from './limits.js'
import { clientKindOf, readToken, signToken, verifyToken } from './token.js'

/**
 * Signs a token of a `DurableIterator`. Use it to issue tokens outside an oRPC server.
 *
 * Rejects with a `RangeError` when a claim is out of its limits or the token is longer than 8,192 bytes, and with a `TypeError`
 * when a claim has the wrong type or the signing key is empty.
 */
export async function signDurableIteratorToken(signingKey: string, payload: DurableIteratorTokenPayload): Promise<string> {
  checkAttachment(payload.att)
  checkClaims(payload)
  checkTags(payload.tags ?? [], 'DurableIterator')
  return signToken(payload, signingKey, 'DurableIterator')
}

/**
 * Verifies a token of a `DurableIterator`: its signature and its times. Returns its claims, or `undefined` if the token is
 * invalid or has expired.
 */
export async function verifyDurableIteratorToken(
  signingKey: string,
  token: string,
): Promise<DurableIteratorTokenPayload | undefined> {
  return clientKindOf(token) === 'DurableIterator' ? verifyToken(token, [signingKey], Date.now()) : undefined
}

/**
 * Reads the claims of a token of a `DurableIterator` without verification.
 *
 * @throws {DurableIteratorError} When the value is not such a token.
 */
export function parseDurableIteratorToken(token: string | null | undefined): DurableIteratorTokenPayload {
  const payload = token && clientKindOf(token) === 'DurableIterator' ? readToken(token) : undefined
  if (payload === undefined) throw new DurableIteratorError('the value is not a token of a DurableIterator')
  return payload
}

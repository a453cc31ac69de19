// The functions for tokens that the package of oRPC's “durable iterator” has, too.

import { DurableIteratorError } from '../error.js'
import type { DurableIteratorTokenPayload } from './payload.js'
import { checkAttachment, checkClaims, checkTags } from './limits.js'
import { generationOf, readToken, signToken, verifyToken } from './token.js'

/**
 * Signs a token.
 *
 * Rejects with a `RangeError` when a Durable Object would reject a claim or the token is longer than 8,192 bytes, and with a
 * `TypeError` when a claim has another type or the key is empty.
 */
export async function signDurableIteratorToken(signingKey: string, payload: DurableIteratorTokenPayload): Promise<string> {
  checkAttachment(payload.att)
  checkClaims(payload)
  checkTags(payload.tags ?? [], 2)
  return signToken(payload, signingKey, 2)
}

/** What a token says, if the key signed it and it is valid now; otherwise `undefined`. */
export async function verifyDurableIteratorToken(
  signingKey: string,
  token: string,
): Promise<DurableIteratorTokenPayload | undefined> {
  return generationOf(token) === 2 ? verifyToken(token, [signingKey], Date.now()) : undefined
}

/**
 * What a token says, whoever signed it.
 *
 * @throws {DurableIteratorError} When it is none.
 */
export function parseDurableIteratorToken(token: string | null | undefined): DurableIteratorTokenPayload {
  const payload = token && generationOf(token) === 2 ? readToken(token) : undefined
  if (payload === undefined) throw new DurableIteratorError('This is no token of a DurableIterator.')
  return payload
}

// Signs and verifies tokens of both kinds, with a signing key that the server and the Durable Object share.

import type { OpenedToken, TokenForm } from './form.js'
import { jwt } from './jwt.js'
import { bytesOf, checkClaims, checkToken, MAX_TOKEN_BYTES } from './limits.js'
import { isInForce, readPayload } from './payload.js'
import type { ClientKind, DurableIteratorTokenPayload } from './payload.js'
import { isSigned, sign } from './signature.js'
import { signedJson } from './signed-json.js'

/** Returns the kind of clients that a token is for, by its form: signed JSON starts with a brace, a JWT with a letter. */
export function clientKindOf(token: string): ClientKind {
  return token.startsWith('{') ? 'DurableIterator' : 'DurableEventIterator'
}

/**
 * Signs a token.
 *
 * @throws {RangeError} When the token would be longer than 8,192 bytes.
 * @throws {TypeError} When the signing key is empty or not a string.
 */
export async function signToken(
  payload: DurableIteratorTokenPayload,
  signingKey: string,
  kind: ClientKind = 'DurableEventIterator',
): Promise<string> {
  const token = await FORMS[kind].seal(JSON.stringify(payload), (message) => sign(message, signingKey))
  checkToken(token)
  return token
}

/**
 * Verifies a token with several signing keys at `now`, in milliseconds since 1970. Returns its claims, or `undefined` if the
 * token is invalid. The limits of tags are not checked: invalid tags are rejected with another status.
 */
export async function verifyToken(
  token: string,
  signingKeys: readonly string[],
  now: number,
): Promise<DurableIteratorTokenPayload | undefined> {
  const kind = clientKindOf(token)
  const opened = open(token, kind)
  if (opened === undefined) return undefined
  const payload = readPayload(opened.payload, kind)
  if (payload === undefined || !isInForce(payload, kind, now) || !fits(payload)) return undefined
  return (await isSigned(opened.message, opened.signature, signingKeys)) ? payload : undefined
}

/** Reads the claims of a token without verification, for clients, which have no signing key. */
export function readToken(token: string): DurableIteratorTokenPayload | undefined {
  const kind = clientKindOf(token)
  const opened = open(token, kind)
  return opened && readPayload(opened.payload, kind)
}

function fits(payload: DurableIteratorTokenPayload): boolean {
  try {
    checkClaims(payload)
    return true
  } catch {
    return false
  }
}

const FORMS: Record<ClientKind, TokenForm> = { DurableEventIterator: jwt, DurableIterator: signedJson }

function open(token: string, kind: ClientKind): OpenedToken | undefined {
  return bytesOf(token) <= MAX_TOKEN_BYTES ? FORMS[kind].open(token) : undefined
}

// Tokens of both generations: what they say, and a signature by a key that the server and the object share.

import type { OpenedToken, TokenForm } from './form.js'
import { jwt } from './jwt.js'
import { bytesOf, checkClaims, checkToken, MAX_TOKEN_BYTES } from './limits.js'
import { isInForce, readPayload } from './payload.js'
import type { DurableIteratorTokenPayload, Generation } from './payload.js'
import { isSigned, sign } from './signature.js'
import { signedJson } from './signed-json.js'

/** Told by the form: a JWT begins with letters. */
export function generationOf(token: string): Generation {
  return token.startsWith('{') ? 2 : 1
}

/**
 * @throws {RangeError} When the token would be longer than an object accepts.
 * @throws {TypeError} When the key is empty.
 */
export async function signToken(
  payload: DurableIteratorTokenPayload,
  signingKey: string,
  generation: Generation = 1,
): Promise<string> {
  const token = await FORMS[generation].seal(JSON.stringify(payload), (message) => sign(message, signingKey))
  checkToken(token)
  return token
}

/**
 * What a token says, if one of the keys signed it and it is valid at `now`, in milliseconds since the epoch. Its tags are not
 * checked: they are rejected with another status.
 */
export async function verifyToken(
  token: string,
  signingKeys: readonly string[],
  now: number,
): Promise<DurableIteratorTokenPayload | undefined> {
  const generation = generationOf(token)
  const opened = open(token, generation)
  if (opened === undefined) return undefined
  const payload = readPayload(opened.payload, generation)
  if (payload === undefined || !isInForce(payload, generation, now) || !fits(payload)) return undefined
  return (await isSigned(opened.message, opened.signature, signingKeys)) ? payload : undefined
}

/** What a token says, whoever signed it: for a client, which cannot know. */
export function readToken(token: string): DurableIteratorTokenPayload | undefined {
  const generation = generationOf(token)
  const opened = open(token, generation)
  return opened && readPayload(opened.payload, generation)
}

function fits(payload: DurableIteratorTokenPayload): boolean {
  try {
    checkClaims(payload)
    return true
  } catch {
    return false
  }
}

const FORMS: Record<Generation, TokenForm> = { 1: jwt, 2: signedJson }

function open(token: string, generation: Generation): OpenedToken | undefined {
  return bytesOf(token) <= MAX_TOKEN_BYTES ? FORMS[generation].open(token) : undefined
}

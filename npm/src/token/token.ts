// Tokens of both generations: what they say, and a signature by a key that the server and the object share.

import { MAX_TOKEN_BYTES } from '../wire.js'
import type { OpenedToken, TokenForm } from './form.js'
import { jwt } from './jwt.js'
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
  const bytes = sizeOf(token)
  if (bytes > MAX_TOKEN_BYTES) {
    throw new RangeError(`The token has ${bytes} bytes; ${MAX_TOKEN_BYTES} are possible. Make its attachment smaller.`)
  }
  return token
}

/** What a token says, if one of the keys signed it and it is valid at `now`, in milliseconds since the epoch. */
export async function verifyToken(
  token: string,
  signingKeys: readonly string[],
  now: number,
): Promise<DurableIteratorTokenPayload | undefined> {
  const generation = generationOf(token)
  const opened = open(token, generation)
  if (opened === undefined) return undefined
  const payload = readPayload(opened.payload, generation)
  if (payload === undefined || !isInForce(payload, generation, now)) return undefined
  return (await isSigned(opened.message, opened.signature, signingKeys)) ? payload : undefined
}

/** What a token says, whoever signed it: for a client, which cannot know. */
export function readToken(token: string): DurableIteratorTokenPayload | undefined {
  const generation = generationOf(token)
  const opened = open(token, generation)
  return opened && readPayload(opened.payload, generation)
}

const FORMS: Record<Generation, TokenForm> = { 1: jwt, 2: signedJson }

function open(token: string, generation: Generation): OpenedToken | undefined {
  return sizeOf(token) <= MAX_TOKEN_BYTES ? FORMS[generation].open(token) : undefined
}

function sizeOf(token: string): number {
  return new TextEncoder().encode(token).length
}

// Tokens: a JWT, signed with HMAC-SHA256 by WebCrypto.

import type { JsonValue } from './object.js'
import { MAX_TOKEN_BYTES } from './wire.js'

/** What a token says. */
export interface DurableEventIteratorTokenPayload {
  /** The channel, which names the object. */
  readonly chn: string
  /** The procedures that may be called, by the first segment of their path. */
  readonly rpc: readonly string[]
  /** What the application put into it. */
  readonly att?: JsonValue | undefined
  /** When it was issued, in seconds since the epoch. */
  readonly iat: number
  /** When its rights end, in seconds since the epoch. */
  readonly exp: number
  /** When its rights begin, in seconds since the epoch; at once when it is missing. */
  readonly nbf?: number | undefined
}

/**
 * @throws {RangeError} When the token would be longer than an object accepts.
 * @throws {TypeError} When the key is empty.
 */
export async function signToken(payload: DurableEventIteratorTokenPayload, signingKey: string): Promise<string> {
  const message = `${HEADER}.${encode(utf8.encode(JSON.stringify(payload)))}`
  const signature = await crypto.subtle.sign('HMAC', await importKey(signingKey), utf8.encode(message))
  const token = `${message}.${encode(new Uint8Array(signature))}`
  if (token.length > MAX_TOKEN_BYTES) {
    throw new RangeError(`The token has ${token.length} bytes; ${MAX_TOKEN_BYTES} are possible. Make its attachment smaller.`)
  }
  return token
}

/** What a token says, if one of the keys signed it and it is valid at `now`, in milliseconds since the epoch. */
export async function verifyToken(
  token: string,
  signingKeys: readonly string[],
  now: number,
): Promise<DurableEventIteratorTokenPayload | undefined> {
  const parts = partsOf(token)
  if (parts === undefined || !isHeader(readJson(parts.header))) return undefined
  const payload = readJson(parts.payload)
  if (!isPayload(payload)) return undefined
  if (payload.exp * 1_000 <= now || (payload.nbf ?? 0) > Math.floor(now / 1_000)) return undefined
  const signature = decode(parts.signature)
  if (signature === undefined) return undefined
  const message = utf8.encode(`${parts.header}.${parts.payload}`)
  for (const signingKey of signingKeys) {
    if (await crypto.subtle.verify('HMAC', await importKey(signingKey), signature, message)) return payload
  }
  return undefined
}

/** What a token says, whoever signed it: for a client, which cannot know. */
export function readToken(token: string): DurableEventIteratorTokenPayload | undefined {
  const parts = partsOf(token)
  const payload = parts && readJson(parts.payload)
  return isPayload(payload) ? payload : undefined
}

const utf8 = new TextEncoder()

const HEADER = encode(utf8.encode('{"alg":"HS256"}'))

function partsOf(token: string): { header: string; payload: string; signature: string } | undefined {
  if (token.length > MAX_TOKEN_BYTES) return undefined
  const [header, payload, signature, ...rest] = token.split('.')
  if (header === undefined || payload === undefined || signature === undefined || rest.length > 0) return undefined
  return { header, payload, signature }
}

/** A header with `crit` demands what is not understood here. */
function isHeader(header: unknown): boolean {
  return isRecord(header) && header['alg'] === 'HS256' && !('crit' in header)
}

function isPayload(payload: unknown): payload is DurableEventIteratorTokenPayload {
  return (
    isRecord(payload) &&
    typeof payload['chn'] === 'string' &&
    Array.isArray(payload['rpc']) &&
    payload['rpc'].every((name) => typeof name === 'string') &&
    isTime(payload['iat']) &&
    isTime(payload['exp']) &&
    (payload['nbf'] === undefined || isTime(payload['nbf']))
  )
}

function isTime(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function readJson(part: string): unknown {
  const bytes = decode(part)
  if (bytes === undefined) return undefined
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return undefined
  }
}

/** Importing a key costs more than signing with it; a server signs with one and verifies with a few. */
const importedKeys = new Map<string, Promise<CryptoKey>>()

/** More keys than a rotation has at once. Beyond that they are imported anew. */
const MAX_IMPORTED_KEYS = 16

function importKey(signingKey: string): Promise<CryptoKey> {
  if (signingKey === '') throw new TypeError('The signing key is empty.')
  const imported = importedKeys.get(signingKey)
  if (imported !== undefined) return imported
  if (importedKeys.size >= MAX_IMPORTED_KEYS) importedKeys.clear()
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key = crypto.subtle.importKey('raw', utf8.encode(signingKey), algorithm, false, ['sign', 'verify'])
  importedKeys.set(signingKey, key)
  return key
}

/** Base64url without padding. */
function encode(bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

function decode(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[\w-]+$/.test(text)) return undefined
  try {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
    return Uint8Array.from(binary, (character) => character.charCodeAt(0))
  } catch {
    return undefined
  }
}

// HMAC-SHA256, by WebCrypto.

import { decode, encode } from './base64url.js'

const utf8 = new TextEncoder()

/**
 * The signature of a message, as base64url.
 *
 * @throws {TypeError} When the key is empty or not a string.
 */
export async function sign(message: string, signingKey: string): Promise<string> {
  return encode(new Uint8Array(await crypto.subtle.sign('HMAC', await importKey(signingKey), utf8.encode(message))))
}

/** Whether one of the keys signed the message. */
export async function isSigned(message: string, signature: string, signingKeys: readonly string[]): Promise<boolean> {
  const bytes = decode(signature)
  if (bytes === undefined) return false
  for (const signingKey of signingKeys) {
    if (await crypto.subtle.verify('HMAC', await importKey(signingKey), bytes, utf8.encode(message))) return true
  }
  return false
}

/** Importing a key costs more than signing with it; a server signs with one and verifies with a few. */
const importedKeys = new Map<string, Promise<CryptoKey>>()

/** More keys than a rotation has at once. Beyond that they are imported anew. */
const MAX_IMPORTED_KEYS = 16

function importKey(signingKey: string): Promise<CryptoKey> {
  // A variable that is not set is undefined, which the encoder would take for an empty key.
  if (typeof signingKey !== 'string' || signingKey === '') throw new TypeError('signing key must be a non-empty string')
  const imported = importedKeys.get(signingKey)
  if (imported !== undefined) return imported
  if (importedKeys.size >= MAX_IMPORTED_KEYS) importedKeys.clear()
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key = crypto.subtle.importKey('raw', utf8.encode(signingKey), algorithm, false, ['sign', 'verify'])
  importedKeys.set(signingKey, key)
  return key
}

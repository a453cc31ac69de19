// Signatures: HMAC-SHA256 of WebCrypto.

import { decode, encode } from './base64url.js'

const utf8 = new TextEncoder()

/**
 * Returns the signature of a message, in base64url.
 *
 * @throws {TypeError} When the signing key is empty or not a string.
 */
export async function sign(message: string, signingKey: string): Promise<string> {
  return encode(new Uint8Array(await crypto.subtle.sign('HMAC', await importKey(signingKey), utf8.encode(message))))
}

/** Whether the signature is that of one of the signing keys. */
export async function isSigned(message: string, signature: string, signingKeys: readonly string[]): Promise<boolean> {
  const bytes = decode(signature)
  if (bytes === undefined) return false
  for (const signingKey of signingKeys) {
    if (await crypto.subtle.verify('HMAC', await importKey(signingKey), bytes, utf8.encode(message))) return true
  }
  return false
}

/** Imported keys: importing a key costs more than signing with it. */
const importedKeys = new Map<string, Promise<CryptoKey>>()

/** The maximum number of cached keys, more than a key rotation needs. The cache is cleared when it is full. */
const MAX_IMPORTED_KEYS = 16

function importKey(signingKey: string): Promise<CryptoKey> {
  // A missing environment variable is undefined, which the encoder would encode as an empty key.
  if (typeof signingKey !== 'string' || signingKey === '') throw new TypeError('signing key must be a non-empty string')
  const imported = importedKeys.get(signingKey)
  if (imported !== undefined) return imported
  if (importedKeys.size >= MAX_IMPORTED_KEYS) importedKeys.clear()
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key = crypto.subtle.importKey('raw', utf8.encode(signingKey), algorithm, false, ['sign', 'verify'])
  importedKeys.set(signingKey, key)
  return key
}

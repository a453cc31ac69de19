import { CONNECTION_ID_PARAMETER, isConnectionId, TOKEN_PARAMETER } from '../wire.js'

/**
 * The URL that a WebSocket opens with.
 *
 * @throws {TypeError} When the application's URL is invalid.
 */
export function upgradeUrl(url: string | URL, token: string, connectionId: string): string {
  const upgrade = absolute(url)
  // Browsers before 2024 know no others.
  upgrade.protocol = upgrade.protocol.replace(/^http/, 'ws')
  upgrade.searchParams.set(TOKEN_PARAMETER, token)
  upgrade.searchParams.set(CONNECTION_ID_PARAMETER, connectionId)
  return upgrade.href
}

function absolute(url: string | URL): URL {
  const page = (globalThis as { location?: { href?: string } }).location?.href
  try {
    return new URL(url)
  } catch (error) {
    // Only a relative URL needs the page's, which may be no base: it is `about:blank` in some frames and workers.
    if (page === undefined) throw error
    return new URL(url, page)
  }
}

/**
 * An unguessable id: 128 random bits. `crypto.randomUUID` is missing on pages without https.
 *
 * @throws {TypeError} When the environment has no source of randomness.
 */
export function newConnectionId(): string {
  const { crypto } = globalThis as { crypto?: Partial<Pick<Crypto, 'getRandomValues'>> }
  if (typeof crypto?.getRandomValues !== 'function') {
    throw new TypeError('crypto.getRandomValues is missing in this environment; set the option `createId` of the link plugin')
  }
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/**
 * An id that the application has made. The upgrade would reject a wrong one each time.
 *
 * @throws {RangeError} When no Durable Object accepts it.
 */
export function checkConnectionId(id: string): string {
  if (typeof id === 'string' && isConnectionId(id)) return id
  throw new RangeError(`createId must return 1 to 128 visible ASCII characters, got ${JSON.stringify(id)}`)
}

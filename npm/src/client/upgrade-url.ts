import { CONNECTION_ID_PARAMETER, isConnectionId, TOKEN_PARAMETER } from '../wire.js'

/**
 * The URL that a WebSocket opens with.
 *
 * @throws {TypeError} When the application's URL is none.
 */
export function upgradeUrl(url: string | URL, token: string, connectionId: string): string {
  const page = (globalThis as { location?: { href: string } }).location?.href
  const upgrade = new URL(url, page)
  // Browsers before 2024 know no others.
  upgrade.protocol = upgrade.protocol.replace(/^http/, 'ws')
  upgrade.searchParams.set(TOKEN_PARAMETER, token)
  upgrade.searchParams.set(CONNECTION_ID_PARAMETER, connectionId)
  return upgrade.href
}

/** An id that nobody guesses: 128 random bits. `crypto.randomUUID` is missing on pages without https. */
export function newConnectionId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/**
 * An id that the application has made. The upgrade would refuse a wrong one each time.
 *
 * @throws {RangeError} When no object accepts it.
 */
export function checkConnectionId(id: string): string {
  if (isConnectionId(id)) return id
  throw new RangeError(`createId makes ids of 1 to 128 visible ASCII characters, not ${JSON.stringify(id)}.`)
}

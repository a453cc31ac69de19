import { CONNECTION_ID_PARAMETER, isConnectionId, TOKEN_PARAMETER } from '../wire.js'

/**
 * Returns the URL for a WebSocket: the application's URL with the token and the connection id.
 *
 * @throws {TypeError} When the application's URL is invalid.
 */
export function upgradeUrl(url: string | URL, token: string, connectionId: string): string {
  // A relative URL is relative to the page.
  const page = (globalThis as { location?: { href?: string } }).location?.href
  // Browsers before 2024 accept only `ws:` and `wss:`, and none accepts a fragment.
  const upgrade = new URL(url, page).href.replace(/^http/, 'ws').replace(/#.*$/s, '')
  // The last parameter of a name counts. In React Native, `URL.searchParams` cannot be modified.
  const parameters = `${TOKEN_PARAMETER}=${encodeURIComponent(token)}&${CONNECTION_ID_PARAMETER}=${encodeURIComponent(connectionId)}`
  return `${upgrade}${upgrade.includes('?') ? '&' : '?'}${parameters}`
}

/** Returns the token and the connection id in a URL of {@link upgradeUrl}. */
export function parametersOf(url: string): { token: string; connectionId: string } {
  const [token = '', connectionId = ''] = url.split('&').slice(-2).map((parameter) => decodeURIComponent(parameter.replace(/^.*=/, '')))
  return { token, connectionId }
}

/** Returns a URL of {@link upgradeUrl} with another token. */
export function withToken(url: string, token: string): string {
  return url.replace(/=[^=&]*(&[^=&]*=[^&]*)$/, (_, rest: string) => `=${encodeURIComponent(token)}${rest}`)
}

/**
 * Returns a connection id of 128 random bits. `crypto.randomUUID` is missing on pages without HTTPS.
 *
 * @throws {TypeError} When the environment has no source of randomness.
 */
export function newConnectionId(): string {
  const { crypto } = globalThis as { crypto?: Partial<Pick<Crypto, 'getRandomValues'>> }
  if (crypto?.getRandomValues === undefined) {
    throw new TypeError('crypto.getRandomValues is missing in this environment; set the option `createId`')
  }
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/**
 * Checks a connection id of the application, and returns it.
 *
 * @throws {RangeError} When a Durable Object would reject the connection id.
 */
export function checkConnectionId(id: string): string {
  if (typeof id === 'string' && isConnectionId(id)) return id
  throw new RangeError(`createId must return 1–128 visible ASCII characters, got ${JSON.stringify(id)}`)
}

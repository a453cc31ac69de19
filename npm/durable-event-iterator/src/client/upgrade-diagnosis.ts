import { DurableEventIteratorConnectionError } from './connection-error.js'
import { isRejectedStatus, messageOf } from './errors.js'
import { withTimeout } from './waiting.js'

/** The reason why the WebSocket of an iterator does not open, if it can be determined. */
export interface UpgradeDiagnosis {
  readonly error: DurableEventIteratorConnectionError
  /** Whether the server rejects the request, so that another attempt would fail too. */
  readonly isRejection: boolean
  /** The time for which the server requests no further attempt, in milliseconds. */
  readonly retryAfter: number
}

/**
 * Determines why a WebSocket does not open. Browsers report neither the status nor the text of a failed handshake, so this
 * function sends a GET request to the same URL. The upgrade endpoint checks the token of such a request, and then responds that
 * it expects a WebSocket.
 *
 * @param url - The URL of the WebSocket.
 * @param cause - The error that the WebSocket reported.
 */
export async function diagnoseUpgrade(url: string, cause: unknown): Promise<UpgradeDiagnosis> {
  const diagnosis = (what: string, status?: number, isRejection = false, retryAfter = 0): UpgradeDiagnosis => {
    // Without the query, which contains the token.
    const message = `cannot connect to ${url.replace(/[?#].*$/s, '')}: ${what}`
    return { error: new DurableEventIteratorConnectionError('unavailable', { message, status, cause }), isRejection, retryAfter }
  }
  try {
    const { response, text } = await withTimeout(TIMEOUT_MS, 'no response', async (signal) => {
      const response = await fetch(url.replace(/^ws/, 'http'), { ...REQUEST, signal })
      return { response, text: (await response.text()).slice(0, MAX_TEXT_LENGTH).trim() }
    })
    const { status, ok } = response
    const type: string = response.type
    if (type === 'opaqueredirect' || (status >= 300 && status < 400)) {
      return diagnosis('the server responds with a redirect, which a WebSocket cannot follow; check `url`', status || undefined, true)
    }
    const quote = text === '' || text.startsWith('<') ? '' : ` "${text}"`
    const hint = ok || status === 404 || status === 405 ? NOT_AN_ENDPOINT : (HINTS[status] ?? '')
    const isRejection = ok || (status !== UPGRADE_REQUIRED && isRejectedStatus(status))
    return diagnosis(`the server responds with ${status}${quote}${hint}`, status, isRejection, retryAfterOf(response))
  } catch {
    return diagnosis(`${messageOf(cause)}, and no HTTP response can be read (network, TLS or CORS)`)
  }
}

/** A WebSocket does not follow redirects, and the token must not be sent to another server. */
const REQUEST = { redirect: 'manual', cache: 'no-store', referrerPolicy: 'no-referrer' } as const

/** The expected response to a GET request. */
const UPGRADE_REQUIRED = 426

const NOT_AN_ENDPOINT = '; this is not an upgrade endpoint; check `url`'

/** What to check for a status. */
const HINTS: Readonly<Record<number, string>> = {
  401: '; check that the server that issues the token has the signing key of the Durable Object',
  [UPGRADE_REQUIRED]:
    '; the upgrade endpoint accepts the token, but the WebSocket is rejected by a proxy, or by the Durable Object: check its signing key',
}

/** The time limit for the response, in milliseconds. */
const TIMEOUT_MS = 10_000

/** The maximum length of the response text in an error message, in UTF-16 code units. */
const MAX_TEXT_LENGTH = 200

/** The maximum `Retry-After`, in milliseconds: with a wrong header, a client must not stay disconnected for days. */
const MAX_RETRY_AFTER_MS = 5 * 60_000

/** Returns the `Retry-After` in milliseconds. */
function retryAfterOf({ headers }: Response): number {
  const value = headers.get('retry-after') ?? ''
  // A number of seconds, or a date.
  const milliseconds = Number(value) * 1_000 || Date.parse(value) - Date.now()
  return milliseconds > 0 ? Math.min(milliseconds, MAX_RETRY_AFTER_MS) : 0
}

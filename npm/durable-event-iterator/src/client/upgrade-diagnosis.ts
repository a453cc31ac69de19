import { DurableEventIteratorConnectionError } from './connection-error.js'

/** The reason why the WebSocket of an iterator does not open, if it can be determined. */
export interface UpgradeDiagnosis {
  readonly error: DurableEventIteratorConnectionError
  /** Whether the server rejects the request, so that another attempt would fail too. */
  readonly isRejection: boolean
  /** The time for which the server requests no further attempt, in milliseconds. */
  readonly retryAfter: number | undefined
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
  const { fetch } = globalThis as { fetch?: typeof globalThis.fetch }
  const explain = (what: string, status?: number): DurableEventIteratorConnectionError =>
    new DurableEventIteratorConnectionError('unavailable', { message: `cannot connect to ${withoutQuery(url)}: ${what}`, status, cause })
  const unknown = (what: string): UpgradeDiagnosis => ({ error: explain(what), isRejection: false, retryAfter: undefined })
  if (typeof fetch !== 'function') return unknown(messageOf(cause))

  let response: Response
  let text: string
  const timeout = new AbortController()
  const timer = setTimeout(() => timeout.abort(), TIMEOUT_MS)
  try {
    response = await fetch(url.replace(/^ws/, 'http'), {
      // A WebSocket does not follow redirects, and the token must not be sent to another server.
      redirect: 'manual',
      cache: 'no-store',
      referrerPolicy: 'no-referrer',
      signal: timeout.signal,
    })
    text = (await response.text()).slice(0, MAX_TEXT_LENGTH).trim()
  } catch {
    return unknown(`${messageOf(cause)}, and no HTTP response can be read (network, TLS or CORS)`)
  } finally {
    clearTimeout(timer)
  }
  const { status } = response
  if (response.type === 'opaqueredirect' || (status >= 300 && status < 400)) {
    return { error: explain('the server responds with a redirect, which a WebSocket cannot follow; check `url`', status || undefined), isRejection: true, retryAfter: undefined }
  }
  const what = `the server responds with ${status}${text === '' || text.startsWith('<') ? '' : ` "${text}"`}`
  const hint = HINTS[status] ?? (response.ok ? NOT_AN_ENDPOINT : undefined)
  return {
    error: explain(hint === undefined ? what : `${what}; ${hint}`, status),
    isRejection: response.ok || (status >= 400 && status < 500 && !TEMPORARY_STATUSES.has(status)),
    retryAfter: retryAfterOf(response),
  }
}

const NOT_AN_ENDPOINT = 'this is not an upgrade endpoint; check `url`'

/** What to check for a status. */
const HINTS: Readonly<Record<number, string>> = {
  401: 'check that the server that issues the token has the signing key of the Durable Object',
  404: NOT_AN_ENDPOINT,
  405: NOT_AN_ENDPOINT,
  426: 'the upgrade endpoint accepts the token, but the WebSocket is rejected by a proxy, or by the Durable Object: check its signing key',
}

/** Request Timeout, Too Early, Upgrade Required (the expected response to a GET request), Too Many Requests. */
const TEMPORARY_STATUSES = new Set([408, 425, 426, 429])

/** The time limit for the response, in milliseconds. */
const TIMEOUT_MS = 10_000

/** The maximum length of the response text in an error message, in UTF-16 code units. */
const MAX_TEXT_LENGTH = 200

/** The maximum `Retry-After`, in milliseconds: with a wrong header, a client must not stay disconnected for days. */
const MAX_RETRY_AFTER_MS = 5 * 60_000

function retryAfterOf({ headers }: Response): number | undefined {
  const value = headers.get('retry-after')
  if (value === null) return undefined
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1_000
  return seconds > 0 ? Math.min(seconds * 1_000, MAX_RETRY_AFTER_MS) : undefined
}

/** Removes the query, which contains the token: error messages must not contain it. */
function withoutQuery(url: string): string {
  return url.replace(/[?#].*$/s, '')
}

/** Returns the message of a thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

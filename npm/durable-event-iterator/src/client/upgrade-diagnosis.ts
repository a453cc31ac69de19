import { DurableEventIteratorConnectionError } from './connection-error.js'

/** Why the WebSocket of an iterator does not open, as far as it can be known. */
export interface UpgradeDiagnosis {
  readonly error: DurableEventIteratorConnectionError
  /** Whether the server rejects the request, so that another attempt gets the same answer unless something is changed. */
  readonly isRefusal: boolean
  /** For how long the server wants no request, in milliseconds. */
  readonly retryAfter: number | undefined
}

/**
 * Finds out why a WebSocket does not open: a browser reports neither the status nor the text of a failed handshake, but it
 * reports those of a GET request to the same URL. The upgrade endpoint checks the token of such a request first, and then
 * responds that it expects a WebSocket.
 *
 * @param url - What the WebSocket should have opened with.
 * @param cause - What the WebSocket reported.
 */
export async function diagnoseUpgrade(url: string, cause: unknown): Promise<UpgradeDiagnosis> {
  const { fetch } = globalThis as { fetch?: typeof globalThis.fetch }
  const explain = (what: string, status?: number): DurableEventIteratorConnectionError =>
    new DurableEventIteratorConnectionError('unavailable', { message: `cannot connect to ${withoutQuery(url)}: ${what}`, status, cause })
  const unknown = (what: string): UpgradeDiagnosis => ({ error: explain(what), isRefusal: false, retryAfter: undefined })
  if (typeof fetch !== 'function') return unknown(messageOf(cause))

  let response: Response
  let text: string
  const timeout = new AbortController()
  const timer = setTimeout(() => timeout.abort(), TIMEOUT_MS)
  try {
    response = await fetch(url.replace(/^ws/, 'http'), {
      // A WebSocket follows no redirect, and the token must not reach another server.
      redirect: 'manual',
      cache: 'no-store',
      referrerPolicy: 'no-referrer',
      signal: timeout.signal,
    })
    text = (await response.text()).slice(0, MAX_TEXT_LENGTH).trim()
  } catch {
    return unknown(`${messageOf(cause)}, and there is no HTTP response that can be read (network, TLS or CORS)`)
  } finally {
    clearTimeout(timer)
  }
  const { status } = response
  if (response.type === 'opaqueredirect' || (status >= 300 && status < 400)) {
    return { error: explain('the server redirects, which a WebSocket cannot follow; check `url`', status || undefined), isRefusal: true, retryAfter: undefined }
  }
  const answer = `the server responds with ${status}${text === '' || text.startsWith('<') ? '' : ` "${text}"`}`
  const hint = HINTS[status] ?? (response.ok ? NOT_AN_ENDPOINT : undefined)
  return {
    error: explain(hint === undefined ? answer : `${answer}; ${hint}`, status),
    isRefusal: response.ok || (status >= 400 && status < 500 && !PASSING_STATUSES.has(status)),
    retryAfter: retryAfterOf(response),
  }
}

const NOT_AN_ENDPOINT = 'this is no upgrade endpoint; check `url`'

/** What an application can do about a status. */
const HINTS: Readonly<Record<number, string>> = {
  401: 'check that the server which issues the token has the signing key of the Durable Object',
  404: NOT_AN_ENDPOINT,
  405: NOT_AN_ENDPOINT,
  426: 'the upgrade endpoint is reached, but the WebSocket is rejected: by the Durable Object, whose signing key may differ, or by a proxy',
}

/** Request Timeout, Too Early, Upgrade Required (the expected response to a GET request), Too Many Requests. */
const PASSING_STATUSES = new Set([408, 425, 426, 429])

/** How long the server may take to respond, in milliseconds. */
const TIMEOUT_MS = 10_000

/** How much of the response's text an error message quotes, in UTF-16 code units. */
const MAX_TEXT_LENGTH = 200

/** The longest time that a server may ask for, in milliseconds: a wrong header must not keep a client away for days. */
const MAX_RETRY_AFTER_MS = 5 * 60_000

function retryAfterOf({ headers }: Response): number | undefined {
  const value = headers.get('retry-after')
  if (value === null) return undefined
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1_000
  return seconds > 0 ? Math.min(seconds * 1_000, MAX_RETRY_AFTER_MS) : undefined
}

/** The token is in the query, and does not belong in messages. */
function withoutQuery(url: string): string {
  return url.replace(/[?#].*$/s, '')
}

/** An error's message, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

import { reasonOf } from '../text.js'

/** A response, and the times of its request on the clock of this machine, in milliseconds since 1970. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** The beginning of the body. */
  readonly text: string
  readonly sentAt: number
  readonly receivedAt: number
}

/** The time limit of a request, in milliseconds. */
const TIMEOUT_MS = 10_000

const MAX_TEXT = 2_000

/** Sends a request. Returns the reason as text if there is no response. Does not follow redirects. */
export async function ask(url: string, init: RequestInit = {}): Promise<Answer | string> {
  const sentAt = Date.now()
  try {
    const response = await fetch(url, { redirect: 'manual', ...init, signal: AbortSignal.timeout(TIMEOUT_MS) })
    const receivedAt = Date.now()
    const text = (await response.text()).slice(0, MAX_TEXT).trim()
    return { status: response.status, headers: response.headers, text, sentAt, receivedAt }
  } catch (error) {
    return error instanceof DOMException && error.name === 'TimeoutError' ? `no response within ${TIMEOUT_MS / 1_000} s` : reasonOf(error)
  }
}

import { DurableEventIteratorConnectionError } from '../client/connection-error.js'
import { messageOf } from '../client/errors.js'
import { CONNECTION_ID_PARAMETER } from '../wire.js'
import { hasType, textOf } from './bodies.js'

/** A function like the global `fetch`. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

export interface DoorOptions {
  /** The URL of the endpoint without the channel. */
  readonly url: string
  readonly channel: string
  readonly connectionId: string
  readonly token: string
  readonly fetch: Fetch
}

/** An error response in the format of oRPC. Other responses are not from the endpoint, but from a proxy or another server. */
export interface Rejection {
  readonly status: number
  /** A JSON value. */
  readonly body: unknown
}

/** The HTTP endpoint of a channel. */
export class Door {
  /** The token of the next requests. */
  token: string
  readonly #options: DoorOptions

  constructor(options: DoorOptions) {
    this.#options = options
    this.token = options.token
  }

  /**
   * Sends a request.
   *
   * @throws {DurableEventIteratorConnectionError} When there is no response, or it is a redirect.
   */
  async request(what: 'events' | 'call', query: Readonly<Record<string, string | undefined>>, init: RequestInit): Promise<Response> {
    const { url, channel, connectionId, fetch } = this.#options
    // URLs cannot contain these names as segments of a path.
    const isName = channel !== '.' && channel !== '..'
    const parameters = { ...(isName ? {} : { channel }), [CONNECTION_ID_PARAMETER]: connectionId, ...query }
    const text = Object.entries(parameters).flatMap(([name, value]) => (value === undefined ? [] : `${name}=${encodeURIComponent(value)}`))
    const headers = { ...(init.headers as Record<string, string>), authorization: headerValue(`Bearer ${this.token}`) }
    let response: Response
    try {
      const target = `${url}/${isName ? `${encodeURIComponent(channel)}/` : ''}${what}?${text.join('&')}`
      // The token must not be sent to another server.
      response = await fetch(target, { redirect: 'manual', cache: 'no-store', referrerPolicy: 'no-referrer', ...init, headers })
    } catch (error) {
      throw this.#error(messageOf(error), undefined, error)
    }
    if (response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)) {
      throw this.foreign(response, 'a redirect')
    }
    return response
  }

  /**
   * Checks that the endpoint accepts the token.
   *
   * @throws {DurableEventIteratorConnectionError} When it does not, or there is no response.
   */
  async check(signal: AbortSignal): Promise<void> {
    const response = await this.request('events', {}, { method: 'HEAD', signal })
    // Not a page of a captive portal.
    if (!response.ok || !isJson(response)) throw this.foreign(response)
  }

  /**
   * Returns the rejection in a response whose status is that of an error.
   *
   * @throws {DurableEventIteratorConnectionError} When the response is not from the endpoint.
   */
  async rejectionOf(response: Response): Promise<Rejection> {
    try {
      const body = JSON.parse(await textOf(response))
      if (typeof body?.json?.code === 'string') return { status: response.status, body }
    } catch {
      // It is not from the endpoint.
    }
    throw this.foreign(response)
  }

  /** Returns the error for a response that is not from the endpoint, or not as expected. */
  foreign(response: Response, what = `${response.status} (${response.headers.get('content-type') ?? 'no content type'})`): Error {
    response.body?.cancel().catch(() => {})
    return this.#error(`the server responds with ${what}`, response.status || undefined)
  }

  /** Returns the error for a body that cannot be read. */
  malformed(error: unknown): Error {
    return error instanceof DurableEventIteratorConnectionError ? error : this.#error(messageOf(error), undefined, error)
  }

  #error(what: string, status?: number, cause?: unknown): Error {
    return new DurableEventIteratorConnectionError('unavailable', { message: `no connection to ${this.#options.url}: ${what}`, status, cause })
  }
}

/**
 * Returns a text as the value of a header: its bytes in UTF-8, as `fetch` accepts only bytes. The tokens of `DurableIterator` clients may
 * contain characters beyond ASCII.
 */
export const headerValue = (text: string): string =>
  encodeURIComponent(text).replace(/%(..)/g, (_, byte: string) => String.fromCharCode(Number.parseInt(byte, 16)))

/** Whether the body of a response is JSON. */
export const isJson = (response: Response): boolean => hasType(response, 'application/json')

import { headerValue } from '../http/door.js'
import type { Credential } from './credentials.js'
import { Failure } from './errors.js'
import type { Settings } from './settings.js'
import { plain, reasonOf } from './text.js'

/** The time limit of a request, in milliseconds. A page may take long if a Durable Object starts. */
const TIMEOUT_MS = 30_000

/** The maximum length of the text of an error response in a message, in characters. */
const MAX_TEXT = 200

export interface ApiRequest {
  readonly method?: 'GET' | 'POST'
  /** The last segment of the path; none for the statistics. */
  readonly last?: string
  /** Lists are repeated parameters. */
  readonly query?: Readonly<Record<string, string | number | readonly string[] | undefined>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly signal?: AbortSignal
  /** In milliseconds; `undefined` for the usual time limit. */
  readonly timeout?: number | undefined
}

/** The HTTP endpoint responds with an error, or does not respond. */
export class ApiError extends Failure {
  /** Undefined without a complete response. */
  readonly status: number | undefined
  /** Such as `FORBIDDEN`, if the endpoint states it. */
  readonly code: string | undefined
  /** In milliseconds. */
  readonly retryAfter: number | undefined
  /** Whether there was no connection, so that the request was not sent. */
  readonly isUnsent: boolean

  constructor(
    message: string,
    { status, code, retryAfter, isUnsent = false }: { status?: number; code?: string; retryAfter?: number; isUnsent?: boolean } = {},
  ) {
    super(message)
    this.status = status
    this.code = code
    this.retryAfter = retryAfter
    this.isUnsent = isUnsent
  }

  /** Whether another attempt may succeed. */
  get isTemporary(): boolean {
    return this.status === undefined || [408, 425, 429].includes(this.status) || this.status >= 502
  }

  /** Whether the endpoint may have done what was requested. It certainly has not if it rejects the request. */
  get mayHaveEffect(): boolean {
    if (this.isUnsent) return false
    return this.status === undefined || this.status < 400 || this.status >= 500
  }
}

/** The HTTP endpoint of one channel. */
export class ChannelApi {
  readonly #settings: Settings
  readonly #channel: string
  readonly #credential: Credential

  constructor(settings: Settings, channel: string, credential: Credential) {
    this.#settings = settings
    this.#channel = channel
    this.#credential = credential
  }

  /**
   * Sends a request.
   *
   * @throws {ApiError} When there is no response, or a redirect.
   */
  async fetch({ method = 'GET', query = {}, headers = {}, signal, timeout = TIMEOUT_MS, ...request }: ApiRequest): Promise<Response> {
    const url = urlOf(this.#settings, this.#channel, request.last, query)
    const limit = Number.isFinite(timeout) ? [AbortSignal.timeout(timeout)] : []
    const signals = [...limit, ...(signal === undefined ? [] : [signal])]
    let response: Response
    try {
      response = await fetch(url, {
        method,
        headers: { ...headers, authorization: headerValue(`Bearer ${this.#credential.text}`) },
        ...(request.body === undefined ? {} : { body: request.body }),
        // The key must not be sent to another server.
        redirect: 'manual',
        signal: AbortSignal.any(signals),
      })
    } catch (error) {
      signal?.throwIfAborted()
      throw new ApiError(unreachable(this.#settings.url, error), { isUnsent: isUnsent(error) })
    }
    if (response.status >= 300 && response.status < 400) {
      throw new ApiError(`${this.#settings.channels} responds with a redirect to ${targetOf(response.headers)}; check --url`, {
        status: response.status,
      })
    }
    return response
  }

  /**
   * Sends a request and returns the JSON of the response.
   *
   * @param member - A member that every response of the endpoint has.
   * @throws {ApiError} When the response is an error, is incomplete, or is not from the endpoint.
   */
  async json<T extends object>(request: ApiRequest, member: keyof T): Promise<T> {
    const response = await this.fetch(request)
    if (!response.ok) throw await this.errorOf(response)
    let text: string
    try {
      text = await response.text()
    } catch (error) {
      request.signal?.throwIfAborted()
      throw new ApiError(`the response of ${this.#settings.url} is incomplete: ${plain(timeoutOr(error))}`)
    }
    try {
      const value = JSON.parse(text)
      if (value[member] !== undefined && value[member] !== null) return value
    } catch {
      // It is not JSON, or null.
    }
    throw new ApiError(`${this.#settings.channels} responds with something else than the JSON of the endpoint; check --url and --prefix`, {
      status: response.status,
    })
  }

  /** Returns the error for an error response. */
  async errorOf(response: Response): Promise<ApiError> {
    const { status, headers } = response
    const text = (await response.text().catch(() => '')).trim()
    const { code, message } = errorIn(text)
    const seconds = Number(headers.get('retry-after'))
    // A page of another server does not explain anything.
    const said = message ?? (text === '' || text.startsWith('<') ? undefined : text.slice(0, MAX_TEXT))
    const what = [status, code, said === code || said === undefined ? undefined : `"${plain(said)}"`].filter((part) => part !== undefined).join(' ')
    return new ApiError(`${this.#settings.url} responds with ${what}${this.#hint(status, message ?? text)}`, {
      status,
      ...(code === undefined ? {} : { code }),
      ...(seconds > 0 ? { retryAfter: seconds * 1_000 } : {}),
    })
  }

  #hint(status: number, message: string): string {
    const { kind, title } = this.#credential
    const { channels } = this.#settings
    if (status === 401) return `; it does not accept the ${kind} (${title})${kind === 'token' ? ', which may have expired or been revoked' : ''}`
    if (status === 403) return `; the ${kind} (${title}) does not have this right for channel ${JSON.stringify(this.#channel)}`
    if (status === 405) return '; the Worker has no access key with this right (secret ACCESS_KEYS)'
    if (status === 404 && (message === 'Not Found' || message.startsWith('<'))) {
      return `; ${channels} is not the HTTP endpoint of the channels (check --url and --prefix), or the Worker has no access key with this right`
    }
    if (status === 500) return '; the log of the Worker states the reason'
    return ''
  }
}

/**
 * Returns the URL of a request.
 *
 * @param last - The last segment of the path; none for the statistics.
 */
export function urlOf({ channels }: Settings, channel: string, last: string | undefined, query: NonNullable<ApiRequest['query']> = {}): string {
  const parameters = new URLSearchParams()
  // The path `<channels>/<channel>` of the statistics is that of another request if the channel is named `events`. URLs cannot contain `.`
  // and `..` as segments of a path.
  const isInPath = last !== undefined && channel !== '.' && channel !== '..'
  if (!isInPath) parameters.set('channel', channel)
  for (const [name, value] of Object.entries(query)) {
    const values = typeof value === 'object' ? value : value === undefined ? [] : [String(value)]
    for (const text of values) parameters.append(name, text)
  }
  const path = isInPath ? [encodeURIComponent(channel), last] : [last ?? 'stats']
  const text = parameters.toString()
  return [channels, ...path].join('/') + (text === '' ? '' : `?${text}`)
}

/** Returns the target of a redirect, without user, query and fragment, which may contain secrets. */
export function targetOf(headers: Headers): string {
  const location = headers.get('location')
  return location === null ? 'nowhere' : plain(location.replace(/[?#].*$/s, '').replace(/^([^/]*\/\/)[^/]*@/, '$1'))
}

/** Returns the message for a server without a response. */
export function unreachable(url: string, error: unknown): string {
  return `cannot reach ${url}: ${plain(timeoutOr(error))}`
}

function timeoutOr(error: unknown): string {
  return error instanceof DOMException && error.name === 'TimeoutError' ? 'no response in time' : reasonOf(error)
}

/** The codes of the errors of Node.js before a request is sent. */
const UNSENT = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT']

function isUnsent(error: unknown): boolean {
  const { cause } = error as { cause?: { code?: unknown } }
  return typeof cause?.code === 'string' && UNSENT.includes(cause.code)
}

/** Returns the code and the message of an oRPC error. */
export function errorIn(text: string): { readonly code?: string; readonly message?: string } {
  try {
    const { code, message } = JSON.parse(text).json
    return { ...(typeof code === 'string' ? { code } : {}), ...(typeof message === 'string' ? { message } : {}) }
  } catch {
    return {}
  }
}

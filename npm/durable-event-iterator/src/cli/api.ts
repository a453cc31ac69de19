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
  /** Undefined without a response. */
  readonly status: number | undefined
  /** Such as `FORBIDDEN`, if the endpoint states it. */
  readonly code: string | undefined
  /** In milliseconds. */
  readonly retryAfter: number | undefined

  constructor(message: string, { status, code, retryAfter }: { status?: number; code?: string; retryAfter?: number } = {}) {
    super(message)
    this.status = status
    this.code = code
    this.retryAfter = retryAfter
  }

  /** Whether another attempt may succeed. */
  get isTemporary(): boolean {
    return this.status === undefined || [408, 425, 429].includes(this.status) || this.status >= 502
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
    const url = this.#url(request.last, query)
    const limit = Number.isFinite(timeout) ? [AbortSignal.timeout(timeout)] : []
    const signals = [...limit, ...(signal === undefined ? [] : [signal])]
    let response: Response
    try {
      response = await fetch(url, {
        method,
        headers: { ...headers, authorization: `Bearer ${this.#credential.text}` },
        ...(request.body === undefined ? {} : { body: request.body }),
        // The key must not be sent to another server.
        redirect: 'manual',
        signal: AbortSignal.any(signals),
      })
    } catch (error) {
      signal?.throwIfAborted()
      throw new ApiError(unreachable(this.#settings.url, error))
    }
    if (response.status >= 300 && response.status < 400) {
      throw new ApiError(`${this.#settings.channels} responds with a redirect to ${plain(response.headers.get('location') ?? 'nowhere')}; check --url`, {
        status: response.status,
      })
    }
    return response
  }

  /**
   * Sends a request and returns the JSON of the response.
   *
   * @throws {ApiError} When the response is an error, or is not from the endpoint.
   */
  async json<T>(request: ApiRequest): Promise<T> {
    const response = await this.fetch(request)
    if (!response.ok) throw await this.errorOf(response)
    const text = await response.text()
    try {
      return JSON.parse(text) as T
    } catch {
      throw new ApiError(`${this.#settings.channels} responds with something else than JSON; check --url and --prefix`, { status: response.status })
    }
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
    if (status === 401) return `; it does not accept the ${kind} (${title})`
    if (status === 403) return `; the ${kind} (${title}) does not have this right for channel ${JSON.stringify(this.#channel)}`
    if (status === 405) return '; the Worker has no access key with this right (secret ACCESS_KEYS)'
    if (status === 404 && (message === 'Not Found' || message.startsWith('<'))) {
      return `; ${channels} is not the HTTP endpoint of the channels (check --url and --prefix), or the Worker has no access key with this right`
    }
    if (status === 500) return '; the log of the Worker states the reason'
    return ''
  }

  #url(last: string | undefined, query: NonNullable<ApiRequest['query']>): string {
    const parameters = new URLSearchParams()
    // URLs cannot contain these names as segments of a path.
    const isName = this.#channel !== '.' && this.#channel !== '..'
    if (!isName) parameters.set('channel', this.#channel)
    for (const [name, value] of Object.entries(query)) {
      const values = typeof value === 'object' ? value : value === undefined ? [] : [String(value)]
      for (const text of values) parameters.append(name, text)
    }
    const path = isName ? [encodeURIComponent(this.#channel), last] : [last ?? 'stats']
    const text = parameters.toString()
    return [this.#settings.channels, ...path.filter((segment) => segment !== undefined)].join('/') + (text === '' ? '' : `?${text}`)
  }
}

/** Returns the message for a server without a response. */
export function unreachable(url: string, error: unknown): string {
  const reason = error instanceof DOMException && error.name === 'TimeoutError' ? 'no response in time' : reasonOf(error)
  return `cannot reach ${url}: ${plain(reason)}`
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

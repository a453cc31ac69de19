import { ApiError } from '../api.js'
import type { ChannelApi } from '../api.js'
import { Failure } from '../errors.js'

/** The options of a publish, with the names of the HTTP endpoint. */
export interface PublishOptions {
  readonly to?: readonly string[]
  readonly tags?: readonly string[]
  readonly except?: readonly string[]
  readonly retry?: number
  readonly comments?: readonly string[]
}

export interface Published {
  readonly id: string
  readonly duplicate: boolean
}

/** An event of a batch. */
export interface BatchItem {
  /** Its JSON, which is sent unchanged: parsing would round large numbers. */
  readonly event: string
  readonly idempotencyKey?: string
}

/** Publishing failed. */
export class PublishError extends Failure {
  /** Whether the events may be published although the request failed. */
  readonly mayBePublished: boolean

  constructor(message: string, mayBePublished: boolean) {
    super(message)
    this.mayBePublished = mayBePublished
  }
}

/** The attempts of a request whose events have idempotency keys, so that a repeated request publishes nothing twice. */
const ATTEMPTS = 4

/** The delay before the second attempt, in milliseconds. It doubles with each attempt. */
const FIRST_DELAY_MS = 500

/** Publishes events with the same options. */
export class Publisher {
  /** The length of the options in each item of a batch, in characters. */
  readonly optionsLength: number
  readonly #api: ChannelApi
  readonly #options: PublishOptions

  constructor(api: ChannelApi, options: PublishOptions) {
    this.#api = api
    this.#options = options
    this.optionsLength = JSON.stringify(options).length
  }

  /** @throws {PublishError} */
  publish(event: string, idempotencyKey: string | undefined): Promise<Published> {
    const { to, tags, except, retry, comments } = this.#options
    const headers = { 'content-type': 'application/json', ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }) }
    const request = { method: 'POST', last: 'events', headers, query: { to, tags, except, retry, comments }, body: event } as const
    return repeat(idempotencyKey !== undefined, () => this.#api.json<Published>(request, 'id'))
  }

  /**
   * Publishes events atomically and in order.
   *
   * @throws {PublishError}
   */
  async publishBatch(items: readonly BatchItem[]): Promise<readonly Published[]> {
    const texts = items.map(({ event, ...options }) => {
      const members = JSON.stringify({ ...options, ...this.#options }).slice(1)
      return `{"event":${event}${members === '}' ? '' : ','}${members}`
    })
    const body = `[${texts.join(',')}]`
    const headers = { 'content-type': 'application/json' }
    const isRepeatable = items.every(({ idempotencyKey }) => idempotencyKey !== undefined)
    const { published } = await repeat(isRepeatable, () =>
      this.#api.json<{ published: Published[] }>({ method: 'POST', last: 'batch', headers, body }, 'published'),
    )
    return published
  }
}

/** Repeats a request after temporary failures. */
async function repeat<T>(isRepeatable: boolean, send: () => Promise<T>): Promise<T> {
  let mayBePublished = false
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send()
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      // By any of the attempts.
      mayBePublished ||= error.mayHaveEffect
      const isWorthwhile = isRepeatable && attempt < ATTEMPTS && error.isTemporary
      if (!isWorthwhile) throw new PublishError(error.message, mayBePublished)
      const delay = Math.max(FIRST_DELAY_MS * 2 ** (attempt - 1), error.retryAfter ?? 0)
      await new Promise((resolve) => setTimeout(resolve, delay))
    }
  }
}

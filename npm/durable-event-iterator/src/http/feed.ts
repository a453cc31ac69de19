import { readClaims } from '../client/claims.js'
import { monotonicNow } from '../client/clock.js'
import type { EventMeta } from '../client/wire/frames.js'
import { GAP_HEADER } from '../wire.js'
import { CutError, hasType, MAX_BODY_BYTES, partsOf, textOf } from './bodies.js'
import { isJson } from './door.js'
import type { Door, Rejection } from './door.js'
import { EventStreamParser } from './event-stream.js'
import type { ServerSentEvent } from './event-stream.js'

/** The position after which events arrive. */
export interface Position {
  /** A cursor. */
  after: string | undefined
  /** Without a cursor: a time in seconds since 1970. The default depends on the token. */
  since: string | undefined
}

export interface FeedOptions {
  /** The time limit for the first part of a stream, in milliseconds: a proxy may collect the stream. */
  readonly streamTimeout: number
  readonly door: Door
  /** Advanced with each event. */
  readonly position: Position
  readonly signal: AbortSignal
  /** Called with each part of a response. */
  onHeard(): void
  /**
   * A response has arrived.
   *
   * @param gap - The id from which all events are available, if missed events are no longer available.
   * @returns Whether the feed can continue: there is no gap, or the client has received a notification of it.
   */
  onOpened(gap: string | undefined): boolean
  /** @param data - JSON text. */
  onEvent(data: string, meta: EventMeta): void
}

/**
 * Why a feed has ended:
 * - `aborted`: by the signal.
 * - `expired`: the endpoint reports that the token has expired.
 * - `rejected`: the endpoint responds with an error.
 * - `failed`: the endpoint reports an error within the stream; the data is JSON text.
 * - `gap`: missed events are no longer available, and `onOpened` has returned false.
 * - `buffered`: nothing has arrived in time, so that a proxy probably collects the stream.
 * - `cut`: the response has ended.
 *
 * A function that reads a feed throws a `DurableEventIteratorConnectionError` when the endpoint cannot be reached, or a response is
 * malformed.
 */
export type FeedEnd =
  | { readonly reason: 'aborted' | 'expired' | 'gap' | 'buffered' | 'cut' }
  | { readonly reason: 'rejected'; readonly rejection: Rejection }
  | { readonly reason: 'failed'; readonly data: string | undefined }

/** Reads server-sent events until the response ends. */
export async function readStream({ door, position, signal, streamTimeout, ...handler }: FeedOptions): Promise<FeedEnd> {
  const attempt = new AbortController()
  const abort = (): void => attempt.abort()
  let isLate = false
  let isOpen = false
  const timer = setTimeout(() => {
    isLate = true
    abort()
  }, streamTimeout)
  signal.addEventListener('abort', abort)
  try {
    const headers = { accept: 'text/event-stream' }
    const response = await door.request('events', queryOf(position), { headers, signal: attempt.signal })
    if (!response.ok) return { reason: 'rejected', rejection: await door.rejectionOf(response) }
    if (!hasType(response, 'text/event-stream')) throw door.foreign(response)
    const gap = response.headers.get(GAP_HEADER) ?? undefined
    const parser = new EventStreamParser(MAX_BODY_BYTES)
    const decoder = new TextDecoder()
    for await (const part of partsOf(response)) {
      clearTimeout(timer)
      handler.onHeard()
      if (!isOpen && !handler.onOpened(gap)) return { reason: 'gap' }
      isOpen = true
      for (const event of parser.push(decoder.decode(part, { stream: true }))) {
        const end = take(event, position, handler)
        if (signal.aborted) break
        if (end !== undefined) return end
      }
    }
    return { reason: signal.aborted ? 'aborted' : 'cut' }
  } catch (error) {
    if (signal.aborted) return { reason: 'aborted' }
    if (isLate) return { reason: 'buffered' }
    if (isOpen && error instanceof CutError) return { reason: 'cut' }
    throw door.malformed(error)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
    abort()
  }
}

function take(
  { event, data, id, retry, comments }: ServerSentEvent,
  position: Position,
  { onOpened, onEvent }: Pick<FeedOptions, 'onOpened' | 'onEvent'>,
): FeedEnd | undefined {
  if (event === 'done') return { reason: 'expired' }
  // Malformed data is an error of the connection, and must not reach the client as an event.
  const value: unknown = data === undefined ? undefined : JSON.parse(data)
  if (event === 'error') return { reason: 'failed', data }
  if (event === 'gap') {
    const { nextEventId } = (value as { json: { nextEventId: unknown } }).json
    if (typeof nextEventId !== 'string') throw new TypeError('malformed gap')
    return onOpened(nextEventId) ? undefined : { reason: 'gap' }
  }
  if (event !== 'message' || data === undefined) return undefined
  if (typeof value !== 'object' || value === null) throw new TypeError('malformed event')
  position.after = id ?? position.after
  onEvent(data, metaOf(id, retry, comments))
  return undefined
}

/** Returns the meta of an event, in the order in which Durable Objects write it. */
function metaOf(id: string | undefined, retry: number | undefined, comments: readonly string[] = []): EventMeta {
  return { ...(retry !== undefined && { retry }), ...(comments.length > 0 && { comments }), ...(id !== undefined && { id }) }
}

/** Requests events again and again, each time as soon as there are some. */
export async function poll(
  { door, position, signal, onHeard, onOpened, onEvent }: FeedOptions,
  pollSeconds: () => number,
): Promise<FeedEnd> {
  // The first response states whether there is a gap, so it must not wait.
  for (let seconds = 0; ; ) {
    const limit = new AbortController()
    const abort = (): void => limit.abort(new Error(`no response within ${seconds + POLL_MARGIN_S} s`))
    const timer = setTimeout(abort, (seconds + POLL_MARGIN_S) * 1_000)
    signal.addEventListener('abort', abort)
    try {
      const wait = seconds === 0 ? undefined : String(seconds)
      const startedAt = monotonicNow()
      const response = await door.request('events', { ...queryOf(position), wait }, { headers: { accept: 'application/json' }, signal: limit.signal })
      if (!response.ok) return { reason: 'rejected', rejection: await door.rejectionOf(response) }
      if (!isJson(response)) throw door.foreign(response)
      const { events, next, gap, more } = pageOf(await textOf(response))
      onHeard()
      if (signal.aborted) return { reason: 'aborted' }
      if (!onOpened(typeof gap === 'string' ? gap : undefined)) return { reason: 'gap' }
      for (const { id, json, meta, retry, comments } of events) {
        position.after = id
        onEvent(JSON.stringify({ json, meta }), metaOf(id, retry, comments))
        if (signal.aborted) return { reason: 'aborted' }
      }
      position.after = next ?? position.after
      // The channel has never had events, so that every event is new. A class may start at the newest event, which would skip the
      // first one, and for an old cursor the server reports a gap instead of waiting.
      if (next === null && events.length === 0) {
        position.after = undefined
        position.since = '0'
      }
      // A server that does not wait must not be asked without a pause.
      const isEarly = wait !== undefined && events.length === 0 && monotonicNow() - startedAt < MIN_POLL_INTERVAL_MS
      if (isEarly) await pause(MIN_POLL_INTERVAL_MS, signal)
      seconds = more ? 0 : pollSeconds()
    } catch (error) {
      if (signal.aborted) return { reason: 'aborted' }
      throw door.malformed(error)
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
    }
  }
}

/** A page of events. */
interface Page {
  readonly events: readonly PageEvent[]
  readonly next: string | null
  readonly gap: string | null
  readonly more: boolean
}

interface PageEvent {
  readonly id: string
  readonly json: unknown
  readonly meta?: unknown
  readonly retry?: number
  readonly comments?: readonly string[]
}

/** @throws {TypeError | SyntaxError} When the text is not a page. */
function pageOf(text: string): Page {
  const page = JSON.parse(text) as Page
  const isEvent = (event: PageEvent): boolean => typeof event?.id === 'string' && 'json' in event
  if (!Array.isArray(page?.events) || !page.events.every(isEvent) || !['string', 'object'].includes(typeof page.next)) {
    throw new TypeError('the response is not a page of events')
  }
  return page
}

/** Returns the time of issue of a token, in seconds since 1970. */
export const issuedAt = (token: string): string | undefined => readClaims(token)?.payload.iat.toString()

const queryOf = ({ after, since }: Position): Record<string, string | undefined> => {
  if (after !== undefined) return { after }
  return { since: since === undefined ? undefined : String(Math.max(0, Number(since) - CLOCK_SLACK_SECONDS)) }
}

/** How far the clock of a token's issuer may be ahead, as on a WebSocket. */
const CLOCK_SLACK_SECONDS = 2

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds)
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true })
  })
}

/** The minimum time between two requests of which the first has waited and has returned no events, in milliseconds. */
const MIN_POLL_INTERVAL_MS = 1_000

/** The time limit for a response beyond the time for which it waits for an event, in seconds. */
const POLL_MARGIN_S = 10

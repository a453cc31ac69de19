import { backoff } from '../../client/backoff.js'
import { EventStreamParser } from '../../http/event-stream.js'
import type { ServerSentEvent } from '../../http/event-stream.js'
import { GAP_HEADER } from '../../wire.js'
import { ApiError } from '../api.js'
import type { ChannelApi } from '../api.js'
import { reasonOf } from '../text.js'
import { readBacklog } from './backlog.js'
import type { Listener, Position } from './item.js'

export interface HttpFeedOptions {
  readonly api: ChannelApi
  readonly url: string
  readonly position: Position
  readonly lastEventId: string | undefined
  readonly signal: AbortSignal
}

/** The time without a byte after which a stream is requested again, in milliseconds. The endpoint sends a comment every 15 seconds. */
const SILENCE_MS = 40_000

/** The maximum length of an event, in characters. */
const MAX_EVENT_LENGTH = 32 * 1_024 * 1_024

/** The time that the first connection may take, in milliseconds, and the bounds of the delays before the next attempt. */
const OPEN_TIMEOUT_MS = 30_000
const DELAYS = { minReconnectionDelay: 500, maxReconnectionDelay: 10_000 }

/**
 * Reads a channel with an access key, as server-sent events. Reconnects and resumes. Ends when the signal is aborted.
 *
 * @throws {ApiError} When the endpoint rejects the request, or does not respond at first.
 */
export async function readHttp({ api, url, position, signal, ...options }: HttpFeedOptions, listener: Listener): Promise<void> {
  listener.onState(`connecting to ${url}`)
  const deadline = Date.now() + OPEN_TIMEOUT_MS
  let hasOpened = false
  // Before the first event, reading again from the beginning of a channel that was empty would miss nothing.
  let cursor: { readonly after: string } | { readonly since: number } | undefined =
    options.lastEventId === undefined ? undefined : { after: options.lastEventId }
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      if (cursor === undefined) {
        const onEvent: Listener['onEvent'] = async (event) => {
          if (event.id !== undefined) cursor = { after: event.id }
          await listener.onEvent(event)
        }
        const next = await readBacklog(api, position, { ...listener, onEvent }, { signal, query: {} })
        cursor = next === undefined ? { since: 0 } : { after: next }
      }
      const items: AsyncGenerator<StreamItem, void, void> = stream(api, cursor, signal)
      for await (const item of items) {
        // Further events may have arrived together with the last one.
        if (signal.aborted) return
        failures = 0
        if (item === 'opened') {
          hasOpened = true
          listener.onState('connected (server-sent events)')
        } else if ('gap' in item) {
          listener.onGap({ lastEventId: 'after' in cursor ? cursor.after : undefined, nextEventId: item.gap })
        } else {
          const { id, data, retry, comments } = item
          if (id !== undefined) cursor = { after: id }
          await listener.onEvent({
            ...(id === undefined ? {} : { id }),
            ...JSON.parse(data ?? '{}'),
            ...(retry === undefined ? {} : { retry }),
            ...(comments.length === 0 ? {} : { comments }),
          })
        }
      }
      if (!signal.aborted) listener.onState('reconnecting: the stream has ended')
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof ApiError && (!error.isTemporary || (!hasOpened && Date.now() > deadline))) throw error
      listener.onState(`${hasOpened ? 'reconnecting' : 'connecting'}: ${reasonOf(error)}`)
      if (error instanceof ApiError && error.retryAfter !== undefined) await pause(error.retryAfter, signal)
    }
    await pause(backoff(failures, DELAYS), signal)
  }
}

/** The stream has opened, or there is a gap or an event. */
type StreamItem = 'opened' | { readonly gap: string } | ServerSentEvent

/** Reads one response with server-sent events. */
async function* stream(
  api: ChannelApi,
  cursor: { readonly after?: string; readonly since?: number },
  signal: AbortSignal,
): AsyncGenerator<StreamItem, void, void> {
  const attempt = new AbortController()
  const silence = setTimeout(() => attempt.abort(new Error('the stream is silent')), SILENCE_MS)
  try {
    const response = await api.fetch({
      last: 'events',
      query: cursor,
      headers: { accept: 'text/event-stream' },
      signal: AbortSignal.any([signal, attempt.signal]),
      timeout: Number.POSITIVE_INFINITY,
    })
    if (!response.ok) throw await api.errorOf(response)
    if (response.body === null || response.headers.get('content-type')?.startsWith('text/event-stream') !== true) {
      throw new ApiError('the server does not respond with server-sent events; check --url and --prefix', { status: 404 })
    }
    yield 'opened'
    const gap = response.headers.get(GAP_HEADER)
    if (gap !== null) yield { gap }
    const parser = new EventStreamParser(MAX_EVENT_LENGTH)
    const decoder = new TextDecoder()
    for await (const part of response.body) {
      silence.refresh()
      for (const event of parser.push(decoder.decode(part, { stream: true }))) {
        if (event.event === 'done') return
        if (event.event === 'message') yield event
        else if (event.event === 'gap' && gap === null) {
          const { nextEventId }: { nextEventId?: unknown } = JSON.parse(event.data ?? '{}').json ?? {}
          if (typeof nextEventId === 'string') yield { gap: nextEventId }
        } else if (event.event === 'error') throw new Error(`the channel reports an error: ${event.data ?? ''}`)
      }
    }
  } finally {
    clearTimeout(silence)
    attempt.abort()
  }
}

/** Resolves after a time, or when the signal is aborted. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const stop = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      resolve()
    }
    const timer = setTimeout(stop, milliseconds)
    signal.addEventListener('abort', stop)
  })
}

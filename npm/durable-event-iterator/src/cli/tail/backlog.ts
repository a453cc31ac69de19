import type { ChannelApi } from '../api.js'
import type { Listener, Position, SerializedEvent } from './item.js'

/** A page of the HTTP endpoint. */
interface Page {
  readonly events: readonly SerializedEvent[]
  readonly next: string | null
  readonly gap: string | null
  readonly more: boolean
}

const PAGE_EVENTS = 1_000

/**
 * Reads the retained events from a position on. Returns the cursor after them, or `undefined` if the channel has never had events.
 *
 * @param query - Further parameters of the request.
 */
export async function readBacklog(
  api: ChannelApi,
  position: Position,
  listener: Listener,
  { signal, query }: { readonly signal: AbortSignal; readonly query: Readonly<Record<string, string>> },
): Promise<string | undefined> {
  const read = (parameters: Record<string, string | number>): Promise<Page> =>
    api.json<Page>({ last: 'events', query: { ...query, ...parameters }, signal }, 'events')
  let page = await read(position === undefined ? { last: 0 } : 'last' in position ? position : { ...position, limit: PAGE_EVENTS })
  for (;;) {
    if (page.gap !== null && position !== undefined && 'since' in position) listener.onGap({ lastEventId: undefined, nextEventId: page.gap })
    for (const event of page.events) {
      signal.throwIfAborted()
      await listener.onEvent(event)
    }
    if (!page.more || page.next === null || position === undefined || 'last' in position) return page.next ?? undefined
    page = await read({ after: page.next, limit: PAGE_EVENTS })
  }
}

import type { Transport } from '../client/socket-source.js'
import type { RecentEvent, Start } from './event-ring.js'
import type { SocketMessage } from '../client/wire/envelope.js'

/** A numbered message. */
export type Message = Content & {
  /**
   * Counts the messages of a hub, or those of a tab to a hub, from 1 on. The receiver detects missing messages by it: browsers
   * drop messages to a tab that shows a dialog, for example.
   */
  readonly number: number
}

/**
 * The content of a message between tabs. `from` and `to` are random ids: of a hub, or of the socket of a tab. Messages of a hub
 * without `to` are for all tabs.
 */
export type Content = { readonly from: string; readonly to?: string } & (
  /** A tab looks for a hub, or asks whether its hub is alive. */
  | { readonly type: 'hello' }
  /** A hub introduces itself. Tabs can use it when it is ready. */
  | { readonly type: 'here'; readonly isReady: boolean }
  /** A hub ends. */
  | { readonly type: 'bye' }
  /** A tab subscribes. `call` is its call id. */
  | ({ readonly type: 'subscribe'; readonly call: string } & Start)
  /** The response: the missed events, or `undefined` if the hub does not have all of them, and how events arrive. */
  | { readonly type: 'subscribed'; readonly call: string; readonly missed: readonly RecentEvent[] | undefined; readonly transport?: Transport }
  /** The tail of a live event. */
  | { readonly type: 'event'; readonly tail: string }
  /** A message of the WebSocket, and the time at which the tab sent it, in milliseconds since 1970. */
  | { readonly type: 'data'; readonly data: SocketMessage; readonly at: number }
)

/** Whether a received value is a message. */
export function isMessage(value: unknown): value is Message {
  const { from, to, number, type } = (value ?? {}) as Record<string, unknown>
  const isFor = isText(from) && (to === undefined || isText(to)) && Number.isFinite(number)
  return isFor && CHECKS[type as Content['type']]?.(value) === true
}

const isText = (value: unknown): boolean => typeof value === 'string'

const isEvent = (value: any): boolean => isText(value?.[0]) && Number.isFinite(value[1])

const CHECKS: { readonly [type in Content['type']]: (message: any) => boolean } = {
  hello: () => true,
  here: ({ isReady }) => typeof isReady === 'boolean',
  bye: () => true,
  subscribe: ({ call, cursor, since }) => isText(call) && (cursor === undefined || isText(cursor)) && Number.isFinite(since),
  subscribed: ({ call, missed, transport }) =>
    isText(call) && (transport === undefined || isText(transport)) && (missed === undefined || (Array.isArray(missed) && missed.every(isEvent))),
  event: ({ tail }) => isText(tail),
  data: ({ data, at }) => (isText(data) || data instanceof ArrayBuffer) && Number.isFinite(at),
}

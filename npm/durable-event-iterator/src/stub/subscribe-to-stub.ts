import type { SubscriptionHooks } from '../client/hooks.js'
import { resolveNumbers } from '../client/options.js'
import type { ConnectingOptions, LoadState } from '../client/options.js'
import { Session } from '../client/session.js'
import { rememberMeta } from '../client/event-meta.js'
import { subscriptionOf } from '../client/subscription.js'
import type { Subscription, SubscriptionEvent } from '../client/subscription.js'
import { newConnectionId } from '../client/upgrade-url.js'
import { callStub } from '../durable-object/call-stub.js'
import { stubSockets } from './stub-sockets.js'
import type { FetchingStub } from './stub-sockets.js'

/** Which events a Worker receives. */
export interface StubAudience {
  /** Tags, as those of a token: the Worker also receives the events for one of these tags. */
  tags?: readonly string[] | undefined
  /**
   * Whether the Worker receives the events of every audience. Otherwise it receives those for all clients, and those for its tags.
   *
   * @default false
   */
  everyAudience?: boolean | undefined
}

/** The options of {@link subscribeToStub}. */
export interface SubscribeToStubOptions
  extends StubAudience,
    SubscriptionHooks,
    Omit<ConnectingOptions, 'WebSocket' | 'fallback' | 'share' | 'callTimeout'> {
  /** The cursor: the subscription starts after the event with this id. Without it, it starts now. */
  lastEventId?: string | undefined

  /** Loads the state of the application, and returns its cursor. See `load` of `subscribe`. */
  load?: LoadState | undefined

  /** Ends the subscription, and the iteration with the signal's reason. */
  signal?: AbortSignal | undefined
}

/** The events of a channel, as an async generator with a state and a cursor. */
export type StubSubscription<TEvent> = Omit<Subscription<TEvent>, 'rpc' | 'call' | 'transport'>

/**
 * Subscribes a Worker to a channel of which it has a stub, without a token of a client. The subscription resumes after a lost
 * connection, like one of `subscribe`, and its socket stays inside the Workers runtime. The Durable Object may hibernate while no events
 * arrive.
 *
 * End the subscription, by `break`, `return()`, `close()` or the signal, when it is no longer needed: until then it keeps its socket.
 *
 * @typeParam T - The type of the events, or of the Durable Object.
 * @param stub - A stub of a Durable Object class of this project, in TypeScript or Rust.
 * @throws {RangeError} When a numeric option is out of its range.
 *
 * @example
 * ```ts
 * for await (const { message } of subscribeToStub<{ message: string }>(env.CHAT_ROOM.getByName('lobby'), { lastEventId })) {
 *   if (message === 'stop') break
 * }
 * ```
 */
export function subscribeToStub<T>(stub: FetchingStub, options: SubscribeToStubOptions = {}): StubSubscription<SubscriptionEvent<T>> {
  const { tags, everyAudience, ...rest } = options
  const audience = { ...(tags !== undefined && { tags }), ...(everyAudience !== undefined && { everyAudience }) }
  const session = new Session({
    ...rest,
    numbers: resolveNumbers(options),
    sockets: stubSockets(stub),
    url: () => STUB_URL,
    createId: newConnectionId,
    tokens: {
      fetch: async () => (await callStub<{ token: string }>(stub, '~token', audience)).token,
      refreshTimes: () => ({}),
      expected: 'the Durable Object did not return a token: its class must be one of this version of durable-event-iterator',
    },
    mapEvent: rememberMeta,
  })
  return subscriptionOf(session) as unknown as StubSubscription<SubscriptionEvent<T>>
}

/** The Durable Object does not use it. */
const STUB_URL = 'https://durable-event-iterator/'

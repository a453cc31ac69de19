import type { ClientContext } from '@orpc/client'
import type { StandardLinkOptions, StandardLinkPlugin, StandardRPCLinkOptions } from '@orpc/client/standard'

import { TOKEN_HEADER, TOKEN_HEADER_VALUE } from '../wire.js'
import { createClientDurableEventIterator } from './client-durable-event-iterator.js'
import type { ClientDurableEventIteratorRpcContext } from './client-durable-event-iterator.js'
import type { WebSocketClass } from './connection.js'
import { combineHooks } from './hooks.js'
import type { DurableEventIteratorHooks } from './hooks.js'
import { Session } from './session.js'

/**
 * The context that a call may give its iterator. Let a client's context extend it to use it.
 *
 * @example
 * ```ts
 * const link = new RPCLink<DurableEventIteratorLinkPluginContext>({ … })
 * const client: RouterClient<typeof router, DurableEventIteratorLinkPluginContext> = createORPCClient(link)
 *
 * const iterator = await client.onMessage(undefined, {
 *   context: { durableEventIterator: { onStateChange: (state) => setState(state) } },
 * })
 * ```
 */
export interface DurableEventIteratorLinkPluginContext {
  /** Called in addition to the plugin's own. */
  durableEventIterator?: DurableEventIteratorHooks | undefined
}

/**
 * Where and how the plugin connects. The rest are the options of an `RPCLink` over WebSocket: `customJsonSerializers`,
 * `interceptors`, `clientInterceptors`, `plugins`, `headers`.
 */
export interface DurableEventIteratorLinkPluginOptions
  extends
    Omit<
      StandardRPCLinkOptions<ClientDurableEventIteratorRpcContext>,
      'url' | 'method' | 'fallbackMethod' | 'maxUrlLength'
    >,
    DurableEventIteratorHooks {
  /**
   * The upgrade endpoint of the Worker. `http:` and `https:` become `ws:` and `wss:`; in a browser it may be relative to
   * the page. A function is called before each connection.
   */
  url: string | URL | Promise<string | URL> | (() => string | URL | Promise<string | URL>)

  /**
   * Makes WebSockets where the platform has none.
   *
   * @default globalThis.WebSocket
   */
  WebSocket?: WebSocketClass | undefined

  /**
   * How long to wait before the second try to reconnect, in milliseconds; each further wait is half as long again. The
   * first try is made after this, too, once a connection was open.
   *
   * @default A random time from 500 to 1500, so that not all clients of an object come back at once
   */
  minReconnectionDelay?: number | undefined

  /**
   * The longest wait before a try to reconnect, in milliseconds. It is cut short when the browser says that it is online
   * again.
   *
   * @default 30000
   */
  maxReconnectionDelay?: number | undefined

  /**
   * How long a WebSocket may take to open, in milliseconds.
   *
   * @default 10000
   */
  connectionTimeout?: number | undefined

  /**
   * How long a call to the object waits for a connection, in milliseconds. It fails then, with a
   * `DurableEventIteratorConnectionError`, and has not been sent.
   *
   * @default 10000
   */
  callTimeout?: number | undefined

  /**
   * After how many milliseconds without a message the object is asked for a sign of life. Without one in
   * ten seconds (or as many milliseconds again, if that is less) the connection is given up and a new one made. 0 turns it
   * off.
   *
   * @default 30000
   */
  heartbeatInterval?: number | undefined
}

/**
 * Turns the token that a procedure answers with into an iterator over the object's events, and leaves all other calls as
 * they are.
 *
 * The iterator survives lost connections: it reconnects, resumes after the last event it got, and makes the call again
 * for a new token when the old one has expired or is about to. A call with a `lastEventId` begins after that event. Its
 * `signal` ends the iterator, too.
 *
 * @example
 * ```ts
 * const link = new RPCLink({
 *   url: 'https://example.com/rpc',
 *   plugins: [new DurableEventIteratorLinkPlugin({ url: 'wss://example.com/chat-room' })],
 * })
 * ```
 */
export class DurableEventIteratorLinkPlugin<T extends ClientContext> implements StandardLinkPlugin<T> {
  /** Around all others: a batch or a retry inside it concerns the call for a token, never the iterator. */
  readonly order = Number.MIN_SAFE_INTEGER
  readonly #options: DurableEventIteratorLinkPluginOptions

  constructor(options: DurableEventIteratorLinkPluginOptions) {
    this.#options = options
  }

  init(options: StandardLinkOptions<T>): void {
    // In new arrays: the old ones are the application's, which may use them for several links.
    options.interceptors = [
      ...(options.interceptors ?? []),
      async (call) => {
        const fetch = async (signal: AbortSignal | undefined): Promise<{ isToken: boolean; output: unknown }> => {
          const answer: Answer = { isToken: false }
          const context = { ...call.context, [ANSWER]: answer }
          const { signal: _, ...rest } = call
          const output = await call.next({ ...rest, ...(signal === undefined ? {} : { signal }), context } as typeof call)
          return { isToken: answer.isToken, output }
        }
        const first = await fetch(call.signal)
        if (!first.isToken) return first.output

        const { durableEventIterator } = call.context as DurableEventIteratorLinkPluginContext
        const session = await Session.open({
          ...this.#options,
          hooks: combineHooks([this.#options, durableEventIterator]),
          path: call.path,
          input: call.input,
          signal: call.signal,
          lastEventId: call.lastEventId,
          firstToken: first.output,
          fetchToken: async (signal) => {
            const next = await fetch(signal)
            return next.isToken ? next.output : undefined
          },
        })
        return createClientDurableEventIterator(session)
      },
    ]
    options.clientInterceptors = [
      ...(options.clientInterceptors ?? []),
      async (request) => {
        const response = await request.next()
        const answer = (request.context as { [ANSWER]?: Answer })[ANSWER]
        if (answer !== undefined) answer.isToken = [response.headers[TOKEN_HEADER]].flat().at(-1) === TOKEN_HEADER_VALUE
        return response
      },
    ]
  }
}

/** Where a call's context keeps what its answer is. */
const ANSWER = Symbol('durable-event-iterator/answer')

interface Answer {
  isToken: boolean
}

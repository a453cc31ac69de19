import { Core } from '#core'

import type { CustomSerializer } from '../client/wire/serializer.js'
import type { Answer, Item } from './call.js'
import type { Published } from './channel-stub.js'
import { createORPCError } from './orpc-error.js'
import type { ErrorJson } from './orpc-error.js'

/** The numbers of the operations, as in `object/embedding/mod.rs` of the library. */
const START = 0
const PUBLISH = 1
const SESSION = 2
const ATTACHMENT = 3
const SET_ATTACHMENT = 4
const CLOSE_IF_EXPIRED = 5
const SEND_SNAPSHOT = 6
const SEND_LIVE = 7
const RESPOND = 8
const SEND_ITEM = 9
const LAST_EVENT_ID = 10
const SET_PRESENCE = 20
const PUBLISH_BATCH = 30

// Read once: `Core` is a proxy whose instances wrap each function when it is read, which costs more than a call.
const { operate, operateOrReject, webSocketMessage, untilLost } = Core.prototype

/** The RPC methods of every class that return the result of the core's method of the same name. */
export type TrustedMethod = 'stats' | 'connections' | 'members' | 'disconnect' | 'revoke'

/** Whether only the library's own Workers call an RPC method. A class cannot declare it. */
export function isTrusted(method: string): boolean {
  return method.startsWith('~') && method !== '~settle'
}

/** What the core knows of a socket. */
export interface Session {
  /** The connection id that the client has sent. */
  readonly connection?: string
  /** The id of the call that is the client's subscription. */
  readonly subscription?: string
  readonly claims: SessionClaims
}

/** The claims of a socket's token. */
export interface SessionClaims {
  readonly chn?: string
  readonly att?: unknown
  readonly rpc: readonly string[]
  readonly tags?: readonly string[]
  readonly sub?: string
  readonly iat: number
  readonly exp: number
}

/** An attachment in serialized form. */
export type SerializedAttachment = readonly [json: string, meta: string | undefined]

/** The sockets that restrict the audience of an event. */
export interface AudienceSockets {
  /** Only the clients of these sockets receive the event. */
  readonly to?: readonly WebSocket[] | undefined
  /** The clients of these sockets do not receive the event. */
  readonly except?: readonly WebSocket[] | undefined
}

/** Returns the sockets as the core reads them. */
function listsOf({ to, except }: AudienceSockets): unknown {
  return to === undefined && except === undefined ? undefined : [to, except]
}

/** The options of a batch: the same for all events, or one for each. */
export type BatchOptions = object | readonly object[] | undefined

/** The functions that the core calls: those of `object/embedding/class.rs` of the library. */
interface CoreHooks {
  /** Receives the core, before the core calls any other function but `options`. */
  attach(core: ObjectCore): void
}

/**
 * The compiled core of one Durable Object. All sockets that it takes and returns are the runtime's own.
 *
 * @internal
 */
export class ObjectCore {
  readonly #core: Core
  readonly #customs: readonly CustomSerializer[] | undefined

  /** @throws {ORPCError} If an option is invalid. */
  constructor(ctx: DurableObjectState, env: unknown, hooks: CoreHooks, customs: readonly CustomSerializer[]) {
    this.#customs = customs.length === 0 ? undefined : customs
    this.#core = new Core(ctx, env, hooks)
    hooks.attach(this)
    // From here on the core sees every transaction and deletion of the application.
    this.#operate(START)
  }

  get handlers(): Pick<Core, 'fetch' | 'webSocketClose' | 'webSocketError' | 'alarm' | TrustedMethod> {
    return this.#core
  }

  webSocketMessage(ws: WebSocket, message: string | ArrayBuffer): void | Promise<void> {
    return webSocketMessage.call(this.#core, ws, message)
  }

  /** Publishes an event. Throws an {@link ORPCError} if it was not stored. */
  publish(event: object, options: object | undefined, sockets: AudienceSockets = {}): Published {
    return this.#operate(PUBLISH, event, options, this.#customs, listsOf(sockets)) as Published
  }

  /** Publishes events, all or none. `sockets` has an item for each event. Throws an {@link ORPCError} if they were not stored. */
  publishBatch(events: readonly object[], options: BatchOptions, sockets?: readonly AudienceSockets[]): Published[] {
    // Events that share their sockets share the list, so that the core reads the sockets once.
    const lists = new Map(sockets?.map((each) => [each, listsOf(each)]))
    const all = sockets?.map((each) => lists.get(each))
    return JSON.parse(this.#operate(PUBLISH_BATCH, events, options, this.#customs, all) as string)
  }

  /** Publishes events for a stub: see `publishForStub`. */
  async publishBatchForStub(events: readonly object[], options: BatchOptions): Promise<Published[]> {
    if (isSerialized(Array.isArray(options) ? options[0] : options)) return this.#core.publishBatch(events, options)
    return JSON.parse((await operateOrReject.call(this.#core, PUBLISH_BATCH, events, options, this.#customs)) as string)
  }

  /** Publishes an event for a stub: the runtime does not log an error's stack trace. */
  async publishForStub(event: object, options: object | undefined): Promise<Published> {
    // A Worker in Rust passes an event that it has serialized.
    if (isSerialized(options)) return this.#core.publish(event, options)
    return operateOrReject.call(this.#core, PUBLISH, event, options, this.#customs) as Published | Promise<Published>
  }

  /** Calls a trusted RPC method (see {@link isTrusted}) for a Worker, and returns the error as a value. */
  async settle(method: string, args: readonly unknown[]): Promise<{ value?: unknown; error?: object } | undefined> {
    return this.#core['~settle'](method, args)
  }

  /** Returns the session of a socket, or undefined if the socket has closed. */
  session(ws: WebSocket): Session | undefined {
    const json = this.#operate(SESSION, ws) as string | undefined
    return json === undefined ? undefined : JSON.parse(json)
  }

  attachment(ws: WebSocket): SerializedAttachment | undefined {
    return this.#operate(ATTACHMENT, ws) as SerializedAttachment | undefined
  }

  setAttachment(ws: WebSocket, attachment: unknown): void {
    this.#operate(SET_ATTACHMENT, ws, attachment, this.#customs)
  }

  /** Sets the state of a socket's member. */
  setPresence(ws: WebSocket, state: unknown): void {
    this.#operate(SET_PRESENCE, ws, state, this.#customs)
  }

  /** Ends what a socket's expired token allowed. Returns whether the token has expired. */
  closeIfExpired(ws: WebSocket): boolean {
    return this.#operate(CLOSE_IF_EXPIRED, ws) as boolean
  }

  sendSnapshot(ws: WebSocket, events: readonly object[]): void {
    this.#operate(SEND_SNAPSHOT, ws, events, this.#customs)
  }

  sendLive(sockets: readonly WebSocket[], event: object): void {
    this.#operate(SEND_LIVE, sockets, event, this.#customs)
  }

  /**
   * Sends the response to a call. Returns whether the items of a stream are to be sent: not if the client has aborted the call, and
   * not for other responses.
   */
  respond(task: number, answer: Answer): boolean {
    return this.#operate(RESPOND, task, answer) as boolean
  }

  /** Sends an item of a stream. Returns whether the stream goes on. */
  sendItem(task: number, item: Item): boolean {
    return this.#operate(SEND_ITEM, task, item) as boolean
  }

  /** Returns the id of the newest event. */
  lastEventId(): string | undefined {
    return this.#operate(LAST_EVENT_ID) as string | undefined
  }

  /** Calls a function if the WebAssembly instance is lost, until the returned function is called. */
  untilLost(lost: () => void): () => void {
    return untilLost.call(this.#core, lost)
  }

  /** Responds to a call with an internal error, without the core. */
  fail(ws: WebSocket, id: string): void {
    this.#core.fail(ws, id)
  }

  #operate(operation: number, first?: unknown, second?: unknown, third?: unknown, fourth?: unknown): unknown {
    try {
      return operate.call(this.#core, operation, first, second, third, fourth)
    } catch (error) {
      throw asORPCError(error)
    }
  }
}

/** Whether a Worker in Rust has passed these options, which a stub may have passed in any form. */
function isSerialized(options: unknown): boolean {
  return typeof options === 'object' && options !== null && 'serialized' in options
}

/** Returns the `ORPCError` for an error of the core, so that a procedure which does not catch it responds with its code. */
function asORPCError(error: unknown): unknown {
  const { name, code, status, message, data } = error as Partial<ErrorJson & Error>
  if (name !== 'ORPCError' || code === undefined || status === undefined) return error
  return createORPCError(code, status, message ?? code, data)
}

import type { Bodies } from './bodies.js'
import type { ObjectCore, SessionClaims } from './core.js'

/** What oRPC's generation 2 offers on a socket. */
export interface DurableIteratorWebsocketInternal {
  /** The socket of the Workers runtime. Its attachment belongs to this package. */
  readonly original: WebSocket
  /** Returns the connection id of the client. */
  deserializeId(): string
  /** Returns the claims of the client's token. */
  deserializeTokenPayload(): SessionClaims
  /** Returns the id of the call that is the client's subscription, or undefined if the client has not subscribed. */
  deserializeHibernationId(): string | undefined
  /** Closes the socket if the client's token has expired. */
  closeIfExpired(): void
}

/** A socket, as the application sees it. `serializeAttachment` and `deserializeAttachment` concern the application's part. */
export type DurableIteratorWebsocket = WebSocket & {
  readonly '~orpc': DurableIteratorWebsocketInternal
}

/** The tag of the sockets of publishers' subscribers, as in `upgrade/caps.rs` of the library. */
const PUBLISHER_SOCKETS = 'durable-event-iterator:publisher'

/** A reference to the sockets of a Durable Object, which does not keep them in memory. */
type Reference = Pick<WeakRef<WebSockets>, 'deref'>

/** The sockets of the Durable Objects of this isolate. */
const instances = new Set<Reference>()

/** The size of `instances` at which those that are no longer in use are removed. */
let sweepAt = 64

/**
 * Workers with a compatibility date before 2025-05-05 have no `WeakRef`. Their references keep the sockets in memory, so there are at
 * most this many: an isolate seldom has as many Durable Objects.
 */
const MAX_STRONG_REFERENCES = 1024

/** Adds the sockets of a Durable Object that has been constructed. */
function register(sockets: WebSockets): void {
  if (typeof WeakRef === 'undefined') {
    instances.add({ deref: () => sockets })
    const [oldest] = instances
    if (instances.size > MAX_STRONG_REFERENCES) instances.delete(oldest!)
    return
  }
  instances.add(new WeakRef(sockets))
  if (instances.size < sweepAt) return
  for (const reference of instances) if (reference.deref() === undefined) instances.delete(reference)
  sweepAt = Math.max(64, instances.size * 2)
}

/**
 * Returns a socket of the Workers runtime as the methods of a class receive it: the same one for the same socket.
 *
 * @throws {TypeError} If it is not a socket of a Durable Object whose code is running.
 */
export function toDurableIteratorWebsocket(ws: WebSocket): DurableIteratorWebsocket {
  for (const reference of instances) {
    const sockets = reference.deref()
    if (sockets?.has(ws)) return sockets.wrap(ws)
  }
  throw new TypeError('The WebSocket does not belong to a Durable Object of this package')
}

/**
 * The sockets of a Durable Object, as the application sees them.
 *
 * @internal
 */
export class WebSockets {
  readonly #core: () => ObjectCore
  readonly #ctx: DurableObjectState
  readonly #bodies: Bodies
  readonly #servesPublishers: boolean
  readonly #wrapped = new WeakMap<WebSocket, DurableIteratorWebsocket>()
  readonly #originals = new WeakMap<WebSocket, WebSocket>()
  /** The lists of all sockets that the application has received, with their lengths. */
  readonly #complete = new WeakMap<readonly WebSocket[], number>()

  /** @param servesPublishers - Whether there may be sockets of publishers' subscribers, which the application does not see. */
  constructor(core: () => ObjectCore, ctx: DurableObjectState, bodies: Bodies, servesPublishers: boolean) {
    this.#servesPublishers = servesPublishers
    this.#core = core
    this.#ctx = ctx
    this.#bodies = bodies
    register(this)
  }

  /** Whether a socket, wrapped or not, belongs to this Durable Object. */
  has(ws: WebSocket): boolean {
    if (this.#originals.has(ws) || this.#wrapped.has(ws)) return true
    return this.#isRunning() && this.#ctx.getWebSockets().includes(ws)
  }

  /**
   * Whether the code that is running belongs to this Durable Object. Another one must not be asked for its sockets: the runtime
   * returns those of the Durable Object whose code is running.
   */
  #isRunning(): boolean {
    try {
      return this.#ctx.storage.sql.databaseSize >= 0
    } catch {
      return false // the runtime rejects the storage of another one
    }
  }

  /** Returns the socket that the application sees. It is the same one for the same socket. */
  wrap(ws: WebSocket): DurableIteratorWebsocket {
    if (this.#originals.has(ws)) return ws as DurableIteratorWebsocket
    const known = this.#wrapped.get(ws)
    if (known !== undefined) return known
    const wrapper = this.#proxy(ws)
    this.#wrapped.set(ws, wrapper)
    this.#originals.set(wrapper, ws)
    return wrapper
  }

  /** Returns the socket of the Workers runtime. */
  original(ws: WebSocket): WebSocket {
    return this.#originals.get(ws) ?? ws
  }

  /** Returns all sockets, or those of clients whose token has a tag. */
  all(tag?: string): DurableIteratorWebsocket[] {
    const sockets = this.#ofClients()
    const tagged = tag === undefined ? sockets : sockets.filter((ws) => this.#core().session(ws)?.claims.tags?.includes(tag))
    const wrapped = tagged.map((ws) => this.wrap(ws))
    if (tag === undefined) this.#complete.set(wrapped, wrapped.length)
    return wrapped
  }

  /** Returns the sockets that are not in a list. */
  except(listed: readonly WebSocket[]): WebSocket[] {
    if (this.#complete.get(listed) === listed.length) return [] // as it was returned by `all`
    const originals = new Set(listed.map((ws) => this.original(ws)))
    return this.#ofClients().filter((ws) => !originals.has(ws))
  }

  /** Returns all sockets that are not of a publisher's subscriber. */
  #ofClients(): WebSocket[] {
    const sockets = this.#ctx.getWebSockets()
    if (!this.#servesPublishers) return sockets
    const ctx = this.#ctx as unknown as { getTags(ws: WebSocket): string[] }
    return sockets.filter((ws) => !ctx.getTags(ws).includes(PUBLISHER_SOCKETS))
  }

  /** Returns the application's attachment of a socket, or null if there is none. */
  attachment(ws: WebSocket): unknown {
    const attachment = this.#core().attachment(this.original(ws))
    if (attachment === undefined) return null
    const [json, meta] = attachment
    return this.#bodies.decode({ json: JSON.parse(json), meta: meta === undefined ? undefined : JSON.parse(meta) })
  }

  setAttachment(ws: WebSocket, value: unknown): void {
    this.#core().setAttachment(this.original(ws), value)
  }

  /**
   * Returns the claims of a socket's token.
   *
   * @throws {TypeError} If the socket has closed.
   */
  claims(ws: WebSocket): SessionClaims {
    return this.#session(ws).claims
  }

  #session(ws: WebSocket) {
    const session = this.#core().session(this.original(ws))
    if (session === undefined) throw new TypeError('The socket has closed, and its attachments are deleted')
    return session
  }

  #proxy(ws: WebSocket): DurableIteratorWebsocket {
    const own: Record<PropertyKey, unknown> = {
      serializeAttachment: (value: unknown) => this.setAttachment(ws, value),
      deserializeAttachment: () => this.attachment(ws),
      send: (message: string | ArrayBuffer | ArrayBufferView<ArrayBuffer>) => {
        if (!this.#core().closeIfExpired(ws)) ws.send(message)
      },
      '~orpc': {
        original: ws,
        deserializeId: () => this.#session(ws).connection,
        deserializeTokenPayload: () => this.claims(ws),
        deserializeHibernationId: () => this.#session(ws).subscription,
        closeIfExpired: () => void this.#core().closeIfExpired(ws),
      },
    }
    return new Proxy(ws, {
      get(_, key) {
        if (Object.hasOwn(own, key)) return own[key]
        const value = Reflect.get(ws, key, ws)
        return typeof value === 'function' ? value.bind(ws) : value
      },
      set: (_, key, value) => Reflect.set(ws, key, value, ws),
    }) as DurableIteratorWebsocket
  }
}

/**
 * Returns a Durable Object's `ctx` whose sockets are those that the application sees.
 *
 * @internal
 */
export function wrapState<T extends DurableObjectState>(ctx: T, sockets: WebSockets): T {
  const own: Record<PropertyKey, unknown> = {
    getWebSockets: (tag?: string) => sockets.all(tag),
    getTags: (ws: WebSocket) => [...(sockets.claims(ws).tags ?? [])],
    acceptWebSocket: (ws: WebSocket, tags?: string[]) =>
      (ctx as unknown as { acceptWebSocket(ws: WebSocket, tags?: string[]): void }).acceptWebSocket(sockets.original(ws), tags),
    getWebSocketAutoResponseTimestamp: (ws: WebSocket) =>
      (ctx as unknown as { getWebSocketAutoResponseTimestamp(ws: WebSocket): Date | null }).getWebSocketAutoResponseTimestamp(
        sockets.original(ws),
      ),
  }
  return new Proxy(ctx, {
    get(_, key) {
      if (Object.hasOwn(own, key)) return own[key]
      const value = Reflect.get(ctx, key, ctx)
      return typeof value === 'function' ? value.bind(ctx) : value
    },
    set: (_, key, value) => Reflect.set(ctx, key, value, ctx),
  })
}

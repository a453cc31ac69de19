// Classes that use what oRPC's classes offer: handler options, overridden methods, attachments, and the audience of an event.

import { eventIterator, ORPCError, os, type } from '@orpc/server'
import {
  DurableEventIteratorObject,
  DurableIteratorObject,
  toDurableIteratorWebsocket,
  upgradeDurableIteratorRequest,
  withEventMeta,
} from 'durable-event-iterator/durable-object'
import type {
  DurableEventIteratorNamespace,
  DurableEventIteratorObjectHandlerOptions,
  DurableEventIteratorPublishOptions,
  DurableIteratorWebsocket,
  PublishEventOptions,
} from 'durable-event-iterator/durable-object'

import { ORPCError as ORPCError1 } from 'orpc-client-1.9.4'
import { ORPCError as ORPCError2 } from 'orpc-client-2.0.0-beta.16'

interface Env {
  SIGNING_KEY: string
  [binding: string]: unknown
}

/** The handler options, which write down when they run. */
function handlerOptions(seen: string[]): DurableEventIteratorObjectHandlerOptions {
  const at = (place: string) => async (options: { next: () => Promise<any> }) => {
    seen.push(`${place} begins`)
    try {
      return await options.next()
    } finally {
      seen.push(`${place} ends`)
    }
  }
  return {
    // Their names in oRPC 1.x and in 2.x.
    ...{ rootInterceptors: [at('root')], routingInterceptors: [at('root')] },
    interceptors: [
      at('interceptor'),
      (options) => {
        seen.push(`context ${Object.keys(options.context).filter((key) => !key.startsWith('~')).join(' ')}`)
        return options.next()
      },
    ],
    clientInterceptors: [at('client')],
    plugins: [
      {
        // oRPC 2.x requires a name, and the options that `init` returns.
        ...{ name: 'tests' },
        init(options) {
          seen.push('plugin initialized')
          options.interceptors ??= []
          options.interceptors.push((interceptor) => {
            seen.push('plugin')
            return interceptor.next()
          })
          return options
        },
      },
    ],
  }
}

/** The ways in which a transaction ends. */
export type Ending = 'commits' | 'fails' | 'inner fails'

/** Stores numbers and publishes them as events, in a transaction within another. Returns the stored numbers. */
function transact({ sql, transactionSync }: DurableObjectStorage, publish: (n: number) => unknown, ending: Ending): unknown[] {
  const store = (n: number): void => {
    sql.exec('INSERT INTO numbers VALUES (?)', n)
    publish(n)
  }
  sql.exec('CREATE TABLE IF NOT EXISTS numbers (n INTEGER)')
  try {
    transactionSync(() => {
      store(1)
      try {
        transactionSync(() => {
          store(2)
          if (ending === 'inner fails') throw new Error('inner')
        })
      } catch {}
      store(3)
      if (ending === 'fails') throw new Error('outer')
    })
  } catch {}
  store(4)
  return sql.exec<{ n: number }>('SELECT n FROM numbers').toArray().map(({ n }) => n)
}

/** Procedures whose results are the same with interceptors and without. */
function procedures() {
  const failing = (fail: () => unknown) =>
    os
      .handler((): void => {
        throw fail()
      })
      .callable()
  const circular: { self?: unknown } = {}
  circular.self = circular
  return {
    context: os.handler(({ signal, lastEventId }) => [signal instanceof AbortSignal, lastEventId ?? null]).callable(),
    file: os
      .input(type<File>())
      .handler(async ({ input }) => ({ file: new File([(await input.text()).toUpperCase()], `upper-${input.name}`), at: new Date(0) }))
      .callable(),
    stream: os
      .handler(async function* () {
        yield withEventMeta({ n: 1n }, { id: 'one', retry: 5, comments: ['a'] })
        yield new Date(0)
        return withEventMeta({ end: true }, { id: 'end' })
      })
      .callable(),
    sum: os
      .input(eventIterator(type<bigint>()))
      .handler(async ({ input }) => {
        let sum = 0n
        for await (const number of input) sum += number
        return sum
      })
      .callable(),
    failingStream: os
      .errors({ CONFLICT: {} })
      .handler(async function* ({ errors }) {
        yield 1
        throw errors.CONFLICT({ message: 'half way' })
      })
      .callable(),
    itemWithFile: os
      .handler(async function* () {
        yield { file: new File([], 'a') }
      })
      .callable(),
    circular: os.handler(() => circular).callable(),
    declared: os
      .errors({ CONFLICT: { data: type<Date>() } })
      .handler(({ errors }): void => {
        throw errors.CONFLICT({ data: new Date(0) })
      })
      .callable(),
    // oRPC 2.x throws a returned error.
    returned: os.handler(() => new ORPCError('CONFLICT', { message: 'returned' })).callable(),
    plain: failing(() => new Error('a secret')),
    nothing: failing(() => undefined),
    ofOtherVersions: {
      v1: failing(() => new ORPCError1('CUSTOM', { status: 418, message: 'of 1.x', data: new Date(0), defined: true })),
      v2: failing(() => new ORPCError2('CONFLICT', { message: 'of 2.x', data: new Date(0) })),
      withStatus: failing(() => Object.assign(new ORPCError('CUSTOM'), { status: 418 })),
      mapped: failing(() => new ORPCError2('MAPPED')),
    },
  }
}

/** A class without handler options. */
export class PlainFeatures extends DurableIteratorObject<object, Env> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { signingKey: env.SIGNING_KEY, errorStatusMap: { MAPPED: 423 } })
  }

  procedures() {
    return procedures()
  }
}

interface Attachment {
  color: string
  since: Date
}

/** A class over `DurableEventIteratorObject`. */
export class FirstFeatures extends DurableEventIteratorObject<object, { userId: string } | undefined, Attachment, Env> {
  readonly #seen: string[] = []

  constructor(ctx: DurableObjectState, env: Env) {
    const seen: string[] = []
    super(ctx, env, handlerOptions(seen))
    this.#seen = seen
  }

  echo() {
    return os
      .input(type<unknown>())
      .handler(({ input }) => input)
      .callable()
  }

  rejected() {
    return os
      .handler((): void => {
        throw new ORPCError('CONFLICT')
      })
      .callable()
  }

  paint(ws: WebSocket) {
    return os
      .input(type<string>())
      .handler(({ input }) => this.dei.websocketManager.serializeAttachment(ws, { color: input, since: new Date(0) }))
      .callable()
  }

  whoAmI(ws: WebSocket) {
    return os.handler(() => this.dei.websocketManager.deserializeAttachment(ws)).callable()
  }

  // RPC methods.

  seen(): string[] {
    return this.#seen
  }

  /** Publishes to the sockets of these colors. */
  publishTo(colors: string[], event: object, options?: DurableEventIteratorPublishOptions): object {
    const sockets = this.ctx.getWebSockets().filter((ws) => colors.includes(this.dei.websocketManager.deserializeAttachment(ws).color))
    return this.dei.websocketManager.publishEvent(sockets, event, options)
  }

  /** Publishes to all sockets that were open before a pause. */
  publishToAll(event: object, options?: DurableEventIteratorPublishOptions): object {
    return this.dei.websocketManager.publishEvent(this.ctx.getWebSockets(), event, options)
  }

  publishWithMeta(event: object, meta: object): object {
    return this.dei.websocketManager.publishEvent(this.ctx.getWebSockets(), withEventMeta(event, meta))
  }

  colors(): (string | undefined)[] {
    return this.ctx.getWebSockets().map((ws) => this.dei.websocketManager.deserializeAttachment(ws).color)
  }

  async alarmTime(): Promise<number | null> {
    return this.ctx.storage.getAlarm()
  }

  transact(ending: Ending): unknown[] {
    return transact(this.ctx.storage, (n) => this.dei.websocketManager.publishEvent(this.ctx.getWebSockets(), { n }), ending)
  }

  // Overridden methods.

  override async webSocketMessage(ws: WebSocket, message: string | ArrayBuffer): Promise<void> {
    this.#seen.push(`message of ${typeof message === 'string' ? 'text' : 'bytes'}`)
    // A message of the application's own.
    if (message === 'hello') return ws.send(`hello of ${this.dei.websocketManager.deserializeAttachment(ws)['dei:token:payload'].chn}`)
    await super.webSocketMessage(ws, message)
  }

  override webSocketClose(ws: WebSocket, code: number, reason: string, wasClean: boolean): void | Promise<void> {
    this.#seen.push(`close ${code} ${reason}`)
    return super.webSocketClose(ws, code, reason, wasClean)
  }

  override async fetch(request: Request): Promise<Response> {
    if (new URL(request.url).pathname === '/own') return new Response('own response')
    return super.fetch(request)
  }

  override async alarm(): Promise<void> {
    this.#seen.push('alarm')
    await super.alarm()
  }
}

/** A class over `DurableIteratorObject`. */
export class SecondFeatures extends DurableIteratorObject<object, Env> {
  readonly #seen: string[] = []

  constructor(ctx: DurableObjectState, env: Env) {
    const seen: string[] = []
    super(ctx, env, { signingKey: [env.SIGNING_KEY, 'an earlier key'], errorStatusMap: { MAPPED: 423 }, ...handlerOptions(seen) })
    this.#seen = seen
  }

  echo() {
    return os
      .input(type<unknown>())
      .handler(({ input }) => input)
      .callable()
  }

  rejected() {
    return os
      .handler((): void => {
        throw new ORPCError('CONFLICT')
      })
      .callable()
  }

  paint(ws: DurableIteratorWebsocket) {
    return os
      .input(type<string>())
      .handler(({ input }) => ws.serializeAttachment({ color: input, since: new Date(0) } satisfies Attachment))
      .callable()
  }

  whoAmI(ws: DurableIteratorWebsocket) {
    return os
      .handler(() => ({
        attachment: ws.deserializeAttachment(),
        id: ws['~orpc'].deserializeId(),
        payload: ws['~orpc'].deserializeTokenPayload(),
        hibernationId: ws['~orpc'].deserializeHibernationId(),
        isWrapped: ws === toDurableIteratorWebsocket(ws['~orpc'].original) && ws === toDurableIteratorWebsocket(ws),
        isListed: this.ctx.getWebSockets().includes(ws),
        tags: this.ctx.getTags(ws),
        tagged: this.ctx.getWebSockets('staff').length,
      }))
      .callable()
  }

  procedures() {
    return procedures()
  }

  // RPC methods.

  seen(): string[] {
    return this.#seen
  }

  /** Publishes with a condition on the colors of sockets. */
  publishTo(colors: { targets?: string[]; exclude?: string[] }, event: object, options: PublishEventOptions = {}): object {
    const hasColor = (among: string[]) => (ws: DurableIteratorWebsocket) => among.includes(ws.deserializeAttachment()?.color)
    return this.publishEvent(event, {
      ...options,
      ...(colors.targets !== undefined && { targets: hasColor(colors.targets) }),
      ...(colors.exclude !== undefined && { exclude: this.ctx.getWebSockets().filter(hasColor(colors.exclude)) }),
    })
  }

  /** Sends a message to all sockets, past the subscription. */
  sendToAll(message: string): void {
    for (const ws of this.ctx.getWebSockets()) ws.send(message)
  }

  closeExpired(): void {
    for (const ws of this.ctx.getWebSockets()) ws['~orpc'].closeIfExpired()
  }

  colors(): (string | undefined)[] {
    return this.ctx.getWebSockets().map((ws) => ws.deserializeAttachment()?.color)
  }

  async alarmTime(): Promise<number | null> {
    return this.ctx.storage.getAlarm()
  }

  transact(ending: Ending): unknown[] {
    return transact(this.ctx.storage, (n) => this.publishEvent({ n }), ending)
  }

  // Overridden methods.

  override async webSocketMessage(ws: WebSocket, message: string | ArrayBuffer): Promise<void> {
    this.#seen.push(`message of ${typeof message === 'string' ? 'text' : 'bytes'}`)
    if (message === 'hello') return ws.send(`hello of ${toDurableIteratorWebsocket(ws)['~orpc'].deserializeTokenPayload().chn}`)
    await super.webSocketMessage(ws, message)
  }

  override webSocketClose(ws: WebSocket, code: number, reason: string, wasClean: boolean): void | Promise<void> {
    this.#seen.push(`close ${code} ${reason}`)
    return super.webSocketClose(ws, code, reason, wasClean)
  }

  override async fetch(request: Request): Promise<Response> {
    if (new URL(request.url).pathname === '/own') return new Response('own response')
    return super.fetch(request)
  }
}

/** Is constructed with the options in its name. */
export class FirstOptions extends DurableEventIteratorObject<object, any, object, Env> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, JSON.parse(ctx.id.name!))
  }
}

export class SecondOptions extends DurableIteratorObject<object, Env> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, JSON.parse(ctx.id.name!))
  }
}

/** `/upgrade/<binding>` is the upgrade; `/<binding>/<name>/<path>` passes the path to a Durable Object. */
export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const [, first = '', second = '', path = ''] = new URL(request.url).pathname.split('/')
    const namespace = env[first === 'upgrade' ? second : first]
    if (first === 'upgrade') {
      return upgradeDurableIteratorRequest(request, { signingKey: env.SIGNING_KEY, namespace: namespace as DurableEventIteratorNamespace })
    }
    return (namespace as DurableObjectNamespace).getByName(decodeURIComponent(second)).fetch(new URL(`/${path}`, request.url))
  },
}

import { ORPCError } from '@orpc/client'
import { os } from '@orpc/server'

import type { Bodies } from './bodies.js'
import type { Call, Response, WireBlob } from './call.js'
import type { CallHandler } from './call-handler.js'
import type { DurableEventIteratorObjectContext, DurableEventIteratorObjectHandlerOptions } from './handler-options.js'
import { createHandlerV1 } from './handler-v1.js'
import { createHandlerV2 } from './handler-v2.js'
import { createORPCError, isORPC2, isORPCError, toInstalledError } from './orpc-error.js'
import type { AnyORPCError } from './orpc-error.js'

/** The context of one call. */
interface Context extends DurableEventIteratorObjectContext {
  readonly '~call': RunningCall
}

interface RunningCall extends Call {
  /** The error that the procedure has declared and thrown. */
  declared?: AnyORPCError
}

type ProcedureClient = (input: unknown, options: { signal: AbortSignal | undefined; lastEventId: string | undefined }) => unknown

/** The message of oRPC's handler for a body that cannot be read. */
const MALFORMED_REQUEST =
  "Malformed request. Ensure the request body is properly formatted and the 'Content-Type' header is set correctly."

/** The built-in procedure that a class may replace by its own. */
const SET_PRESENCE = 'setPresence'

/** The procedures of a class: its methods, and what they return. */
export class Procedures {
  readonly #object: object
  readonly #base: object
  readonly #wrap: (ws: WebSocket) => WebSocket
  readonly #bodies: Bodies
  readonly #options: DurableEventIteratorObjectHandlerOptions
  /** Whether the class has interceptors or plugins. */
  readonly #isIntercepted: boolean
  /** Created by the first call that needs it: most wakings are for a publish. */
  #handler: CallHandler | undefined

  /**
   * @param object - The Durable Object.
   * @param base - The prototype of the class of this package that the application extends. Its members, and inherited ones, are
   * not procedures.
   * @param wrap - Returns the socket that the application sees.
   */
  constructor(
    object: object,
    base: object,
    wrap: (ws: WebSocket) => WebSocket,
    bodies: Bodies,
    options: DurableEventIteratorObjectHandlerOptions,
  ) {
    this.#object = object
    this.#base = base
    this.#wrap = wrap
    this.#bodies = bodies
    this.#options = { ...options, interceptors: [logFailure, ...(options.interceptors ?? []), keepDeclared] }
    this.#isIntercepted = INTERCEPTING.some((name) => ((options as Record<string, readonly unknown[] | undefined>)[name]?.length ?? 0) > 0)
  }

  /** Returns whether the application's class declares a method with this name. */
  has(name: string): boolean {
    return declaredMethod(this.#object, this.#base, name) !== undefined
  }

  /** Runs a call and returns its response in oRPC's encoded form. */
  respond(call: Call): Promise<Response> {
    return this.#isIntercepted ? this.#respondByHandler(call) : this.#respondDirectly(call)
  }

  /** Does what oRPC's handler does without interceptors and plugins, for about a third of its cost. */
  async #respondDirectly(call: Call): Promise<Response> {
    const { path, ws, signal, headers } = call
    try {
      const input = this.#inputOf(call)
      const client = this.#find(path, this.#wrap(ws))
      const output = await client(input, { signal, lastEventId: headers['last-event-id']?.[0] })
      return { status: 200, body: this.#bodies.encode(output) }
    } catch (error) {
      report(call, error)
      return this.#bodies.encodeError(error)
    }
  }

  #inputOf(call: Call): unknown {
    try {
      return this.#bodies.decode(inputOf(call))
    } catch (cause) {
      throw new ORPCError('BAD_REQUEST', { message: MALFORMED_REQUEST, cause })
    }
  }

  /** Passes the call to oRPC's handler, which runs the interceptors and plugins. */
  async #respondByHandler(call: Call): Promise<Response> {
    this.#handler ??= (isORPC2() ? createHandlerV2 : createHandlerV1)(this.#procedure(), this.#bodies, this.#options)
    const { ws, headers, signal } = call
    const context: Context = { object: this.#object, websocket: this.#wrap(ws), '~call': call }
    const response = await this.#handler({ headers, signal, body: async () => bodyOf(call) }, context)
    return response ?? this.#bodies.encodeError(new ORPCError('NOT_FOUND'))
  }

  /** The procedure of oRPC's handler. The path is the one that the client's token allows, not that of the input. */
  #procedure() {
    return os.$context<Context>().handler(async ({ context, input, signal, lastEventId }) => {
      const call = context['~call']
      const own = call.upload === undefined ? (input as { input: unknown }).input : input
      try {
        return await this.#find(call.path, context.websocket)(own, { signal, lastEventId })
      } catch (error) {
        if (isORPCError(error) && error.defined) call.declared = error
        throw error
      }
    })
  }

  /** @throws {ORPCError} NOT_FOUND, or what the method of the class throws. */
  #find([name, ...rest]: readonly string[], ws: WebSocket): ProcedureClient {
    const method = name === undefined ? undefined : declaredMethod(this.#object, this.#base, name)
    if (method === undefined) throw new ORPCError('NOT_FOUND')
    let client: unknown = method.call(this.#object, ws)
    // Not a procedure, such as an asynchronous RPC method.
    if (client instanceof Promise) client.catch((error) => console.error(`durable-event-iterator: ${name} failed:`, error))
    for (const key of rest) client = memberOf(client, key)
    if (typeof client !== 'function') throw new ORPCError('NOT_FOUND')
    return client as ProcedureClient
  }
}

/** The options of both versions of oRPC that intercept calls. */
const INTERCEPTING = ['interceptors', 'clientInterceptors', 'rootInterceptors', 'routingInterceptors', 'plugins']

type Interceptor = NonNullable<DurableEventIteratorObjectHandlerOptions['interceptors']>[number]

/** Logs errors that clients do not see, and replaces them by an internal error. */
const logFailure: Interceptor = async ({ context, next }) => {
  try {
    return await next()
  } catch (error) {
    report((context as Context)['~call'], error)
    throw toInstalledError(error)
  }
}

/**
 * Keeps an error as one that the procedure has declared. The procedure that calls it declares no errors, so oRPC replaces the error
 * by a copy that is not declared.
 */
const keepDeclared: Interceptor = async ({ context, next }) => {
  try {
    return await next()
  } catch (error) {
    const { declared } = (context as Context)['~call']
    throw declared !== undefined && isCopy(error, declared) ? declared : error
  }
}

function isCopy(error: unknown, { code, message, data }: AnyORPCError): boolean {
  return isORPCError(error) && error.code === code && error.message === message && error.data === data
}

/**
 * Returns a method that the application's class declares, or one of the application's classes that it extends. Accessors,
 * properties of the instance, and names that the base class has are excluded. `setPresence` with two parameters overrides the helper
 * of the base class, and is not a procedure.
 */
function declaredMethod(object: object, base: object, name: string): ((ws: WebSocket) => unknown) | undefined {
  if (name in base && name !== SET_PRESENCE) return undefined
  for (let prototype = Object.getPrototypeOf(object); prototype !== base && prototype !== null; prototype = Object.getPrototypeOf(prototype)) {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, name)
    if (descriptor === undefined) continue
    const isMethod = typeof descriptor.value === 'function' && (name !== SET_PRESENCE || descriptor.value.length < 2)
    return isMethod ? descriptor.value : undefined
  }
  return undefined
}

/**
 * Returns a member of a record of clients, or undefined. Inherited members are excluded, such as `constructor` and `call`, and those
 * of oRPC's procedures, whose handler would run without its middlewares and the validation of its input. Clients of
 * `createRouterClient` are proxies, whose members are neither own nor inherited.
 */
function memberOf(client: unknown, key: string): unknown {
  if ((typeof client !== 'object' || client === null) && typeof client !== 'function') return undefined
  if ('~orpc' in client) return undefined
  const descriptor = Object.getOwnPropertyDescriptor(client, key)
  if (descriptor !== undefined) return typeof client === 'function' ? undefined : descriptor.value
  return key in client ? undefined : (client as Record<string, unknown>)[key]
}

/** Writes an exception of the application to the log, unless it is meant for the client or the client has aborted the call. */
function report({ path, signal }: Call, error: unknown): void {
  if (!isORPCError(error) && !signal.aborted) console.error(`durable-event-iterator: ${path.join('.')} failed:`, error)
}

/** Returns the input in oRPC's encoded form. */
function inputOf({ json, meta, blobs, upload, signal }: Call): unknown {
  if (upload !== undefined) return itemsOf(upload, signal)
  return blobs.length === 0 ? { json, meta } : formOf(json, meta, blobs, [])
}

/** Returns the body of the request that oRPC's handler reads: the path and the input. */
function bodyOf({ path, json, meta, blobs, upload, signal }: Call): unknown {
  if (upload !== undefined) return itemsOf(upload, signal)
  const under = 'input'
  const body = { path, input: json }
  const moved = meta.map(([type, ...segments]) => [type, under, ...segments])
  return blobs.length === 0 ? { json: body, meta: moved } : formOf(body, moved, blobs, [under])
}

/** Returns a body with blobs, whose paths begin with `under`. */
function formOf(json: unknown, meta: unknown, blobs: readonly WireBlob[], under: readonly string[]): FormData {
  const form = new FormData()
  const maps = blobs.map(([segments]) => [...under, ...(JSON.parse(segments) as (string | number)[])])
  form.set('data', JSON.stringify({ json, meta, maps }))
  for (const [n, blob] of blobs.entries()) form.set(String(n), fileOf(blob))
  return form
}

function fileOf([, bytes, type, name]: WireBlob): Blob {
  const parts = [bytes as Uint8Array<ArrayBuffer>]
  return name === undefined ? new Blob(parts, { type }) : new File(parts, name, { type })
}

/** Reads the items of a client's stream. Throws if the call is aborted: the stream would otherwise seem to be complete. */
async function* itemsOf(read: NonNullable<Call['upload']>, signal: AbortSignal): AsyncGenerator<unknown, void> {
  while (true) {
    const item = await read()
    signal.throwIfAborted()
    if (item === undefined) return
    if (!Array.isArray(item)) throw failureOf(item)
    const [json, meta] = item
    yield { json: json === undefined ? undefined : JSON.parse(json), meta: meta === undefined ? [] : JSON.parse(meta) }
  }
}

/** Returns the error of a client's stream. */
function failureOf(failure: unknown): unknown {
  const { message, properties } = failure as { message: string; properties: { code: string; status: number; data?: unknown } }
  return createORPCError(properties.code, properties.status, message, properties.data)
}

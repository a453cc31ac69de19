import type { Context } from '@orpc/server'
import type { StandardHandlerOptions, StandardHandlerPlugin } from '@orpc/server/standard'

import { clientKindOf } from '../token/token.js'
import { getClientDurableEventIteratorToken } from '../token-carrier.js'
import { TOKEN_HEADER_VALUE, TOKEN_HEADERS } from '../wire.js'

/**
 * Sends tokens of both kinds, each with the header that its clients look for.
 *
 * The class is a plugin of oRPC 1.x and of 2.x, which differ in three ways: 1.x sorts plugins by `order` and 2.x by `name`; 1.x
 * uses the options that `init` has changed and 2.x those that it returns; and an interceptor of 2.x returns the response itself.
 */
class TokenHandlerPlugin<T extends Context> implements StandardHandlerPlugin<T> {
  /** For oRPC 2.x, which requires a name. */
  readonly name = 'durable-event-iterator'

  /**
   * For oRPC 1.x. Initialized first: the interceptors of other plugins run inside its own, and see the output before it becomes
   * a token.
   */
  readonly order = Number.MIN_SAFE_INTEGER

  init(options: StandardHandlerOptions<T>): StandardHandlerOptions<T> {
    const { interceptors = [], clientInterceptors = [] } = options as unknown as InterceptedOptions
    // New arrays: the application may use its own arrays for several handlers.
    const intercepted: InterceptedOptions = {
      interceptors: [
        async (request) => {
          const announced: TokenResponse = { header: undefined }
          const result = await request.next({ ...request, context: { ...request.context, [RESPONSE]: announced } })
          return announced.header === undefined ? result : withHeader(result, announced.header)
        },
        ...interceptors,
      ],
      clientInterceptors: [
        async (call) => {
          const output = await call.next()
          const token = getClientDurableEventIteratorToken(output)
          if (token === undefined) return output
          const announced = (call.context as { [RESPONSE]?: TokenResponse })[RESPONSE]
          if (announced === undefined) {
            throw new TypeError(
              `the ${this.constructor.name} has lost its context: another plugin or interceptor replaced the context of the request instead of extending it`,
            )
          }
          announced.header = TOKEN_HEADERS[clientKindOf(token)]
          return token
        },
        ...clientInterceptors,
      ],
    }
    return Object.assign(options, intercepted)
  }
}

/**
 * Sends the token of a `DurableEventIterator` that a procedure returns: the response body is the token, and a response
 * header marks it as one. The plugin sends `DurableIterator` tokens too, and works with oRPC's batch plugin. It works with
 * oRPC 1.x and 2.x.
 *
 * If pages of another origin call the server, expose the header `x-orpc-dei`:
 * `new CORSPlugin({ exposeHeaders: ['x-orpc-dei'] })` (oRPC 2.x: `CORSHandlerPlugin`).
 *
 * @example
 * ```ts
 * const handler = new RPCHandler(router, {
 *   plugins: [new DurableEventIteratorHandlerPlugin()],
 * })
 * ```
 */
export class DurableEventIteratorHandlerPlugin<T extends Context> extends TokenHandlerPlugin<T> {}

/**
 * Sends the token of a `DurableIterator` that a procedure returns: the response body is the token, and a response header
 * marks it as one. The plugin sends `DurableEventIterator` tokens too, and works with oRPC's batch plugin. It works with
 * oRPC 1.x and 2.x.
 *
 * If pages of another origin call the server, expose the header `x-orpc-durable-iterator`:
 * `new CORSPlugin({ exposeHeaders: ['x-orpc-durable-iterator'] })` (oRPC 2.x: `CORSHandlerPlugin`).
 *
 * @example
 * ```ts
 * const handler = new RPCHandler(router, {
 *   plugins: [new DurableIteratorHandlerPlugin()],
 * })
 * ```
 */
export class DurableIteratorHandlerPlugin<T extends Context> extends TokenHandlerPlugin<T> {}

/** The property of a request's context that describes its response. */
const RESPONSE = Symbol('durable-event-iterator/response')

interface TokenResponse {
  /** The header that marks the response as a token; `undefined` for any other response. */
  header: string | undefined
}

// The parts of the handler options that both versions of oRPC have.

interface InterceptedOptions {
  interceptors?: Interceptor<Intercepted, HandlerResult>[]
  clientInterceptors?: Interceptor<Intercepted, unknown>[]
}

interface Intercepted {
  readonly context: object
}

type Interceptor<TOptions, TResult> = (
  options: TOptions & { next(options?: TOptions): Promise<TResult> },
) => Promise<TResult>

/** The result of an interceptor: in oRPC 2.x the response, in oRPC 1.x an object with the response if a procedure matched. */
type HandlerResult = HandlerResponse | { readonly matched: boolean; readonly response?: HandlerResponse | undefined }

interface HandlerResponse {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

function withHeader(result: HandlerResult, name: string): HandlerResult {
  const add = (response: HandlerResponse): HandlerResponse => ({
    ...response,
    headers: { ...response.headers, [name]: TOKEN_HEADER_VALUE },
  })
  if (!('matched' in result)) return add(result)
  return result.response === undefined ? result : { ...result, response: add(result.response) }
}

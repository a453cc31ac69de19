import type { Context } from '@orpc/server'
import type { StandardHandlerOptions, StandardHandlerPlugin } from '@orpc/server/standard'

import { clientKindOf } from '../token/token.js'
import { getClientDurableEventIteratorToken } from '../token-carrier.js'
import { TOKEN_HEADER_VALUE, TOKEN_HEADERS } from '../wire.js'

/** Sends tokens of both kinds, each with the header that its clients look for. */
class TokenHandlerPlugin<T extends Context> implements StandardHandlerPlugin<T> {
  /** Initialized first: the interceptors of other plugins run inside its own, and see the output before it becomes a token. */
  readonly order = Number.MIN_SAFE_INTEGER

  init(options: StandardHandlerOptions<T>): void {
    // New arrays: the application may use its own arrays for several handlers.
    options.interceptors = [
      async (request) => {
        const announced: TokenResponse = { header: undefined }
        const result = await request.next({ ...request, context: { ...request.context, [RESPONSE]: announced } })
        if (announced.header === undefined || !result.matched) return result
        const headers = { ...result.response.headers, [announced.header]: TOKEN_HEADER_VALUE }
        return { ...result, response: { ...result.response, headers } }
      },
      ...(options.interceptors ?? []),
    ]
    options.clientInterceptors = [
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
      ...(options.clientInterceptors ?? []),
    ]
  }
}

/**
 * Sends the token of a `DurableEventIterator` that a procedure returns: the response body is the token, and a response
 * header marks it as one. The plugin sends `DurableIterator` tokens too, and works with oRPC's batch plugin.
 *
 * If pages of another origin call the server, expose the header `x-orpc-dei`:
 * `new CORSPlugin({ exposeHeaders: ['x-orpc-dei'] })`.
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
 * marks it as one. The plugin sends `DurableEventIterator` tokens too, and works with oRPC's batch plugin.
 *
 * If pages of another origin call the server, expose the header `x-orpc-durable-iterator`:
 * `new CORSPlugin({ exposeHeaders: ['x-orpc-durable-iterator'] })`.
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

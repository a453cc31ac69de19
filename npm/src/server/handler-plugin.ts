import type { Context } from '@orpc/server'
import type { StandardHandlerOptions, StandardHandlerPlugin } from '@orpc/server/standard'

import { getClientDurableEventIteratorToken } from '../token-carrier.js'
import { TOKEN_HEADER, TOKEN_HEADER_VALUE } from '../wire.js'

/**
 * Sends what a procedure returns as a {@link DurableEventIterator}: the token as the answer's body, and the header that
 * tells the client what it is.
 *
 * It works alone and with the batch plugin. A server for browsers of another origin must expose the header
 * `x-orpc-dei`: `new CORSPlugin({ exposeHeaders: ['x-orpc-dei'] })`.
 *
 * @example
 * ```ts
 * const handler = new RPCHandler(router, {
 *   plugins: [new DurableEventIteratorHandlerPlugin()],
 * })
 * ```
 */
export class DurableEventIteratorHandlerPlugin<T extends Context> implements StandardHandlerPlugin<T> {
  /** Before all others, so that theirs see the answer without a token as they expect it. */
  readonly order = Number.MIN_SAFE_INTEGER

  init(options: StandardHandlerOptions<T>): void {
    // In new arrays: the old ones are the application's, which may use them for several handlers.
    options.interceptors = [
      async (request) => {
        const answer: Answer = { isToken: false }
        const result = await request.next({ ...request, context: { ...request.context, [ANSWER]: answer } })
        if (!answer.isToken || !result.matched) return result
        const headers = { ...result.response.headers, [TOKEN_HEADER]: TOKEN_HEADER_VALUE }
        return { ...result, response: { ...result.response, headers } }
      },
      ...(options.interceptors ?? []),
    ]
    options.clientInterceptors = [
      async (call) => {
        const output = await call.next()
        const token = getClientDurableEventIteratorToken(output)
        if (token === undefined) return output
        const answer = (call.context as { [ANSWER]?: Answer })[ANSWER]
        if (answer === undefined) {
          throw new TypeError('Something replaced the context of the request, and the DurableEventIteratorHandlerPlugin with it.')
        }
        answer.isToken = true
        return token
      },
      ...(options.clientInterceptors ?? []),
    ]
  }
}

/** Where a request's context keeps what the answer is. */
const ANSWER = Symbol('durable-event-iterator/answer')

interface Answer {
  isToken: boolean
}

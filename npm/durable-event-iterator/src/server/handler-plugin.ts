import type { Context } from '@orpc/server'
import type { StandardHandlerOptions, StandardHandlerPlugin } from '@orpc/server/standard'

import { generationOf } from '../token/token.js'
import { getClientDurableEventIteratorToken } from '../token-carrier.js'
import { TOKEN_HEADER_VALUE, TOKEN_HEADERS } from '../wire.js'

/** Sends tokens of either generation, each with the header that its clients look for. */
class TokenHandlerPlugin<T extends Context> implements StandardHandlerPlugin<T> {
  /** Before all others, so that theirs see the answer without a token as they expect it. */
  readonly order = Number.MIN_SAFE_INTEGER

  init(options: StandardHandlerOptions<T>): void {
    // In new arrays: the old ones are the application's, which may use them for several handlers.
    options.interceptors = [
      async (request) => {
        const answer: Answer = { header: undefined }
        const result = await request.next({ ...request, context: { ...request.context, [ANSWER]: answer } })
        if (answer.header === undefined || !result.matched) return result
        const headers = { ...result.response.headers, [answer.header]: TOKEN_HEADER_VALUE }
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
          throw new TypeError(`Something replaced the context of the request, and the ${this.constructor.name} with it.`)
        }
        answer.header = TOKEN_HEADERS[generationOf(token)]
        return token
      },
      ...(options.clientInterceptors ?? []),
    ]
  }
}

/**
 * Sends what a procedure returns as a {@link DurableEventIterator}: the token as the answer's body, and the header that
 * tells the client what it is.
 *
 * It works alone and with the batch plugin, and sends a {@link DurableIterator}, too. A server for browsers of another origin
 * must expose the header `x-orpc-dei`: `new CORSPlugin({ exposeHeaders: ['x-orpc-dei'] })`.
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
 * Sends what a procedure returns as a {@link DurableIterator}: the token as the answer's body, and the header that tells the
 * client what it is.
 *
 * It works alone and with the batch plugin, and sends a {@link DurableEventIterator}, too. A server for browsers of another
 * origin must expose the header `x-orpc-durable-iterator`:
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

/** Where a request's context keeps what the answer is. */
const ANSWER = Symbol('durable-event-iterator/answer')

interface Answer {
  /** Announces that it is a token. */
  header: string | undefined
}

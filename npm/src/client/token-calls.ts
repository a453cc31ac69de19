import type { ClientContext } from '@orpc/client'
import type { StandardLinkInterceptorOptions, StandardLinkOptions } from '@orpc/client/standard'

import type { Generation } from '../token/payload.js'
import { TOKEN_HEADER_VALUE, TOKEN_HEADERS } from '../wire.js'

/** A call that was answered with a token. */
export interface TokenCall<T extends ClientContext> {
  readonly call: StandardLinkInterceptorOptions<T>
  readonly firstToken: unknown
  /** Makes the call again; `undefined` when the answer is no token any more. */
  fetchToken(signal: AbortSignal): Promise<unknown>
}

/** Puts what `open` makes of it in the place of each token of a generation that a link's calls are answered with. */
export function interceptTokens<T extends ClientContext>(
  options: StandardLinkOptions<T>,
  generation: Generation,
  open: (call: TokenCall<T>) => Promise<unknown>,
): void {
  /** Where a call's context keeps what its answer is. Each plugin has its own: a link may have one of each generation. */
  const ANSWER = Symbol(`durable-event-iterator/answer-${generation}`)

  // In new arrays: the old ones are the application's, which may use them for several links.
  options.interceptors = [
    ...(options.interceptors ?? []),
    async ({ next, ...call }) => {
      const fetch = async (signal: AbortSignal | undefined): Promise<{ isToken: boolean; output: unknown }> => {
        const answer: Answer = { isToken: false }
        const context = { ...call.context, [ANSWER]: answer }
        const { signal: _, ...rest } = call
        const output = await next({ ...rest, ...(signal === undefined ? {} : { signal }), context } as typeof call)
        return { isToken: answer.isToken, output }
      }
      const first = await fetch(call.signal)
      if (!first.isToken) return first.output
      return open({
        call: call as unknown as StandardLinkInterceptorOptions<T>,
        firstToken: first.output,
        fetchToken: async (signal) => {
          const again = await fetch(signal)
          return again.isToken ? again.output : undefined
        },
      })
    },
  ]
  options.clientInterceptors = [
    ...(options.clientInterceptors ?? []),
    async (request) => {
      const response = await request.next()
      const answer = (request.context as { [ANSWER]?: Answer })[ANSWER]
      const header = [response.headers[TOKEN_HEADERS[generation]]].flat().at(-1)
      if (answer !== undefined) answer.isToken = header === TOKEN_HEADER_VALUE
      return response
    },
  ]
}

interface Answer {
  isToken: boolean
}

import type { ClientContext } from '@orpc/client'
import type { StandardLinkInterceptorOptions, StandardLinkOptions } from '@orpc/client/standard'

import { DurableIteratorError } from '../error.js'
import { generationOf, readToken } from '../token/token.js'
import type { Generation } from '../token/payload.js'
import { TOKEN_HEADER_VALUE, TOKEN_HEADERS } from '../wire.js'

/** A call that was answered with a token. */
export interface TokenCall<T extends ClientContext> {
  readonly call: StandardLinkInterceptorOptions<T>
  readonly firstToken: unknown
  /** Makes the call again; `undefined` when the response is no token anymore. */
  fetchToken(signal: AbortSignal): Promise<unknown>
}

/**
 * Replaces each token of a generation that a link's calls respond with by what `open` returns for it.
 *
 * A token of the other generation is left to that generation's plugin, and is an error in a link without it: as the output of
 * the call it would be a string where the types promise an iterator.
 */
export function interceptTokens<T extends ClientContext>(
  options: StandardLinkOptions<T>,
  generation: Generation,
  open: (call: TokenCall<T>) => Promise<unknown>,
): void {
  /** Where a call's context keeps what its response is. Each plugin has its own: a link may have one of each generation. */
  const ANSWER = Symbol(`durable-event-iterator/answer-${generation}`)

  // In new arrays: the old ones are the application's, which may use them for several links.
  options.interceptors = [
    ...(options.interceptors ?? []),
    async ({ next, ...call }) => {
      const outer = (call.context as { [SERVED]?: readonly Generation[] })[SERVED] ?? []
      const fetch = async (signal: AbortSignal | undefined): Promise<{ kind: Generation | undefined; output: unknown }> => {
        const answer: Answer = { kind: undefined }
        const context = { ...call.context, [ANSWER]: answer, [SERVED]: [...outer, generation] }
        const { signal: _, ...rest } = call
        const output = await next({ ...rest, ...(signal === undefined ? {} : { signal }), context } as typeof call)
        return { kind: answer.kind, output }
      }
      const first = await fetch(call.signal)
      if (first.kind !== generation) {
        if (first.kind !== undefined && !outer.includes(first.kind) && isToken(first.output, first.kind)) {
          throw new WrongPluginError(call.path, first.kind, generation)
        }
        return first.output
      }
      return open({
        call: call as unknown as StandardLinkInterceptorOptions<T>,
        firstToken: first.output,
        fetchToken: async (signal) => {
          const again = await fetch(signal)
          return again.kind === generation ? again.output : undefined
        },
      })
    },
  ]
  options.clientInterceptors = [
    ...(options.clientInterceptors ?? []),
    async (request) => {
      const response = await request.next()
      const answer = (request.context as { [ANSWER]?: Answer })[ANSWER]
      if (answer !== undefined) {
        const isAnnounced = (kind: Generation): boolean =>
          [response.headers[TOKEN_HEADERS[kind]]].flat().at(-1) === TOKEN_HEADER_VALUE
        answer.kind = KINDS.find(isAnnounced)
      }
      return response
    },
  ]
}

interface Answer {
  /** Of the token that the response is. */
  kind: Generation | undefined
}

/** Where a call's context keeps which generations the plugins around it are for. From the registry, as TOKEN is. */
const SERVED: unique symbol = Symbol.for('durable-event-iterator/served')

const KINDS: readonly Generation[] = [2, 1]

/** Whether nobody has made an iterator of the token. */
function isToken(output: unknown, kind: Generation): boolean {
  return typeof output === 'string' && generationOf(output) === kind && readToken(output) !== undefined
}

/** A procedure responded with a token of the kind that the link has no plugin for. */
class WrongPluginError extends DurableIteratorError {
  override readonly name = 'WrongPluginError'

  constructor(path: readonly string[], kind: Generation, present: Generation) {
    const [expected, found] = [NAMES[kind], NAMES[present]]
    super(
      `procedure ${path.join('.')} responds with a ${expected}, but the link has only the ${found}LinkPlugin; ` +
        `add the ${expected}LinkPlugin to its plugins`,
    )
  }
}

const NAMES: Readonly<Record<Generation, string>> = { 1: 'DurableEventIterator', 2: 'DurableIterator' }

// Depends on oRPC 2.x: the options of a `StandardLink`, its two kinds of interceptors, and the names of oRPC's plugins.

import type { ClientContext } from '@orpc/client'
import type { StandardLinkInterceptorOptions, StandardLinkOptions } from '@orpc/client/standard'

import { DurableIteratorError } from '../error.js'
import type { ClientKind } from '../token/payload.js'
import { clientKindOf, readToken } from '../token/token.js'
import { TOKEN_HEADER_VALUE, TOKEN_HEADERS } from '../wire.js'
import { withStatus } from './orpc-error.js'

/** A call whose response is a token. */
export interface TokenCall<T extends ClientContext> {
  readonly call: StandardLinkInterceptorOptions<T>
  /** The first token, and the time at which it was requested, in milliseconds since 1970. */
  readonly first: { readonly text: unknown; readonly requestedAt: number }
  /** Repeats the call. Returns `undefined` if the response is not a token of the same kind. */
  fetch(signal: AbortSignal): Promise<unknown>
}

/**
 * The plugins of oRPC that put their interceptors in front of the others. A link plugin of this package is initialized after them,
 * so that its interceptor is the outermost one: retries apply to the request for the token, not to the iterator.
 */
export const OUTER_PLUGINS = ['~retry', '~retry-after']

/**
 * Returns link options in which each token of one kind is replaced by the result of `open`.
 *
 * Tokens of the other kind are left to the plugin of that kind. Without that plugin the call rejects: it would otherwise
 * resolve to a string, although its type is an iterator.
 */
export function interceptTokens<T extends ClientContext>(
  { interceptors = [], transportInterceptors = [], ...rest }: StandardLinkOptions<T>,
  ownKind: ClientKind,
  open: (call: TokenCall<T>) => Promise<unknown>,
): StandardLinkOptions<T> {
  /**
   * The property of a call's context that describes its response. Each plugin has its own, since a link may have both plugins.
   */
  const RESPONSE = Symbol(`durable-event-iterator/response-${ownKind}`)

  return {
    ...rest,
    interceptors: [
      async ({ next, ...call }) => {
        const outer = (call.context as { [SERVED]?: readonly ClientKind[] })[SERVED] ?? []
        const fetch = async (signal: AbortSignal | undefined): Promise<{ kind: ClientKind | undefined; output: unknown }> => {
          const response: TokenResponse = { kind: undefined, status: 200 }
          const context = { ...call.context, [RESPONSE]: response, [SERVED]: [...outer, ownKind] }
          try {
            return { output: await next({ ...call, signal, context }), kind: response.kind }
          } catch (error) {
            throw response.status >= 400 ? withStatus(error, response.status) : error
          }
        }
        const requestedAt = Date.now()
        const { kind, output } = await fetch(call.signal)
        if (kind === ownKind) {
          return open({
            call,
            first: { text: output, requestedAt },
            fetch: async (signal) => {
              const again = await fetch(signal)
              return again.kind === ownKind ? again.output : undefined
            },
          })
        }
        if (kind !== undefined && !outer.includes(kind) && isToken(output, kind)) throw new WrongPluginError(call.path, kind, ownKind)
        return output
      },
      ...interceptors,
    ],
    transportInterceptors: [
      async (request) => {
        const response = await request.next()
        const announced = (request.context as { [RESPONSE]?: TokenResponse })[RESPONSE]
        if (announced !== undefined) {
          const isAnnounced = (kind: ClientKind): boolean =>
            [response.headers[TOKEN_HEADERS[kind]]].flat().at(-1) === TOKEN_HEADER_VALUE
          announced.kind = KINDS.find(isAnnounced)
          announced.status = response.status
        }
        return response
      },
      ...transportInterceptors,
    ],
  }
}

interface TokenResponse {
  /** The kind of the token in the response; `undefined` for any other response. */
  kind: ClientKind | undefined
  status: number
}

/** The property of a call's context with the kinds of the outer plugins. A symbol of the global registry, like `TOKEN`. */
const SERVED: unique symbol = Symbol.for('durable-event-iterator/served')

const KINDS: readonly ClientKind[] = ['DurableIterator', 'DurableEventIterator']

/** Whether the output is still the token: no other plugin has replaced it by an iterator. */
function isToken(output: unknown, kind: ClientKind): boolean {
  return typeof output === 'string' && clientKindOf(output) === kind && readToken(output) !== undefined
}

/** A procedure responded with a token of a kind for which the link has no plugin. */
class WrongPluginError extends DurableIteratorError {
  override readonly name = 'WrongPluginError'

  constructor(path: readonly string[], kind: ClientKind, present: ClientKind) {
    super(
      `procedure ${path.join('.')} returns a ${kind}, but the link has only the ${present}LinkPlugin; ` +
        `add the ${kind}LinkPlugin to the plugins of the link`,
    )
  }
}

import type { ClientContext } from '@orpc/client'
import type { StandardLinkInterceptorOptions, StandardLinkOptions } from '@orpc/client/standard'

import { DurableIteratorError } from '../error.js'
import { clientKindOf, readToken } from '../token/token.js'
import type { ClientKind } from '../token/payload.js'
import { TOKEN_HEADER_VALUE, TOKEN_HEADERS } from '../wire.js'

/** A call whose response is a token. */
export interface TokenCall<T extends ClientContext = ClientContext> {
  readonly call: StandardLinkInterceptorOptions<T>
  readonly firstToken: unknown
  /** The time before the call, in milliseconds since 1970. */
  readonly requestedAt: number
  /** Repeats the call. Returns `undefined` if the response is not a token of the same kind. */
  fetchToken(signal: AbortSignal): Promise<unknown>
}

/**
 * Replaces each token of one kind in the responses of a link by the result of `open`.
 *
 * Tokens of the other kind are left to the plugin of that kind. Without that plugin the call rejects: it would otherwise
 * resolve to a string, although its type is an iterator.
 */
export function interceptTokens<T extends ClientContext>(
  options: StandardLinkOptions<T>,
  ownKind: ClientKind,
  open: (call: TokenCall<T>) => Promise<unknown>,
): void {
  /**
   * The property of a call's context that describes its response. Each plugin has its own, since a link may have both plugins.
   */
  const RESPONSE = Symbol(`durable-event-iterator/response-${ownKind}`)

  // New arrays: the application may use its own arrays for several links.
  options.interceptors = [
    ...(options.interceptors ?? []),
    async ({ next, ...call }) => {
      const outer = (call.context as { [SERVED]?: readonly ClientKind[] })[SERVED] ?? []
      const fetch = async (signal: AbortSignal | undefined): Promise<{ kind: ClientKind | undefined; output: unknown }> => {
        const response: TokenResponse = { kind: undefined }
        const context = { ...call.context, [RESPONSE]: response, [SERVED]: [...outer, ownKind] }
        const { signal: _, ...rest } = call
        const output = await next({ ...rest, ...(signal === undefined ? {} : { signal }), context } as typeof call)
        return { kind: response.kind, output }
      }
      const requestedAt = Date.now()
      const first = await fetch(call.signal)
      if (first.kind !== ownKind) {
        if (first.kind !== undefined && !outer.includes(first.kind) && isToken(first.output, first.kind)) {
          throw new WrongPluginError(call.path, first.kind, ownKind)
        }
        return first.output
      }
      return open({
        call: call as unknown as StandardLinkInterceptorOptions<T>,
        firstToken: first.output,
        requestedAt,
        fetchToken: async (signal) => {
          const again = await fetch(signal)
          return again.kind === ownKind ? again.output : undefined
        },
      })
    },
  ]
  options.clientInterceptors = [
    ...(options.clientInterceptors ?? []),
    async (request) => {
      const response = await request.next()
      const announced = (request.context as { [RESPONSE]?: TokenResponse })[RESPONSE]
      if (announced !== undefined) {
        const isAnnounced = (kind: ClientKind): boolean =>
          [response.headers[TOKEN_HEADERS[kind]]].flat().at(-1) === TOKEN_HEADER_VALUE
        announced.kind = KINDS.find(isAnnounced)
      }
      return response
    },
  ]
}

interface TokenResponse {
  /** The kind of the token in the response; `undefined` for any other response. */
  kind: ClientKind | undefined
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

import type { ClientContext } from '@orpc/client'
import type { StandardLinkInterceptorOptions } from '@orpc/client/standard'

import { DurableIteratorError } from '../error.js'
import { readClaims } from '../client/claims.js'
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

/** The interceptors of a link plugin. */
export interface TokenInterceptors {
  /** Wraps a call: replaces a token by the result of `open`. */
  call(options: LinkCall & { next(options?: LinkCall): Promise<unknown> }): Promise<unknown>
  /** Wraps the request of a call. */
  request<TResponse extends LinkResponse>(options: LinkRequest & { next(): Promise<TResponse> }): Promise<TResponse>
}

/** The options of a {@link TokenInterceptors}. */
export interface TokenInterceptorsOptions<T extends ClientContext> {
  /** The kind of tokens to replace. */
  ownKind: ClientKind
  /** Returns the replacement. */
  open(call: TokenCall<T>): Promise<unknown>
  /** Called with the error of a call and the HTTP status of its response. Returns the error to throw. */
  explain?(error: unknown, status: number): unknown
}

/**
 * Returns interceptors that replace each token of one kind in the responses of a link.
 *
 * Tokens of the other kind are left to the plugin of that kind. Without that plugin the call rejects: it would otherwise
 * resolve to a string, although its type is an iterator.
 */
export function tokenInterceptors<T extends ClientContext>({
  ownKind,
  open,
  explain = (error) => error,
}: TokenInterceptorsOptions<T>): TokenInterceptors {
  /**
   * The property of a call's context that describes its response. Each plugin has its own, since a link may have both plugins.
   */
  const RESPONSE = Symbol(`durable-event-iterator/response-${ownKind}`)

  return {
    async call({ next, ...call }) {
      const outer = (call.context as { [SERVED]?: readonly ClientKind[] })[SERVED] ?? []
      const fetch = async (signal: AbortSignal | undefined): Promise<{ kind: ClientKind | undefined; output: unknown }> => {
        const response: TokenResponse = { kind: undefined, status: undefined }
        const context = { ...call.context, [RESPONSE]: response, [SERVED]: [...outer, ownKind] }
        const { signal: _, ...rest } = call
        try {
          const output = await next({ ...rest, ...(signal === undefined ? {} : { signal }), context })
          return { kind: response.kind, output }
        } catch (error) {
          throw response.status === undefined ? error : explain(error, response.status)
        }
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
        call: call as StandardLinkInterceptorOptions<ClientContext> as StandardLinkInterceptorOptions<T>,
        firstToken: first.output,
        requestedAt,
        fetchToken: async (signal) => {
          const again = await fetch(signal)
          return again.kind === ownKind ? again.output : undefined
        },
      })
    },
    async request({ next, context }) {
      const response = await next()
      const announced = (context as { [RESPONSE]?: TokenResponse })[RESPONSE]
      if (announced !== undefined) {
        const isAnnounced = (kind: ClientKind): boolean =>
          [response.headers[TOKEN_HEADERS[kind]]].flat().at(-1) === TOKEN_HEADER_VALUE
        announced.kind = KINDS.find(isAnnounced)
        announced.status = response.status
      }
      return response
    },
  }
}

// The parts of oRPC's interceptor options that are used here.

interface LinkRequest {
  readonly context: object
}

interface LinkCall extends LinkRequest {
  readonly path: readonly string[]
  readonly input: unknown
  readonly signal?: AbortSignal | undefined
  readonly lastEventId?: string | undefined
}

interface LinkResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

interface TokenResponse {
  /** The kind of the token in the response; `undefined` for any other response. */
  kind: ClientKind | undefined
  /** Undefined before the response. */
  status: number | undefined
}

/** The property of a call's context with the kinds of the outer plugins. A symbol of the global registry, like `TOKEN`. */
const SERVED: unique symbol = Symbol.for('durable-event-iterator/served')

const KINDS: readonly ClientKind[] = ['DurableIterator', 'DurableEventIterator']

/** Whether the output is still the token: no other plugin has replaced it by an iterator. */
function isToken(output: unknown, kind: ClientKind): boolean {
  return readClaims(output)?.kind === kind
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

import { verifyToken } from '../token.js'
import type { DurableEventIteratorTokenPayload } from '../token.js'
import { CONNECTION_ID_PARAMETER, TOKEN_PARAMETER } from '../wire.js'

/** What is needed of a binding to Durable Objects; every `DurableObjectNamespace` fits. */
export interface DurableEventIteratorNamespace {
  idFromName(name: string): object
  get(id: never): { fetch(request: Request): Promise<Response> }
}

/** What an interceptor gets. */
export interface UpgradeDurableEventIteratorRequestInterceptorOptions {
  /** The request as it came. */
  readonly request: Request
  /** What the verified token says. */
  readonly payload: DurableEventIteratorTokenPayload
  /** Goes on, and answers with the object's socket or whatever the next interceptor makes of it. */
  next(): Promise<Response>
}

/** Stands between a verified token and the object: to log, to count, or to refuse with an answer of its own. */
export type UpgradeDurableEventIteratorRequestInterceptor = (
  options: UpgradeDurableEventIteratorRequestInterceptorOptions,
) => Response | Promise<Response>

/** How {@link upgradeDurableEventIteratorRequest} verifies, and where it goes. */
export interface UpgradeDurableEventIteratorRequestOptions {
  /** The key that tokens are signed with. Several while one replaces another: a token may be signed with any of them. */
  signingKey: string | readonly string[]

  /** The binding to the class of the object, which may be another script's. */
  namespace: DurableEventIteratorNamespace

  /**
   * Called with each verified token, the first one outermost.
   *
   * @default []
   */
  interceptors?: readonly UpgradeDurableEventIteratorRequestInterceptor[] | undefined
}

/**
 * Answers a client's upgrade request with a socket of the object that its token names.
 *
 * What is refused is answered here, and reaches no object: 426 `Expected WebSocket upgrade`, 401 `Token is required`,
 * 401 `Invalid Token`, 400 `Invalid ID`. The object verifies the token again with its own `SIGNING_KEY`, which has to be
 * the same.
 *
 * @example
 * ```ts
 * export default {
 *   async fetch(request, env) {
 *     if (new URL(request.url).pathname === '/chat-room') {
 *       return upgradeDurableEventIteratorRequest(request, {
 *         signingKey: env.SIGNING_KEY,
 *         namespace: env.CHAT_ROOM,
 *       })
 *     }
 *     return new Response('Not Found', { status: 404 })
 *   },
 * } satisfies ExportedHandler<Env>
 * ```
 */
export async function upgradeDurableEventIteratorRequest(
  request: Request,
  options: UpgradeDurableEventIteratorRequestOptions,
): Promise<Response> {
  if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket') return refusal(426, 'Expected WebSocket upgrade')

  const parameters = new URL(request.url).searchParams
  const token = parameters.getAll(TOKEN_PARAMETER).at(-1)
  if (!token) return refusal(401, 'Token is required')

  const { signingKey, namespace, interceptors = [] } = options
  const signingKeys = typeof signingKey === 'string' ? [signingKey] : signingKey
  const payload = await verifyToken(token, signingKeys, Date.now())
  if (payload === undefined) return refusal(401, 'Invalid Token')

  const connectionId = parameters.getAll(CONNECTION_ID_PARAMETER).at(-1)
  if (connectionId && !CONNECTION_ID.test(connectionId)) return refusal(400, 'Invalid ID')

  const from = async (index: number): Promise<Response> => {
    const interceptor = interceptors[index]
    if (interceptor !== undefined) return interceptor({ request, payload, next: () => from(index + 1) })
    const id = namespace.idFromName(payload.chn)
    return namespace.get(id as never).fetch(request)
  }
  return from(0)
}

/** 1 to 128 visible ASCII characters: what the object accepts. */
const CONNECTION_ID = /^[!-~]{1,128}$/

function refusal(status: number, text: string): Response {
  return new Response(text, { status })
}

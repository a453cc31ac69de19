import { checkTags, MAX_TAG_BYTES, MAX_TAGS } from '../token/limits.js'
import { clientKindOf, verifyToken } from '../token/token.js'
import type { DurableEventIteratorTokenPayload, DurableIteratorTokenPayload } from '../token/payload.js'
import { CONNECTION_ID_PARAMETER, isConnectionId, TOKEN_PARAMETER } from '../wire.js'

/** The part of a Durable Object namespace that the upgrade uses. Every `DurableObjectNamespace` has it. */
export interface DurableEventIteratorNamespace {
  idFromName(name: string): object
  get(id: never, options?: never): { fetch(request: Request): Promise<Response> }
}

/** The argument of an {@link UpgradeDurableEventIteratorRequestInterceptor}. */
export interface UpgradeDurableEventIteratorRequestInterceptorOptions {
  /** The upgrade request. */
  readonly request: Request
  /** The claims of the verified token. */
  readonly payload: DurableEventIteratorTokenPayload
  /** Calls the next interceptor, or forwards the request to the Durable Object, and returns the response. */
  next(): Promise<Response>
}

/** A function that wraps the upgrade after the token is verified: to log, to count, or to reject a request. */
export type UpgradeDurableEventIteratorRequestInterceptor = (
  options: UpgradeDurableEventIteratorRequestInterceptorOptions,
) => Response | Promise<Response>

/** The options of {@link upgradeDurableEventIteratorRequest}. */
export interface UpgradeDurableEventIteratorRequestOptions extends UpgradeOptions {
  /**
   * Called for each request with a valid token. The first interceptor is the outermost.
   *
   * @default []
   */
  interceptors?: readonly UpgradeDurableEventIteratorRequestInterceptor[] | undefined
}

/** The argument of an {@link UpgradeDurableIteratorRequestInterceptor}. */
export interface UpgradeDurableIteratorRequestInterceptorOptions {
  /** The upgrade request. */
  readonly request: Request
  /** The claims of the verified token. */
  readonly payload: DurableIteratorTokenPayload
  /** Calls the next interceptor, or forwards the request to the Durable Object, and returns the response. */
  next(): Promise<Response>
}

/** A function that wraps the upgrade after the token is verified: to log, to count, or to reject a request. */
export type UpgradeDurableIteratorRequestInterceptor = (
  options: UpgradeDurableIteratorRequestInterceptorOptions,
) => Response | Promise<Response>

/** The options of {@link upgradeDurableIteratorRequest}. */
export interface UpgradeDurableIteratorRequestOptions extends UpgradeOptions {
  /**
   * Called for each request with a valid token. The first interceptor is the outermost.
   *
   * @default []
   */
  interceptors?: readonly UpgradeDurableIteratorRequestInterceptor[] | undefined
}

interface UpgradeOptions {
  /** The signing key, or several during a key rotation: a token may be signed with any of them. */
  signingKey: string | readonly string[]

  /** The binding of the Durable Object class, which may be in another script. */
  namespace: DurableEventIteratorNamespace

  /** The options of `namespace.get`. The location hint applies when the Durable Object is created. */
  namespaceGetOptions?: { readonly locationHint?: string } | undefined
}

/**
 * Verifies the token of a WebSocket request and forwards the request to the Durable Object of the token's channel. Accepts
 * tokens of both kinds, `DurableEventIterator` and `DurableIterator`.
 *
 * Rejects an invalid request without calling the Durable Object:
 * - 426 `Expected WebSocket upgrade`
 * - 401 `Token is required`
 * - 401 `Invalid Token`
 * - 400 `Invalid ID`: the connection id must be 1–128 visible ASCII characters
 * - 401 `ID is required` and 400 `Invalid tags: …`, only for tokens of a `DurableIterator`
 *
 * Responds with 503 and `Retry-After` if the Durable Object fails temporarily (the error is `retryable` or `overloaded`). Other
 * errors are thrown. The Durable Object verifies the token again with its own `SIGNING_KEY`, which must be the same.
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
  return upgrade(request, options, options.interceptors)
}

/**
 * Verifies the token of a WebSocket request and forwards the request to the Durable Object of the token's channel. Equal to
 * {@link upgradeDurableEventIteratorRequest}, under the name of oRPC 1.9 and later: it accepts tokens of both kinds.
 */
export async function upgradeDurableIteratorRequest(
  request: Request,
  options: UpgradeDurableIteratorRequestOptions,
): Promise<Response> {
  return upgrade(request, options, options.interceptors)
}

async function upgrade(
  request: Request,
  { signingKey, namespace, namespaceGetOptions }: UpgradeOptions,
  interceptors: readonly UpgradeDurableEventIteratorRequestInterceptor[] = [],
): Promise<Response> {
  const isWebSocket = request.headers.get('upgrade')?.toLowerCase() === 'websocket'
  const parameters = new URL(request.url).searchParams
  const token = parameters.getAll(TOKEN_PARAMETER).at(-1)
  // The token is checked even if the request is not an upgrade: browsers do not report why an upgrade fails, so our client
  // sends a GET request to find out.
  if (!token) return isWebSocket ? rejection(401, 'Token is required') : notAWebSocket()

  const signingKeys = typeof signingKey === 'string' ? [signingKey] : signingKey
  const verified = await verifyToken(token, signingKeys, Date.now())
  if (verified === undefined) return rejection(401, 'Invalid Token')
  const payload = { ...verified, rpc: verified.rpc ?? [] } as DurableEventIteratorTokenPayload

  const connectionId = parameters.getAll(CONNECTION_ID_PARAMETER).at(-1)
  if (connectionId && !isConnectionId(connectionId)) return rejection(400, 'Invalid ID')
  if (clientKindOf(token) === 'DurableIterator') {
    if (!connectionId) return rejection(401, 'ID is required')
    if (!areTags(payload.tags)) return rejection(400, `Invalid tags: expected at most ${MAX_TAGS} tags of 1-${MAX_TAG_BYTES} UTF-8 bytes`)
  }
  if (!isWebSocket) return notAWebSocket()

  const from = async (index: number): Promise<Response> => {
    const interceptor = interceptors[index]
    if (interceptor !== undefined) return interceptor({ request, payload, next: () => from(index + 1) })
    const id = namespace.idFromName(payload.chn)
    try {
      return await namespace.get(id as never, namespaceGetOptions as never).fetch(request)
    } catch (error) {
      if (!isTransient(error)) throw error
      console.error('durable-event-iterator: upgrade failed:', error)
      return rejection(503, 'Service Unavailable', { 'retry-after': TRANSIENT_RETRY_AFTER })
    }
  }
  return from(0)
}

/** The delay before a client retries after a temporary failure, in seconds. */
const TRANSIENT_RETRY_AFTER = '2'

/** Whether a later attempt may succeed, according to the Workers runtime. */
function isTransient(error: unknown): boolean {
  const { retryable, overloaded } = (error ?? {}) as { retryable?: unknown; overloaded?: unknown }
  return retryable === true || overloaded === true
}

function areTags(tags: readonly string[] = []): boolean {
  try {
    checkTags(tags, 'DurableIterator')
    return true
  } catch {
    return false
  }
}

function notAWebSocket(): Response {
  return rejection(426, 'Expected WebSocket upgrade')
}

/**
 * Pages of every origin may read the response: it contains no data, and our client reports it as the reason of a failed
 * connection.
 */
function rejection(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(text, { status, headers: { 'access-control-allow-origin': '*', ...headers } })
}

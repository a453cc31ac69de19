import { checkTags, MAX_TAG_BYTES, MAX_TAGS } from '../token/limits.js'
import { generationOf, verifyToken } from '../token/token.js'
import type { DurableEventIteratorTokenPayload, DurableIteratorTokenPayload } from '../token/payload.js'
import { CONNECTION_ID_PARAMETER, isConnectionId, TOKEN_PARAMETER } from '../wire.js'

/** What is needed of a binding to Durable Objects; every `DurableObjectNamespace` fits. */
export interface DurableEventIteratorNamespace {
  idFromName(name: string): object
  get(id: never, options?: never): { fetch(request: Request): Promise<Response> }
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
export interface UpgradeDurableEventIteratorRequestOptions extends UpgradeOptions {
  /**
   * Called with each verified token, the first one outermost.
   *
   * @default []
   */
  interceptors?: readonly UpgradeDurableEventIteratorRequestInterceptor[] | undefined
}

/** What an interceptor gets. */
export interface UpgradeDurableIteratorRequestInterceptorOptions {
  /** The request as it came. */
  readonly request: Request
  /** What the verified token says. */
  readonly payload: DurableIteratorTokenPayload
  /** Goes on, and answers with the object's socket or whatever the next interceptor makes of it. */
  next(): Promise<Response>
}

/** Stands between a verified token and the object: to log, to count, or to refuse with an answer of its own. */
export type UpgradeDurableIteratorRequestInterceptor = (
  options: UpgradeDurableIteratorRequestInterceptorOptions,
) => Response | Promise<Response>

/** How {@link upgradeDurableIteratorRequest} verifies, and where it goes. */
export interface UpgradeDurableIteratorRequestOptions extends UpgradeOptions {
  /**
   * Called with each verified token, the first one outermost.
   *
   * @default []
   */
  interceptors?: readonly UpgradeDurableIteratorRequestInterceptor[] | undefined
}

interface UpgradeOptions {
  /** The key that tokens are signed with. Several while one replaces another: a token may be signed with any of them. */
  signingKey: string | readonly string[]

  /** The binding to the class of the object, which may be another script's. */
  namespace: DurableEventIteratorNamespace

  /** What the platform should know when it gets the object: where one that does not exist yet should be. */
  namespaceGetOptions?: { readonly locationHint?: string } | undefined
}

/**
 * Answers a client's upgrade request with a socket of the object that its token names. It takes tokens of a
 * `DurableIterator`, too: their form tells them apart.
 *
 * What is refused is answered here, and reaches no object: 426 `Expected WebSocket upgrade`, 401 `Token is required`,
 * 401 `Invalid Token`, 400 `Invalid ID`; for a token of a `DurableIterator` also 401 `ID is required` and
 * 400 `Invalid tags: …`. A failure that the Workers runtime calls temporary (`retryable`, `overloaded`) is 503 with
 * `Retry-After`, any other one is thrown. The object verifies the token again with its own `SIGNING_KEY`, which has to be the same.
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
 * The same under the name that oRPC 1.9 and later have for it: it takes tokens of a `DurableIterator` and of a
 * `DurableEventIterator` alike, and answers what it refuses as {@link upgradeDurableEventIteratorRequest} does.
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
  // With a token, a request that is no upgrade is refused for what is wrong with its token: so our client learns why an
  // upgrade fails, which a browser does not report.
  if (!token) return isWebSocket ? refusal(401, 'Token is required') : notAWebSocket()

  const signingKeys = typeof signingKey === 'string' ? [signingKey] : signingKey
  const verified = await verifyToken(token, signingKeys, Date.now())
  if (verified === undefined) return refusal(401, 'Invalid Token')
  const payload = { ...verified, rpc: verified.rpc ?? [] } as DurableEventIteratorTokenPayload

  const connectionId = parameters.getAll(CONNECTION_ID_PARAMETER).at(-1)
  if (connectionId && !isConnectionId(connectionId)) return refusal(400, 'Invalid ID')
  if (generationOf(token) === 2) {
    if (!connectionId) return refusal(401, 'ID is required')
    if (!areTags(payload.tags)) return refusal(400, `Invalid tags: expected at most ${MAX_TAGS} tags of 1-${MAX_TAG_BYTES} UTF-8 bytes`)
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
      console.error('durable-event-iterator: an upgrade failed:', error)
      return refusal(503, 'Service Unavailable', { 'retry-after': TRANSIENT_RETRY_AFTER })
    }
  }
  return from(0)
}

/** How long a client waits after a failure that the Workers runtime calls temporary, in seconds. */
const TRANSIENT_RETRY_AFTER = '2'

/** Whether the Workers runtime says that trying again later may succeed. */
function isTransient(error: unknown): boolean {
  const { retryable, overloaded } = (error ?? {}) as { retryable?: unknown; overloaded?: unknown }
  return retryable === true || overloaded === true
}

function areTags(tags: readonly string[] = []): boolean {
  try {
    checkTags(tags, 2)
    return true
  } catch {
    return false
  }
}

function notAWebSocket(): Response {
  return refusal(426, 'Expected WebSocket upgrade')
}

/** A page of any origin may read it: it holds nothing, and our client reports why it cannot connect. */
function refusal(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(text, { status, headers: { 'access-control-allow-origin': '*', ...headers } })
}

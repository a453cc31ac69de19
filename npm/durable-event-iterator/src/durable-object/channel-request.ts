import { Core } from '#core'

import type { DurableEventIteratorNamespace } from './upgrade.js'

/** The pages of other origins that may read channels. */
export interface ChannelRequestCors {
  /** The origins, such as `https://app.example`; `*` allows any origin, without cookies. */
  readonly origins: '*' | readonly string[]
  /** Allows cookies and other credentials. No effect with `*`. */
  readonly credentials?: boolean
  /** How long browsers cache the response to a preflight request, in seconds. */
  readonly maxAgeSeconds?: number
}

/** The options of {@link handleChannelRequest}. */
export interface HandleChannelRequestOptions {
  /** The signing key, or several during a key rotation: a token may be signed with any of them. */
  readonly signingKey: string | readonly string[]
  /** The binding of the Durable Object class, which may be in another script. */
  readonly namespace: DurableEventIteratorNamespace
  /**
   * The path prefix.
   *
   * @default '/channels'
   */
  readonly prefix?: string | undefined
  /** Default: only pages of the same origin. */
  readonly cors?: ChannelRequestCors | undefined
  /**
   * The read key, with which servers read all events of all channels without a token: `Authorization: Bearer <read key>`. Default:
   * none.
   */
  readonly readKey?: string | undefined
  /** The options of `namespace.get`. The location hint applies when the Durable Object is created. */
  readonly namespaceGetOptions?: { readonly locationHint?: string } | undefined
}

/** A core without a Durable Object. */
let core: Core | undefined

/**
 * Serves channels over HTTP: pages of events as JSON, server-sent events, long polling and calls. See `docs/http.md` for the
 * requests, the parameters and the errors. The status is 404 for a path that is not one of these:
 * - `GET <prefix>/<channel>/events`
 * - `GET` or `POST <prefix>/<channel>/subscribe`
 * - `POST <prefix>/<channel>/call`
 * - the same with the channel in the query, such as `<prefix>/events?channel=<channel>`
 *
 * @throws {ORPCError} If an option is invalid.
 *
 * @example
 * ```ts
 * export default {
 *   async fetch(request, env) {
 *     return handleChannelRequest(request, {
 *       signingKey: env.SIGNING_KEY,
 *       namespace: env.CHAT_ROOM,
 *       cors: { origins: ['https://app.example'] },
 *     })
 *   },
 * } satisfies ExportedHandler<Env>
 * ```
 */
export async function handleChannelRequest(request: Request, options: HandleChannelRequestOptions): Promise<Response> {
  const { signingKey, namespace, prefix, cors, readKey, namespaceGetOptions } = options
  core ??= new Core()
  const json = JSON.stringify({
    signingKeys: typeof signingKey === 'string' ? [signingKey] : signingKey,
    prefix,
    ...(cors !== undefined && { cors: { ...cors, origins: cors.origins === '*' ? undefined : cors.origins } }),
    readKey,
    locationHint: namespaceGetOptions?.locationHint,
  })
  return core.handle(request, namespace, json)
}

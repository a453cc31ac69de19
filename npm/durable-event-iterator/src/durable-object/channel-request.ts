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

/** What an access key allows. */
export type AccessRight = 'publish' | 'read' | 'disconnect' | 'stats'

/** A secret with which a server accesses channels over HTTP: `Authorization: Bearer <key>`. */
export interface AccessKey {
  /** The secret. Use at least 32 random characters. */
  readonly key: string
  /** A name, which error messages contain. */
  readonly name?: string | undefined
  /** Restricts the key to channels whose name begins with this text, such as `orders/`. Default: all channels. */
  readonly prefix?: string | undefined
  /** Not empty. */
  readonly rights: readonly AccessRight[]
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
  /** The publish key, with which servers publish to all channels: `Authorization: Bearer <publish key>`. Default: none. */
  readonly publishKey?: string | undefined
  /**
   * The read key, with which servers read all events of all channels without a token: `Authorization: Bearer <read key>`. Default:
   * none.
   */
  readonly readKey?: string | undefined
  /**
   * Access keys, each with rights on the channels of a prefix, or their JSON. Default: none. If they are invalid, the log states the
   * problem, and requests without a valid token fail with status 500.
   */
  readonly accessKeys?: readonly AccessKey[] | string | undefined
  /** The inspect key, which has all rights on all channels, and serves the inspector at `/inspect`. Default: none. */
  readonly inspectKey?: string | undefined
  /** The options of `namespace.get`. The location hint applies when the Durable Object is created. */
  readonly namespaceGetOptions?: { readonly locationHint?: string } | undefined
}

/** A core without a Durable Object. */
let core: Core | undefined

/**
 * Serves channels over HTTP: pages of events as JSON, server-sent events, long polling and calls; and publishing, numbers, presence
 * and disconnecting for servers with a key. See `docs/http.md` for the requests, the parameters and the errors. The status is 404 for
 * a path that is not one of these, and for one whose right no key has:
 * - `GET <prefix>/<channel>/events`
 * - `GET` or `POST <prefix>/<channel>/subscribe`
 * - `POST <prefix>/<channel>/call`
 * - `POST <prefix>/<channel>/events` and `POST <prefix>/<channel>/batch`, with the right `publish`
 * - `GET <prefix>/<channel>` and `GET <prefix>/<channel>/connections`, with the right `stats`
 * - `GET <prefix>/<channel>/presence`, with the right `read`
 * - `POST <prefix>/<channel>/disconnect` and `POST <prefix>/<channel>/revoke`, with the right `disconnect`
 * - the same with the channel in the query, such as `<prefix>/events?channel=<channel>` and `<prefix>/stats?channel=<channel>`
 * - `GET /inspect`, with an inspect key
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
  const { signingKey, namespace, prefix, cors, publishKey, readKey, accessKeys, inspectKey, namespaceGetOptions } = options
  core ??= new Core()
  const json = JSON.stringify({
    signingKeys: typeof signingKey === 'string' ? [signingKey] : signingKey,
    prefix,
    ...(cors !== undefined && { cors: { ...cors, origins: cors.origins === '*' ? undefined : cors.origins } }),
    publishKey,
    readKey,
    accessKeys: accessKeys === undefined || typeof accessKeys === 'string' ? accessKeys : JSON.stringify(accessKeys),
    inspectKey,
    locationHint: namespaceGetOptions?.locationHint,
  })
  return core.handle(request, namespace, json)
}

// The names and limits that the server, the client and the object agree on.

import type { Generation } from './token/payload.js'

/** Header of an HTTP answer whose body is a token: it makes the client of that generation open a WebSocket. */
export const TOKEN_HEADERS: Readonly<Record<Generation, string>> = { 1: 'x-orpc-dei', 2: 'x-orpc-durable-iterator' }

/** The header's one value. */
export const TOKEN_HEADER_VALUE = '1'

/** Query parameter of the upgrade that carries the token. */
export const TOKEN_PARAMETER = 'token'

/** Query parameter of the upgrade that carries the connection id. */
export const CONNECTION_ID_PARAMETER = 'id'

/** Header of the answer to `/subscribe`: events were missed that are gone, and from this id on everything is there. */
export const GAP_HEADER = 'x-durable-event-gap'

/**
 * Header of `/subscribe` from a client that has got no event yet and comes with a newer token than its first: when that
 * first one was issued, in seconds since the epoch. Events since then are still due to it.
 */
export const SINCE_HEADER = 'x-durable-event-since'

/**
 * Header of the answer to a call, over the socket, that came after its token had expired. The call has not been executed,
 * which its UNAUTHORIZED alone does not say: a procedure can fail with the same error.
 */
export const TOKEN_EXPIRED_HEADER = 'x-durable-event-token-expired'

/** How an object closes the socket of a generation-2 token that has expired (a policy violation of RFC 6455). */
export const TOKEN_EXPIRED_CLOSE = { code: 1008, reason: 'Token expired' }

/** Longest connection id in characters. */
export const MAX_CONNECTION_ID_LENGTH = 128

/** Whether a Durable Object accepts the connection id: 1–128 visible ASCII characters. */
export function isConnectionId(id: string): boolean {
  return id.length <= MAX_CONNECTION_ID_LENGTH && /^[!-~]+$/.test(id)
}

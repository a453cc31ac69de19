// The names and limits that the server, the client and the Durable Object agree on.

import type { ClientKind } from './token/payload.js'

/** The header that marks an HTTP response whose body is a token. Each client plugin looks for the header of its own kind. */
export const TOKEN_HEADERS: Readonly<Record<ClientKind, string>> = {
  DurableEventIterator: 'x-orpc-dei',
  DurableIterator: 'x-orpc-durable-iterator',
}

/** The only value of these headers. */
export const TOKEN_HEADER_VALUE = '1'

/** The query parameter of the upgrade request that contains the token. */
export const TOKEN_PARAMETER = 'token'

/** The query parameter of the upgrade request that contains the connection id. */
export const CONNECTION_ID_PARAMETER = 'id'

/**
 * The header that reports a gap in the response to `/subscribe`: missed events are no longer available. Its value is the id
 * from which all events are available.
 */
export const GAP_HEADER = 'x-durable-event-gap'

/**
 * The header of `/subscribe` from a client that has received no event yet and has refreshed its token: the time at which its
 * first token was issued, in seconds since 1970. The client receives the events published since then.
 */
export const SINCE_HEADER = 'x-durable-event-since'

/**
 * The header of `/subscribe`, and of its response, for flow control: the client acknowledges what it has received, and subscribes
 * again after the item `parked`. Its value is {@link FLOW_HEADER_VALUE}.
 */
export const FLOW_HEADER = 'x-durable-event-flow'
export const FLOW_HEADER_VALUE = '1'

/** The minimum number of characters in one acknowledgement. The window of the Durable Object is larger. */
export const ACKNOWLEDGED_CHARACTERS = 65_536

/**
 * The header of the response to a call over the socket that arrived after the token had expired: the call has not been
 * executed. The code UNAUTHORIZED alone does not state this, since a procedure can fail with the same error.
 */
export const TOKEN_EXPIRED_HEADER = 'x-durable-event-token-expired'

/**
 * How the Durable Object closes the socket of a `DurableIterator` client whose token has expired: 1008, policy violation (RFC
 * 6455).
 */
export const TOKEN_EXPIRED_CLOSE = { code: 1008, reason: 'Token expired' }

/** The close code with which the Durable Object closes the socket of a client whose token is revoked, and the one above. */
export const TOKEN_REJECTED_CODE = 1008

/** The message of the error, with status 401, for a revoked token: `REVOKED` in `channel/revocation.rs` of the library. */
export const TOKEN_REVOKED = 'Token revoked'

/** The maximum length of a connection id in characters. */
export const MAX_CONNECTION_ID_LENGTH = 128

/** Whether a Durable Object accepts the connection id: 1–128 visible ASCII characters. */
export function isConnectionId(id: string): boolean {
  return id.length <= MAX_CONNECTION_ID_LENGTH && /^[!-~]+$/.test(id)
}

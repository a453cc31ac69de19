// The names that the server, the client and the object agree on.

/** Header of an HTTP answer whose body is a token: it makes the client open a WebSocket. */
export const TOKEN_HEADER = 'x-orpc-dei'

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

/** The longest token that an object accepts, in bytes. */
export const MAX_TOKEN_BYTES = 8_192

// Passes tokens within one process: on the server from the issued iterator to the handler plugin, in a client from the link
// plugin to the functions below.

import type { ClientKind } from './token/payload.js'
import { clientKindOf } from './token/token.js'

/** A symbol of the global registry, so that two copies of this package recognize each other's tokens. */
export const TOKEN = Symbol.for('durable-event-iterator/token')

/**
 * Returns the token of an iterator, or `undefined` for any other value.
 *
 * On the server, the iterator is the awaited `DurableEventIterator` or `DurableIterator`. In a client, it is an open iterator,
 * whose token changes with each token refresh.
 *
 * Treat a token as a secret: until it expires, everyone who has it can subscribe to the channel and read the token's claims.
 *
 * @example
 * ```ts
 * const token = getClientDurableEventIteratorToken(await client.onMessage())
 * ```
 */
export function getClientDurableEventIteratorToken(iterator: unknown): string | undefined {
  if (typeof iterator !== 'object' || iterator === null) return undefined
  const token: unknown = Reflect.get(iterator, TOKEN)
  return typeof token === 'string' ? token : undefined
}

/** Equal to {@link getClientDurableEventIteratorToken}, under the name of oRPC 1.9 and later. */
export const getClientDurableIteratorToken: (iterator: unknown) => string | undefined = getClientDurableEventIteratorToken

/**
 * The value of an awaited `DurableEventIterator` or `DurableIterator` on the server. It has no `next`, so that no plugin or
 * interceptor mistakes it for an iterator and wraps it.
 */
export class TokenCarrier {
  readonly [TOKEN]: string

  constructor(token: string) {
    this[TOKEN] = token
  }

  [Symbol.asyncIterator](): never {
    throw new Error(
      `a ${this.#kind} cannot be iterated over on the server that issues it; the Durable Object sends its events to the client`,
    )
  }

  toJSON(): never {
    throw new Error(`a ${this.#kind} cannot be serialized; add the ${this.#kind}HandlerPlugin to the plugins of the handler`)
  }

  get #kind(): ClientKind {
    return clientKindOf(this[TOKEN])
  }
}

// How a token travels inside one process: from where it was issued to the plugin that sends it, and from the plugin that
// received it to whoever asks.

import { generationOf } from './token/token.js'

/** From the registry, so that two copies of this package understand each other. */
export const TOKEN = Symbol.for('durable-event-iterator/token')

/**
 * The token of an iterator: on the server of the one that a procedure returns, in the browser of the one that is open.
 * `undefined` for anything else.
 *
 * Its payload can be read by anyone who holds it, and it opens the channel until it expires.
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

/** The same under the name that oRPC 1.9 and later have for it. */
export const getClientDurableIteratorToken: (iterator: unknown) => string | undefined = getClientDurableEventIteratorToken

/**
 * What a procedure returns on the server in place of an iterator. It has no `next`, so that nothing in between takes it
 * for an iterator and wraps it.
 */
export class TokenCarrier {
  readonly [TOKEN]: string

  constructor(token: string) {
    this[TOKEN] = token
  }

  [Symbol.asyncIterator](): never {
    throw new Error(
      `A ${this.#issuer} cannot be iterated over on the server that issues it: its events go from the object to the client.`,
    )
  }

  toJSON(): never {
    throw new Error(`A ${this.#issuer} reaches clients only through a handler with the ${this.#issuer}HandlerPlugin.`)
  }

  get #issuer(): string {
    return generationOf(this[TOKEN]) === 1 ? 'DurableEventIterator' : 'DurableIterator'
  }
}

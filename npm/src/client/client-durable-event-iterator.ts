import { createORPCClient } from '@orpc/client'
import type { Client, ClientLink, NestedClient, ThrowableError } from '@orpc/client'
import type { ClientRetryPluginContext } from '@orpc/client/plugins'

import type {
  AnyDurableEventIteratorObject,
  InferDurableEventIteratorObjectEvent,
  InferDurableEventIteratorObjectRPC,
} from '../object.js'
import { TOKEN } from '../token-carrier.js'
import type { EventBuffer } from './event-buffer.js'

/**
 * The context of a call to an object: that of oRPC's `ClientRetryPlugin`.
 *
 * A call is made once, unless `retry` says otherwise: `iterator.publishMessage(input, { context: { retry: 3 } })` makes it
 * up to three times more when the connection was lost or the object could not answer, at once when it is open again.
 * Since a lost connection leaves open whether the call took effect, ask for it where doing it twice does no harm.
 */
export interface ClientDurableEventIteratorRpcContext extends ClientRetryPluginContext {}

/** A client of an object's procedures, over the iterator's socket. */
export type ClientDurableEventIteratorRpc<T> =
  T extends Client<Record<never, never>, infer TInput, infer TOutput, infer _TError>
    ? Client<ClientDurableEventIteratorRpcContext, TInput, TOutput, ThrowableError>
    : { readonly [K in keyof T]: ClientDurableEventIteratorRpc<T[K]> }

/**
 * What a client gets where the procedure returned a `DurableEventIterator`: the object's events, in order, each once, and
 * the procedures that the token allows.
 *
 * It goes on until `return()` (which `break` in a `for await` calls), an aborted `signal`, or the server's refusal to
 * issue a new token.
 *
 * @typeParam T - The type of the object.
 * @typeParam RPC - The procedures that the token allows.
 *
 * @example
 * ```ts
 * const iterator = await client.onMessage()
 * await iterator.publishMessage({ message: 'Hello' })
 * for await (const { message } of iterator) console.log(message)
 * ```
 */
export type ClientDurableEventIterator<
  T extends AnyDurableEventIteratorObject,
  RPC extends InferDurableEventIteratorObjectRPC<T> = never,
> = AsyncGenerator<InferDurableEventIteratorObjectEvent<T>, void, void> & {
  readonly [K in RPC]: T[K] extends (...args: never[]) => (infer TClient extends NestedClient<Record<never, never>>)
    ? ClientDurableEventIteratorRpc<TClient>
    : never
}

/** What of an open subscription shows in the iterator. */
export interface IteratorSource {
  readonly events: EventBuffer<unknown>
  readonly link: ClientLink<ClientDurableEventIteratorRpcContext>
  /** The token of now. */
  readonly token: string
  /** The procedures that it allows. */
  readonly procedures: readonly string[]
}

/** The events and the procedures as one; only what the token of now allows is there. */
export function createClientDurableEventIterator(source: IteratorSource): AsyncGenerator<unknown, void, void> {
  const { events, link } = source
  const isProcedure = (name: PropertyKey): name is string =>
    typeof name === 'string' && name !== 'then' && !(name in events) && source.procedures.includes(name)
  return new Proxy(events, {
    get(_, name) {
      if (name === TOKEN) return source.token
      if (isProcedure(name)) return createORPCClient(link, { path: [name] })
      const value: unknown = Reflect.get(events, name, events)
      return typeof value === 'function' ? value.bind(events) : value
    },
    has: (_, name) => name === TOKEN || isProcedure(name) || name in events,
  })
}

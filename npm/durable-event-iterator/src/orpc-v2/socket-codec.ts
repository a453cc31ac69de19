// Depends on oRPC 2.x: the interface of the codec of a `StandardLink`, and `ErrorEvent`.

import { ErrorEvent, wrapAsyncIteratorPreservingEventMeta } from '@orpc/client'
import type { ClientContext, ClientOptions } from '@orpc/client'
import type {
  RPCLinkCodecOptions,
  StandardHeaders,
  StandardLazyResponse,
  StandardLinkCodec,
  StandardLinkCodecDecodedResponse,
  StandardRequest,
} from '@orpc/client/standard'

import { errorOf } from '../client/procedure-error.js'
import type { Serializer } from '../client/wire/serializer.js'
import { fromProcedureError } from './orpc-error.js'

/**
 * Encodes calls of procedures as Durable Objects expect them: as requests to `/call`, in the serialization format of oRPC 1.x,
 * which oRPC 2.x has changed.
 */
export class SocketCodec<T extends ClientContext> implements StandardLinkCodec<T> {
  readonly #serializer: Serializer
  readonly #headers: RPCLinkCodecOptions<T>['headers']

  constructor(serializer: Serializer, headers: RPCLinkCodecOptions<T>['headers']) {
    this.#serializer = serializer
    this.#headers = headers
  }

  async encodeInput(input: unknown, path: string[], options: ClientOptions<T>): Promise<StandardRequest> {
    const custom = await (typeof this.#headers === 'function' ? this.#headers(options, path, input) : this.#headers)
    const headers: StandardHeaders = custom instanceof Headers ? Object.fromEntries(custom) : { ...custom }
    if (options.lastEventId !== undefined) headers['last-event-id'] = options.lastEventId
    return { url: '/call', method: 'POST', headers, body: this.#serializer.serialize({ path, input }), signal: options.signal }
  }

  async decodeResponse({ status, resolveBody }: StandardLazyResponse): Promise<StandardLinkCodecDecodedResponse> {
    const serializer = this.#serializer
    const body = await resolveBody()
    if (status >= 400) return { kind: 'error', error: fromProcedureError(errorOf(serializer, status, body)) }
    if (!isAsyncIterator(body)) return { kind: 'output', output: serializer.deserialize(body) }
    const output = wrapAsyncIteratorPreservingEventMeta(body, {
      mapResult: ({ done, value }) => ({ done: done === true, value: serializer.deserialize(value) }) as IteratorResult<unknown>,
      mapError: (error) => (error instanceof ErrorEvent ? fromProcedureError(errorOf(serializer, 500, error.data)) : error),
    })
    return { kind: 'output', output }
  }
}

function isAsyncIterator(body: unknown): body is AsyncIterator<unknown> {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body
}

// Depends on oRPC 2.x: the interfaces of `StandardLink` and its transport, and the plugin `RetryLinkPlugin`.

import type { ClientContext, ClientLink } from '@orpc/client'
import { RetryLinkPlugin } from '@orpc/client/plugins'
import type { RetryLinkPluginContext } from '@orpc/client/plugins'
import { StandardLink } from '@orpc/client/standard'
import type { RPCLinkCodecOptions, StandardHeaders, StandardLinkOptions, StandardLinkTransport } from '@orpc/client/standard'

import { DurableEventIteratorConnectionError } from '../client/connection-error.js'
import { isTemporary } from '../client/errors.js'
import type { Session } from '../client/session.js'
import type { Serializer } from '../client/wire/serializer.js'
import { SocketCodec } from './socket-codec.js'
import { toStandardBody } from './standard-body.js'

/** The options of an `RPCLink` that apply to calls over the socket. */
export interface SocketLinkOptions<T extends ClientContext>
  extends Pick<StandardLinkOptions<T>, 'interceptors' | 'transportInterceptors' | 'plugins'>,
    Pick<RPCLinkCodecOptions<T>, 'headers'> {}

/**
 * Returns a link to the procedures of a Durable Object.
 *
 * @param send - Sends a request over the socket.
 * @throws The error of a plugin of the application, if it cannot be initialized.
 */
export function createSocketLink<T extends RetryLinkPluginContext>(
  send: Session['request'],
  serializer: Serializer,
  { interceptors = [], transportInterceptors = [], plugins = [], headers }: SocketLinkOptions<T>,
): ClientLink<T> {
  const transport: StandardLinkTransport<T> = {
    async send({ signal, ...request }) {
      const { status, headers, body } = await send(request, signal)
      const standardBody = toStandardBody(body)
      return { status, headers: headers as StandardHeaders, resolveBody: async () => standardBody }
    },
  }
  const isRetry = (plugin: object): boolean => plugin instanceof RetryLinkPlugin
  return new StandardLink<T>(new SocketCodec<T>(serializer, headers), transport, {
    interceptors,
    transportInterceptors,
    plugins: plugins.some(isRetry) ? plugins : [...plugins, retries()],
  })
}

/** Returns a plugin that retries calls whose context contains `retry`. */
function retries<T extends RetryLinkPluginContext>(): RetryLinkPlugin<T> {
  return new RetryLinkPlugin({
    default: {
      shouldRetry: ({ error }) => isTemporary(error),
      // No delay after a lost connection, since the retry waits for the next one.
      retryDelay: ({ error, lastEventRetry }) =>
        error instanceof DurableEventIteratorConnectionError ? 0 : (lastEventRetry ?? CALL_RETRY_DELAY_MS),
    },
  })
}

/** The delay before a call is retried that the Durable Object could not respond to, in milliseconds. */
const CALL_RETRY_DELAY_MS = 2_000

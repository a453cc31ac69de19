import { createORPCClient, ErrorEvent } from '@orpc/client'
import type { Client, ClientLink } from '@orpc/client'
import { ClientRetryPlugin } from '@orpc/client/plugins'
import type { ClientRetryPluginContext } from '@orpc/client/plugins'
import { StandardRPCLink } from '@orpc/client/standard'
import type { StandardLinkClient, StandardRPCLinkOptions } from '@orpc/client/standard'

import { DurableEventIteratorConnectionError } from '../client/connection-error.js'
import { isTemporary } from '../client/errors.js'
import type { Session } from '../client/session.js'
import type { PeerHeaders } from '../client/wire/peer.js'
import type { EventMetaAccess } from './event-meta.js'

/** The options of an `RPCLink` that apply to the calls over the socket. */
export type CallLinkOptions = Omit<
  StandardRPCLinkOptions<ClientRetryPluginContext>,
  'url' | 'method' | 'fallbackMethod' | 'maxUrlLength'
>

type Context = ClientRetryPluginContext

/** The procedure that every Durable Object has, which calls the others. */
type ObjectClient = { call: Client<Context, { path: readonly string[]; input: unknown }, unknown, Error> }

/**
 * Returns oRPC's link to the procedures of the Durable Object: its serializer, plugins and interceptors, over the socket.
 *
 * @param request - Sends a request over the socket.
 * @throws The error of a plugin that cannot be initialized.
 */
export function callLink(request: Session['request'], metas: EventMetaAccess, options: CallLinkOptions): ClientLink<Context> {
  const { plugins = [], interceptors = [], clientInterceptors = [], customJsonSerializers, headers } = options
  const link = new StandardRPCLink<Context>(transport(request, metas), {
    // Only the path counts.
    url: 'http://orpc',
    ...(customJsonSerializers === undefined ? {} : { customJsonSerializers }),
    ...(headers === undefined ? {} : { headers }),
    // Copies, since each link modifies its arrays.
    interceptors: [...interceptors],
    clientInterceptors: [...clientInterceptors],
    plugins: plugins.some((plugin) => plugin instanceof ClientRetryPlugin) ? [...plugins] : [...plugins, retries()],
  })
  const client: ObjectClient = createORPCClient(link)
  return { call: (path, input, rest) => client.call({ path, input }, rest) }
}

function retries(): ClientRetryPlugin<Context> {
  return new ClientRetryPlugin({
    default: {
      shouldRetry: ({ error }) => isTemporary(error),
      // No delay after a lost connection, since the retry waits for the next one.
      retryDelay: ({ error, lastEventRetry }) =>
        error instanceof DurableEventIteratorConnectionError ? 0 : (lastEventRetry ?? RETRY_DELAY_MS),
    },
  })
}

/** The delay before a call is retried that the Durable Object could not respond to, in milliseconds. */
const RETRY_DELAY_MS = 2_000

function transport(send: Session['request'], metas: EventMetaAccess): StandardLinkClient<Context> {
  return {
    async call({ url, method, headers, body, signal }) {
      const request = { url: url.pathname + url.search, method, headers: headers as PeerHeaders, body }
      const { status, headers: received, body: output } = await send(request, signal, ({ event, data, meta }) => {
        if (event === 'error') throw metas.attach(new ErrorEvent({ data }), meta)
        return { done: event === 'done', value: metas.attach(data, meta) }
      })
      return { status, headers: received as never, body: async () => output }
    },
  }
}

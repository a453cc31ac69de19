// An application with the link plugins: a procedure of an oRPC server returns a token, and the client's plugin opens an iterator
// with it. `npm-client.ts` also bundles this module with oRPC 2.x.

import { createORPCClient, getEventMeta } from '@orpc/client'
import type { Client } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { os, type } from '@orpc/server'
import type { RouterClient } from '@orpc/server'
import { RPCHandler } from '@orpc/server/fetch'

import { DurableEventIterator, DurableEventIteratorHandlerPlugin, DurableIterator } from '../../npm/durable-event-iterator/src/index.ts'
import type { DurableEventIteratorObject } from '../../npm/durable-event-iterator/src/index.ts'
import { DurableEventIteratorLinkPlugin, DurableIteratorLinkPlugin } from '../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import type { DurableEventIteratorLinkPluginOptions } from '../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import type { OpenIterator, Opening } from './package-client.ts'

export interface ApplicationOptions {
  signingKey: string
  channel: string
  /** The subject of the tokens. */
  subject: string
  /** The token lifetime in seconds. */
  lifetime: number
  /** The name of the procedure that publishes. */
  publish: 'publish' | 'publishMessage'
  /** Whether it uses `DurableIterator` tokens. */
  isSecond: boolean
  plugin: DurableEventIteratorLinkPluginOptions
}

interface Journal extends DurableEventIteratorObject<{ n: number }> {
  publish(): Client<Record<never, never>, object, string, Error>
  publishMessage(): Client<Record<never, never>, object, string, Error>
}

type TokenRequest = Pick<ApplicationOptions, 'signingKey' | 'channel' | 'subject' | 'lifetime' | 'publish'>

const router = {
  onEvent: os.input(type<TokenRequest>()).handler(({ input: { channel, subject, signingKey, lifetime, publish } }) =>
    new DurableEventIterator<Journal>(channel, { signingKey, subject, tokenTTLSeconds: lifetime }).rpc(publish),
  ),
  follow: os.input(type<TokenRequest>()).handler(({ input: { channel, subject, signingKey, lifetime, publish } }) =>
    new DurableIterator<Journal>(channel, { signingKey, subject, tokenTTLSeconds: lifetime }).rpc(publish),
  ),
}
const server = new RPCHandler(router, { plugins: [new DurableEventIteratorHandlerPlugin()] })

/** Returns a function that opens an iterator. */
export function connect({ plugin, isSecond, ...request }: ApplicationOptions): (opening: Opening) => Promise<OpenIterator> {
  const link = new RPCLink({
    url: 'http://tokens.test/rpc',
    // oRPC 1.x passes a `Request`, 2.x a URL and its options.
    fetch: async (input: Request | string, init?: RequestInit) => {
      const { response } = await server.handle(new Request(input, init), { prefix: '/rpc', context: {} })
      return response ?? new Response(null, { status: 404 })
    },
    plugins: [isSecond ? new DurableIteratorLinkPlugin(plugin) : new DurableEventIteratorLinkPlugin(plugin)],
  })
  const client = createORPCClient<RouterClient<typeof router>>(link)
  return async ({ signal, lastEventId }) => {
    const iterator = await client[isSecond ? 'follow' : 'onEvent'](request, { signal, ...(lastEventId === undefined ? {} : { lastEventId }) })
    return { events: iterator, idOf: (event) => getEventMeta(event)?.id, publish: (event) => iterator[request.publish](event) }
  }
}

// A client with the link plugin, like an application: a procedure of an oRPC server returns a token, and the plugin opens an
// iterator with it.

import { createORPCClient, getEventMeta } from '@orpc/client'
import type { Client } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { os, type } from '@orpc/server'
import type { RouterClient } from '@orpc/server'
import { RPCHandler } from '@orpc/server/fetch'

import { DurableEventIterator, DurableEventIteratorHandlerPlugin, DurableIterator } from '../../npm/durable-event-iterator/src/index.ts'
import type { DurableEventIteratorObject } from '../../npm/durable-event-iterator/src/index.ts'
import { DurableEventIteratorLinkPlugin, DurableIteratorLinkPlugin } from '../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import { SIGNING_KEY } from '../support/client.ts'
import { PUBLISH } from '../support/journals.ts'
import type { ClientOptions } from './clients.ts'
import { PackageClient } from './package-client.ts'
import type { OpenIterator, Opening } from './package-client.ts'

interface Journal extends DurableEventIteratorObject<{ n: number }> {
  publish(): Client<Record<never, never>, object, string, Error>
  publishMessage(): Client<Record<never, never>, object, string, Error>
}

interface TokenRequest {
  channel: string
  /** In seconds. */
  lifetime: number
}

const router = {
  onEvent: os.input(type<TokenRequest>()).handler(({ input: { channel, lifetime } }) =>
    new DurableEventIterator<Journal>(channel, { signingKey: SIGNING_KEY, tokenTTLSeconds: lifetime }).rpc(PUBLISH),
  ),
  follow: os.input(type<TokenRequest>()).handler(({ input: { channel, lifetime } }) =>
    new DurableIterator<Journal>(channel, { signingKey: SIGNING_KEY, tokenTTLSeconds: lifetime }).rpc(PUBLISH),
  ),
}
const server = new RPCHandler(router, { plugins: [new DurableEventIteratorHandlerPlugin()] })

export class NpmClient extends PackageClient {
  readonly #client: RouterClient<typeof router>

  constructor(options: ClientOptions) {
    super(options.isSecond ? 'npm, DurableIterator' : 'npm, DurableEventIterator', options)
    const plugin = options.isSecond ? new DurableIteratorLinkPlugin(this.connecting) : new DurableEventIteratorLinkPlugin(this.connecting)
    const link = new RPCLink({
      url: 'http://tokens.test/rpc',
      fetch: async (request) => {
        const { response } = await server.handle(request, { prefix: '/rpc', context: {} })
        return response ?? new Response(null, { status: 404 })
      },
      plugins: [plugin],
    })
    this.#client = createORPCClient(link)
  }

  protected async open({ signal, lastEventId }: Opening): Promise<OpenIterator> {
    const { channel, tokenLifetime, isSecond } = this.options
    const iterator = await this.#client[isSecond ? 'follow' : 'onEvent'](
      { channel, lifetime: tokenLifetime },
      { signal, ...(lastEventId === undefined ? {} : { lastEventId }) },
    )
    return { events: iterator, idOf: (event) => getEventMeta(event)?.id, publish: (event) => iterator[PUBLISH](event) }
  }
}

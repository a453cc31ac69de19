// The Durable Objects of `tests/worker`, written in TypeScript: the same classes, procedures, RPC methods and routes, as far as
// the tests of both use them.

import { handleChannelRequest, upgradeDurableEventIteratorRequest, upgradeDurableIteratorRequest } from 'durable-event-iterator/durable-object'
import type { DurableEventIteratorNamespace } from 'durable-event-iterator/durable-object'

import { isDurableIteratorObject } from './room.ts'

export { CallsObject } from './calls.ts'
export { FaultyObject } from './faulty.ts'
export * from './journal.ts'
export { LedgerObject, ReplayingLedgerObject } from './ledger.ts'
export * from './present.ts'
export { TypesObject } from './types.ts'

interface Env {
  SIGNING_KEY: string
  PUBLISH_KEY?: string
  READ_KEY?: string
  ACCESS_KEYS?: string
  INSPECT_KEY?: string
  [binding: string]: unknown
}

/** `/upgrade/<binding>` is the upgrade to a Durable Object of that namespace; `/http/<binding>/…` reads its channels over HTTP. */
export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const [, route, binding = ''] = new URL(request.url).pathname.split('/')
    if (route === 'http') {
      return handleChannelRequest(request, {
        signingKey: env.SIGNING_KEY,
        namespace: env[binding] as DurableEventIteratorNamespace,
        prefix: `/http/${binding}`,
        cors: { origins: ['https://friend.example'], credentials: true, maxAgeSeconds: 60 },
        readKey: 'the read key of the tests',
        namespaceGetOptions: { locationHint: 'weur' },
      })
    }
    // With the keys of the variables.
    if (route === 'keys') {
      return handleChannelRequest(request, {
        signingKey: env.SIGNING_KEY,
        namespace: env[binding] as DurableEventIteratorNamespace,
        prefix: `/keys/${binding}`,
        publishKey: env.PUBLISH_KEY,
        readKey: env.READ_KEY,
        accessKeys: env.ACCESS_KEYS,
        inspectKey: env.INSPECT_KEY,
      })
    }
    if (route !== 'upgrade') return new Response('Not Found', { status: 404 })
    const options = { signingKey: env.SIGNING_KEY, namespace: env[binding] as DurableEventIteratorNamespace }
    return isDurableIteratorObject
      ? upgradeDurableIteratorRequest(request, options)
      : upgradeDurableEventIteratorRequest(request, options)
  },
}

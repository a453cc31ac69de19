// A client without oRPC: `subscribe` of the npm package.

import { getEventMeta, subscribe } from '../../npm/durable-event-iterator/src/client/index.ts'
import { PUBLISH } from '../support/journals.ts'
import type { ClientOptions } from './clients.ts'
import { PackageClient } from './package-client.ts'
import type { OpenIterator, Opening } from './package-client.ts'

export class StandaloneClient extends PackageClient {
  constructor(options: ClientOptions) {
    super(options.isSecond ? 'subscribe, DurableIterator token' : 'subscribe', options)
  }

  protected async open({ signal, lastEventId }: Opening): Promise<OpenIterator> {
    const events = subscribe<{ n: number }>({ ...this.connecting, token: () => this.token(), signal, lastEventId })
    await events.opened()
    return {
      events,
      idOf: (event) => getEventMeta(event)?.id,
      publish: async (event) => (await events.call([PUBLISH], event)) as string,
    }
  }
}

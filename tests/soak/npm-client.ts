// A client with a link plugin of the npm package.

import { SIGNING_KEY } from '../support/client.ts'
import { PUBLISH } from '../support/journals.ts'
import { connect } from './application.ts'
import type { ClientOptions } from './clients.ts'
import { PackageClient } from './package-client.ts'
import type { OpenIterator, Opening } from './package-client.ts'

export class NpmClient extends PackageClient {
  readonly #open: (opening: Opening) => Promise<OpenIterator>

  constructor(options: ClientOptions) {
    const { channel, tokenLifetime: lifetime, isSecond = false } = options
    super(isSecond ? 'npm, DurableIterator' : 'npm, DurableEventIterator', options)
    this.#open = connect({ signingKey: SIGNING_KEY, channel, lifetime, publish: PUBLISH, isSecond, plugin: this.connecting })
  }

  protected open(opening: Opening): Promise<OpenIterator> {
    return this.#open(opening)
  }
}

// A client with a link plugin of the npm package, for oRPC 1.x or 2.x.

import { fileURLToPath } from 'node:url'

import { build } from 'esbuild'

import { SIGNING_KEY } from '../support/client.ts'
import { PUBLISH } from '../support/journals.ts'
import { connect } from './application.ts'
import type { ClientOptions } from './clients.ts'
import { PackageClient } from './package-client.ts'
import type { OpenIterator, Opening } from './package-client.ts'

const ORPC_2 = '2.0.0-beta.16'

export class NpmClient extends PackageClient {
  readonly #open: Promise<(opening: Opening) => Promise<OpenIterator>>

  constructor(orpc: 1 | 2, options: ClientOptions) {
    const { channel, subject, tokenLifetime: lifetime, isSecond = false } = options
    super(`npm with oRPC ${orpc}.x, ${isSecond ? 'DurableIterator' : 'DurableEventIterator'}`, options)
    const application = { signingKey: SIGNING_KEY, channel, subject, lifetime, publish: PUBLISH, isSecond, plugin: this.connecting }
    this.#open = (orpc === 1 ? Promise.resolve({ connect }) : withOrpc2()).then(({ connect }) => connect(application))
  }

  override async start(): Promise<void> {
    // An error is not one of opening an iterator.
    await this.#open
    return super.start()
  }

  protected async open(opening: Opening): Promise<OpenIterator> {
    return (await this.#open)(opening)
  }
}

let bundle: Promise<{ connect: typeof connect }> | undefined

/** Returns the application with oRPC 2.x, which the imports of this process do not resolve to: as a bundle. */
function withOrpc2(): Promise<{ connect: typeof connect }> {
  bundle ??= build({
    entryPoints: [fileURLToPath(new URL('application.ts', import.meta.url))],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    alias: { '@orpc/client': `orpc-client-${ORPC_2}`, '@orpc/server': `orpc-server-${ORPC_2}` },
    plugins: [
      {
        name: 'orpc-v2',
        setup: ({ onResolve }) => onResolve({ filter: /\/orpc-v1\/index\.ts$/ }, () => ({ path: ADAPTER })),
      },
    ],
  }).then(({ outputFiles }) => import(`data:text/javascript;base64,${Buffer.from(outputFiles[0]!.contents).toString('base64')}`))
  return bundle
}

const ADAPTER = fileURLToPath(new URL('../../npm/durable-event-iterator/src/orpc-v2/index.ts', import.meta.url))

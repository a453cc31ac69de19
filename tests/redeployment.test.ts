// Sockets outlive a deployment, so each version of a Worker reads the attachments of the one before, and of the one after if a deployment is
// rolled back. A Worker with several builds simulates it: the Durable Object hibernates, and wakes with another build or other
// options, while its sockets stay open.
//
// With the variable BEFORE, the folder of a built checkout of an earlier commit, also between that build and this one.

import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { seconds, token as durableIteratorToken, upgradeUrl } from './support/durable-iterator.ts'
import { FLOW_HEADER } from './support/flow.ts'
import { objectsCode, startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { Publisher, publisherWorker } from './support/publisher.ts'
import type { Subscriber } from './support/publisher.ts'
import { BareSocket } from './support/socket.ts'
import type { WorkerCode } from './support/workerd.ts'

const BEFORE = process.env['BEFORE']
const repository = fileURLToPath(new URL('..', import.meta.url))

/** The builds: the class in Rust of this and an earlier commit, and that in TypeScript. */
const BUILDS: Record<string, WorkerCode> = {
  typescript: objectsCode('DurableEventIteratorObject'),
  ...(BEFORE !== undefined && { before: { crate: `${relative(repository, BEFORE)}/tests/worker` } }),
}

/** What a Durable Object is deployed with. */
interface Deployment {
  build: string
  variables: Record<string, string>
}

const PLAIN: Deployment = { build: 'rust', variables: {} }
const FEATURES: Deployment = { build: 'rust', variables: { PRESENCE: 'connection', PRESENCE_GRACE_SECONDS: '1' } }
const TYPESCRIPT: Deployment = { ...PLAIN, build: 'typescript' }
const TYPESCRIPT_FEATURES: Deployment = { ...FEATURES, build: 'typescript' }

const FRONT = `
import * as rust from './index.js'
${Object.keys(BUILDS).map((name) => `import * as ${name} from './${name}/index.js'`).join('\n')}
export * from './index.js'
export { default } from './index.js'

let deployed = ${JSON.stringify(PLAIN)}
const classes = {}
for (const [name, { PublishedJournal }] of Object.entries({ rust, ${Object.keys(BUILDS).join(', ')} })) {
  classes[name] = class extends PublishedJournal {
    constructor(ctx, env) {
      super(ctx, env)
      this.sockets = () => ctx.getWebSockets()
    }
    deploy(deployment) {
      deployed = deployment
    }
    attachments() {
      return this.sockets().map((ws) => new TextDecoder().decode(ws.deserializeAttachment()))
    }
  }
}
export const PublishedJournal = new Proxy(classes.rust, {
  construct: (_, [ctx, env]) => new classes[deployed.build](ctx, { ...env, ...deployed.variables }),
})
`

let journals: Journals
let publisher: Publisher
const log: string[] = []
beforeAll(async () => {
  journals = await startJournals({ front: FRONT, beside: BUILDS, workers: [publisherWorker()], onLog: (line) => log.push(line) })
  publisher = await Publisher.of(journals)
})
afterAll(() => journals.dispose())

/** Deploys the class of a channel: its Durable Object wakes with the new code. */
async function deploy(chn: string, deployment: Deployment): Promise<void> {
  await journals.stub('PUBLISHED', chn, 'deploy', deployment)
  await journals.hibernate('PUBLISHED', chn)
}

interface Open {
  socket: BareSocket
  /** The id of its subscription, if it has one. */
  subscription: string | undefined
  /** The custom attachment, if it has one. */
  kept: unknown
  attachment: unknown
}

const RPC = ['keep', 'kept', 'whoAmI']
const call = (i: string, path: string, input?: unknown): object => ({ i, p: { u: '/call', b: { json: { path: [path], input } } } })

/** The kinds of sockets, each with the URL of its upgrade. */
const KINDS: Record<string, (chn: string) => Promise<{ url: string } & Partial<Omit<Open, 'socket'>> & { headers?: object }>> = {
  'without a subscription': async (chn) => ({ url: await journals.upgrade('PUBLISHED', { chn, rpc: RPC }) }),
  live: async (chn) => ({
    url: await journals.upgrade('PUBLISHED', { chn, rpc: RPC, att: { user: 1 }, sub: 'anna' }),
    subscription: '1',
    attachment: { user: 1 },
  }),
  'with flow control': async (chn) => ({
    url: await journals.upgrade('PUBLISHED', { chn, rpc: RPC }, 'flow'),
    subscription: 'f1',
    headers: { [FLOW_HEADER]: '1' },
  }),
  'with a custom attachment': async (chn) => ({
    url: await journals.upgrade('PUBLISHED', { chn, rpc: RPC }, 'kept'),
    subscription: 'a"b\u0001',
    kept: { x: [1, 'two', null] },
  }),
  'with a DurableIterator token': async (chn) => ({
    url: upgradeUrl(journals, 'PUBLISHED', await durableIteratorToken({ chn, rpc: RPC, tags: ['staff', '漢😀'], sub: 'bert' }), 'second'),
    subscription: '2',
  }),
}

async function open(chn: string, kind: keyof typeof KINDS): Promise<Open> {
  const { url, subscription, headers, kept, attachment = null } = await KINDS[kind]!(chn)
  const socket = await BareSocket.open(url)
  if (subscription !== undefined) {
    socket.send({ i: subscription, p: { u: '/subscribe', b: {}, ...(headers && { h: headers }) } })
    await socket.frames(1)
  }
  if (kept !== undefined) {
    socket.send(call('keep', 'keep', kept))
    await response(socket, 'keep')
  }
  return { socket, subscription, kept, attachment }
}

/** Resolves with the first message of a call. */
async function response(socket: BareSocket, i: string): Promise<any> {
  const of = (messages: string[]): any => messages.map((text) => JSON.parse(text)).find((message) => message.i === i)
  await socket.until((messages) => of(messages) !== undefined)
  return of(socket.messages)
}

/** The events that a socket has received, without presence events. */
const eventsOf = ({ socket }: Open): number[] =>
  socket.messages.flatMap((text) => {
    const { t, p } = JSON.parse(text)
    return t === 3 && p.e === 'message' && p.d.json.type !== 'presence' ? [p.d.json.n] : []
  })

/** The presence events that a socket has received. */
const presenceOf = ({ socket }: Open): any[] =>
  socket.messages.flatMap((text) => {
    const { t, p } = JSON.parse(text)
    return t === 3 && p.d?.json?.type === 'presence' ? [p.d.json] : []
  })

class Channel {
  readonly chn: string
  readonly opened: Open[] = []
  readonly #subscribers: Subscriber[] = []
  #calls = 0
  #published: number[] = []

  constructor(chn: string) {
    this.chn = chn
  }

  /** Opens a socket of each kind, and a subscriber of oRPC's publisher. */
  async openAll(): Promise<void> {
    // Not from earlier in this test: a client without a cursor would receive those events.
    for (const kind of Object.keys(KINDS)) this.opened.push(await open(this.chn, kind))
    this.#subscribers.push(await publisher.subscribed('PUBLISHED', this.chn))
  }

  /** All sockets receive an event, and serve calls with their claims and attachments. */
  async check(): Promise<void> {
    const n = this.#published.length + 1
    await journals.stub('PUBLISHED', this.chn, 'publish', { n })
    this.#published.push(n)
    for (const each of this.opened) {
      const { socket, subscription, kept, attachment } = each
      if (subscription !== undefined) await socket.until(() => eventsOf(each).at(-1) === n)
      const [who, own] = [`who-${this.#calls++}`, `own-${this.#calls++}`]
      socket.send(call(who, 'whoAmI'))
      socket.send(call(own, 'kept'))
      expect(await response(socket, who)).toEqual({ i: who, p: { b: { json: attachment } } })
      expect(await response(socket, own)).toEqual({ i: own, p: { b: kept === undefined ? {} : { json: kept } } })
      const events = eventsOf(each)
      expect(events).toEqual(this.#published.slice(this.#published.length - events.length))
    }
    for (const subscriber of this.#subscribers) {
      await subscriber.until(({ received }) => received.at(-1)?.payload.n === n)
      expect(subscriber.errors).toEqual([])
    }
    expect(log.filter((line) => line.includes('attachment'))).toEqual([])
  }

  async #members(): Promise<object[]> {
    return (await journals.stub('PUBLISHED', this.chn, 'members')).members
  }

  /** The number of members is that of the sockets with a subscription, and a newcomer receives them. */
  async checkMembers(): Promise<void> {
    const count = this.opened.filter(({ subscription }) => subscription !== undefined).length
    expect(await this.#members()).toHaveLength(count)
    const newcomer = await open(this.chn, 'live')
    await newcomer.socket.until(() => presenceOf(newcomer).length > 0)
    expect(presenceOf(newcomer)[0].members).toHaveLength(count + 1)
    this.opened.push(newcomer)
    // The member of an earlier version leaves after the grace period.
    const [leaving] = this.opened.splice(this.opened.findIndex(({ subscription }) => subscription !== undefined), 1) as [Open]
    leaving.socket.vanish()
    await newcomer.socket.until(() => presenceOf(newcomer).some(({ left = [] }) => left.length === 1))
    expect(await this.#members()).toHaveLength(count)
  }

  close(): void {
    for (const { socket } of this.opened) socket.vanish()
  }
}

const before: Deployment = { ...PLAIN, build: 'before' }
const DEPLOYMENTS: [title: string, from: Deployment, to: Deployment][] = [
  ['turns presence on', PLAIN, FEATURES],
  ['turns presence on in TypeScript', TYPESCRIPT, TYPESCRIPT_FEATURES],
  ['changes the language', PLAIN, TYPESCRIPT],
  ['changes the language and turns presence on', TYPESCRIPT, FEATURES],
  ...(BEFORE === undefined
    ? []
    : ([
        ['replaces an earlier commit', before, PLAIN],
        ['replaces an earlier commit and turns presence on', before, FEATURES],
      ] satisfies [string, Deployment, Deployment][])),
]

describe.each(DEPLOYMENTS)('a deployment that %s', (title, from, to) => {
  test('serves the open sockets, and again after it is rolled back', async () => {
    const channel = new Channel(title)
    await deploy(channel.chn, from)
    await channel.openAll()
    await channel.check()
    await deploy(channel.chn, to)
    await channel.check()
    if (to.variables['PRESENCE'] !== undefined) await channel.checkMembers()
    // The attachments of the newer version, of old and new sockets.
    await channel.openAll()
    await channel.check()
    await deploy(channel.chn, from)
    await channel.check()
    await channel.openAll()
    await channel.check()
    await deploy(channel.chn, to)
    await channel.check()
    channel.close()
  })
})

// Attachments of sockets outlive a deployment: sockets of an earlier version are served, and sockets with unreadable
// attachments are closed, for live events and for messages.

import { readFileSync } from 'node:fs'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'

/** The attachment that a test writes to a socket. */
type Attachment = { text: string } | { bytes: number[] } | { value: unknown }

interface Corpus {
  /** The attachment of the release of the commit. */
  recorded: { name: string; text: string }[]
  /** An attachment that no release has written, or that a later one may write. */
  unreadable: { name: string; text: string }[]
}
const corpus = JSON.parse(readFileSync(new URL('./attachments.json', import.meta.url), 'utf8')) as Corpus

/** The Durable Objects, with replaceable attachments of sockets, and the number of attachment reads. */
const FRONT = `
import * as worker from './index.js'
export * from './index.js'
export { default } from './index.js'

let reads = 0
const { deserializeAttachment } = WebSocket.prototype
WebSocket.prototype.deserializeAttachment = function () {
  reads++
  return deserializeAttachment.call(this)
}

export class UsualJournal extends worker.UsualJournal {
  constructor(ctx, env) {
    super(ctx, env)
    this.sockets = () => ctx.getWebSockets()
  }
  replaceAttachments(attachments) {
    for (const ws of this.sockets()) {
      const { subscription } = JSON.parse(new TextDecoder().decode(deserializeAttachment.call(ws)))
      const replacement = attachments[subscription?.id]
      if (replacement === undefined) continue
      const { text, bytes, value } = replacement
      ws.serializeAttachment(text !== undefined ? new TextEncoder().encode(text) : bytes !== undefined ? new Uint8Array(bytes) : value)
    }
  }
  async readsOf(method) {
    reads = 0
    await this[method]()
    return reads
  }
}
`

let journals: Journals
const log: string[] = []
beforeAll(async () => {
  journals = await startJournals({ front: FRONT, onLog: (line) => log.push(line) })
})
afterAll(() => journals.dispose())

const call = (i: string, path: string[], input?: unknown): object => ({ i, p: { u: '/call', b: { json: { path, input } } } })

/** Opens a subscribed socket for each attachment, and one without a change, and hibernates the Durable Object. */
async function deploy(chn: string, attachments: Attachment[]): Promise<{ sockets: BareSocket[]; untouched: BareSocket }> {
  const open = async (id: string): Promise<BareSocket> => {
    const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn, rpc: ['kept'] }))
    socket.send({ i: id, p: { u: '/subscribe', b: {} } })
    await socket.frames(1)
    return socket
  }
  const sockets = await Promise.all(attachments.map((_, n) => open(`s${n}`)))
  const untouched = await open('untouched')
  await journals.stub('USUAL', chn, 'replaceAttachments', Object.fromEntries(attachments.map((attachment, n) => [`s${n}`, attachment])))
  await journals.hibernate('USUAL', chn)
  return { sockets, untouched }
}

/** The log lines about unreadable attachments. */
const reports = (): string[] => log.filter((line) => line.includes('attachment this version cannot read'))

describe('an attachment of the previous release', () => {
  test('receives live events after hibernation', async () => {
    const { sockets, untouched } = await deploy('recorded-live', corpus.recorded)
    const id = await journals.stub('USUAL', 'recorded-live', 'publish', { n: 1 })
    await untouched.frames(2)
    for (const [n, { name, text }] of corpus.recorded.entries()) {
      const { subscription } = JSON.parse(text)
      const socket = sockets[n]!
      if (subscription?.live === false) {
        expect(await socket.end(), name).toEqual({ code: 1012, reason: 'Subscription interrupted' })
      } else if (subscription?.flow !== undefined) {
        // The log cannot tell whether there is room after hibernation: the client receives the event, or subscribes again.
        const [, item] = await socket.frames(2)
        expect(item, name).toMatchObject({ i: subscription.id, t: 3 })
      } else if (subscription !== undefined) {
        const [, event] = await socket.frames(2)
        expect(event, name).toEqual({ i: subscription.id, t: 3, p: { e: 'message', d: { json: { n: 1 } }, m: { id } } })
      } else {
        expect(socket.messages, name).toHaveLength(1)
        expect(socket.closed, name).toBeUndefined()
      }
    }
    expect(reports()).toEqual([])
  })

  test('serves calls after hibernation, with the claims and the custom attachment', async () => {
    const { sockets } = await deploy('recorded-calls', corpus.recorded)
    for (const [n, { name, text }] of corpus.recorded.entries()) {
      const { subscription, application, claims } = JSON.parse(text)
      const socket = sockets[n]!
      socket.send(call('who', ['whoAmI']))
      if (subscription?.live === false) {
        expect(await socket.end(), name).toEqual({ code: 1012, reason: 'Subscription interrupted' })
        continue
      }
      socket.send(call('kept', ['kept']))
      const [, who, kept] = await socket.frames(3)
      if (claims.rpc.length === 0) {
        expect([who, kept], name).toMatchObject([{ i: 'who', p: { s: 403 } }, { i: 'kept', p: { s: 403 } }])
        continue
      }
      expect(who, name).toEqual({ i: 'who', p: { b: { json: claims.att ?? null } } })
      const meta = application?.meta && { meta: [[1]] }
      expect(kept, name).toEqual({ i: 'kept', p: { b: { ...(application && { json: application.json.value }), ...meta } } })
    }
    expect(reports()).toEqual([])
  })
})

describe('an attachment that cannot be read', () => {
  const unreadable: [string, Attachment][] = [
    ...corpus.unreadable.map(({ name, text }): [string, Attachment] => [name, { text }]),
    ['null', { value: null }],
    ['a string', { value: corpus.recorded[0]!.text }],
    ['an object', { value: JSON.parse(corpus.recorded[0]!.text) }],
    ['bytes that are not UTF-8', { bytes: [0xff, 0xfe] }],
    ['no bytes', { bytes: [] }],
  ]
  const attachments = unreadable.map(([, attachment]) => attachment)

  test('closes its socket at the first event', async () => {
    const chn = 'unreadable-live'
    const before = reports().length
    const { sockets, untouched } = await deploy(chn, attachments)
    await journals.stub('USUAL', chn, 'publish', { n: 1 })
    for (const [n, socket] of sockets.entries()) {
      expect(await socket.end(), unreadable[n]![0]).toEqual({ code: 1012, reason: 'Session unreadable' })
      expect(socket.messages, unreadable[n]![0]).toHaveLength(1)
    }
    await journals.stub('USUAL', chn, 'publish', { n: 2 })
    const events = (await untouched.frames(3)).slice(1)
    expect(events.map(({ p }) => p.d.json)).toEqual([{ n: 1 }, { n: 2 }])
    expect(reports()).toHaveLength(before + 1)
  })

  test('closes its socket at a message', async () => {
    const chn = 'unreadable-waking'
    const before = reports().length
    const { sockets, untouched } = await deploy(chn, attachments)
    for (const [n, socket] of sockets.entries()) {
      socket.send(n % 2 === 0 ? call('1', ['kept']) : { i: '1', t: 4 })
      expect(await socket.end(), unreadable[n]![0]).toEqual({ code: 1012, reason: 'Session unreadable' })
      expect(socket.messages, unreadable[n]![0]).toHaveLength(1)
    }
    untouched.send(call('1', ['kept']))
    expect((await untouched.frames(2))[1]).toEqual({ i: '1', p: { b: {} } })
    expect(reports()).toHaveLength(before + 1)
  })

  test('closes its socket when the application lists the sockets', async () => {
    const chn = 'unreadable-listed'
    const { sockets } = await deploy(chn, attachments)
    expect(await journals.stub('USUAL', chn, 'kept')).toHaveLength(1)
    for (const socket of sockets) expect(await socket.end()).toMatchObject({ code: 1012 })
  })
})

test('attachments are read once per wake-up, even for more than a thousand sockets', async () => {
  const chn = 'crowd'
  const url = await journals.upgrade('USUAL', { chn })
  const sockets: BareSocket[] = []
  while (sockets.length < 1_100) sockets.push(...(await Promise.all(Array.from({ length: 50 }, () => BareSocket.open(url)))))
  await journals.hibernate('USUAL', chn)
  expect(await journals.stub('USUAL', chn, 'readsOf', 'kept')).toBe(1_100)
  expect(await journals.stub('USUAL', chn, 'readsOf', 'kept')).toBe(0)
  for (const socket of sockets) socket.vanish()
})

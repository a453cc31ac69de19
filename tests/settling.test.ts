// Every call settles: with one response, or one response and one end for streams, unless its client aborts it or its socket
// closes.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { CLIENT_VERSIONS } from './support/client.ts'
import { token as durableIteratorToken, upgradeUrl } from './support/durable-iterator.ts'
import { isRust, startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'
import { Random } from './soak/random.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

const subscribe = (i: string): object => ({ i, p: { u: '/subscribe', b: {} } })

describe('a subscription that is replaced by another one on its socket', () => {
  test.each(CLIENT_VERSIONS)('before its response ends without an error, with oRPC %s', async (version) => {
    const chn = `replaced-${version}`
    const client = await journals.client('USUAL', { chn }, { version })
    const options = { context: { retry: Number.POSITIVE_INFINITY } }
    const iterators = await Promise.all(Array.from({ length: 5 }, () => client.raw.subscribe(undefined, options)))
    const last = iterators.pop()
    for (const iterator of iterators) expect(await iterator.next()).toEqual({ done: true, value: undefined })
    await journals.stub('USUAL', chn, 'publish', { n: 1 })
    expect(await last.next()).toEqual({ done: false, value: { n: 1 } })
    // No client has subscribed again: the last subscription still receives events.
    await journals.stub('USUAL', chn, 'publish', { n: 2 })
    expect(await last.next()).toEqual({ done: false, value: { n: 2 } })
    client.close()
  })

  test('receives a response, and then ends', async () => {
    const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn: 'replaced' }))
    for (const i of ['a', 'b', 'c']) socket.send(subscribe(i))
    const frames = await socket.frames(5)
    const answered = (i: string): object => ({ i, p: { h: { 'content-type': 'text/event-stream' } } })
    const done = (i: string): object => ({ i, t: 3, p: { e: 'done', d: {} } })
    expect(frames).toEqual([answered('a'), done('a'), answered('b'), done('b'), answered('c')])
    socket.vanish()
  })
})

/** The received frames of one call. */
interface Heard {
  kind: 'call' | 'stream' | 'upload' | 'subscribe'
  /** Whether the client has aborted the call. */
  aborted: boolean
  responses: number
  ends: number
  /** Unexpected frames: after the end, a second response, or an item of a call without a stream. */
  unexpected: number
}

const SEEDS = Array.from({ length: isRust ? 24 : 8 }, (_, n) => n + 1)
const STEPS = 60

describe('random calls on one socket', () => {
  test.each(SEEDS)('settle exactly once each (seed %i)', async (seed) => {
    const random = new Random(seed)
    const chn = `random-${seed}`
    const isSecond = seed % 2 === 0
    /** Half of the sockets stay open after their token has expired. */
    const expires = seed % 4 >= 2
    const claims = { chn, rpc: ['router', 'extra', 'upload'], exp: Date.now() / 1000 + (expires ? 1 : 3_600) }
    const url = isSecond ? upgradeUrl(journals, 'CALLS', await durableIteratorToken(claims), 'me') : await journals.upgrade('CALLS', claims)
    const socket = await BareSocket.open(url)
    const calls = new Map<string, Heard>()
    const begin = (kind: Heard['kind'], payload: object): string => {
      const i = calls.size.toString(32)
      calls.set(i, { kind, aborted: false, responses: 0, ends: 0, unexpected: 0 })
      socket.send({ i, p: payload })
      return i
    }
    const call = (path: string[], input?: unknown): object => ({ u: '/call', b: { json: { path, input } } })
    const uploads: string[] = []
    const upload = (name: string): unknown => uploads.push(begin('upload', { u: `/upload/${name}`, h: { 'content-type': 'text/event-stream' } }))
    /** The calls that wait for a line of the diary. */
    const waiting: string[] = []
    const wait = (kind: 'call' | 'stream', name: string): void => {
      const line = `${kind} ${calls.size}`
      waiting.push(line)
      begin(kind, call(['extra', 'wait', name], line))
    }
    const go = (line: string): Promise<unknown> => journals.stub('CALLS', chn, 'write', `go ${line}`)
    const steps: (() => unknown)[] = [
      () => begin('subscribe', { u: '/subscribe', b: {} }),
      () => begin('subscribe', { u: '/subscribe', b: {} }),
      () => begin('subscribe', { u: '/subscribe', b: {} }),
      () => begin('call', call(['router', 'ping'])),
      () => begin('call', call(['router', 'nothing'])),
      () => begin('call', call(['extra', 'needsNumber'], { n: 'x' })),
      () => begin('call', call(['forbidden'])),
      () => begin('call', { u: '/nowhere', b: {} }),
      () => begin('call', { u: '/updateToken', b: { json: { token: 'none' } } }),
      async () => {
        const renewed = await durableIteratorToken({ ...claims, exp: claims.exp + 0.5 })
        begin('call', { u: '/updateToken', b: { json: { token: renewed } } })
      },
      () => begin('stream', call(['extra', 'failing'], 'CONFLICT')),
      () => begin('stream', call(['extra', 'stream'])),
      () => wait('call', 'value'),
      () => wait('stream', 'stream'),
      () => upload('sum'),
      () => upload('first'),
      () => {
        if (uploads.length === 0) return
        socket.send({ i: random.pick(uploads), t: 3, p: { e: random.pick(['message', 'message', 'done', 'error']), d: { json: random.pick([1, 2, 'x']) } } })
      },
      () => {
        if (calls.size === 0) return
        const i = random.pick([...calls.keys()])
        calls.get(i)!.aborted = true
        socket.send({ i, t: 4 })
      },
      () => waiting.length > 0 && go(random.pick(waiting)),
      () => journals.stub('CALLS', chn, 'publish', { n: calls.size }),
      () => new Promise((resolve) => setTimeout(resolve, random.whole(0, 60))),
    ]
    for (let step = 0; step < STEPS; step++) await random.pick(steps)()
    // Waiting calls continue, uploads end, and only the last subscription stays until its token expires.
    if (expires) await new Promise((resolve) => setTimeout(resolve, Math.max(0, (claims.exp + 0.5) * 1000 - Date.now() + 20)))
    for (const line of waiting) await go(line)
    for (const i of uploads) socket.send({ i, t: 3, p: { e: 'done', d: {} } })
    await journals.stub('CALLS', chn, 'publish', { n: 'last' })
    begin('call', call(['router', 'ping']))

    const lastSubscription = [...calls].filter(([, { kind }]) => kind === 'subscribe').at(-1)?.[0]
    const listen = (): void => {
      for (const heard of calls.values()) Object.assign(heard, { responses: 0, ends: 0, unexpected: 0 })
      const streams = new Set<string>()
      for (const message of socket.messages) {
        const { i, t, p } = JSON.parse(message)
        if (t === 4) continue // the upload was aborted
        const heard = calls.get(i)!
        if (heard.ends > 0 || (t === undefined ? heard.responses > 0 : !streams.has(i))) heard.unexpected++
        if (t === undefined) {
          heard.responses++
          if (p.h?.['content-type'] === 'text/event-stream') streams.add(i)
          else heard.ends++
        } else if (p.e !== 'message') {
          heard.ends++
        }
      }
    }
    const unsettled = (): string[] => {
      listen()
      const mayStay = (i: string): boolean => i === lastSubscription && !expires
      const isSettled = (i: string, { aborted, responses, ends }: Heard): boolean =>
        aborted || (responses === 1 && (ends === 1 || mayStay(i)))
      return [...calls].filter(([i, heard]) => !isSettled(i, heard)).map(([i, { kind }]) => `${kind} ${i}`)
    }
    if (expires && isSecond) {
      expect(await socket.end()).toEqual({ code: 1008, reason: 'Token expired' })
    } else {
      await socket.until(() => unsettled().length === 0)
      const last = begin('call', call(['router', 'ping']))
      await socket.until(() => unsettled().length === 0)
      expect(calls.get(last)).toMatchObject({ responses: 1 })
    }
    listen()
    for (const [i, { kind, unexpected }] of calls) expect(unexpected, `${kind} ${i}`).toBe(0)
    socket.vanish()
    // All started calls have been dropped, or belong to the open socket.
    const begun = ((await journals.stub('CALLS', chn, 'diary')) as string[]).filter((line) => line.endsWith(' began'))
    for (const line of begun) await journals.stub('CALLS', chn, 'until', line.replace(/began$/, 'dropped'))
  })
})

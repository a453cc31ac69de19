// What our client does when it is disconnected, and when its token is revoked, with the Durable Objects on workerd.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { subscribe } from '../../npm/durable-event-iterator/src/client/index.ts'
import type { SubscribeOptions, Subscription } from '../../npm/durable-event-iterator/src/client/index.ts'
import { httpFallback } from '../../npm/durable-event-iterator/src/http/index.ts'
import { signDurableIteratorToken } from '../../npm/durable-event-iterator/src/index.ts'
import { SIGNING_KEY, token } from '../support/client.ts'
import { PUBLISH, startJournals } from '../support/journals.ts'
import type { Journals } from '../support/journals.ts'
import { RestrictedNetwork } from './support/restricted-network.ts'

interface Event {
  n: number
}

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals?.dispose())
const opened: Subscription<unknown>[] = []
afterEach(() => {
  for (const events of opened.splice(0)) events.close()
})

/** The error with which an application's server refuses a token. */
const banned = (): never => {
  throw Object.assign(new Error('You are banned'), { status: 403 })
}

interface Opened extends Subscription<Event> {
  /** The states with the messages of their errors. */
  readonly states: [state: string, message: string | undefined][]
  /** The number of requested tokens. */
  readonly requested: () => number
}

/** The kinds of tokens. */
const KINDS = ['DurableEventIterator', 'DurableIterator'] as const
type Kind = (typeof KINDS)[number]
function sign(kind: Kind, chn: string): Promise<string> {
  const claims = { chn, rpc: [PUBLISH], sub: 'anna' }
  const iat = Math.floor(Date.now() / 1_000)
  return kind === 'DurableIterator' ? signDurableIteratorToken(SIGNING_KEY, { ...claims, iat, exp: iat + 3_600 }) : token(claims)
}

function open(chn: string, kind: Kind, { url = journals.url, ...options }: Partial<SubscribeOptions> & { url?: URL } = {}): Opened {
  const states: Opened['states'] = []
  let requested = 0
  const events = subscribe<Event>({
    url: new URL('/upgrade/USUAL', url as URL),
    token: () => {
      requested += 1
      return sign(kind, chn)
    },
    minReconnectionDelay: 50,
    onStateChange: (state, { error }) => states.push([state, (error as Error | undefined)?.message]),
    ...options,
  })
  opened.push(events as Subscription<unknown>)
  return Object.assign(events, { states, requested: () => requested })
}

let channels = 0
const newChannel = (): string => `removal-${++channels}`
const publish = (chn: string, n: number): Promise<string> => journals.stub('USUAL', chn, 'publish', { n })
const take = async (events: Opened): Promise<number> => ((await events.next()).value as Event).n

describe.each(KINDS)('with the token of a %s client', (kind) => {
  test('a disconnected client reports the reason, keeps its token, and resumes', async () => {
    const chn = newChannel()
    const events = open(chn, kind)
    await events.opened()
    await publish(chn, 1)
    expect(await take(events)).toBe(1)
    expect(await journals.stub('USUAL', chn, 'disconnect', { everyone: true, reason: 'A break' })).toEqual({ disconnected: 1 })
    for (const n of [2, 3]) await publish(chn, n)
    expect([await take(events), await take(events)]).toEqual([2, 3])
    expect(events.states).toContainEqual(['recovering', 'the connection was lost (close code 4001: A break)'])
    expect(events.requested()).toBe(1)
  })

  test('a client whose token is revoked requests new tokens until one is accepted, and resumes', async () => {
    const chn = newChannel()
    const events = open(chn, kind)
    await events.opened()
    await publish(chn, 1)
    expect(await take(events)).toBe(1)
    expect(await journals.stub('USUAL', chn, 'revoke', { subject: 'anna', reason: 'New rights' })).toEqual({ disconnected: 1 })
    for (const n of [2, 3]) await publish(chn, n)
    expect([await take(events), await take(events)]).toEqual([2, 3])
    expect(events.states).toContainEqual(['recovering', 'the connection was lost (close code 1008: New rights)'])
    expect(events.requested()).toBeGreaterThan(1)
    await events.call([PUBLISH], { n: 4 })
  })

  test('a client to which the server refuses a new token ends', async () => {
    const chn = newChannel()
    let isBanned = false
    const events = open(chn, kind, { token: () => (isBanned ? banned() : sign(kind, chn)) })
    await events.opened()
    isBanned = true
    await journals.stub('USUAL', chn, 'revoke', { subject: 'anna', reason: 'Banned' })
    await expect(events.next()).rejects.toThrow('You are banned')
    expect(events.state).toBe('closed')
    expect(events.states.at(-1)).toEqual(['closed', 'You are banned'])
    expect((await journals.stub('USUAL', chn, 'kept')).length).toBe(0)
  })

  test('a client that cannot request a new token ends, and reports the reason', async () => {
    const chn = newChannel()
    const events = open(chn, kind, { token: await sign(kind, chn) })
    await events.opened()
    await journals.stub('USUAL', chn, 'revoke', { subject: 'anna', reason: 'Banned' })
    await expect(events.next()).rejects.toThrow('the token is no longer accepted (Banned); set `token` to a function that returns a new token')
    expect(events.state).toBe('closed')
  })

  test('a client that was offline when its token was revoked requests another one', async () => {
    const chn = newChannel()
    const events = open(chn, kind)
    await events.opened()
    await journals.stub('USUAL', chn, 'disconnect', { everyone: true })
    await journals.stub('USUAL', chn, 'revoke', { subject: 'anna' })
    await publish(chn, 1)
    expect(await take(events)).toBe(1)
    expect(events.requested()).toBeGreaterThan(1)
  })

  test('a call waits for the new token', async () => {
    const chn = newChannel()
    const events = open(chn, kind)
    await events.opened()
    await journals.stub('USUAL', chn, 'revoke', { subject: 'anna' })
    await expect.poll(() => events.state).toBe('recovering')
    await events.call([PUBLISH], { n: 1 })
  })
})

describe('without WebSockets', () => {
  let network: RestrictedNetwork
  beforeAll(async () => {
    network = await RestrictedNetwork.start(journals.url)
  })
  afterAll(() => network.dispose())

  test.each(KINDS)('a client over HTTP requests new tokens until one is accepted, and resumes: %s', async (kind) => {
    const chn = newChannel()
    const events = open(chn, kind, { url: network.url, fallback: httpFallback({ url: new URL('/http/USUAL', network.url) }) })
    await events.opened()
    expect(events.transport).toBe('sse')
    await publish(chn, 1)
    expect(await take(events)).toBe(1)
    expect(await journals.stub('USUAL', chn, 'revoke', { subject: 'anna' })).toEqual({ disconnected: 1 })
    for (const n of [2, 3]) await publish(chn, n)
    expect([await take(events), await take(events)]).toEqual([2, 3])
    expect(events.requested()).toBeGreaterThan(1)
  })

  test.each(['a WebSocket', 'HTTP'])('a client over %s whose token is revoked before its first use requests another one', async (transport) => {
    const chn = newChannel()
    let isFirst = true
    const token = async (): Promise<string> => {
      const signed = await sign('DurableIterator', chn)
      if (isFirst) await journals.stub('USUAL', chn, 'revoke', { subject: 'anna' })
      isFirst = false
      return signed
    }
    const fallback = httpFallback({ url: new URL('/http/USUAL', network.url) })
    const events = open(chn, 'DurableIterator', transport === 'HTTP' ? { url: network.url, fallback, token } : { token })
    await events.opened()
    await publish(chn, 1)
    expect(await take(events)).toBe(1)
  })

  test('a client over HTTP to which the server refuses a new token ends', async () => {
    const chn = newChannel()
    let isBanned = false
    const fallback = httpFallback({ url: new URL('/http/USUAL', network.url) })
    const events = open(chn, 'DurableEventIterator', { url: network.url, fallback, token: () => (isBanned ? banned() : sign('DurableEventIterator', chn)) })
    await events.opened()
    isBanned = true
    await journals.stub('USUAL', chn, 'revoke', { subject: 'anna' })
    await expect(events.next()).rejects.toThrow('You are banned')
  })
})

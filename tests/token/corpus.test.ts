// The issuer in TypeScript, the crate and a real Durable Object accept the same tokens, with the same limits. The crate is
// tested in `crates/durable-event-token/src/corpus.rs`.

import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { DurableEventIterator, DurableIterator, signDurableIteratorToken } from '../../npm/durable-event-iterator/src/index.ts'
import type { DurableEventIteratorObject } from '../../npm/durable-event-iterator/src/index.ts'
import { upgradeDurableEventIteratorRequest } from '../../npm/durable-event-iterator/src/stub/index.ts'
import * as limits from '../../npm/durable-event-iterator/src/token/limits.ts'
import { isConnectionId, MAX_CONNECTION_ID_LENGTH } from '../../npm/durable-event-iterator/src/wire.ts'
import { Client, SIGNING_KEY } from '../support/client.ts'
import { startJournals } from '../support/journals.ts'
import type { Journals } from '../support/journals.ts'
import { upgradeAnswer } from '../support/socket.ts'

interface Case {
  name: string
  /** The only kind of tokens that the case is about: 1 is `DurableEventIterator`, 2 is `DurableIterator`. Default: both. */
  generation?: 1 | 2
  options: {
    channel?: string
    rpc?: string[]
    tags?: string[]
    subject?: string
    attachment?: unknown
    lifetimeSeconds?: number
  }
  /** The beginning of the error message with which issuers reject the options. */
  reason?: string
  /** The status of an upgrade with such a token; null if it depends on the clock. */
  status?: number | null
}

const read = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8')

/** Expands repetitions: `{{text*number}}`. */
const expand = (text: string): string => text.replaceAll(/\{\{(.+?)\*(\d+)\}\}/g, (_, repeated, count) => repeated.repeat(count))

const KINDS = ['DurableEventIterator', 'DurableIterator'] as const
type Kind = (typeof KINDS)[number]

const corpus = (JSON.parse(expand(read('corpus.json'))) as Case[]).flatMap(({ generation, ...rest }) =>
  KINDS.filter((kind) => generation === undefined || KINDS[generation - 1] === kind).map((kind) => [rest.name, kind, rest] as const),
)

type Any = DurableEventIteratorObject<object>

async function issue({ channel = 'room', lifetimeSeconds, attachment, ...options }: Case['options'], kind: Kind): Promise<unknown> {
  const all = {
    signingKey: SIGNING_KEY,
    ...options,
    ...(attachment === undefined ? {} : { att: attachment }),
    ...(lifetimeSeconds === undefined ? {} : { tokenTTLSeconds: lifetimeSeconds }),
  } as never
  return kind === 'DurableEventIterator' ? new DurableEventIterator<Any>(channel, all) : new DurableIterator<Any>(channel, all)
}

/** Returns a token with any claims and a valid signature. */
function forge({ channel = 'room', rpc = [], tags, subject, attachment, lifetimeSeconds = 60 }: Case['options'], kind: Kind): string {
  // A second ago, so that a token without a lifetime has expired.
  const iat = Math.floor(Date.now() / 1_000) - 1
  const payload = JSON.stringify({ chn: channel, rpc, tags, att: attachment, sub: subject, iat, exp: iat + lifetimeSeconds })
  const base64url = (text: string): string => Buffer.from(text).toString('base64url')
  const message = kind === 'DurableEventIterator' ? `${base64url('{"alg":"HS256"}')}.${base64url(payload)}` : payload
  return `${message}.${createHmac('sha256', SIGNING_KEY).update(message).digest('base64url')}`
}

const statusOf = ({ reason, status }: Case): number | null => (status === undefined ? (reason === undefined ? 101 : 401) : status)

test('the limits of the package equal the shared table', () => {
  expect({
    token: { maxBytes: limits.MAX_TOKEN_BYTES },
    channel: { minBytes: 1, maxBytes: limits.MAX_CHANNEL_BYTES },
    tags: { maxCount: limits.MAX_TAGS, minBytes: 1, maxBytes: limits.MAX_TAG_BYTES },
    subject: { minBytes: 1, maxBytes: limits.MAX_SUBJECT_BYTES },
    attachment: { maxDepth: limits.MAX_ATTACHMENT_DEPTH },
    lifetime: { minSeconds: 1, maxSeconds: limits.MAX_LIFETIME_SECONDS },
    time: { minSeconds: 0, maxSeconds: limits.MAX_TIME_SECONDS },
    connectionId: { minBytes: 1, maxBytes: MAX_CONNECTION_ID_LENGTH },
  }).toEqual(JSON.parse(read('limits.json')))
  expect(['', 'x'.repeat(129), 'a b', 'ü'].some(isConnectionId)).toBe(false)
  expect(['x', 'x'.repeat(128)].every(isConnectionId)).toBe(true)
})

describe('the issuer in TypeScript', () => {
  test.each(corpus)('%s (%s)', async (_, kind, { options, reason }) => {
    const issued = issue(options, kind)
    if (reason === undefined) {
      await issued
    } else {
      const error = (await issued.catch((error: unknown) => error)) as Error
      expect(error).toBeInstanceOf(RangeError)
      expect(error.message.slice(0, reason.length)).toBe(reason)
    }
  })

  test.each(corpus.filter(([, kind]) => kind === 'DurableIterator'))('%s: signDurableIteratorToken', async (_, __, rest) => {
    const { channel: chn = 'room', rpc = [], tags, subject: sub, attachment: att, lifetimeSeconds } = rest.options
    if (lifetimeSeconds !== undefined) return // a payload has times and no lifetime
    const signed = signDurableIteratorToken(SIGNING_KEY, { chn, rpc, tags, sub, att, iat: 1, exp: 2 })
    if (rest.reason === undefined) await signed
    else await expect(signed).rejects.toThrow(rest.reason)
  })

  test.each<[string, object, RegExp]>([
    ['a lifetime that is not a number', { tokenTTLSeconds: Number.NaN }, /lifetime .* got NaN/],
    ['an infinite lifetime', { tokenTTLSeconds: Number.POSITIVE_INFINITY }, /lifetime .* got Infinity/],
    ['a lifetime as text', { tokenTTLSeconds: 'an hour' }, /lifetime .* got an hour/],
    ['an unknown option', { tokenTTLSecond: 60 }, /unknown option `tokenTTLSecond`, expected one of signingKey, tokenTTLSeconds/],
    ['a lifetime of null', { tokenTTLSeconds: null }, /lifetime .* got null/],
    ['tags of null', { tags: null }, /`tags` must be an array of strings/],
    ['a tag that is not a string', { tags: [1] }, /item of `tags` must be a string/],
    ['procedures of null', { rpc: null }, /`rpc` must be an array of strings/],
    ['a subject of null', { subject: null }, /subject must be a string/],
    ['a subject that is not a string', { subject: 7 }, /subject must be a string/],
    ['an attachment that JSON cannot represent', { att: () => {} }, /attachment must be a value that JSON can represent/],
  ])('rejects %s', async (_, options, message) => {
    const signed = async (): Promise<unknown> => new DurableIterator<Any>('room', { signingKey: SIGNING_KEY, ...options } as never)
    await expect(signed()).rejects.toThrow(message)
  })

  test.each([{ iat: -1 }, { iat: Number.NaN }, { exp: 2 ** 53 }, { exp: undefined }, { nbf: 1e300 }])(
    'signDurableIteratorToken rejects the times %j',
    async (times) => {
      const signed = signDurableIteratorToken(SIGNING_KEY, { chn: 'room', iat: 1, exp: 2, ...times } as never)
      await expect(signed).rejects.toThrow('seconds since 1970')
    },
  )
})

describe('an upgrade', () => {
  let journals: Journals
  const log: string[] = []
  beforeAll(async () => {
    journals = await startJournals({ onLog: (line) => log.push(line) })
  })
  afterAll(() => journals.dispose())

  const asked = corpus.filter(([, , rest]) => statusOf(rest) !== null)

  test.each(asked)('%s (%s)', async (_, kind, rest) => {
    const url = new URL('/upgrade/USUAL', journals.url.href.replace('http', 'ws'))
    url.searchParams.set('token', forge(rest.options, kind))
    url.searchParams.set('id', 'an-id')
    log.length = 0
    const { status } = await upgradeAnswer(url)
    expect(status).toBe(statusOf(rest))
    // Issuers reject everything that a Durable Object rejects.
    if (status !== 101) expect(rest.reason).toBeDefined()
    if (status !== 101 && rest.options.lifetimeSeconds === undefined) await expect.poll(() => log.join('\n')).toContain(rest.reason)
  })

  test.each(KINDS)('a lone surrogate in the attachment of a %s token reads as U+FFFD', async (kind) => {
    const url = new URL('/upgrade/USUAL', journals.url.href.replace('http', 'ws'))
    const attachment = 'Anna😀'.slice(0, 5)
    url.searchParams.set('token', forge({ channel: 'surrogates', rpc: ['whoAmI'], attachment: [attachment, '\\ud83d'] }, kind))
    url.searchParams.set('id', 'an-id')
    const client = await Client.connect(url.href)
    expect(await client.call(['whoAmI'])).toEqual(['Anna\ufffd', '\\ud83d'])
    await journals.hibernate('USUAL', 'surrogates')
    expect(await client.call(['whoAmI'])).toEqual(['Anna\ufffd', '\\ud83d'])
    client.close()
  })

  test.each(asked)('%s (%s): the upgrade in TypeScript', async (_, kind, rest) => {
    const url = new URL('http://localhost/')
    url.searchParams.set('token', forge(rest.options, kind))
    url.searchParams.set('id', 'an-id')
    const namespace = { idFromName: () => ({}), get: () => ({ fetch: async () => new Response('passed on') }) }
    const request = new Request(url, { headers: { upgrade: 'websocket' } })
    const response = await upgradeDurableEventIteratorRequest(request, { signingKey: SIGNING_KEY, namespace })
    expect(response.status === 200 ? 101 : response.status).toBe(statusOf(rest))
  })
})

import { jwtVerify, SignJWT } from 'jose'
import { describe, expect, test, vi } from 'vitest'

import {
  DurableEventIterator,
  DurableIterator,
  DurableIteratorError,
  getClientDurableEventIteratorToken,
  getClientDurableIteratorToken,
  parseDurableIteratorToken,
  signDurableIteratorToken,
  verifyDurableIteratorToken,
} from '../../npm/durable-event-iterator/src/index.ts'
import type { DurableEventIteratorObject, DurableIteratorObject, TokenAttachment } from '../../npm/durable-event-iterator/src/index.ts'
import { readToken, signToken, verifyToken } from '../../npm/durable-event-iterator/src/token/token.ts'

type Any = DurableEventIteratorObject<object, TokenAttachment>
const KEY = 'schlüssel'
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const NOW = 1_800_000_000
const claims = { chn: 'some-room', rpc: ['ping'], iat: NOW, exp: NOW + 60 }
const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

async function issue(options: object = {}, channel = 'some-room'): Promise<string> {
  return getClientDurableEventIteratorToken(await new DurableEventIterator<Any>(channel, { signingKey: KEY, ...options }))!
}

describe('an issued token', () => {
  test('is a JWT in the form of oRPC, and jose verifies it', async () => {
    const token = await issue({ att: { userId: 'ü' }, rpc: ['ping'] })
    const { payload, protectedHeader } = await jwtVerify(token, bytes(KEY))
    expect(protectedHeader).toEqual({ alg: 'HS256' })
    expect(Object.keys(payload)).toEqual(['chn', 'rpc', 'att', 'iat', 'exp'])
    expect(payload).toMatchObject({ chn: 'some-room', rpc: ['ping'], att: { userId: 'ü' } })
    expect(payload.exp! - payload.iat!).toBe(86_400)
    expect(Number.isInteger(payload.iat)).toBe(true)
  })

  test('has no procedures and no attachment by default', async () => {
    const payload = readToken(await issue())
    expect(payload?.rpc).toEqual([])
    expect('att' in payload!).toBe(false)
  })

  test('has the given lifetime', async () => {
    const payload = readToken(await issue({ tokenTTLSeconds: 90 }))!
    expect(payload.exp - payload.iat).toBe(90)
  })

  test('the method rpc replaces the option', async () => {
    const iterator = new DurableEventIterator<Any & { ping(): never }>('some-room', { signingKey: KEY })
    const token = getClientDurableEventIteratorToken(await iterator.rpc('ping'))!
    expect(readToken(token)?.rpc).toEqual(['ping'])
  })

  test('is issued anew each time it is awaited', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    try {
      const iterator = new DurableEventIterator<Any>('some-room', { signingKey: KEY })
      vi.setSystemTime(NOW * 1_000)
      const first = readToken(getClientDurableEventIteratorToken(await iterator)!)!
      vi.setSystemTime((NOW + 5) * 1_000)
      const second = readToken(getClientDurableEventIteratorToken(await iterator)!)!
      expect([first.iat, second.iat]).toEqual([NOW, NOW + 5])
    } finally {
      vi.useRealTimers()
    }
  })

  test.each([
    ['a channel without a name', () => issue({}, '')],
    ['a channel name that is too long', () => issue({}, 'ü'.repeat(257))],
    ['no lifetime', () => issue({ tokenTTLSeconds: 0 })],
    ['a lifetime that is not a number', () => issue({ tokenTTLSeconds: Number.NaN })],
    ['an attachment that a Durable Object would reject', () => issue({ att: 'x'.repeat(6_200) })],
  ])('is rejected for %s', async (_, make) => {
    await expect(make()).rejects.toThrow(RangeError)
  })

  test('is rejected without a signing key', async () => {
    for (const signingKey of ['', undefined, null, 7]) {
      await expect(issue({ signingKey })).rejects.toThrow('signing key must be a non-empty string')
      await expect(verifyToken(await issue(), [signingKey as string], Date.now())).rejects.toThrow('signing key')
    }
  })
})

describe('a token is verified', () => {
  const verify = (token: string, keys = [KEY], now = NOW * 1_000): Promise<unknown> => verifyToken(token, keys, now)

  test('as jose signs it', async () => {
    const token = await new SignJWT({ ...claims, more: 1 }).setProtectedHeader({ alg: 'HS256', typ: 'JWT' }).sign(bytes(KEY))
    expect(await verify(token)).toMatchObject(claims)
  })

  test('with any of several signing keys', async () => {
    expect(await verify(await signToken(claims, 'old'), [KEY, 'old'])).toMatchObject(claims)
    expect(await verify(await signToken(claims, 'older'), [KEY, 'old'])).toBeUndefined()
  })

  test('until the instant of its expiry', async () => {
    const token = await signToken(claims, KEY)
    expect(await verify(token, [KEY], (NOW + 60) * 1_000 - 1)).toBeDefined()
    expect(await verify(token, [KEY], (NOW + 60) * 1_000)).toBeUndefined()
  })

  test('from the second of its `nbf`', async () => {
    const token = await signToken({ ...claims, nbf: NOW + 10 }, KEY)
    expect(await verify(token, [KEY], (NOW + 10) * 1_000 - 1)).toBeUndefined()
    expect(await verify(token, [KEY], (NOW + 10) * 1_000)).toBeDefined()
  })

  test.each<[string, (good: string) => string | Promise<string>]>([
    ['of another signing key', () => signToken(claims, 'another')],
    ['with another payload', (good) => good.replace(/\.[^.]+\./, `.${base64url({ ...claims, chn: 'other' })}.`)],
    ['without a signature', (good) => good.replace(/[^.]+$/, '')],
    ['that needs no signature', () => `${base64url({ alg: 'none' })}.${base64url(claims)}.`],
    ['with another algorithm', (good) => good.replace(/^[^.]+/, base64url({ alg: 'HS512' }))],
    ['with an unsupported header', async () =>
      new SignJWT(claims).setProtectedHeader({ alg: 'HS256', crit: ['b64'], b64: true }).sign(bytes(KEY))],
    ['of four parts', (good) => `${good}.x`],
    ['with padding', (good) => `${good}=`],
    ['of nothing', () => ''],
    ['that is too long', async () => `${'x'.repeat(8_200)}.${await signToken(claims, KEY)}`],
  ])('but not one %s', async (_, make) => {
    expect(await verify(await make(await signToken(claims, KEY)))).toBeUndefined()
  })

  test.each([
    { chn: 7 }, { rpc: 'ping' }, { rpc: [1] }, { rpc: undefined }, { iat: '1' }, { iat: undefined }, { exp: undefined },
    { exp: -1 }, { nbf: null },
  ])('but not with %j', async (wrong) => {
    const token = await signToken({ ...claims, ...wrong } as never, KEY)
    expect(await verify(token)).toBeUndefined()
  })
})

describe('a DurableIterator token', () => {
  type Followed = DurableIteratorObject<object>
  const issueSecond = async (options: object = {}, channel = 'some-room'): Promise<string> =>
    getClientDurableIteratorToken(await new DurableIterator<Followed>(channel, { signingKey: KEY, ...options }))!
  const second = { chn: 'some-room', rpc: ['ping'], att: { dots: 'a.b.c' }, tags: ['t'], iat: NOW, exp: NOW + 60 }
  const verify = (token: string, keys = [KEY], now = NOW * 1_000): Promise<unknown> => verifyToken(token, keys, now)

  test('consists of its payload and a signature', async () => {
    const token = await issueSecond({ att: { userId: 'ü' }, rpc: ['ping'], tags: ['staff'], tokenTTLSeconds: 90 })
    const payload = JSON.parse(token.slice(0, token.lastIndexOf('.')))
    expect(payload).toEqual({
      chn: 'some-room', rpc: ['ping'], att: { userId: 'ü' }, tags: ['staff'], iat: payload.iat, exp: payload.iat + 90,
    })
    expect(token.slice(token.lastIndexOf('.') + 1)).toMatch(/^[\w-]{43}$/)
    expect(await verifyDurableIteratorToken(KEY, token)).toEqual(payload)
  })

  test('has no tags and a lifetime of one day by default', async () => {
    const payload = parseDurableIteratorToken(await issueSecond())
    expect(payload.exp - payload.iat).toBe(86_400)
    expect([payload.rpc, 'tags' in payload, 'att' in payload]).toEqual([[], false, false])
  })

  test.each([
    ['eleven tags', { tags: Array.from({ length: 11 }, (_, n) => `${n}`) }],
    ['a tag that is too long', { tags: ['x'.repeat(257)] }],
    ['an empty tag', { tags: [''] }],
    ['no lifetime', { tokenTTLSeconds: 0 }],
    // Each of these characters has two bytes.
    ['an attachment that a Durable Object would reject', { att: 'ü'.repeat(4_100) }],
  ])('is rejected for %s', async (_, options) => {
    await expect(issueSecond(options)).rejects.toThrow(RangeError)
  })

  test('has its subject', async () => {
    expect(parseDurableIteratorToken(await issueSecond({ subject: 'user-123' })).sub).toBe('user-123')
    expect('sub' in parseDurableIteratorToken(await issueSecond())).toBe(false)
    expect(readToken(await issue({ subject: 'ü'.repeat(128) }))?.sub).toBe('ü'.repeat(128))
  })

  test('has tags up to the limits', async () => {
    const tags = Array.from({ length: 10 }, (_, n) => `${n}`.repeat(256))
    expect(parseDurableIteratorToken(await issueSecond({ tags })).tags).toEqual(tags)
  })

  test('is valid including the instant of its expiry, and from the second of its `nbf`', async () => {
    const token = await signToken({ ...second, nbf: NOW + 10 }, KEY, 'DurableIterator')
    expect(await verify(token, [KEY], (NOW + 60) * 1_000)).toEqual({ ...second, nbf: NOW + 10 })
    expect(await verify(token, [KEY], (NOW + 60) * 1_000 + 1)).toBeUndefined()
    expect(await verify(token, [KEY], (NOW + 10) * 1_000 - 1)).toBeUndefined()
  })

  test('needs no procedures', async () => {
    expect(await verify(await signToken({ chn: 'a', iat: NOW, exp: NOW + 1 }, KEY, 'DurableIterator'))).toEqual({ chn: 'a', iat: NOW, exp: NOW + 1 })
  })

  test('is verified with any of several keys', async () => {
    expect(await verify(await signToken(second, 'old', 'DurableIterator'), [KEY, 'old'])).toEqual(second)
    expect(await verify(await signToken(second, 'older', 'DurableIterator'), [KEY, 'old'])).toBeUndefined()
  })

  test.each<[string, (good: string) => string]>([
    ['another payload', (good) => good.replace('some-room', 'other')],
    ['no signature', (good) => good.replace(/[^.]+$/, '')],
    ['no dot', (good) => good.replaceAll('.', '')],
    ['padding', (good) => `${good}=`],
    ['something after it', (good) => `${good}.x`],
    ['something before it', (good) => ` ${good}`],
    ['too many bytes', (good) => good.replace('}.', `${' '.repeat(8_200)}}.`)],
  ])('is not verified with %s', async (_, spoil) => {
    const good = await signToken(second, KEY, 'DurableIterator')
    expect(await verify(good)).toEqual(second)
    expect(await verify(spoil(good))).toBeUndefined()
  })

  test.each([
    { chn: 7 }, { rpc: 'ping' }, { rpc: [1] }, { rpc: null }, { tags: 't' }, { tags: [1] }, { iat: '1' }, { exp: undefined }, { nbf: null },
  ])('is not verified with %j', async (wrong) => {
    const token = await signToken({ ...second, ...wrong } as never, KEY, 'DurableIterator')
    expect(await verify(token)).toBeUndefined()
    expect(() => parseDurableIteratorToken(token)).toThrow(DurableIteratorError)
  })

  test('is distinguished from a DurableEventIterator token', async () => {
    const [first, other] = [await signToken(claims, KEY), await signDurableIteratorToken(KEY, second)]
    expect(await verifyDurableIteratorToken(KEY, first)).toBeUndefined()
    for (const token of [first, `${other.slice(0, 5)}`, '', null, undefined]) {
      expect(() => parseDurableIteratorToken(token)).toThrow(DurableIteratorError)
    }
    expect(await verify(first)).toMatchObject(claims)
    expect(await verify(other)).toEqual(second)
  })
})

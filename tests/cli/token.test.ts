// `durable-event-iterator token`: the tokens are those of the server functions.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { clientKindOf, verifyToken } from '../../npm/durable-event-iterator/src/token/token.ts'
import { CommandLine } from '../support/command-line.ts'

const SIGNING_KEY = 'the signing key of these tests'

let cli: CommandLine
beforeAll(async () => {
  cli = await CommandLine.build({ SIGNING_KEY })
})
afterAll(() => cli.dispose())

const claimsOf = (token: string) => verifyToken(token, [SIGNING_KEY], Date.now())

test('it prints only the token, of a DurableEventIterator for an hour', async () => {
  const { status, stdout, stderr } = await cli.run(['token', 'some room'])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toMatch(/^\S+\n$/)
  const claims = await claimsOf(stdout.trim())
  expect(claims).toMatchObject({ chn: 'some room', rpc: [] })
  expect(claims!.exp - claims!.iat).toBe(3_600)
  expect(Math.abs(claims!.iat - Date.now() / 1_000)).toBeLessThan(30)
})

test('options become claims', async () => {
  const { stdout } = await cli.run(['token', 'room', '--sub', 'user 1', '--procedures', 'say', '--procedures', 'router', '--attachment', '{"a":[1]}', '--ttl', '15m'])
  const claims = await claimsOf(stdout.trim())
  expect(claims).toMatchObject({ sub: 'user 1', rpc: ['say', 'router'], att: { a: [1] } })
  expect(claims!.exp - claims!.iat).toBe(900)
})

test('a token with tags is that of a DurableIterator', async () => {
  const { stdout } = await cli.run(['token', 'room', '--tags', 'a,b', '--tags', 'c', '--json'])
  const { token, claims, kind } = JSON.parse(stdout)
  expect([kind, clientKindOf(token)]).toEqual(['DurableIterator', 'DurableIterator'])
  expect(await claimsOf(token)).toEqual(claims)
  expect(claims.tags).toEqual(['a,b', 'c'])
})

test.each([
  ['a channel name that is too long', ['c'.repeat(513)], "argument 'channel' is invalid: channel name must be 1–512 bytes, got 513."],
  ['tags in the token of a DurableEventIterator', ['room', '--kind', 'DurableEventIterator', '--tags', 'a'], 'tokens of DurableEventIterator clients cannot have tags'],
  ['a lifetime of zero', ['room', '--ttl', '0'], 'token lifetime must be'],
  ['a large attachment', ['room', '--attachment', JSON.stringify('a'.repeat(9_000))], 'token must be at most 8192 bytes'],
])('%s is rejected', async (_, args, message) => {
  const { status, stdout, stderr } = await cli.run(['token', ...args])
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
  expect(stderr).toContain(`durable-event-iterator: ${message}`)
})

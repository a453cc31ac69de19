// `durable-event-iterator stats`, `presence`, `connections`, `disconnect` and `revoke`.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { CommandLine, nodes } from '../support/command-line.ts'
import type { Running } from '../support/command-line.ts'
import type { RunningWorkers } from '../support/workerd.ts'
import { newChannel, SIGNING_KEY, startChannels } from './channels.ts'

const KEY = 'the key of the operators'
const READER = 'the key of the readers'

let workers: RunningWorkers
let cli: CommandLine
beforeAll(async () => {
  const keys = [
    { key: KEY, name: 'operators', rights: ['publish', 'read', 'disconnect', 'stats'] },
    { key: READER, name: 'readers', prefix: 'room', rights: ['read'] },
  ]
  const variables = { SIGNING_KEY, ACCESS_KEYS: JSON.stringify(keys), PRESENCE: 'subject', PRESENCE_GRACE_SECONDS: '1' }
  workers = await startChannels({ variables })
  cli = await CommandLine.build({ DEI_URL: workers.url.href, DEI_KEY: KEY })
})
afterAll(async () => {
  await cli.dispose()
  await workers.dispose()
})

const followers: Running[] = []
afterEach(() => Promise.all(followers.splice(0).map((follower) => follower.interrupt())))

/** Follows a channel as a client. */
async function follow(channel: string, subject: string, ...args: string[]): Promise<Running> {
  const follower = cli.start(['tail', channel, '--sub', subject, ...args], { env: { DEI_KEY: '', SIGNING_KEY } })
  followers.push(follower)
  await follower.until('connected (WebSocket)')
  return follower
}

async function json(...args: string[]): Promise<any> {
  const { status, stdout, stderr } = await cli.run([...args, '--json'])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout.trimEnd()).not.toContain('\n')
  return JSON.parse(stdout)
}

const text = async (...args: string[]): Promise<string> => {
  const { status, stdout, stderr } = await cli.run(args)
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return stdout
}

describe('stats', () => {
  test.each(Object.entries(nodes))('prints what the channel holds, with the %s Node.js', async (_, node) => {
    const channel = newChannel()
    await follow(channel, 'anna')
    await text('publish', channel, '{"n":1}')
    await text('publish', channel, '{"n":2}')
    const { status, stdout } = await cli.run(['stats', channel, '--timeline', '3'], node === undefined ? {} : { node })
    expect(status).toBe(0)
    expect(stdout).toMatch(/^Sockets +1 \(1 subscription, 0 parked\)$/m)
    expect(stdout).toMatch(/^Retained +2 events, \d+ bytes$/m)
    expect(stdout).toMatch(/^Last event +\d+ \((\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\)$/m)
    expect(stdout).toMatch(/^Retention +5 min, 100,000 events, 32\.0 MiB$/m)
    expect(stdout).toMatch(/^Published +2 \(0 duplicates\)$/m)
    expect(stdout.match(/^.*\d\d:\d\d:\d\d .* events? +\d+ bytes?$/gm)).toHaveLength(3)
  })

  test('of a channel without events', async () => {
    const stdout = await text('stats', newChannel())
    expect(stdout).toMatch(/^Retained +0 events, 0 bytes$/m)
    expect(stdout).not.toContain('First event')
  })

  test.each(['events', 'subscribe', 'call', 'batch', 'stats', 'connections', 'presence', 'disconnect', 'revoke', '.', '..'])(
    'of the channel %s, which is named like a request',
    async (channel) => {
      const { id } = await json('publish', channel, '{}')
      expect(await json('stats', channel, '--timeline', '2')).toMatchObject({ channel, events: { lastId: id } })
    },
  )

  test('as JSON', async () => {
    const channel = newChannel()
    const { id } = await json('publish', channel, '{}')
    expect(await json('stats', channel)).toMatchObject({ channel, sockets: 0, published: 1, events: { count: 1, firstId: id, lastId: id } })
    expect((await json('stats', channel, '--timeline', '5')).timeline).toHaveLength(5)
  })
})

describe('presence', () => {
  test('prints the members', async () => {
    const channel = newChannel()
    expect(await text('presence', channel)).toBe('0 members present\n')
    await follow(channel, 'anna')
    await follow(channel, 'anna')
    await follow(channel, 'bob')
    expect(await text('presence', channel)).toBe('2 members present\n  anna  2 connections\n  bob   1 connection\n')
    expect((await json('presence', channel)).members).toEqual([{ id: 'anna', connections: 2 }, { id: 'bob', connections: 1 }])
  })

  test('tail prints who is present, joins and leaves', async () => {
    const channel = newChannel()
    const anna = await follow(channel, 'anna')
    await anna.until('presence  1 present, anna', 'stdout')
    const bob = await follow(channel, 'bob')
    await anna.until('presence  + bob', 'stdout')
    await bob.interrupt()
    await anna.until('presence  - bob', 'stdout')
  })

  test('ends with 1 if it is off', async () => {
    const without = await startChannels({ variables: { SIGNING_KEY, READ_KEY: READER } })
    const { status, stdout, stderr } = await cli.run(['presence', newChannel()], { env: { DEI_URL: without.url.href, DEI_KEY: READER } })
    await without.dispose()
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(/404 NOT_FOUND ".*[Pp]resence/)
  })
})

describe('connections', () => {
  test('prints the connections, in pages', async () => {
    const channel = newChannel()
    expect(await text('connections', channel)).toBe('no connections\n')
    for (const subject of ['anna', 'bob']) await follow(channel, subject)
    const stdout = await text('connections', channel)
    expect(stdout).toMatch(/^CONNECTION +SUBJECT +TAGS +SUBSCRIPTION +EXPIRES +MEMBER\n/)
    for (const subject of ['anna', 'bob']) expect(stdout).toMatch(new RegExp(`^[0-9a-f]{32} +${subject} +– +live +`, 'm'))
    const first = await text('connections', channel, '--limit', '1')
    const after = /^more: --after (\S+)$/m.exec(first)?.[1]
    expect(after).toBeDefined()
    const second = await json('connections', channel, '--limit', '1', '--after', after!)
    expect(second.connections).toHaveLength(1)
    expect(first).not.toContain(second.connections[0].subject)
  })
})

describe('disconnect', () => {
  test('closes the selected connections, whose clients reconnect and receive the reason', async () => {
    const channel = newChannel()
    const [trial, other] = [await follow(channel, 'anna', '--tags', 'trial'), await follow(channel, 'bob')]
    expect(await text('disconnect', channel, '--tags', 'trial', '--reason', 'Maintenance')).toBe('disconnected 1 client\n')
    await trial.until('reconnecting: ')
    expect(trial.stderr).toContain('Maintenance')
    await trial.until('connected (WebSocket)', 'stderr', 2)
    expect(other.stderr).not.toContain('reconnecting')
    expect(await json('disconnect', channel, '--everyone')).toEqual({ disconnected: 2 })
  })

  test('of one connection, and of all but one', async () => {
    const channel = newChannel()
    const [anna, bob] = [await follow(channel, 'anna'), await follow(channel, 'bob')]
    const { connections } = await json('connections', channel)
    const id = connections.find(({ subject }: { subject: string }) => subject === 'anna').connection
    expect(await json('disconnect', channel, '--to', id)).toEqual({ disconnected: 1 })
    await anna.until('connected (WebSocket)', 'stderr', 2)
    expect(await json('disconnect', channel, '--everyone', '--except', id)).toEqual({ disconnected: 1 })
    await bob.until('connected (WebSocket)', 'stderr', 2)
  })
})

describe('revoke', () => {
  test('rejects the tokens of a subject, and newer ones are accepted', async () => {
    const channel = newChannel()
    const { stdout } = await cli.run(['token', channel, '--sub', 'anna'], { env: { SIGNING_KEY } })
    const token = stdout.trim()
    const anna = cli.start(['tail', channel], { env: { DEI_TOKEN: token } })
    await anna.until('connected (WebSocket)')
    expect(await text('revoke', channel, '--subject', 'anna', '--reason', 'Banned')).toBe('revoked; disconnected 1 client\n')
    await anna.ended
    expect(anna.status).toBe(1)
    expect(anna.stderr).toMatch(/\ndurable-event-iterator: the token is no longer accepted \(Banned\); pass a new token, or a signing key\n$/)
    // The command issues a new token for each connection.
    await follow(channel, 'anna')
  }, 60_000)

  test('of a connection and of older tokens', async () => {
    const channel = newChannel()
    await follow(channel, 'anna')
    const { connections } = await json('connections', channel)
    expect(await json('revoke', channel, '--connection', connections[0].connection)).toEqual({ disconnected: 1 })
    expect(await json('revoke', channel, '--issued-before', '1h')).toEqual({ disconnected: 0 })
  })
})

test.each([
  ['stats', []],
  ['connections', []],
  ['disconnect', ['--everyone']],
  ['revoke', ['--subject', 'anna']],
])('%s without the right ends with 1', async (command, args) => {
  const { status, stdout, stderr } = await cli.run([command, newChannel(), ...args], { env: { DEI_KEY: READER } })
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(stderr).toContain('403 FORBIDDEN')
  expect(stderr).toContain('the access key (DEI_KEY of the environment) does not have this right for channel')
  expect(stderr).not.toContain(READER)
})

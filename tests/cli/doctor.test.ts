// `durable-event-iterator doctor` finds each planted fault.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { verifyToken } from '../../npm/durable-event-iterator/src/token/token.ts'
import { RestrictedNetwork } from '../npm/support/restricted-network.ts'
import { CommandLine, nodes } from '../support/command-line.ts'
import type { RunOptions } from '../support/command-line.ts'
import { startWorkers } from '../support/workerd.ts'
import type { RunningWorkers } from '../support/workerd.ts'
import { CLASS, PUBLISH_KEY, READ_KEY, SIGNING_KEY, startChannels } from './channels.ts'

/** In front of the Worker, adds the header `Date`, which the runtime alone does not send. */
const WITH_DATE = `
import * as worker from './index.js'
export * from './index.js'
const own = worker.default
export default {
  async fetch(request, env, ctx) {
    const response = await (typeof own === 'function' ? new own(ctx, env).fetch(request) : own.fetch(request, env, ctx))
    if (response.webSocket !== null) return response
    const headers = new Headers(response.headers)
    headers.set('date', new Date().toUTCString())
    return new Response(response.body, { status: response.status, headers })
  },
}`

interface Finding {
  status: 'ok' | 'warning' | 'failed' | 'skipped'
  title: string
  detail: string
  advice?: string
}

let workers: RunningWorkers
let dated: RunningWorkers
let cli: CommandLine
beforeAll(async () => {
  workers = await startChannels({ variables: { SIGNING_KEY, PUBLISH_KEY, READ_KEY, CORS_ORIGINS: 'https://app.example' } })
  dated = await startChannels({ front: WITH_DATE })
  cli = await CommandLine.build({ DEI_URL: workers.url.href })
})
afterAll(async () => {
  await cli.dispose()
  await workers.dispose()
  await dated.dispose()
})

/** Runs the command. Returns the exit code and the findings by their titles. */
async function examine(args: string[] = [], options: RunOptions = {}): Promise<{ status: number | null; findings: Record<string, Finding> }> {
  const { status, stdout, stderr } = await cli.run(['doctor', '--json', ...args], { ...options, env: { SIGNING_KEY, ...options.env } })
  expect(stderr).toBe('')
  const { ok, findings }: { ok: boolean; findings: Finding[] } = JSON.parse(stdout)
  expect(ok).toBe(status === 0)
  expect(ok).toBe(findings.every((finding) => finding.status !== 'failed'))
  for (const { status, advice } of findings) expect(advice === undefined).toBe(status === 'ok' || status === 'skipped')
  return { status, findings: Object.fromEntries(findings.map((finding) => [finding.title, finding])) }
}

test.each(Object.entries(nodes))('it finds no fault where there is none, with the %s Node.js', async (_, node) => {
  const { status, findings } = await examine(['--origin', 'https://app.example'], { env: { PUBLISH_KEY, READ_KEY }, ...(node === undefined ? {} : { node }) })
  expect(Object.fromEntries(Object.values(findings).map(({ title, status }) => [title, status]))).toEqual({
    'compatibility date': 'skipped',
    URL: 'ok',
    'upgrade endpoint': 'ok',
    clock: 'ok',
    'signing key (SIGNING_KEY of the environment)': 'ok',
    WebSocket: 'ok',
    'HTTP endpoint': 'ok',
    'access key (PUBLISH_KEY of the environment)': 'ok',
    'access key (READ_KEY of the environment)': 'ok',
    CORS: 'ok',
  })
  expect(status).toBe(0)
})

test('it prints a line for each check, and what to do', async () => {
  const { status, stdout, stderr } = await cli.run(['doctor'], { env: { SIGNING_KEY: 'wrong' } })
  expect({ status, stderr }).toEqual({ status: 1, stderr: '' })
  expect(stdout).toContain(`✓ URL: ${workers.url.origin} responds\n`)
  expect(stdout).toContain('✗ signing key (SIGNING_KEY of the environment): the Worker rejects tokens that are signed with this key\n    set SIGNING_KEY')
  expect(stdout).toMatch(/\n1 problem found\.\n$/)
})

describe('it finds', () => {
  test('a URL at which nothing listens', async () => {
    const { status, findings } = await examine(['--url', 'http://127.0.0.1:1025'])
    expect(status).toBe(1)
    expect(findings.URL).toMatchObject({ status: 'failed', detail: expect.stringContaining('ECONNREFUSED'), advice: expect.stringContaining('npx wrangler dev') })
  })

  test('a host that does not exist', async () => {
    const { findings } = await examine(['--url', 'https://channels.invalid'])
    expect(findings.URL).toMatchObject({ status: 'failed', detail: expect.stringContaining('channels.invalid'), advice: expect.stringContaining('check --url') })
  })

  test('a server that is another one', async () => {
    const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<!doctype html><p>Hello'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { status, findings } = await examine(['--url', `http://127.0.0.1:${(server.address() as AddressInfo).port}`])
    server.close()
    expect(status).toBe(1)
    expect(findings['upgrade endpoint']).toMatchObject({ status: 'failed', detail: expect.stringContaining('status 200 (a page) instead of 426'), advice: expect.stringContaining('--upgrade-path') })
    expect(findings['HTTP endpoint']).toMatchObject({ status: 'warning' })
  })

  test('a redirect', async () => {
    const server = createServer((_, response) => response.writeHead(301, { location: 'https://channels.example/' }).end())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { findings } = await examine(['--url', `http://127.0.0.1:${(server.address() as AddressInfo).port}`])
    server.close()
    expect(findings['upgrade endpoint']).toMatchObject({ status: 'failed', detail: expect.stringContaining('redirect to https://channels.example/') })
  })

  test('a wrong path of the upgrade endpoint', async () => {
    const { findings } = await examine(['--upgrade-path', '/nowhere'])
    expect(findings['upgrade endpoint']).toMatchObject({ status: 'failed', detail: expect.stringContaining('status 404') })
  })

  test('a wrong signing key', async () => {
    const { status, findings } = await examine([], { env: { SIGNING_KEY: 'wrong' } })
    expect(status).toBe(1)
    expect(findings['signing key (SIGNING_KEY of the environment)']).toMatchObject({ status: 'failed', advice: expect.stringContaining('npx wrangler secret put SIGNING_KEY') })
  })

  test('an expired token', async () => {
    const { stdout: token } = await cli.run(['token', 'doctor', '--ttl', '1'], { env: { SIGNING_KEY } })
    await expect.poll(async () => (await examine([], { env: { DEI_TOKEN: token.trim() } })).findings['token (DEI_TOKEN of the environment)']?.status, { timeout: 20_000 }).toBe('failed')
  })

  test('a Worker without secrets', async () => {
    const bare = await startChannels({ variables: {} })
    const { status, findings } = await examine(['--url', bare.url.href], { env: { PUBLISH_KEY } })
    await bare.dispose()
    expect(status).toBe(1)
    expect(findings['upgrade endpoint']).toMatchObject({
      status: 'failed',
      detail: expect.stringContaining('the secret SIGNING_KEY of the Worker is probably not set'),
      advice: expect.stringContaining('npx wrangler secret put SIGNING_KEY'),
    })
  })

  test('a Durable Object with another signing key than the Worker in front of it', async () => {
    const { className } = CLASS
    const two = await startWorkers({
      workers: [
        { name: 'front', crate: '.', variables: { SIGNING_KEY }, durableObjects: { CHANNEL: { className, scriptName: 'behind' } } },
        { name: 'behind', crate: '.', variables: { SIGNING_KEY: 'another key' }, durableObjects: { CHANNEL: { className } } },
      ],
    })
    const { status, findings } = await examine(['--url', two.url.href])
    await two.dispose()
    expect(status).toBe(1)
    expect(findings['signing key (SIGNING_KEY of the environment)']?.status).toBe('ok')
    expect(findings.WebSocket).toMatchObject({
      status: 'failed',
      detail: 'the upgrade is rejected with status 401 (Invalid Token)',
      advice: 'the Worker accepts the token and the Durable Object does not: give both the same SIGNING_KEY',
    })
  })

  test('invalid access keys, and continues with the other checks', async () => {
    const { status, findings } = await examine(['--origin', 'https://app.example'], { env: { ACCESS_KEYS: '[{"key":' } })
    expect(status).toBe(1)
    expect(findings['access key']).toMatchObject({
      status: 'failed',
      detail: 'ACCESS_KEYS of the environment is invalid: expected a JSON array of {"key", "name"?, "prefix"?, "rights"}',
    })
    expect(findings.CORS?.status).toBe('ok')
    // A key of another name is still checked.
    const other = await examine([], { env: { ACCESS_KEYS: '{}', DEI_KEY: PUBLISH_KEY } })
    expect(other.status).toBe(0)
    expect(other.findings['access key (DEI_KEY of the environment)']).toMatchObject({ status: 'ok', detail: 'has the right publish for channel "doctor"' })
  })

  test('the rights for channels that are named like a request', async () => {
    const keys = JSON.stringify([{ key: 'all', rights: ['publish', 'read', 'disconnect', 'stats'] }, { key: 'reader', rights: ['read'] }])
    const keyed = await startChannels({ variables: { SIGNING_KEY, ACCESS_KEYS: keys } })
    const title = 'access key (DEI_KEY of the environment)'
    for (const channel of ['events', 'stats', '.']) {
      const run = async (key: string) => (await examine(['--url', keyed.url.href, '--channel', channel], { env: { DEI_KEY: key } })).findings[title]
      expect(await run('all')).toMatchObject({ status: 'ok', detail: `has the rights publish, read, disconnect and stats for channel "${channel}"` })
      expect(await run('reader')).toMatchObject({ status: 'ok', detail: `has the right read for channel "${channel}"` })
    }
    await keyed.dispose()
  })

  test('a wrong access key, and one whose prefix does not include the channel', async () => {
    const keys = JSON.stringify([{ key: 'the key of the orders', name: 'orders', prefix: 'orders/', rights: ['publish', 'stats'] }])
    const keyed = await startChannels({ variables: { SIGNING_KEY, ACCESS_KEYS: keys } })
    const title = 'access key (DEI_KEY of the environment)'
    const run = async (key: string, ...args: string[]) => (await examine(['--url', keyed.url.href, ...args], { env: { DEI_KEY: key } })).findings[title]
    expect(await run('wrong')).toMatchObject({ status: 'failed', detail: 'the Worker does not know this key' })
    expect(await run('the key of the orders')).toMatchObject({ status: 'failed', detail: 'has no rights for channel "doctor"', advice: expect.stringContaining('--channel') })
    expect(await run('the key of the orders', '--channel', 'orders/1')).toMatchObject({ status: 'ok', detail: 'has the rights publish and stats for channel "orders/1"' })
    await keyed.dispose()
  })

  test.each([
    ['ahead by more than 1 h', 2 * 3_600_000],
    ['behind by more than 1 min', -5 * 60_000],
  ])('a clock that is %s, by the tokens that the Worker rejects', async (detail, offset) => {
    const { status, findings } = await examine([], { env: { NODE_OPTIONS: await skewedBy(offset) } })
    expect(status).toBe(1)
    expect(findings.clock).toMatchObject({ status: 'failed', detail: expect.stringContaining(detail), advice: expect.stringContaining('NTP') })
    expect(findings['signing key (SIGNING_KEY of the environment)']?.status).toBe('ok')
  })

  test.each([
    ['ahead by about 2 h', 2 * 3_600_000],
    ['behind by about 5 min', -5 * 60_000],
  ])('a clock that is %s, by the header Date', async (detail, offset) => {
    const { status, findings } = await examine(['--url', dated.url.href], { env: { NODE_OPTIONS: await skewedBy(offset) } })
    expect(status).toBe(1)
    expect(findings.clock).toMatchObject({ status: 'failed', detail: expect.stringContaining(detail) })
    // Its tokens have the time of the server.
    expect(findings.WebSocket?.status).toBe('ok')
  })

  test.each([
    ['wrangler.toml', 'name = "a"\n# compatibility_date = "2026-06-01"\ncompatibility_date = "2023-01-01"\n', 'failed', '2023-01-01 in wrangler.toml is before 2024-04-03'],
    ['wrangler.jsonc', '{\n  // "compatibility_date": "2023-01-01"\n  "compatibility_date": "2025-01-01",\n}', 'warning', '2025-01-01 in wrangler.jsonc is before 2026-04-21'],
    ['wrangler.json', '{"compatibility_date":"2026-06-01","env":{"old":{"compatibility_date":"2024-01-01"}}}', 'failed', '2024-01-01 in wrangler.json'],
    ['wrangler.toml', 'name = "a"\n', 'failed', 'wrangler.toml has no compatibility date'],
    ['wrangler.toml', "compatibility_date = '2026-06-01'\n", 'ok', '2026-06-01 in wrangler.toml'],
  ])('the compatibility date in %s: %s', async (file, content, status, detail) => {
    const cwd = join(cli.folder, `project-${Math.random()}`)
    await mkdir(cwd)
    await writeFile(join(cwd, file), content)
    const { findings } = await examine([], { cwd })
    expect(findings['compatibility date']).toMatchObject({ status, detail: expect.stringContaining(detail) })
  })

  test('pages of another origin that cannot read', async () => {
    const { status, findings } = await examine(['--origin', 'https://other.example'])
    expect(status).toBe(1)
    expect(findings.CORS).toMatchObject({ status: 'failed', advice: expect.stringContaining('CORS_ORIGINS') })
  })

  test('a network that blocks WebSockets', async () => {
    const network = await RestrictedNetwork.start(workers.url)
    const { status, findings } = await examine(['--url', network.url.href])
    await network.dispose()
    expect(status).toBe(1)
    expect(findings.WebSocket?.status).toBe('failed')
    expect(findings['HTTP endpoint']?.status).toBe('ok')
  })
})

/** Returns the option for Node.js with which its clock is wrong, in milliseconds. */
async function skewedBy(offset: number): Promise<string> {
  const file = join(cli.folder, `clock${offset}.mjs`)
  await writeFile(file, `const now = Date.now; Date.now = () => now() + ${offset}`)
  return `--import ${pathToFileURL(file)}`
}

test('tokens in URLs are valid for at most two days and for an unused channel; only the WebSocket has one for the channel, for a minute', async () => {
  const tokens: { upgrade: boolean; token: string }[] = []
  const server = createServer((request, response) => {
    const token = new URL(request.url!, 'http://localhost').searchParams.get('token')
    if (token !== null) tokens.push({ upgrade: request.headers.upgrade !== undefined, token })
    response.sendDate = false
    response.writeHead(426).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  await examine(['--url', `http://127.0.0.1:${(server.address() as AddressInfo).port}`, '--channel', 'orders'])
  server.close().closeAllConnections()
  const claims = await Promise.all(tokens.map(async ({ upgrade, token }) => ({ upgrade, ...(await verifyToken(token, [SIGNING_KEY], Date.now()))! })))
  const [probes, upgrades] = [claims.filter(({ upgrade }) => !upgrade), claims.filter(({ upgrade }) => upgrade)]
  expect(upgrades).toMatchObject([{ chn: 'orders' }])
  expect(upgrades[0]!.exp - upgrades[0]!.iat).toBe(60)
  expect(probes.length).toBeGreaterThan(1)
  for (const { chn, iat, exp } of probes) {
    expect(chn).toMatch(/^durable-event-iterator doctor [0-9a-f]{32}$/)
    expect(exp - iat).toBeLessThanOrEqual(2 * 86_400)
  }
})

test('it examines the chat room, whose upgrade endpoint has another path', async () => {
  const rooms = await startWorkers({
    workers: [{ name: 'chat-room', crate: 'examples/chat-room', variables: { SIGNING_KEY }, durableObjects: { CHAT_ROOM: { className: 'ChatRoom' } } }],
  })
  const found = await examine(['--url', rooms.url.href, '--upgrade-path', '/chat-room'])
  const unset = await examine(['--url', rooms.url.href])
  await rooms.dispose()
  expect(Object.values(found.findings).filter(({ status }) => status === 'failed')).toEqual([])
  expect(found.findings.WebSocket?.status).toBe('ok')
  expect(unset.findings['upgrade endpoint']?.status).toBe('failed')
})

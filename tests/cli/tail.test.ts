// `durable-event-iterator tail`: with a token over a WebSocket, with an access key as server-sent events, through failures.

import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { Proxy } from '../npm/support/proxy.ts'
import { CommandLine, nodes } from '../support/command-line.ts'
import type { Running } from '../support/command-line.ts'
import type { RunningWorkers } from '../support/workerd.ts'
import { newChannel, publish, PUBLISH_KEY, READ_KEY, SIGNING_KEY, startChannels } from './channels.ts'

let folder: string
let workers: RunningWorkers
let cli: CommandLine
beforeAll(async () => {
  folder = await mkdtemp(join(await realpath(tmpdir()), 'tail-'))
  workers = await startChannels({}, { persistence: folder })
  cli = await CommandLine.build({ DEI_URL: workers.url.href })
})
afterAll(async () => {
  await cli.dispose()
  await workers.dispose()
  await rm(folder, { recursive: true, force: true })
})

/** The two kinds of secrets with which a channel is read, and how its events arrive. */
const READERS = [
  ['a signing key', { SIGNING_KEY }, 'connected (WebSocket)'],
  ['an access key', { DEI_KEY: READ_KEY }, 'connected (server-sent events)'],
] as const

/** Publishes an event in oRPC's serialized form. */
async function publishSerialized(channel: string, json: unknown, meta: unknown): Promise<void> {
  const headers = { authorization: `Bearer ${PUBLISH_KEY}`, 'content-type': 'application/vnd.orpc+json' }
  const response = await workers.fetch(`/channels/${encodeURIComponent(channel)}/events`, { method: 'POST', headers, body: JSON.stringify({ json, meta }) })
  expect(response.status, await response.text()).toBe(201)
}

/** Control characters of the ranges C0 and C1, in each type that can contain text. */
const CONTROLS = '\u001b[8m\u0007\u007f\u009b2J'
const HOSTILE = {
  json: {
    text: CONTROLS,
    [CONTROLS]: 1,
    regexp: `/a${CONTROLS}]b/gi`,
    url: `https://example.com/?${encodeURIComponent(CONTROLS)}`,
    set: [CONTROLS, `/${CONTROLS}]/`],
    map: [[CONTROLS, `/${CONTROLS}]/`]],
    custom: CONTROLS,
    constructor: { name: CONTROLS },
  },
  meta: [[5, 'regexp'], [4, 'url'], [5, 'set', 1], [6, 'set'], [5, 'map', 0, 1], [7, 'map'], [20, 'custom']],
}

/** A secret that the Worker does not have. */
const WRONG = 'a-secret-that-is-never-printed'

const jsonOf = (running: Running): unknown[] => running.lines.map((line) => JSON.parse(line))

describe.each(READERS)('with %s', (_, env, connected) => {
  test.each(Object.entries(nodes))('it prints events as they are published, and ends after a limit, with the %s Node.js', async (_, node) => {
    const channel = newChannel()
    const tail = cli.start(['tail', channel, '--limit', '2', '--json'], { env, ...(node === undefined ? {} : { node }) })
    await tail.until(connected)
    const ids = [await publish(workers, channel, { n: 1 }), await publish(workers, channel, { n: 2 })]
    await tail.ended
    expect(tail.status).toBe(0)
    expect(jsonOf(tail)).toEqual([{ id: ids[0], json: { n: 1 } }, { id: ids[1], json: { n: 2 } }])
  })

  test('it prints a line for people: time, id and event, without control characters and colors', async () => {
    const channel = newChannel()
    const id = await publish(workers, channel, { text: 'a\u001b[2Jb\n', n: [1, { x: null }] })
    const { status, stdout, stderr } = await cli.run(['tail', channel, '--last', '1', '--limit', '1', '--quiet'], { env })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(new RegExp(`^(\\d{4}-\\d\\d-\\d\\d )?\\d\\d:\\d\\d:\\d\\d  ${id}  \\{ text: 'a\\\\x1B\\[2Jb\\\\n', n: \\[ 1, \\{ x: null \\} \\] \\}\n$`))
  })

  test('it prints no control characters of any type', async () => {
    const channel = newChannel()
    await publishSerialized(channel, HOSTILE.json, HOSTILE.meta)
    const { stdout } = await cli.run(['tail', channel, '--last', '1', '--limit', '1', '--quiet'], { env })
    expect(stdout).toMatch(/^[^\x00-\x1f\x7f-\x9f]*\n$/)
    expect(stdout).toContain('regexp: /a\\x1b[8m\\x07\\x7f\\x9b2J]b/gi,')
    const json = await cli.run(['tail', channel, '--last', '1', '--limit', '1', '--json'], { env })
    expect(json.stdout).toMatch(/^[^\x00-\x1f\x7f-\x9f]*\n$/)
    expect(JSON.parse(json.stdout)).toMatchObject({ json: { text: CONTROLS, regexp: HOSTILE.json.regexp } })
  })

  test('it begins with the last events, after an event, or at a time', async () => {
    const channel = newChannel()
    const ids: string[] = []
    for (const n of [1, 2, 3]) ids.push(await publish(workers, channel, { n }))
    for (const [args, expected] of [
      [['--last', '2', '--limit', '2'], [2, 3]],
      [['--after', ids[0]!, '--limit', '2'], [2, 3]],
      [['--after', ids[0]!, '--limit', '1'], [2]],
      [['--since', '10m', '--limit', '3'], [1, 2, 3]],
      [['--since', new Date(Date.now() - 60_000).toISOString(), '--limit', '1'], [1]],
    ] as const) {
      const result = await cli.run(['tail', channel, '--json', ...args], { env })
      expect(result.status, result.stderr).toBe(0)
      expect(result.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line).json.n)).toEqual(expected)
    }
  })

  test('it continues after the last events with live ones, without losing or repeating one', async () => {
    const channel = newChannel()
    for (const n of [1, 2]) await publish(workers, channel, { n })
    const tail = cli.start(['tail', channel, '--last', '1', '--json', '--limit', '4'], { env })
    await tail.until('"n":2', 'stdout')
    for (const n of [3, 4, 5]) await publish(workers, channel, { n })
    await tail.ended
    expect(tail.lines.map((line) => JSON.parse(line).json.n)).toEqual([2, 3, 4, 5])
  })

  test('it resumes after a cut connection, also before the first event', async () => {
    const channel = newChannel()
    const proxy = await Proxy.start(workers.url)
    const tail = cli.start(['tail', channel, '--json', '--limit', '3', '--url', proxy.url.href], { env })
    await tail.until(connected)
    for (const n of [1, 2]) {
      proxy.refuses = true
      proxy.cut()
      await tail.until('reconnecting: ', 'stderr', n)
      await publish(workers, channel, { n })
      proxy.refuses = false
      await tail.until(`{"n":${n}}`, 'stdout')
      // A client whose WebSockets failed repeatedly may continue over HTTP.
      await tail.until('connected (', 'stderr', n + 1)
    }
    await publish(workers, channel, { n: 3 })
    await tail.ended
    expect(tail.status).toBe(0)
    expect(tail.lines.map((line) => JSON.parse(line).json.n)).toEqual([1, 2, 3])
    await proxy.dispose()
  })

  test('it resumes after a killed runtime', async () => {
    const channel = newChannel()
    const tail = cli.start(['tail', channel, '--json', '--limit', '2'], { env })
    await tail.until(connected)
    await publish(workers, channel, { n: 1 })
    await tail.until('"n":1', 'stdout')
    await workers.kill()
    await publish(workers, channel, { n: 2 })
    await tail.ended
    expect(tail.lines.map((line) => JSON.parse(line).json.n)).toEqual([1, 2])
  })

  test('it reports a gap', async () => {
    const channel = newChannel()
    const first = await publish(workers, channel, { n: 1 })
    const other = String(BigInt(first) - 1_000_000_000n)
    const tail = cli.start(['tail', channel, '--after', other, '--limit', '1'], { env })
    await tail.ended
    expect(tail.stderr).toContain(`gap: events after ${other} are no longer retained; all events from`)
  })

  test('Ctrl+C and SIGTERM end it with 0', async () => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const tail = cli.start(['tail', newChannel()], { env })
      await tail.until(connected)
      tail.process.kill(signal)
      await tail.ended
      expect({ status: tail.status, stdout: tail.stdout }).toEqual({ status: 0, stdout: '' })
      expect(tail.stderr).not.toMatch(/error/i)
    }
  })

  test('it ends with 0 when the reader of its output ends', async () => {
    const channel = newChannel()
    const tail = cli.start(['tail', channel], { env })
    await tail.until(connected)
    tail.process.stdout!.destroy()
    await publish(workers, channel, { n: 1 })
    await publish(workers, channel, { n: 2 })
    await tail.ended
    expect({ status: tail.status, stderr: tail.stderr }).toEqual({ status: 0, stderr: expect.not.stringContaining('EPIPE') })
  })
})

test('with a token of a client, its expiry ends the command with 1', async () => {
  const channel = newChannel()
  const { stdout: token } = await cli.run(['token', channel, '--ttl', '3'], { env: { SIGNING_KEY } })
  const tail = cli.start(['tail', channel], { env: { DEI_TOKEN: token.trim() } })
  await tail.until('connected (WebSocket)')
  await tail.ended
  expect(tail.status).toBe(1)
  expect(tail.stderr).toMatch(/\ndurable-event-iterator: the token has expired; pass a new token, or a signing key\n$/)
  expect(tail.stderr).not.toContain(token.trim())
})

test('a token with tags and a subject receives the events of its audience', async () => {
  const channel = newChannel()
  const tail = cli.start(['tail', channel, '--tags', 'admin', '--sub', 'me', '--json', '--limit', '1'], { env: { SIGNING_KEY } })
  await tail.until('connected (WebSocket)')
  await publish(workers, channel, { n: 1 })
  await tail.ended
  expect(jsonOf(tail)).toMatchObject([{ json: { n: 1 } }])
})

test('a token whose claims are not ASCII reads over HTTP', async () => {
  const channel = `${newChannel()} ☃`
  const id = await publish(workers, channel, { n: 1 })
  const { status, stdout, stderr } = await cli.run(['tail', channel, '--tags', 'é', '--last', '1', '--limit', '1', '--json', '--quiet'], { env: { SIGNING_KEY } })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(JSON.parse(stdout)).toEqual({ id, json: { n: 1 } })
})

test.each([
  ['a wrong access key', { DEI_KEY: WRONG }, 'it does not accept the access key (DEI_KEY of the environment)'],
  ['a key without the right', { PUBLISH_KEY: 'x', DEI_KEY: 'the publish key of these tests' }, 'the access key (DEI_KEY of the environment)'],
  ['a wrong signing key', { SIGNING_KEY: WRONG }, 'the server responds with 401 "Invalid Token"; check that the server that issues the token has the signing key'],
])('%s ends the command with 1', async (_, env, message) => {
  const { status, stdout, stderr } = await cli.run(['tail', newChannel()], { env })
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(stderr).toContain(message)
  expect(stderr).not.toContain(WRONG)
}, 60_000)

// The program `script` runs a command in a terminal. Its options differ on other systems.
test.skipIf(process.platform !== 'linux')('in a terminal, it has colors, unless NO_COLOR is set', async () => {
  const channel = newChannel()
  await publishSerialized(channel, HOSTILE.json, HOSTILE.meta)
  const { spawn } = await import('node:child_process')
  for (const [env, hasColors] of [[{}, true], [{ NO_COLOR: '1' }, false]] as const) {
    const command = `${nodes.packaged} ${cli.bundle} tail '${channel}' --last 1 --limit 1 --quiet`
    const { PATH = '', HOME = '' } = process.env
    const child = spawn('script', ['-qec', command, '/dev/null'], { cwd: cli.folder, env: { PATH, HOME, TERM: 'xterm-256color', ...cli.env, SIGNING_KEY, ...env } })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    expect(await new Promise((resolve) => child.on('close', resolve)), output).toBe(0)
    expect(output.includes('\u001b['), output).toBe(hasColors)
    // Only colors.
    // eslint-disable-next-line no-control-regex
    expect(output.replaceAll(/\u001b\[\d+m|\r?\n/g, ''), output).not.toMatch(/[\x00-\x1f\x7f-\x9f]/)
    expect(output).not.toContain('\u001b[8m')
  }
})

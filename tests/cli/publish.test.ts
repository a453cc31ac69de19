// `durable-event-iterator publish`: one event, and the lines of the standard input.

import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { publishLines } from '../../npm/durable-event-iterator/src/cli/publish/lines.ts'
import type { BatchItem, Publisher } from '../../npm/durable-event-iterator/src/cli/publish/publisher.ts'
import { CommandLine, nodes } from '../support/command-line.ts'
import type { RunningWorkers } from '../support/workerd.ts'
import { newChannel, PUBLISH_KEY, READ_KEY, startChannels } from './channels.ts'

let workers: RunningWorkers
let cli: CommandLine
beforeAll(async () => {
  workers = await startChannels()
  cli = await CommandLine.build({ DEI_URL: workers.url.href, DEI_KEY: PUBLISH_KEY })
})
afterAll(async () => {
  await cli.dispose()
  await workers.dispose()
})

/** Returns the retained events of a channel. */
async function eventsOf(channel: string): Promise<{ id: string; json: unknown; retry?: number; comments?: string[] }[]> {
  const path = `/channels/${encodeURIComponent(channel)}/events?limit=1000`
  const response = await workers.fetch(path, { headers: { authorization: `Bearer ${READ_KEY}` } })
  return ((await response.json()) as { events: [] }).events
}

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '')

describe('one event', () => {
  test.each(Object.entries(nodes))('is published, and its id is printed, with the %s Node.js', async (_, node) => {
    const channel = newChannel()
    const { status, stdout, stderr } = await cli.run(['publish', channel, '{"message":"Hello"}'], node === undefined ? {} : { node })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const [{ id, json }] = (await eventsOf(channel)) as [{ id: string; json: unknown }]
    expect(json).toEqual({ message: 'Hello' })
    expect(stdout).toBe(`published ${id}\n`)
  })

  test('has the options of the HTTP endpoint', async () => {
    const channel = newChannel()
    const options = ['--to', 'a,b', '--to', 'c', '--retry', '5000', '--comment', 'one', '--comment', 'two']
    expect(await cli.run(['publish', channel, '{}', ...options])).toMatchObject({ status: 0 })
    expect(await eventsOf(channel)).toMatchObject([{ json: {}, retry: 5_000, comments: ['one', 'two'] }])
  })

  test('with an idempotency key is published once', async () => {
    const channel = newChannel()
    const args = ['publish', channel, '{}', '--idempotency-key', 'order-17', '--json']
    const [first, second] = [await cli.run(args), await cli.run(args)]
    const { id } = JSON.parse(first.stdout)
    expect(JSON.parse(first.stdout)).toEqual({ id, duplicate: false })
    expect(JSON.parse(second.stdout)).toEqual({ id, duplicate: true })
    expect((await cli.run(args.slice(0, -1))).stdout).toBe(`duplicate of ${id}\n`)
    expect(await eventsOf(channel)).toHaveLength(1)
  })

  test.each([
    ['a wrong key', ['{}'], { DEI_KEY: 'wrong' }, '401'],
    ['a key without the right', ['{}'], { DEI_KEY: READ_KEY }, '403'],
    ['an invalid event', ['"text"'], {}, '400 BAD_REQUEST'],
    ['a connection id that is invalid', ['{}', '--to', 'ä'], {}, '400 BAD_REQUEST'],
  ])('%s is rejected with 1', async (_, args, env, message) => {
    const { status, stdout, stderr } = await cli.run(['publish', newChannel(), ...args], { env })
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toContain(message)
    expect(stderr).not.toContain(PUBLISH_KEY)
  })
})

describe('the lines of the standard input', () => {
  test('are published in order and in batches', async () => {
    const channel = newChannel()
    const stdin = Array.from({ length: 2_500 }, (_, n) => JSON.stringify({ n })).join('\n')
    const { status, stdout, stderr } = await cli.run(['publish', channel], { stdin })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^published 2,500 events, last id \d+\n$/)
    const last = await workers.fetch(`/channels/${encodeURIComponent(channel)}/events?last=1000`, { headers: { authorization: `Bearer ${READ_KEY}` } })
    const { events } = (await last.json()) as { events: { json: { n: number } }[] }
    expect(events.map(({ json }) => json.n)).toEqual(Array.from({ length: 1_000 }, (_, n) => n + 1_500))
  })

  test('may be blank, end with CRLF, and lack the last line ending', async () => {
    const channel = newChannel()
    const { stdout } = await cli.run(['publish', channel, '--json'], { stdin: '\n{"n":1}\r\n   \n{"n":2}' })
    const events = await eventsOf(channel)
    expect(events.map(({ json }) => json)).toEqual([{ n: 1 }, { n: 2 }])
    expect(linesOf(stdout).map((line) => JSON.parse(line))).toEqual(events.map(({ id }) => ({ id, duplicate: false })))
  })

  test('are published as they arrive', async () => {
    const channel = newChannel()
    const publish = cli.start(['publish', channel, '--json'])
    for (const n of [1, 2]) {
      publish.process.stdin!.write(`{"n":${n}}\n`)
      await publish.until('"duplicate":false', 'stdout', n)
    }
    publish.process.stdin!.end()
    await publish.ended
    expect(publish.status).toBe(0)
    expect(await eventsOf(channel)).toHaveLength(2)
  })

  test('are all published although the reader of the output ends', async () => {
    const channel = newChannel()
    const publish = cli.start(['publish', channel, '--json'])
    publish.process.stdin!.write('{"n":1}\n')
    await publish.until('"duplicate":false', 'stdout')
    publish.process.stdout!.destroy()
    publish.process.stdin!.end(Array.from({ length: 3_000 }, (_, n) => JSON.stringify({ n: n + 2 })).join('\n'))
    await publish.ended
    expect({ status: publish.status, stderr: publish.stderr }).toEqual({ status: 0, stderr: '' })
    const last = await workers.fetch(`/channels/${encodeURIComponent(channel)}/events?last=1`, { headers: { authorization: `Bearer ${READ_KEY}` } })
    expect(await last.json()).toMatchObject({ events: [{ json: { n: 3_001 } }] })
  })

  test('are sent as they are: no number is rounded', async () => {
    const channel = newChannel()
    const text = '{"n":12345678901234567890}'
    await cli.run(['publish', channel, text])
    await cli.run(['publish', channel], { stdin: `${text}\n` })
    const page = await workers.fetch(`/channels/${encodeURIComponent(channel)}/events`, { headers: { authorization: `Bearer ${READ_KEY}` } })
    expect((await page.text()).match(/1234567890123456789\d/g)).toHaveLength(2)
  })

  test('without a line, nothing is published', async () => {
    expect(await cli.run(['publish', newChannel()])).toMatchObject({ status: 0, stdout: 'published 0 events\n' })
  })

  test('that cannot be read end the command: lines before are published', async () => {
    const published: unknown[] = []
    const publisher = {
      optionsLength: 2,
      publishBatch: async (items: readonly BatchItem[]) => {
        // The next line fails meanwhile.
        await new Promise((resolve) => setImmediate(resolve))
        published.push(...items)
        return []
      },
    } as unknown as Publisher
    async function* lines(): AsyncGenerator<string> {
      yield* ['{"n":1}', '{"n":2}']
      throw new Error('EIO')
    }
    const ended = publishLines(lines(), { publisher, idempotencyKey: undefined, onPublished: async () => {} })
    await expect(ended).rejects.toThrow('cannot read line 3: EIO; all lines before are published')
    expect(published).toEqual([{ event: '{"n":1}' }, { event: '{"n":2}' }])
  })

  test('an invalid line is reported with its number: lines before it are published, and none after it', async () => {
    const channel = newChannel()
    const { status, stderr } = await cli.run(['publish', channel], { stdin: '{"n":1}\n\n{"n":2}\n{n:3}\n{"n":4}\n' })
    expect(status).toBe(1)
    expect(stderr).toMatch(/^durable-event-iterator: line 4 is not JSON: .*; all lines before are published\n$/)
    expect((await eventsOf(channel)).map(({ json }) => json)).toEqual([{ n: 1 }, { n: 2 }])
  })

  test('a rejected batch is reported with its lines, and nothing of it is published', async () => {
    const channel = newChannel()
    const { status, stderr } = await cli.run(['publish', channel], { stdin: '{"n":1}\n"text"\n{"n":3}\n' })
    expect(status).toBe(1)
    expect(stderr).toMatch(/^durable-event-iterator: lines 1–3 are not published: .* responds with 400 BAD_REQUEST/)
    expect(await eventsOf(channel)).toEqual([])
  })

  test('have an idempotency key for each line', async () => {
    const channel = newChannel()
    const args = ['publish', channel, '--idempotency-key', 'import']
    await cli.run(args, { stdin: '{"n":1}\n{"n":2}\n' })
    const { stdout } = await cli.run(args, { stdin: '{"n":1}\n{"n":2}\n{"n":3}\n' })
    expect(stdout).toMatch(/^published 3 events, of which 2 duplicates, last id \d+\n$/)
    expect((await eventsOf(channel)).map(({ json }) => json)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
  })
})

describe('after a failure', () => {
  const servers: ReturnType<typeof createServer>[] = []
  afterEach(() => {
    for (const server of servers.splice(0)) server.close().closeAllConnections()
  })

  type Answer = (response: ServerResponse) => void

  /** Starts a server that gives these answers in order, and the last one to all further requests. Returns its URL. */
  async function serverWith(...answers: Answer[]): Promise<string> {
    const server = createServer((request, response) => {
      const answer = answers.length > 1 ? answers.shift()! : answers[0]!
      request.resume().on('end', () => answer(response))
    })
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  const status = (code: number, body = ''): Answer => (response) => void response.writeHead(code).end(body)
  /** The events are stored, and the connection is lost while the response is sent. */
  const cut: Answer = (response) => {
    response.writeHead(201, { 'content-length': '100' }).write('{"id":', () => response.destroy())
  }
  const stdin = '{"n":1}\n{"n":2}\n'

  test.each([
    ['a response that is cut off', cut, 'is incomplete: other side closed'],
    ['status 500', status(500), 'responds with 500'],
    ['status 502', status(502), 'responds with 502'],
    ['status 503', status(503), 'responds with 503'],
    ['status 504', status(504), 'responds with 504'],
    ['status 524', status(524), 'responds with 524'],
    ['a redirect', status(302), 'responds with a redirect'],
    ['a page', status(200, '<p>Hello'), 'responds with something else than the JSON of the endpoint; check --url'],
    ['other JSON', status(200, '{"ok":true}'), 'responds with something else than the JSON of the endpoint'],
    ['the JSON null', status(200, 'null'), 'responds with something else than the JSON of the endpoint'],
  ])('%s: it is unknown whether the events are published', async (_, answer, message) => {
    const env = { DEI_URL: await serverWith(answer) }
    const one = await cli.run(['publish', 'room', '{}'], { env })
    expect({ status: one.status, stdout: one.stdout }).toEqual({ status: 1, stdout: '' })
    expect(one.stderr).toMatch(/^durable-event-iterator: it is unknown whether the event is published: /)
    expect(one.stderr).toContain(message)
    const lines = await cli.run(['publish', 'room'], { env, stdin })
    expect({ status: lines.status, stdout: lines.stdout }).toEqual({ status: 1, stdout: '' })
    expect(lines.stderr).toMatch(/^durable-event-iterator: it is unknown whether lines 1–2 are published: /)
    expect(lines.stderr).toContain(message)
  })

  test.each([400, 401, 403, 404, 413, 429])('status %i: the events are not published', async (code) => {
    const env = { DEI_URL: await serverWith(status(code)) }
    expect((await cli.run(['publish', 'room', '{}'], { env })).stderr).not.toContain('unknown')
    expect((await cli.run(['publish', 'room'], { env, stdin })).stderr).toMatch(/^durable-event-iterator: lines 1–2 are not published: /)
  })

  test('without a connection, the events are not published', async () => {
    const { stderr } = await cli.run(['publish', 'room'], { env: { DEI_URL: 'http://127.0.0.1:1025' }, stdin })
    expect(stderr).toMatch(/^durable-event-iterator: lines 1–2 are not published: cannot reach .*ECONNREFUSED/)
  })

  test('with an idempotency key, a response that is cut off is requested again', async () => {
    const id = '1795373846123456'
    const one = await serverWith(cut, status(200, `{"id":"${id}","duplicate":true}`))
    expect(await cli.run(['publish', 'room', '{}', '--idempotency-key', 'a'], { env: { DEI_URL: one } })).toMatchObject({ status: 0, stdout: `duplicate of ${id}\n` })
    const lines = await serverWith(cut, status(200, `{"published":[{"id":"${id}","duplicate":true}]}`))
    const { stdout } = await cli.run(['publish', 'room', '--idempotency-key', 'a'], { env: { DEI_URL: lines }, stdin: '{}' })
    expect(stdout).toBe(`published 1 event, of which 1 duplicate, last id ${id}\n`)
  })

  test('of one attempt, another attempt that is rejected does not mean that the events are not published', async () => {
    const env = { DEI_URL: await serverWith(status(503), status(401)) }
    const { stderr } = await cli.run(['publish', 'room', '--idempotency-key', 'a'], { env, stdin })
    expect(stderr).toMatch(/^durable-event-iterator: it is unknown whether lines 1–2 are published: .* responds with 401/)
  })
})

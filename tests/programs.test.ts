// Programs that know nothing of this project read a channel over HTTP: curl, Node.js, Python, and a browser's own EventSource. Each
// loses its connection and resumes.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'

import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { Line } from './soak/line.ts'
import { INSTALL_TIMEOUT, launchBrowser } from './support/browser.ts'
import { SIGNING_KEY, token } from './support/client.ts'
import { startWorkers } from './support/workerd.ts'
import type { RunningWorkers } from './support/workerd.ts'

const PUBLISH_KEY = 'the publish key of the tests'

/** Serves an empty page of another origin. */
const site = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<!doctype html>'))

let worker: RunningWorkers
/** The network between the programs and the Worker. */
let line: Line
let origin: string
beforeAll(async () => {
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
  worker = await startWorkers({
    workers: [
      {
        name: 'worker',
        crate: '.',
        variables: { SIGNING_KEY, PUBLISH_KEY, CORS_ORIGINS: origin },
        durableObjects: { CHANNEL: { className: 'DurableEventIteratorObject' } },
      },
    ],
  })
  line = await Line.open(Number(worker.url.port))
})
const processes: ChildProcess[] = []
afterEach(() => {
  for (const child of processes.splice(0)) child.kill('SIGKILL')
})
afterAll(async () => {
  site.close()
  await line?.close()
  await worker?.dispose()
})

/** Publishes events with consecutive numbers. */
async function publish(channel: string, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) {
    const init = { method: 'POST', headers: { authorization: `Bearer ${PUBLISH_KEY}` }, body: JSON.stringify({ n, text: 'é\u2028' }) }
    expect((await worker.fetch(`/channels/${channel}/events`, init)).status).toBe(201)
  }
}

const eventsOf = (channel: string): string => `http://127.0.0.1:${line.port}/channels/${channel}/events`

/** The lines that a program prints, which can be awaited. */
class Output {
  readonly lines: string[] = []
  isOver = false
  #wake = (): void => {}

  constructor(command: string, args: string[]) {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    processes.push(child)
    let rest = ''
    // Not `readline`, for which U+2028 ends a line.
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      this.lines.push(...lines)
      this.#wake()
    })
    child.on('close', () => {
      this.isOver = true
      this.#wake()
    })
  }

  async until(condition: (output: Output) => boolean): Promise<void> {
    while (!condition(this)) {
      if (this.isOver) throw new Error(`the program has ended: ${this.lines.join('\n')}`)
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  async end(): Promise<void> {
    while (!this.isOver) await new Promise<void>((resolve) => (this.#wake = resolve))
  }
}

const EXPECTED = Array.from({ length: 6 }, (_, n) => ({ n: n + 1, text: 'é\u2028' }))

test('curl -N', async () => {
  const channel = 'curl'
  const authorization = `Authorization: Bearer ${await token({ chn: channel })}`
  const curl = (...headers: string[]): Output =>
    new Output('curl', ['-sN', ...['Accept: text/event-stream', authorization, ...headers].flatMap((header) => ['-H', header]), eventsOf(channel)])
  const data = ({ lines }: Output): object[] => lines.filter((text) => text.startsWith('data: ')).map((text) => JSON.parse(text.slice(6)).json)
  await publish(channel, 1, 2)
  const first = curl()
  await first.until((output) => data(output).length === 2)
  await publish(channel, 3, 3)
  await first.until((output) => data(output).length === 3)
  line.cut()
  await first.end()
  await publish(channel, 4, 5)
  const lastId = first.lines.findLast((text) => text.startsWith('id: '))!
  const second = curl(`Last-Event-ID: ${lastId.slice(4)}`)
  await second.until((output) => data(output).length === 2)
  await publish(channel, 6, 6)
  await second.until((output) => data(output).length === 3)
  expect([...data(first), ...data(second)]).toEqual(EXPECTED)
})

describe.each([
  ['Node.js', process.execPath, 'reader.mjs'],
  ['Python', 'python3', 'reader.py'],
])('a program for %s', (name, command, file) => {
  test.each(['stream', 'poll'])('by %s', async (mode) => {
    const channel = `${name.toLowerCase().replace('.', '')}-${mode}`
    const program = fileURLToPath(new URL(`programs/${file}`, import.meta.url))
    await publish(channel, 1, 2)
    // Tokens are issued in whole seconds, and the events of the two seconds before are included.
    const output = new Output(command, [program, eventsOf(channel), await token({ chn: channel }), '6', mode])
    const events = (): object[] => output.lines.map((text) => JSON.parse(text.slice(text.indexOf(' ') + 1)))
    await output.until(({ lines }) => lines.length === 2)
    await publish(channel, 3, 3)
    await output.until(({ lines }) => lines.length === 3)
    line.cut()
    await publish(channel, 4, 6)
    await output.end()
    expect(events()).toEqual(EXPECTED)
    expect(new Set(output.lines.map((text) => text.split(' ')[0])).size).toBe(6)
  })
})

describe('a browser', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchBrowser()
  }, INSTALL_TIMEOUT)
  afterAll(() => browser?.close())

  test('with its own EventSource', async () => {
    const channel = 'browser'
    const page = await browser.newPage()
    await page.goto(origin)
    await publish(channel, 1, 2)
    await page.evaluate((url) => {
      const state = Object.assign(window as any, { received: [], opened: 0, errors: 0 })
      const source = new EventSource(url)
      source.onopen = () => state.opened++
      source.onerror = () => state.errors++
      source.onmessage = ({ data, lastEventId }) => state.received.push({ event: JSON.parse(data).json, id: lastEventId })
    }, `${eventsOf(channel)}?token=${await token({ chn: channel })}`)
    const received = (count: number) => page.waitForFunction((wanted) => (window as any).received.length >= wanted, count)
    await received(2)
    await publish(channel, 3, 3)
    await received(3)
    line.cut()
    await publish(channel, 4, 5)
    // It reconnects after some seconds, by itself, with the header Last-Event-ID.
    await received(5)
    await publish(channel, 6, 6)
    await received(6)
    const seen = await page.evaluate(() => ({ received: (window as any).received, opened: (window as any).opened, errors: (window as any).errors }))
    expect(seen.received.map(({ event }: any) => event)).toEqual(EXPECTED)
    expect(new Set(seen.received.map(({ id }: any) => id)).size).toBe(6)
    expect([seen.opened, seen.errors]).toEqual([2, 1])
    await page.close()
  })
})

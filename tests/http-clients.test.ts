// Clients that read over HTTP without code of this project, across lost connections: `EventSource` of a real browser, curl, and the
// examples of docs/http.md for Node.js and Python.

import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { promisify } from 'node:util'

import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'

import { INSTALL_TIMEOUT, launchBrowser } from './support/browser.ts'
import { token } from './support/client.ts'
import { blocksOf } from './support/documents.ts'
import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { Proxy } from './npm/support/proxy.ts'

let journals: Journals
let proxy: Proxy
let browser: Browser
const children: ChildProcess[] = []
beforeAll(async () => {
  journals = await startJournals()
  proxy = await Proxy.start(journals.url)
  browser = await launchBrowser()
}, INSTALL_TIMEOUT)
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})
afterAll(async () => {
  await browser?.close()
  await proxy?.dispose()
  await journals?.dispose()
})

const publish = (chn: string, n: number): Promise<string> => journals.stub('USUAL', chn, 'publish', { n })

/** Returns the URL of a channel through the proxy, which can cut connections. */
function address(chn: string): string {
  const url = new URL(`/http/USUAL/${chn}/events`, proxy.url)
  url.protocol = 'http:'
  return url.href
}

/** The output of a program. */
function start(command: string, args: string[], input?: string): { until(found: (lines: string[]) => boolean): Promise<string[]> } {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  child.stdin.end(input)
  let output = ''
  let wake = (): void => {}
  child.stdout.on('data', (data) => {
    output += data
    wake()
  })
  return {
    async until(found) {
      for (;;) {
        const lines = output.split('\n').slice(0, -1)
        if (found(lines)) return lines
        await new Promise<void>((resolve) => (wake = resolve))
      }
    },
  }
}

/** Publishes 1 to 6, and cuts the connections after 2 and after 4. Returns what `until` returns when there are six events. */
async function withCuts<T>(chn: string, until: (count: number) => Promise<T>): Promise<T> {
  for (let n = 1; n <= 5; n += 2) {
    await publish(chn, n)
    await publish(chn, n + 1)
    await until(n + 1)
    if (n === 5) break
    await expect.poll(() => proxy.open).toBeGreaterThan(0)
    proxy.cut()
  }
  return until(6)
}

test('EventSource of a browser resumes by Last-Event-ID', async () => {
  const chn = 'browser'
  const page = await browser.newPage()
  await page.goto(new URL('/', address(chn)).href) // any page of this origin
  await page.evaluate((url) => {
    const seen: unknown[] = []
    Object.assign(globalThis, { seen })
    const events = new EventSource(url)
    events.onmessage = ({ data, lastEventId }) => seen.push([lastEventId, JSON.parse(data).json.n])
  }, `${address(chn)}?token=${await token({ chn })}`)
  const seen = async (count: number): Promise<any> => {
    await page.waitForFunction((wanted) => (globalThis as any).seen.length >= wanted, count)
    return page.evaluate(() => (globalThis as any).seen)
  }
  const all = await withCuts(chn, seen)
  expect(all.map(([, n]: [string, number]) => n)).toEqual([1, 2, 3, 4, 5, 6])
  await page.close()
})

test('curl reads pages and streams, and resumes by Last-Event-ID', async () => {
  const chn = 'curl'
  const authorization = `Authorization: Bearer ${await token({ chn })}`
  const id = await publish(chn, 1)
  const { stdout } = await promisify(execFile)('curl', ['-s', address(chn), '-H', authorization])
  expect(JSON.parse(stdout)).toEqual({ events: [{ id, json: { n: 1 } }], next: id, gap: null, more: false })
  const stream = start('curl', ['-sN', address(chn), '-H', authorization, '-H', 'Accept: text/event-stream'])
  await stream.until((lines) => lines.includes('data: {"json":{"n":1}}'))
  const second = await publish(chn, 2)
  const lines = await stream.until((lines) => lines.includes('data: {"json":{"n":2}}'))
  expect(lines).toEqual([': ', '', 'event: message', `id: ${id}`, 'data: {"json":{"n":1}}', '', 'event: message', `id: ${second}`, 'data: {"json":{"n":2}}'].concat(lines.length > 9 ? [''] : []))
  proxy.cut()
  const third = await publish(chn, 3)
  const resumed = start('curl', ['-sN', address(chn), '-H', authorization, '-H', 'Accept: text/event-stream', '-H', `Last-Event-ID: ${second}`])
  const rest = await resumed.until((lines) => lines.includes('data: {"json":{"n":3}}'))
  expect(rest.filter((line) => /^(id|data)/.test(line))).toEqual([`id: ${third}`, 'data: {"json":{"n":3}}'])
})

test('the example for Node.js resumes', async () => {
  const chn = 'node'
  const example = (await blocksOf('docs/http.md', 'js')).find((block) => block.includes('for (;;)'))!
  const code = `const url = ${JSON.stringify(address(chn))}\nconst token = ${JSON.stringify(await token({ chn }))}\nconsole.error = () => {}\n${example}`
  const { until } = start(process.execPath, ['--input-type=module', '-'], code)
  const lines = await withCuts(chn, (count) => until(({ length }) => length >= count))
  expect(lines).toEqual([1, 2, 3, 4, 5, 6].map((n) => `{ n: ${n} }`))
})

const hasPython = await promisify(execFile)('python3', ['--version']).then(() => true, () => false)

test.runIf(hasPython)('the example for Python follows a channel by long polling', async () => {
  const chn = 'python'
  const [example] = await blocksOf('docs/http.md', 'python')
  const code = `url = ${JSON.stringify(address(chn))}\ntoken = ${JSON.stringify(await token({ chn }))}\n${example}`
  const { until } = start('python3', ['-'], code)
  const numbers = (lines: string[]): number[] => lines.flatMap((line) => [...line.matchAll(/\{'n': (\d+)\}/g)].map(([, n]) => Number(n)))
  const lines = await withCuts(chn, (count) => until((lines) => numbers(lines).length >= count))
  expect(numbers(lines)).toEqual([1, 2, 3, 4, 5, 6])
})

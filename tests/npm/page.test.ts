// The standalone client on a page without a framework, in a real browser.

import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

import { build } from 'esbuild'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'

import { BareBrowser, INSTALL_TIMEOUT, launchBrowser } from '../support/browser.ts'
import { token } from '../support/client.ts'
import { startJournals } from '../support/journals.ts'
import type { Journals } from '../support/journals.ts'
import { Proxy } from './support/proxy.ts'

/** The script of the page: subscribes to the channel that the query names. */
const SCRIPT = `
import { subscribe } from './npm/durable-event-iterator/src/client/index.ts'

const query = new URLSearchParams(location.search)
const seen = (window.seen = [])
const states = (window.states = [])
const events = (window.events = subscribe({
  url: query.get('url'),
  token: async ({ signal }) => (await fetch('/token?channel=' + query.get('channel'), { signal })).text(),
  onStateChange: (state) => states.push(state),
}))
for await (const { n } of events) seen.push([n, performance.now()])
`

interface Scope {
  seen: [n: number, at: number][]
  states: string[]
  events: { state: string; call(path: string[]): Promise<unknown> }
}

let journals: Journals
let browser: Browser
let server: Server
let proxy: Proxy
let context: BrowserContext
beforeAll(async () => {
  const { outputFiles } = await build({
    stdin: { contents: SCRIPT, resolveDir: new URL('../..', import.meta.url).pathname },
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
  })
  server = createServer(async ({ url = '' }, response) => {
    const { pathname, searchParams } = new URL(url, 'http://localhost')
    if (pathname === '/token') response.end(await token({ chn: searchParams.get('channel') ?? '', rpc: ['whoAmI'], att: 'me' }))
    else if (pathname === '/page.js') response.setHeader('content-type', 'text/javascript').end(outputFiles[0]!.text)
    else if (pathname === '/elsewhere') response.setHeader('content-type', 'text/html').end('<!doctype html><title>Elsewhere</title>')
    else response.setHeader('content-type', 'text/html').end('<!doctype html><title>Page</title><script type="module" src="/page.js"></script>')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // Playwright disables the back/forward cache by default.
  ;[journals, browser] = await Promise.all([startJournals(), launchBrowser(['--disable-back-forward-cache'])])
}, INSTALL_TIMEOUT)
afterAll(async () => {
  await browser?.close()
  await journals?.dispose()
  server?.closeAllConnections()
  server?.close()
})
beforeEach(async () => {
  proxy = await Proxy.start(journals.url)
  context = await browser.newContext()
})
afterEach(async () => {
  await context.close()
  await proxy.dispose()
})

let channels = 0
function pageOf(channel: string): string {
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  url.searchParams.set('channel', channel)
  url.searchParams.set('url', new URL('/upgrade/USUAL', proxy.url).href)
  return url.href
}

async function visit(): Promise<{ page: Page; channel: string; publish(n: number): Promise<string> }> {
  const channel = `page-${++channels}`
  const page = await context.newPage()
  await page.goto(pageOf(channel))
  await isOpen(page)
  return { page, channel, publish: (n) => journals.stub('USUAL', channel, 'publish', { n }) }
}

const isOpen = (page: Page): Promise<unknown> => page.waitForFunction(() => (globalThis as unknown as Scope).events?.state === 'open')
const numbers = (page: Page): Promise<number[]> => page.evaluate(() => (globalThis as unknown as Scope).seen.map(([n]) => n))
const receives = (page: Page, expected: number[]): Promise<void> => expect.poll(() => numbers(page), { timeout: 10_000 }).toEqual(expected)

test('a page receives events, calls a procedure, and recovers from a lost connection', async () => {
  const { page, publish } = await visit()
  await publish(1)
  await receives(page, [1])
  expect(await page.evaluate(() => (globalThis as unknown as Scope).events.call(['whoAmI']))).toBe('me')
  proxy.cut()
  await publish(2)
  await expect.poll(() => numbers(page), { timeout: 20_000 }).toEqual([1, 2])
})

test('a frozen page receives the missed events when it is visible again, also if its connection was lost', { timeout: 60_000 }, async () => {
  const bare = await BareBrowser.launch()
  try {
    const channel = `page-${++channels}`
    const tab = await bare.open(pageOf(channel))
    const isOpen = (): Promise<void> => expect.poll(() => tab.evaluate('globalThis.events?.state'), { timeout: 10_000 }).toBe('open')
    await isOpen()
    await tab.evaluate('document.addEventListener("freeze", () => (globalThis.isFrozen = true)), null')
    // The first one becomes hidden.
    const other = await bare.open('about:blank')
    const isHidden = (): Promise<void> => expect.poll(() => tab.evaluate('document.visibilityState')).toBe('hidden')
    const published: number[] = []
    const losses: (() => void)[] = [() => {}, () => proxy.cut(), () => proxy.silence(), () => {}]
    for (const [n, lose] of losses.entries()) {
      await isHidden()
      await tab.freeze()
      await expect.poll(() => tab.evaluate('globalThis.isFrozen')).toBe(true)
      lose()
      await journals.stub('USUAL', channel, 'publish', { n })
      published.push(n)
      await tab.evaluate('globalThis.isFrozen = false')
      await tab.show()
      await tab.thaw()
      await expect.poll(() => tab.evaluate('seen.map(([n]) => n)'), { timeout: 10_000 }).toEqual(published)
      await isOpen()
      await other.show()
    }
  } finally {
    await bare.close()
  }
})

test('a page returns from the back/forward cache with the events that it has missed', async () => {
  const { page, publish } = await visit()
  await publish(1)
  await receives(page, [1])
  await page.evaluate(() => Object.assign(globalThis, { isTheSame: true }))
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/elsewhere`)
  await proxy.closed()
  await publish(2)
  await page.goBack({ waitUntil: 'commit' })
  await receives(page, [1, 2])
  // The page was not loaded again: it was in the cache.
  expect(await page.evaluate(() => 'isTheSame' in globalThis)).toBe(true)
  await publish(3)
  await receives(page, [1, 2, 3])
})

test('fifty reloads leave one socket', { timeout: 60_000 }, async () => {
  const { page } = await visit()
  for (let reloads = 0; reloads < 50; reloads += 1) await page.reload({ waitUntil: 'load' })
  await isOpen(page)
  await expect.poll(() => proxy.open, { timeout: 10_000 }).toBe(1)
})

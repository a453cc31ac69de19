// The fallback to HTTP in a real browser, on a page of the same origin and of another one.

import { build } from 'esbuild'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'

import { BareBrowser, INSTALL_TIMEOUT, launchBrowser } from '../../support/browser.ts'
import { token } from '../../support/client.ts'
import { startJournals } from '../../support/journals.ts'
import type { Journals } from '../../support/journals.ts'
import { RestrictedNetwork } from '../support/restricted-network.ts'

/** The script of the page: subscribes to the channel that the query names. */
const SCRIPT = `
import { subscribe } from './npm/durable-event-iterator/src/client/index.ts'
import { httpFallback } from './npm/durable-event-iterator/src/http/index.ts'

const query = new URLSearchParams(location.search)
const seen = (window.seen = [])
const states = (window.states = [])
const events = (window.events = subscribe({
  url: query.get('server') + '/upgrade/' + query.get('binding'),
  token: () => query.get('token'),
  lastEventId: query.get('after') ?? undefined,
  fallback: httpFallback({ url: query.get('server') + '/http/' + query.get('binding'), webSocketRetryDelay: 500, streamTimeout: 1_000 }),
  minReconnectionDelay: 50,
  onStateChange: (state, { transport }) => states.push([state, transport].join(' ').trim()),
  onGap: ({ nextEventId }) => states.push('gap ' + nextEventId),
}))
for await (const event of events) seen.push(event.n)
`

interface Scope {
  seen: number[]
  states: string[]
  events: { transport: string | undefined; call(path: string[], input?: unknown): Promise<any> }
}

/** An origin that the Worker of the tests allows. */
const FRIEND = 'https://friend.example'

let journals: Journals
let browser: Browser
let html: string
let network: RestrictedNetwork
let context: BrowserContext
beforeAll(async () => {
  const stdin = { contents: SCRIPT, resolveDir: new URL('../../..', import.meta.url).pathname }
  const { outputFiles } = await build({ stdin, bundle: true, write: false, format: 'esm', target: 'es2022' })
  html = `<!doctype html><title>Page</title><script type="module">${outputFiles[0]!.text.replaceAll('</script', '<\\/script')}</script>`
  ;[journals, browser] = await Promise.all([startJournals(), launchBrowser()])
}, INSTALL_TIMEOUT)
afterAll(async () => {
  await browser?.close()
  await journals?.dispose()
})
beforeEach(async () => {
  network = await RestrictedNetwork.start(journals.url)
  network.intercept = ({ url = '' }, response) => {
    if (!url.startsWith('/page')) return false
    response.setHeader('content-type', 'text/html').end(html)
    return true
  }
  context = await browser.newContext()
  // The Worker of the tests is on this machine.
  await context.grantPermissions(['local-network-access'], { origin: FRIEND })
  await context.route(`${FRIEND}/**`, (route) => route.fulfill({ contentType: 'text/html', body: html }))
})
afterEach(async () => {
  await context.close()
  await network.dispose()
})

let channels = 0
const newChannel = (): string => `http-page-${++channels}`
const publish = (channel: string, n: number, binding: 'USUAL' | 'FEW' | 'CALLS' = 'USUAL'): Promise<string> =>
  journals.publish(binding, channel, { n }, {}).then(({ id }) => id)

async function urlOf(channel: string, origin = '', binding = 'USUAL', after?: string): Promise<string> {
  const query = new URLSearchParams({ binding, server: network.url.origin, token: await token({ chn: channel, rpc: ['whoAmI', 'extra', 'anything'], att: 'me' }) })
  if (after !== undefined) query.set('after', after)
  return `${origin || network.url.origin}/page?${query}`
}

async function visit(...options: Parameters<typeof urlOf>): Promise<Page> {
  const page = await context.newPage()
  await page.goto(await urlOf(...options))
  return page
}

const scope = <T>(page: Page, read: (scope: Scope) => T): Promise<T> =>
  page.evaluate((source) => (0, eval)(source)(globalThis), `(${read})`) as Promise<T>
const sees = (page: Page, numbers: number[]): Promise<void> => expect.poll(() => scope(page, ({ seen }) => seen), { timeout: 20_000 }).toEqual(numbers)
const uses = (page: Page, transport: string): Promise<void> =>
  expect.poll(() => scope(page, ({ events }) => events?.transport), { timeout: 20_000 }).toBe(transport)

test.each([['of the same origin', ''], ['of another origin', FRIEND]])('a page %s uses each transport, and loses nothing', { timeout: 60_000 }, async (_, origin) => {
  const channel = newChannel()
  const page = await visit(channel, origin, 'CALLS')
  const published: number[] = []
  const next = async (count = 3): Promise<void> => {
    for (let more = 0; more < count; more += 1) {
      published.push(published.length + 1)
      await publish(channel, published.length, 'CALLS')
    }
  }
  const works = async (): Promise<void> => {
    await next()
    await sees(page, published)
    // A value, an error, and a file.
    expect(await page.evaluate(() => (globalThis as unknown as Scope).events.call(['anything'], { a: [1n] }).then(({ a }) => String(a[0])))).toBe('1')
    expect(await page.evaluate(() => (globalThis as unknown as Scope).events.call(['extra', 'throwOrpc']).catch(({ name }) => name))).toBe('ProcedureError')
    const file = (): Promise<unknown> =>
      (globalThis as unknown as Scope).events.call(['extra', 'file'], new File(['four'], 'a.txt', { type: 'text/plain' })).then(({ text }) => text)
    expect(await page.evaluate(file)).toBe('four')
  }
  await uses(page, 'sse')
  await works()
  network.cut()
  await works()
  network.collectsStreams = true
  network.cut()
  await uses(page, 'long-polling')
  await works()
  network.cut()
  await works()
  network.webSockets = 'pass'
  await uses(page, 'websocket')
  await works()
  network.webSockets = 'reject'
  network.collectsStreams = false
  network.cut()
  await next()
  await sees(page, published)
  expect(await scope(page, ({ states }) => new Set(states).size)).toBeLessThanOrEqual(6)
})

test.each([['of the same origin', ''], ['of another origin', FRIEND]])('a page %s receives a gap notification once', async (_, origin) => {
  const channel = newChannel()
  const first = await publish(channel, 0, 'FEW')
  for (let n = 1; n <= 40; n += 1) await publish(channel, n, 'FEW')
  const page = await visit(channel, origin, 'FEW', first)
  await expect.poll(() => scope(page, ({ seen }) => seen.at(-1)), { timeout: 20_000 }).toBe(40)
  const states = await scope(page, ({ states }) => states)
  expect(states.filter((state) => state.startsWith('gap'))).toHaveLength(1)
  expect(states.filter((state) => state === 'open sse')).toHaveLength(1)
})

test('a frozen page receives the missed events when it is visible again, also if its connection was lost', { timeout: 60_000 }, async () => {
  const bare = await BareBrowser.launch()
  try {
    const channel = newChannel()
    const tab = await bare.open(await urlOf(channel))
    const isOpen = (): Promise<void> => expect.poll(() => tab.evaluate('globalThis.events?.transport'), { timeout: 10_000 }).toBe('sse')
    await isOpen()
    await tab.evaluate('document.addEventListener("freeze", () => (globalThis.isFrozen = true)), null')
    const other = await bare.open('about:blank')
    const published: number[] = []
    for (const [n, lose] of [() => {}, () => network.cut(), () => {}].entries()) {
      await expect.poll(() => tab.evaluate('document.visibilityState')).toBe('hidden')
      await tab.freeze()
      await expect.poll(() => tab.evaluate('globalThis.isFrozen')).toBe(true)
      lose()
      await publish(channel, n)
      published.push(n)
      await tab.evaluate('globalThis.isFrozen = false')
      await tab.show()
      await tab.thaw()
      await expect.poll(() => tab.evaluate('seen'), { timeout: 10_000 }).toEqual(published)
      await isOpen()
      await other.show()
    }
  } finally {
    await bare.close()
  }
})

test('reloads leave one stream', { timeout: 60_000 }, async () => {
  const page = await visit(newChannel())
  for (let reloads = 0; reloads < 10; reloads += 1) await page.reload({ waitUntil: 'load' })
  await uses(page, 'sse')
  await expect.poll(() => network.openResponses.length, { timeout: 10_000 }).toBe(1)
})

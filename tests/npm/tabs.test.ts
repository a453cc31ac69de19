// Tabs of a real browser that share one WebSocket to a Durable Object, while it publishes events.

import type { Browser, BrowserContext } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'

import { INSTALL_TIMEOUT, launchBrowser } from '../support/browser.ts'
import { startJournals } from '../support/journals.ts'
import type { Journals } from '../support/journals.ts'
import { Proxy } from './support/proxy.ts'
import { check, Publisher, servePage, Tab } from './tabs/tabs.ts'

/** The time limit for changes, in milliseconds. */
const PATIENCE = 20_000

let journals: Journals
let browser: Browser
let page: Awaited<ReturnType<typeof servePage>>
beforeAll(async () => {
  ;[journals, browser, page] = await Promise.all([startJournals(), launchBrowser(), servePage()])
}, INSTALL_TIMEOUT)
afterAll(async () => {
  await browser?.close()
  await journals?.dispose()
  await page?.dispose()
})

let channels = 0
let channel: string
let proxy: Proxy
let context: BrowserContext
let publisher: Publisher
beforeEach(async () => {
  channel = `tabs-${(channels += 1)}`
  proxy = await Proxy.start(journals.url)
  context = await browser.newContext()
  publisher = new Publisher(journals, channel)
})
afterEach(async () => {
  await publisher.stop()
  await context.close()
  await proxy.dispose()
})

type Options = Partial<Parameters<typeof Tab.open>[1]>

const openTab = (options: Options = {}): Promise<Tab> =>
  Tab.open(context, { page: page.url, url: new URL('/upgrade/CALLS', proxy.url).href, channel, publisher, ...options })

/** Resolves when the tabs share one WebSocket. */
const shared = (): Promise<void> => expect.poll(() => proxy.open, { timeout: PATIENCE }).toBe(1)

/** Opens tabs while events are published. The first one leads. */
async function openTabs(count: number, options: Options = {}): Promise<Tab[]> {
  publisher.start()
  const tabs: Tab[] = []
  for (let n = 0; n < count; n += 1) {
    const tab = await openTab(options)
    tabs.push(tab)
    await tab.until(({ received }) => received.length > 0)
  }
  await shared()
  return tabs
}

test('three tabs share one WebSocket, and each receives all events', async () => {
  const tabs = await openTabs(3)
  await publisher.more(50)
  await check(publisher, tabs)
  expect(proxy.open).toBe(1)
  // Joining the leading tab does not interrupt a subscription.
  for (const tab of tabs) expect(tab.states).toEqual(['connecting', 'open'])
})

// TanStack Query in React, in a real browser, with each supported version of React.

import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { INSTALL_TIMEOUT, launchBrowser } from '../../support/browser.ts'
import { startJournals } from '../../support/journals.ts'
import type { Binding, Journals } from '../../support/journals.ts'
import { startApplication } from '../support/app.ts'
import type { Application } from '../support/app.ts'
import { Proxy } from '../support/proxy.ts'
import { REACT_VERSIONS } from './bundle.ts'
import { openPage } from './open-page.ts'
import type { History } from './query-page.tsx'

let browser: Browser
let journals: Journals
beforeAll(async () => {
  ;[browser, journals] = await Promise.all([launchBrowser(), startJournals()])
}, INSTALL_TIMEOUT)
afterAll(async () => {
  await browser?.close()
  await journals?.dispose()
})

let app: Application
let proxy: Proxy
let context: BrowserContext
beforeEach(async () => {
  ;[app, proxy, context] = await Promise.all([startApplication(), Proxy.start(journals.url), browser.newContext()])
})
afterEach(async () => {
  await context.close()
  await proxy.dispose()
  await app.dispose()
})

let channels = 0
const newChannel = (): string => `react-query-${++channels}`

const publish = (channel: string, n: number, binding: Binding = 'USUAL'): Promise<string> =>
  journals.stub(binding, channel, 'publish', { n }, {})

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

describe.each(REACT_VERSIONS)('React %s', (version) => {
  function open(binding: Binding = 'USUAL', history: () => History = () => ({ events: [], lastEventId: undefined })): Promise<Page> {
    const socketUrl = new URL(`/upgrade/${binding}`, proxy.url)
    const prepare = (page: Page): Promise<unknown> => page.exposeFunction('fetchHistory', history)
    return openPage(context, { rpcUrl: app.url, socketUrl, version, script: 'query-page.tsx', prepare })
  }

  const render = (page: Page, names: string[], channel: string): Promise<void> =>
    page.evaluate(({ names, channel }) => window.queryApp.render(names, channel), { names, channel })

  const shows = (page: Page, texts: string[]): Promise<void> =>
    expect.poll(() => page.locator('output').allTextContents(), { timeout: 10_000 }).toEqual(texts)

  test('two components share one socket in strict mode, and no socket is open after unmount', async () => {
    const channel = newChannel()
    const page = await open()
    await render(page, ['Streamed', 'Streamed'], channel)
    await shows(page, ['', ''])
    await publish(channel, 1)
    await shows(page, ['1', '1'])
    await expect.poll(() => proxy.open).toBe(1)
    await render(page, ['Streamed'], channel)
    await publish(channel, 2)
    await shows(page, ['1 2'])
    expect(proxy.open).toBe(1)
    await page.evaluate(() => window.queryApp.unmount())
    await proxy.closed()
    await pause(200)
    expect(proxy.open).toBe(0)
  })

  test('the hook keeps a query up to date, and loads it again after a gap', async () => {
    const channel = newChannel()
    const stored: History = { events: [], lastEventId: undefined }
    const store = async (n: number): Promise<void> => {
      stored.lastEventId = await publish(channel, n, 'SHORT')
      stored.events.push({ n })
    }
    await store(1)
    await store(2)
    let loads = 0
    const page = await open('SHORT', () => {
      loads += 1
      return stored
    })
    await render(page, ['Updated'], channel)
    await shows(page, ['1 2'])
    await store(3)
    await shows(page, ['1 2 3'])
    proxy.refuses = true
    proxy.cut()
    await store(4)
    await pause(1_200)
    await store(5)
    proxy.refuses = false
    await shows(page, ['1 2 3 4 5'])
    expect(loads).toBe(2)
    await store(6)
    await shows(page, ['1 2 3 4 5 6'])
    await page.evaluate(() => window.queryApp.unmount())
    await proxy.closed()
  })
})

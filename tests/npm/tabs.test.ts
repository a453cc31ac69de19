// Tabs of a real browser that share one WebSocket to a Durable Object, while it publishes events.

import type { Browser, BrowserContext } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

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

test('tabs that are opened together in a quiet channel share one WebSocket', async () => {
  const tabs = await Promise.all([openTab(), openTab(), openTab()])
  await Promise.all(tabs.map((tab) => tab.until(({ states }) => states.includes('open'))))
  await shared()
  publisher.start()
  await publisher.more(20)
  await check(publisher, tabs)
  expect(proxy.open).toBe(1)
})

test('tabs with different keys do not share', async () => {
  publisher.start()
  const tabs = await Promise.all([openTab({ key: 'one' }), openTab({ key: 'two' })])
  await publisher.more(20)
  await check(publisher, tabs)
  expect(proxy.open).toBe(2)
})

test('a tab with a recent cursor uses the WebSocket of the leading tab from the start', async () => {
  const tabs = await openTabs(1)
  await publisher.more(20)
  tabs.push(await openTab({ lastEventId: publisher.ids[tabs[0]!.received[0]! + 5]! }))
  await publisher.more(20)
  await check(publisher, tabs)
  expect(proxy.upgrades).toHaveLength(1)
})

test('a tab with an old cursor first has a WebSocket of its own', async () => {
  for (let n = 0; n < 20; n += 1) await publisher.publish()
  const tabs = await openTabs(1, { lastEventId: publisher.ids[10]! })
  tabs.push(await openTab({ lastEventId: publisher.ids[0]! }))
  await publisher.more(20)
  await shared()
  await check(publisher, tabs)
  expect(proxy.upgrades).toHaveLength(2)
})

test('calls of all tabs travel over one WebSocket: values, errors, files and streams', async () => {
  const tabs = await openTabs(3)
  const upgrades = proxy.upgrades.length
  const call = async (tab: Tab, n: number): Promise<void> => {
    expect(await tab.run('call', ['router', 'echo'], { text: `tab ${n}` })).toBe(`Echo: tab ${n}`)
    expect(await tab.run('error', ['extra', 'throwTeapot'])).toEqual({ code: 'MY_CODE', message: 'teapot' })
    expect(await tab.run('sendFile', `content ${n}`)).toEqual({ d: 'File:file.txt:text/plain:9', text: `content ${n}` })
    expect(await tab.run('receiveFile')).toMatchObject({ type: 'application/x-test', bytes: [0, 1, 254, 255, 123, 34] })
    expect(await tab.run('readStream', ['extra', 'stream'], 10)).toHaveLength(3)
    expect(await tab.run('readStream', ['extra', 'endless'], 10)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  }
  await Promise.all([...tabs, ...tabs].map(call))
  await check(publisher, tabs)
  expect([proxy.open, proxy.upgrades.length]).toEqual([1, upgrades])
})

test('when a tab is closed, its calls are aborted at the Durable Object', async () => {
  const tabs = await openTabs(2)
  await tabs[1]!.run('readStream', ['extra', 'wait', 'stream'], 1, 'first')
  await journals.stub('CALLS', channel, 'until', 'first dropped')
  void tabs[1]!.run('call', ['extra', 'wait', 'value'], 'second').catch(() => {})
  await journals.stub('CALLS', channel, 'until', 'second began')
  await tabs[1]!.page.close()
  await journals.stub('CALLS', channel, 'until', 'second dropped')
  await check(publisher, tabs.slice(0, 1))
})

async function crash({ page }: Tab): Promise<void> {
  const crashed = page.waitForEvent('crash')
  const session = await context.newCDPSession(page)
  // It never responds.
  session.send('Page.crash').catch(() => {})
  await crashed
}

/** Each way to lose the leading tab. */
const ENDS: [string, (leader: Tab) => Promise<void>][] = [
  ['is closed', ({ page }) => page.close()],
  ['navigates', async ({ page }) => void (await page.goto('about:blank'))],
  ['crashes', crash],
  ['closes its subscription', (leader) => leader.run('close')],
]

test.each(ENDS)('when the leading tab %s, another tab leads', async (_, end) => {
  const [leader, ...others] = await openTabs(3)
  await publisher.more(20)
  await end(leader!)
  await publisher.more(20)
  for (const tab of others) expect(await tab.run('call', ['router', 'ping'])).toBe('pong')
  await shared()
  await check(publisher, others)
  expect(proxy.open).toBe(1)
})

test('when leading tabs are closed one after another, the last tab has received all events', async () => {
  const tabs = await openTabs(4)
  while (tabs.length > 1) {
    await publisher.more(20)
    await tabs.shift()!.page.close()
  }
  await publisher.more(20)
  await check(publisher, tabs)
})

test.each(['leading', 'following'])('a frozen %s tab does not lead, and resumes when it is active again', async (role) => {
  const tabs = await openTabs(3)
  const [frozen] = role === 'leading' ? tabs.splice(0, 1) : tabs.splice(1, 1)
  const session = await frozen!.cdp()
  await session.send('Page.setWebLifecycleState', { state: 'frozen' })
  const frozenAt = publisher.published
  await publisher.more(50)
  await Promise.all(tabs.map((tab) => tab.has(frozenAt + 50)))
  if (role === 'following') await tabs.shift()!.page.close()
  await publisher.more(50)
  await Promise.all(tabs.map((tab) => tab.has(frozenAt + 100)))
  await session.send('Page.setWebLifecycleState', { state: 'active' })
  await publisher.more(50)
  await shared()
  await check(publisher, [frozen!, ...tabs])
})

test('when the leading tab does not respond, another tab takes over', async () => {
  const [leader, ...others] = await openTabs(3)
  const session = await leader!.cdp()
  await session.send('Debugger.enable')
  await session.send('Debugger.pause')
  // Whether this call reaches the Durable Object is unknown. It must not do so when the tab responds again.
  const call = others[0]!.run('call', ['extra', 'wait', 'value'], 'late').catch((error) => error)
  const pausedAt = publisher.published
  await publisher.more(50)
  await Promise.all(others.map((tab) => tab.has(pausedAt + 50)))
  expect(String(await call)).toContain('the connection was lost')
  await session.send('Debugger.resume')
  await session.send('Debugger.disable')
  await publisher.more(50)
  await leader!.has(pausedAt + 50)
  await shared()
  await check(publisher, [leader!, ...others])
  expect(await others[0]!.run('call', ['diary'])).not.toContain('late began')
})

test.each(['leading', 'following'])('a %s tab that shows a dialog resumes afterwards', async (role) => {
  const tabs = await openTabs(3)
  const tab = tabs[role === 'leading' ? 0 : 1]!
  const shown = tab.page.waitForEvent('dialog')
  const closed = tab.page.evaluate(() => alert('The browser drops messages to this tab.'))
  const dialog = await shown
  await publisher.more(50)
  await dialog.accept()
  await closed
  await publisher.more(50)
  await check(publisher, tabs)
  await publisher.publish()
  await shared()
})

/** Returns random numbers from 0 to 1, the same ones for each seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

// The environment variable repeats a run.
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e6))

test(`tabs receive all events while they are opened, closed, frozen and interrupted at random (SEED=${seed})`, { timeout: 180_000 }, async () => {
  const random = randomOf(seed)
  const options = { maxBufferedEvents: 10 }
  const tabs = await openTabs(2, options)
  const frozen = new Map<Tab, () => Promise<unknown>>()
  const done: string[] = []
  const steps: Record<string, (tab: Tab) => Promise<unknown>> = {
    open: async () => {
      const cursor = publisher.ids[publisher.published - 1 - Math.floor(random() * 60)]
      tabs.push(await openTab({ ...options, ...(random() < 0.5 && cursor !== undefined ? { lastEventId: cursor } : {}) }))
    },
    close: async (tab) => {
      tabs.splice(tabs.indexOf(tab), 1)
      await tab.page.close()
    },
    crash: async (tab) => {
      tabs.splice(tabs.indexOf(tab), 1)
      await crash(tab)
    },
    freeze: async (tab) => {
      const session = await tab.cdp()
      await session.send('Page.setWebLifecycleState', { state: 'frozen' })
      frozen.set(tab, () => session.send('Page.setWebLifecycleState', { state: 'active' }))
    },
    block: async (tab) => {
      const session = await tab.cdp()
      await session.send('Debugger.enable')
      await session.send('Debugger.pause')
      frozen.set(tab, () => session.send('Debugger.disable'))
    },
    thaw: async () => {
      for (const [tab, resume] of [...frozen].slice(0, 1)) {
        frozen.delete(tab)
        await resume()
      }
    },
    pause: (tab) => tab.run('pause'),
    resume: (tab) => tab.run('resume'),
    cut: async () => proxy.cut(),
  }
  const names = Object.keys(steps)
  for (let n = 0; n < 40; n += 1) {
    const name = names[Math.floor(random() * names.length)]!
    const active = tabs.filter((tab) => !frozen.has(tab))
    const tab = active[Math.floor(random() * active.length)]!
    // At least one tab stays active, and not too many are open.
    if (['close', 'crash', 'freeze', 'block'].includes(name) && active.length < 2) continue
    if (name === 'open' && tabs.length > 5) continue
    done.push(name)
    await steps[name]!(tab)
    await publisher.more(Math.floor(random() * 30))
  }
  for (const resume of frozen.values()) await resume()
  for (const tab of tabs) await tab.run('resume')
  await check(publisher, tabs)
  await publisher.publish()
  await shared()
  expect(done.length).toBeGreaterThan(10)
})

describe('when the leading tab reads slowly', () => {
  test('the other tabs are not delayed', async () => {
    const [leader, ...others] = await openTabs(3, { maxBufferedEvents: 10 })
    const upgrades = proxy.upgrades.length
    await leader!.run('pause')
    await publisher.more(100)
    await Promise.all(others.map((tab) => tab.has(publisher.published - 50)))
    await leader!.run('resume')
    await publisher.more(50)
    await check(publisher, [leader!, ...others])
    expect([proxy.open, proxy.upgrades.length]).toEqual([1, upgrades])
  })

  test('and has fallen behind too far, another tab leads', { timeout: 90_000 }, async () => {
    const [leader, ...others] = await openTabs(2, { maxBufferedEvents: 10 })
    await leader!.run('pause')
    await publisher.more(1_200)
    await leader!.run('resume')
    await publisher.more(50)
    await check(publisher, [leader!, ...others])
    await publisher.publish()
    await shared()
  })
})

test('a tab that follows and reads slowly receives all events', async () => {
  const [leader, slow] = await openTabs(2, { maxBufferedEvents: 10 })
  await slow!.run('pause')
  await publisher.more(100)
  await leader!.page.close()
  await publisher.more(100)
  await slow!.run('resume')
  await publisher.more(50)
  await check(publisher, [slow!])
})

describe('when the network', () => {
  test('fails, all tabs resume', async () => {
    const tabs = await openTabs(3)
    for (let n = 0; n < 3; n += 1) {
      await publisher.more(20)
      proxy.cut()
    }
    await publisher.more(20)
    await shared()
    await check(publisher, tabs)
  })

  test('is unavailable for some time, all tabs resume', async () => {
    const tabs = await openTabs(3)
    proxy.refuses = true
    proxy.cut()
    await publisher.more(100)
    proxy.refuses = false
    await publisher.more(20)
    await shared()
    await check(publisher, tabs)
  })

  test('drops all data silently, all tabs resume', async () => {
    const tabs = await openTabs(3, { heartbeatInterval: 500 })
    proxy.silence()
    await publisher.more(20)
    await check(publisher, tabs)
  })
})

test('each tab receives a gap notification', async () => {
  publisher = new Publisher(journals, channel, 'FEW')
  const tabs = await openTabs(3, { url: new URL('/upgrade/FEW', proxy.url).href })
  await publisher.stop()
  await Promise.all(tabs.map((tab) => tab.has(publisher.published)))
  proxy.refuses = true
  proxy.cut()
  for (let n = 0; n < 20; n += 1) await publisher.publish()
  proxy.refuses = false
  await Promise.all(tabs.map((tab) => tab.has(publisher.published)))
  for (const { gaps, received } of tabs) {
    // Events from before the first event of a tab may have been deleted too.
    expect(gaps.filter(({ lastEventId }) => lastEventId !== undefined)).toHaveLength(1)
    expect(new Set(received).size).toBe(received.length)
    expect(received.slice(-4)).toEqual([3, 2, 1, 0].map((n) => publisher.published - n))
  }
})

test('without Web Locks, each tab has a WebSocket of its own', async () => {
  await context.addInitScript(() => Object.defineProperty(navigator, 'locks', { value: undefined }))
  publisher.start()
  const tabs = await Promise.all([openTab(), openTab()])
  await publisher.more(20)
  await check(publisher, tabs)
  expect(proxy.open).toBe(2)
})

test('other messages on the channel are ignored', async () => {
  const tabs = await openTabs(2)
  const other = await context.newPage()
  await other.goto(page.url)
  await other.evaluate((name) => {
    const channel = new BroadcastChannel(name)
    for (const type of ['hello', 'here', 'bye', 'subscribe', 'subscribed', 'event', 'data', 'other', 'toString']) {
      for (const from of [undefined, 1, 'x']) {
        for (const rest of [{}, { to: 1 }, { to: 'x' }, { call: 1 }, { missed: [1] }, { data: {} }, { tail: null }]) {
          // A hub of another tab may introduce itself, so this is no valid message.
          channel.postMessage({ type, from, isReady: 'yes', ...rest })
        }
      }
    }
    for (const value of [undefined, null, 1, 'hello', [], {}, new ArrayBuffer(8)]) channel.postMessage(value)
  }, `durable-event-iterator/1 ${channel}`)
  await publisher.more(20)
  await check(publisher, tabs)
  for (const tab of tabs) expect(tab.states).toEqual(['connecting', 'open'])
})

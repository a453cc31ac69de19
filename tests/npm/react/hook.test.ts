// The hook in a real browser, with each supported version of React, the Durable Object and an oRPC server.

import type { Browser, BrowserContext, Page, Route } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { INSTALL_TIMEOUT, launchBrowser } from '../../support/browser.ts'
import { token } from '../../support/client.ts'
import { startJournals } from '../../support/journals.ts'
import type { Binding, Journals } from '../../support/journals.ts'
import { forbidden, startApplication } from '../support/app.ts'
import type { Application } from '../support/app.ts'
import { Proxy } from '../support/proxy.ts'
import { importForServer, REACT_VERSIONS } from './bundle.ts'
import { openPage } from './open-page.ts'
import type { App, PageProps, Shown } from './page.tsx'

let browser: Browser
let journals: Journals
beforeAll(async () => {
  ;[browser, journals] = await Promise.all([launchBrowser(), startJournals()])
}, INSTALL_TIMEOUT)
afterAll(async () => {
  await browser?.close()
  await journals?.dispose()
})

/** All sources with a socket. */
const SOURCES = ['subscribe', 'DurableIterator', 'DurableEventIterator'] as const

let app: Application
let proxy: Proxy
let context: BrowserContext
/** Uncaught exceptions and console errors, which no page may have. */
const failures: string[] = []
beforeEach(async () => {
  isForbidden = false
  ;[app, proxy, context] = await Promise.all([startApplication(), Proxy.start(journals.url), browser.newContext()])
})
afterEach(async () => {
  await context.close()
  await proxy.dispose()
  await app.dispose()
  expect(failures.splice(0)).toEqual([])
})

/** Whether the server rejects requests for a token. */
let isForbidden = false
const forbid = (): void => {
  isForbidden = true
  app.policy.check = forbidden
}
const permit = (): void => {
  isForbidden = false
  app.policy.check = () => {}
}

/** Responds to a request of the standalone client for a token. */
async function respondWithToken(route: Route): Promise<void> {
  const chn = new URL(route.request().url()).searchParams.get('channel')!
  app.issued.push(chn)
  if (isForbidden) return route.fulfill({ status: 403, body: 'Not any more.' })
  const now = Date.now() / 1_000
  const claims = { chn, rpc: ['publish', 'whoAmI'], att: 'me', iat: now, exp: Math.floor(now) + app.policy.tokenTTLSeconds }
  await route.fulfill({ body: await token(claims) })
}

let channels = 0
const newChannel = (): string => `react-${++channels}`

const publish = (channel: string, n: number, binding: Binding = 'USUAL'): Promise<string> =>
  journals.stub(binding, channel, 'publish', { n }, {})

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

describe.each(REACT_VERSIONS)('React %s', (version) => {
  /** The page with the component, on the origin of the oRPC server. */
  class Screen {
    readonly page: Page

    private constructor(page: Page) {
      this.page = page
    }

    static async open({ binding = 'USUAL', html = '' }: { binding?: Binding; html?: string } = {}): Promise<Screen> {
      const prepare = async (page: Page): Promise<void> => {
        page.on('pageerror', (error) => failures.push(error.message))
        page.on('console', (message) => {
          if (message.type() === 'error' && !/^Failed to load resource|WebSocket/.test(message.text())) failures.push(message.text())
        })
        await page.route(`${app.url.origin}/token?*`, respondWithToken)
      }
      const socketUrl = new URL(`/upgrade/${binding}`, proxy.url)
      const page = await openPage(context, { rpcUrl: app.url, socketUrl, version, script: 'page.tsx', html, prepare })
      return new Screen(page)
    }

    render(props: PageProps): Promise<void> {
      return this.page.evaluate((props) => window.app.render(props), props)
    }

    unmount(): Promise<void> {
      return this.page.evaluate(() => window.app.unmount())
    }

    shown(): Promise<Shown> {
      return this.page.evaluate(() => window.app.shown())
    }

    read<K extends 'renders' | 'received' | 'loads' | 'errors' | 'generators'>(name: K): Promise<App[K]> {
      return this.page.evaluate<App[K], string>((name) => window.app[name as K], name)
    }

    call(procedure: 'publish' | 'whoAmI', n?: number): Promise<unknown> {
      const input = n === undefined ? undefined : { n }
      return this.page.evaluate(({ procedure, input }) => window.app.call(procedure, input), { procedure, input })
    }

    /** Resolves when the result of the hook has these fields. */
    async shows(fields: Partial<Shown>): Promise<void> {
      await expect.poll(() => this.shown(), { timeout: 10_000 }).toMatchObject(fields)
    }

    /** Resolves when the component shows this text. */
    async prints(text: string): Promise<void> {
      await expect.poll(() => this.page.locator('output').textContent(), { timeout: 10_000 }).toBe(text)
    }
  }

  const sockets = (): { opened: number; open: number } => ({ opened: proxy.upgrades.length, open: proxy.open })

  test.each(SOURCES)('renders states and events, and calls procedures (%s)', async (source) => {
    const channel = newChannel()
    const screen = await Screen.open()
    await screen.render({ source, channel })
    await screen.prints('open: ')
    await publish(channel, 1)
    await publish(channel, 2)
    await screen.prints('open: 1 2')
    expect(await screen.call('whoAmI')).toBe('me')
    // Publishes to all other clients.
    expect(await screen.call('publish', 3)).toMatch(/^\d+$/)
    await publish(channel, 4)
    await screen.prints('open: 1 2 4')
    const states = (await screen.read('renders')).map(({ state }) => state)
    expect(states.filter((state, index) => state !== states[index - 1])).toEqual(['connecting', 'open'])
    expect(await screen.read('received')).toEqual([1, 2, 4])
    expect(sockets()).toEqual({ opened: 1, open: 1 })
    await screen.unmount()
    await proxy.closed()
  })

  test.each(SOURCES)('strict mode opens one socket with one token, and none is open after unmount (%s)', async (source) => {
    const channel = newChannel()
    const screen = await Screen.open()
    await screen.render({ source, channel, isStrict: true })
    await screen.shows({ state: 'open' })
    await publish(channel, 1)
    await screen.prints('open: 1')
    expect(sockets()).toEqual({ opened: 1, open: 1 })
    expect(app.issued).toEqual([channel])
    await screen.unmount()
    await proxy.closed()
    await pause(300)
    expect(sockets()).toEqual({ opened: 1, open: 0 })
  })

  test.each([0, 5, 30])('no socket is open after unmount %d ms after the mount', async (milliseconds) => {
    const screen = await Screen.open()
    await screen.render({ source: 'DurableIterator', channel: newChannel(), isStrict: true })
    if (milliseconds > 0) await pause(milliseconds)
    await screen.unmount()
    await pause(500)
    expect(proxy.open).toBe(0)
  })

  test.each(SOURCES)('another dependency ends the old subscription, and events of both are never mixed (%s)', async (source) => {
    const [first, second] = [newChannel(), newChannel()]
    const screen = await Screen.open()
    await screen.render({ source, channel: first })
    await screen.shows({ state: 'open' })
    await publish(first, 1)
    await screen.prints('open: 1')
    let isOver = false
    const publishing = (async () => {
      for (let n = 2; !isOver; n += 1) await publish(first, n)
    })()
    await screen.render({ source, channel: second })
    await screen.shows({ state: 'open' })
    await publish(second, 1_001)
    await screen.prints('open: 1001')
    isOver = true
    await publishing
    await expect.poll(sockets).toEqual({ opened: 2, open: 1 })
    const renders = await screen.read('renders')
    const mixed = renders.filter(({ channel, numbers }) => numbers.some((n) => n > 1_000 !== (channel === second)))
    expect(mixed).toEqual([])
    const change = renders.findIndex(({ channel }) => channel === second)
    expect(renders[change]).toEqual({ channel: second, state: 'connecting', numbers: [] })
    expect((await screen.read('received')).findLastIndex((n) => n < 1_000)).toBeLessThan((await screen.read('received')).indexOf(1_001))
  })

  test('without a factory there is no subscription, and removing the factory ends it', async () => {
    const channel = newChannel()
    const screen = await Screen.open()
    await screen.render({ source: 'DurableIterator', channel, isEnabled: false })
    await screen.prints('idle: ')
    await pause(100)
    expect(sockets()).toEqual({ opened: 0, open: 0 })
    await screen.render({ source: 'DurableIterator', channel })
    await screen.shows({ state: 'open' })
    await publish(channel, 1)
    await screen.prints('open: 1')
    await screen.render({ source: 'DurableIterator', channel, isEnabled: false })
    await screen.prints('idle: ')
    expect((await screen.shown()).hasSubscription).toBe(false)
    await proxy.closed()
  })

  test.each(SOURCES)('a burst of 5,000 events renders at most once for each frame, and keeps the last events (%s)', async (source) => {
    const channel = newChannel()
    const screen = await Screen.open({ binding: 'ROOMY' })
    await screen.render({ source, channel, maxEvents: 100 })
    await screen.shows({ state: 'open' })
    const before = (await screen.read('renders')).length
    const startedAt = Date.now()
    await journals.stub('ROOMY', channel, 'publishMany', 5_000)
    const all = Array.from({ length: 5_000 }, (_, index) => index + 1)
    await expect.poll(async () => (await screen.read('received')).length, { timeout: 20_000, interval: 20 }).toBe(5_000)
    const frames = Math.ceil((Date.now() - startedAt) / 16)
    await screen.prints(`open: ${all.slice(-100).join(' ')}`)
    expect(await screen.read('received')).toEqual(all)
    const renders = (await screen.read('renders')).slice(before)
    expect(renders.length).toBeLessThanOrEqual(Math.min(frames + 1, 500))
    // In order and without holes between the oldest and the newest event.
    for (const { numbers } of renders) expect(numbers).toEqual(all.slice(numbers[0]! - 1, numbers.at(-1)))
  })

  test('a lower maximum drops events, and a maximum of 0 renders no events', async () => {
    const channel = newChannel()
    const screen = await Screen.open()
    await screen.render({ source: 'DurableIterator', channel, maxEvents: 2 })
    await screen.shows({ state: 'open' })
    for (const n of [1, 2, 3]) await publish(channel, n)
    await screen.prints('open: 2 3')
    await screen.render({ source: 'DurableIterator', channel, maxEvents: 1 })
    await publish(channel, 4)
    await screen.prints('open: 4')
    await screen.render({ source: 'DurableIterator', channel, maxEvents: 0 })
    await pause(50)
    const { length } = await screen.read('renders')
    await publish(channel, 5)
    await expect.poll(() => screen.read('received')).toEqual([1, 2, 3, 4, 5])
    await pause(50)
    expect(await screen.read('renders')).toHaveLength(length)
    expect(sockets()).toEqual({ opened: 1, open: 1 })
  })

  test('reduces events with the latest reducer', async () => {
    const channel = newChannel()
    const screen = await Screen.open()
    await screen.render({ source: 'DurableIterator', channel, factor: 1, isStrict: true })
    await screen.shows({ state: 'open', data: 0 })
    await publish(channel, 1)
    await publish(channel, 2)
    await screen.prints('open: 3')
    await screen.render({ source: 'DurableIterator', channel, factor: 10, isStrict: true })
    await publish(channel, 3)
    await screen.prints('open: 33')
    expect(sockets()).toEqual({ opened: 1, open: 1 })
  })

  test('an error of the reducer ends the subscription', async () => {
    const channel = newChannel()
    const screen = await Screen.open()
    await screen.render({ source: 'DurableIterator', channel, factor: 1 })
    await screen.shows({ state: 'open' })
    await publish(channel, 5)
    await publish(channel, -1)
    await screen.shows({ state: 'closed', data: 5, error: 'n must be positive, got -1' })
    await proxy.closed()
  })

  test.each(SOURCES)('reports a gap until the events are replaced or a dependency changes (%s)', async (source) => {
    const channel = newChannel()
    const screen = await Screen.open({ binding: 'SHORT' })
    const lose = async (from: number): Promise<void> => {
      proxy.refuses = true
      proxy.cut()
      await screen.shows({ state: 'recovering' })
      await publish(channel, from, 'SHORT')
      await pause(1_200)
      await publish(channel, from + 1, 'SHORT')
      proxy.refuses = false
      await screen.shows({ state: 'open' })
    }
    await screen.render({ source, channel })
    await screen.shows({ state: 'open', gap: undefined })
    const lastEventId = await publish(channel, 1, 'SHORT')
    await screen.prints('open: 1')
    await lose(2)
    await screen.shows({ gap: { lastEventId, nextEventId: expect.stringMatching(/^\d+$/) } as never })
    await screen.prints('open: 1 3')
    await screen.page.evaluate(() => window.app.replace([{ n: 1 }, { n: 2 }, { n: 3 }]))
    await screen.prints('open: 1 2 3')
    expect((await screen.shown()).gap).toBeUndefined()
    await publish(channel, 4, 'SHORT')
    await screen.prints('open: 1 2 3 4')
    await lose(5)
    await screen.prints('open: 1 2 3 4 6')
    expect((await screen.shown()).gap).toBeDefined()
    await screen.render({ source, channel: newChannel() })
    await screen.prints('open: ')
    expect((await screen.shown()).gap).toBeUndefined()
  })

  test.each(SOURCES)('loads the events before the first subscription and after a gap (%s)', async (source) => {
    const channel = newChannel()
    const lastEventId = await publish(channel, 1, 'SHORT')
    const screen = await Screen.open({ binding: 'SHORT' })
    await screen.render({ source, channel, isStrict: true, history: { events: [{ n: 0 }, { n: 1 }], lastEventId } })
    await screen.prints('open: 0 1')
    await publish(channel, 2, 'SHORT')
    await screen.prints('open: 0 1 2')
    proxy.refuses = true
    proxy.cut()
    await screen.shows({ state: 'recovering' })
    await publish(channel, 3, 'SHORT')
    await pause(1_200)
    const last = await publish(channel, 4, 'SHORT')
    await publish(channel, 5, 'SHORT')
    const events = [{ n: 2 }, { n: 3 }, { n: 4 }]
    await screen.render({ source, channel, isStrict: true, history: { events, lastEventId: last } })
    proxy.refuses = false
    await screen.prints('open: 2 3 4 5')
    expect((await screen.shown()).gap).toBeUndefined()
    expect(await screen.read('loads')).toEqual([channel, channel])
  })

  test('a lost connection has a reason and no error, and missed events arrive', async () => {
    const channel = newChannel()
    const screen = await Screen.open()
    await screen.render({ source: 'DurableIterator', channel })
    await screen.shows({ state: 'open', transport: 'websocket' })
    proxy.refuses = true
    proxy.cut()
    await screen.shows({ state: 'recovering', error: undefined, transport: undefined, failureReason: expect.stringContaining('the connection was lost') })
    await publish(channel, 1)
    proxy.refuses = false
    await screen.prints('open: 1')
    expect(await screen.shown()).toMatchObject({ failureReason: undefined, error: undefined, gap: undefined })
  })

  test.each(SOURCES)('a rejected token surfaces as an error, and another dependency tries again (%s)', async (source) => {
    forbid()
    const screen = await Screen.open()
    await screen.render({ source, channel: newChannel() })
    await screen.shows({ state: 'closed', error: 'Not any more.', failureReason: undefined })
    permit()
    await screen.render({ source, channel: newChannel() })
    await screen.shows({ state: 'open', error: undefined })
  })

  test.each(SOURCES)('the rejection of a later token ends the subscription with an error (%s)', async (source) => {
    app.policy.tokenTTLSeconds = 2
    const screen = await Screen.open()
    await screen.render({ source, channel: newChannel() })
    await screen.shows({ state: 'open' })
    forbid()
    await screen.shows({ state: 'closed', error: 'Not any more.', failureReason: undefined })
    await proxy.closed()
  })

  test('reads any async iterable, which is open until it ends', async () => {
    const screen = await Screen.open()
    await screen.render({ source: 'generator', channel: '', isStrict: true })
    await screen.prints('open: 1 2 3')
    await screen.shows({ state: 'closed', error: undefined })
    expect(await screen.read('generators')).toEqual({ started: 1, ended: 1 })
    await screen.unmount()
  })

  test('ends a source that arrives after unmount', async () => {
    const screen = await Screen.open()
    await screen.render({ source: 'late generator', channel: '' })
    await screen.unmount()
    await pause(200)
    expect(await screen.read('generators')).toEqual({ started: 0, ended: 0 })
    expect(await screen.read('received')).toEqual([])
  })

  test('the server renders without a subscription, and the browser hydrates that HTML', async () => {
    const channel = newChannel()
    const { renderRoom, calls } = await importForServer(version)
    const html = renderRoom({ source: 'DurableIterator', channel })
    expect(html).toBe('<output>connecting: </output>')
    expect(renderRoom({ source: 'DurableIterator', channel, isEnabled: false })).toBe('<output>idle: </output>')
    expect(renderRoom({ source: 'DurableIterator', channel, factor: 1 })).toBe('<output>connecting: 0</output>')
    await pause(20)
    expect(calls).toEqual([])

    const screen = await Screen.open({ html })
    await screen.page.evaluate((props) => window.app.hydrate(props), { source: 'DurableIterator' as const, channel })
    await screen.shows({ state: 'open' })
    await publish(channel, 1)
    await screen.prints('open: 1')
    expect(await screen.read('errors')).toEqual([])
    expect(sockets()).toEqual({ opened: 1, open: 1 })
  })

  if (version === '19') test('a hidden Activity has no socket, and a visible one subscribes again', async () => {
    const channel = newChannel()
    const screen = await Screen.open()
    await screen.render({ source: 'DurableIterator', channel, isHidden: false, isStrict: true })
    await screen.shows({ state: 'open' })
    await publish(channel, 1)
    await screen.prints('open: 1')
    await screen.render({ source: 'DurableIterator', channel, isHidden: true, isStrict: true })
    await proxy.closed()
    // Without a cursor, a subscription starts two seconds before its token.
    await pause(3_100)
    await screen.render({ source: 'DurableIterator', channel, isHidden: false, isStrict: true })
    await screen.shows({ state: 'open' })
    await publish(channel, 2)
    await screen.prints('open: 2')
    expect(sockets()).toEqual({ opened: 2, open: 1 })
  })
})

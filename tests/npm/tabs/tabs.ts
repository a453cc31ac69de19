// Tabs of one browser, a publisher, and the comparison of both.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'

import { buildSync } from 'esbuild'
import type { BrowserContext, CDPSession, Page } from 'playwright-core'
import { expect } from 'vitest'

import type { SubscriptionGap } from '../../../npm/durable-event-iterator/src/client/index.ts'
import { token } from '../../support/client.ts'
import type { Binding, Journals } from '../../support/journals.ts'
import type { StartOptions, TabApi } from './page.ts'

/** The procedures that the tokens allow. */
const PROCEDURES = ['router', 'extra', 'upload', 'whoAmI', 'diary']

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** Serves the page of the tabs. */
export async function servePage(): Promise<{ url: string; dispose(): Promise<void> }> {
  const { outputFiles } = buildSync({
    absWorkingDir: root,
    entryPoints: ['tests/npm/tabs/page.ts'],
    bundle: true,
    write: false,
    format: 'iife',
    target: 'es2022',
  })
  const html = `<!doctype html><title>Tab</title><script>${outputFiles[0]!.text.replaceAll('</script', '<\\/script')}</script>`
  const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end(html))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    dispose: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Waits for conditions, which are checked with every change. */
class Waiting {
  readonly #waiting = new Set<() => void>()

  changed(): void {
    for (const check of this.#waiting) check()
  }

  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!condition()) return
        this.#waiting.delete(check)
        resolve()
      }
      this.#waiting.add(check)
      check()
    })
  }
}

/** Publishes the numbers from 1 on, until it is stopped. */
export class Publisher {
  /** The last published number. */
  published = 0
  readonly ids: string[] = []
  readonly #publish: (n: number) => Promise<string>
  readonly #waiting = new Waiting()
  #running: Promise<void> | undefined
  #isStopped = false

  constructor(journals: Journals, channel: string, binding: Binding = 'CALLS') {
    this.#publish = async (n) => (await journals.publish(binding, channel, { n }, {})).id
  }

  start(): void {
    this.#isStopped = false
    this.#running = (async () => {
      while (!this.#isStopped) await this.publish()
    })()
  }

  async publish(): Promise<void> {
    // The number is published as soon as it may arrive.
    this.published += 1
    this.ids.push(await this.#publish(this.published))
    this.#waiting.changed()
  }

  /** Resolves when this many more events are published. */
  more(count: number): Promise<void> {
    const target = this.published + count
    return this.#waiting.until(() => this.published > target)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
  }
}

export class Tab {
  readonly page: Page
  readonly received: number[] = []
  readonly states: string[] = []
  readonly gaps: SubscriptionGap[] = []
  readonly ends: unknown[] = []
  /** The number of events that were published before the tab was opened, or up to its cursor. */
  readonly publishedBefore: number
  readonly #waiting = new Waiting()

  private constructor(page: Page, publishedBefore: number) {
    this.page = page
    this.publishedBefore = publishedBefore
  }

  static async open(
    context: BrowserContext,
    { page: url, channel, publisher, ...options }: Omit<StartOptions, 'key' | 'leaderTimeout'> & {
      page: string
      channel: string
      publisher: Publisher
      key?: string
      leaderTimeout?: number
    },
  ): Promise<Tab> {
    const page = await context.newPage()
    const { lastEventId } = options
    const tab = new Tab(page, lastEventId === undefined ? publisher.published : publisher.ids.indexOf(lastEventId) + 1)
    await page.exposeFunction('fetchToken', () => token({ chn: channel, rpc: PROCEDURES, att: { userId: 'me' } }))
    await page.exposeFunction('report', (kind: string, value: unknown) => tab.#onReport(kind, value))
    await page.goto(url)
    await tab.start({ key: channel, leaderTimeout: 1_000, ...options })
    return tab
  }

  #onReport(kind: string, value: unknown): void {
    if (kind === 'event') this.received.push(value as number)
    if (kind === 'state') this.states.push(value as string)
    if (kind === 'gap') this.gaps.push(value as SubscriptionGap)
    if (kind === 'end') this.ends.push(value)
    this.#waiting.changed()
  }

  async start(options: StartOptions): Promise<void> {
    await this.page.evaluate((options) => (window as unknown as { tab: TabApi }).tab.start(options), options)
  }

  /** Calls a function of the page. */
  run<R>(name: keyof TabApi, ...args: unknown[]): Promise<R> {
    return this.page.evaluate(
      ([name, args]) => (window as any).tab[name](...args),
      [name, args] as const,
    ) as Promise<R>
  }

  until(condition: (tab: this) => boolean): Promise<void> {
    return this.#waiting.until(() => condition(this))
  }

  /** Resolves when the event has arrived. */
  has(n: number): Promise<void> {
    return this.until(({ received }) => received.at(-1)! >= n)
  }

  cdp(): Promise<CDPSession> {
    return this.page.context().newCDPSession(this.page)
  }

  /** The differences between what has arrived and what was published from the first event of the tab on. */
  faults(published: number): { lost: number; duplicated: number; reordered: number } {
    const first = this.received[0]!
    const unique = new Set(this.received)
    return {
      lost: published - first + 1 - unique.size,
      duplicated: this.received.length - unique.size,
      reordered: this.received.filter((n, index) => index > 0 && n < this.received[index - 1]!).length,
    }
  }
}

/** Stops the publisher when all tabs are up to date, and checks that each tab has received exactly the published events from its start on. */
export async function check(publisher: Publisher, tabs: readonly Tab[]): Promise<void> {
  await publisher.stop()
  await Promise.all(tabs.map((tab) => tab.has(publisher.published)))
  // A repeated event would arrive before this one.
  await publisher.publish()
  await Promise.all(tabs.map((tab) => tab.has(publisher.published)))
  for (const tab of tabs) {
    expect(tab.received[0]).toBeLessThanOrEqual(tab.publishedBefore + 1)
    expect(tab.faults(publisher.published)).toEqual({ lost: 0, duplicated: 0, reordered: 0 })
    expect({ gaps: tab.gaps, ends: tab.ends }).toEqual({ gaps: [], ends: [] })
  }
}

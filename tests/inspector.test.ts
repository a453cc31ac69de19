// The inspector, in a real browser, of the generic Worker and of a Worker in TypeScript.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { INSTALL_TIMEOUT, launchBrowser } from './support/browser.ts'
import { Client, SIGNING_KEY, token } from './support/client.ts'
import type { Claims, ClientVersion, Subscription } from './support/client.ts'
import { token as durableIteratorToken } from './support/durable-iterator.ts'
import { startWorkers } from './support/workerd.ts'
import type { RunningWorkers } from './support/workerd.ts'

const INSPECT_KEY = 'the inspect key of the tests'
const READ_KEY = 'the read key of the tests'
const STATS_KEY = 'the key for numbers of the tests'
const PUBLISH_KEY = 'the key for publishing of the tests'
const ACCESS_KEYS = JSON.stringify([
  { key: STATS_KEY, rights: ['stats'] },
  { key: PUBLISH_KEY, rights: ['publish'] },
])

/** The time limit for changes of the page, in milliseconds. */
const PATIENCE = 20_000

interface Implementation {
  name: string
  prefix: string
  worker: RunningWorkers
}

let persistence: string
let generic: Implementation
let typescript: Implementation
/** The generic Worker without presence. */
let plain: Implementation
let locked: RunningWorkers
let browser: Browser
const visits: Visit[] = []
const clients: Client[] = []

const CHANNEL = { CHANNEL: { className: 'DurableEventIteratorObject' } }

beforeAll(async () => {
  persistence = await mkdtemp(join(tmpdir(), 'inspector-'))
  const variables = { SIGNING_KEY, INSPECT_KEY, READ_KEY, ACCESS_KEYS, MAX_RETAINED_EVENTS: '200' }
  const [first, second, third, fourth, launched] = await Promise.all([
    startWorkers({ workers: [{ name: 'worker', crate: '.', variables: { ...variables, PRESENCE: 'subject' }, durableObjects: CHANNEL }] }),
    startWorkers({
      workers: [
        {
          name: 'worker',
          entry: 'tests/worker-typescript/inspected.ts',
          variables: { SIGNING_KEY, INSPECT_KEY },
          durableObjects: { ROOM: { className: 'Room' } },
        },
      ],
    }),
    startWorkers({ workers: [{ name: 'worker', crate: '.', variables, durableObjects: CHANNEL }], persistence }),
    startWorkers({ workers: [{ name: 'worker', crate: '.', variables: { SIGNING_KEY, READ_KEY }, durableObjects: CHANNEL }] }),
    launchBrowser(),
  ])
  generic = { name: 'the generic Worker', prefix: '/channels', worker: first }
  typescript = { name: 'a Worker in TypeScript', prefix: '/rooms', worker: second }
  plain = { name: 'the generic Worker without presence', prefix: '/channels', worker: third }
  locked = fourth
  browser = launched
}, INSTALL_TIMEOUT)
afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  for (const { page, problems } of visits.splice(0)) {
    await page.context().close()
    expect(problems).toEqual([])
  }
})
afterAll(async () => {
  await browser?.close()
  await Promise.all([...[generic, typescript, plain].map((implementation) => implementation?.worker.dispose()), locked?.dispose()])
  await rm(persistence, { recursive: true, force: true })
})

const both = [
  ['the generic Worker', () => generic],
  ['a Worker in TypeScript', () => typescript],
] as const

interface VisitOptions extends BrowserContextOptions {
  key?: string
  /** The reports of failed requests that the browser may log: a part of each text. */
  expected?: string
}

/** A page with the inspector. */
class Visit {
  readonly page: Page
  /** Errors in the console, violations of the content security policy and uncaught exceptions. */
  readonly problems: string[] = []

  private constructor(page: Page, expected: string | undefined) {
    this.page = page
    page.on('pageerror', (error) => this.problems.push(error.message))
    page.on('console', (message) => {
      const text = message.text()
      const isExpected = expected !== undefined && text.startsWith('Failed to load resource') && text.includes(expected)
      if (['error', 'warning'].includes(message.type()) && !isExpected) this.problems.push(text)
    })
    page.on('dialog', (dialog) => {
      this.problems.push(`a script has opened a dialog: ${dialog.message()}`)
      void dialog.dismiss()
    })
    visits.push(this)
  }

  /** Opens the page, enters the key, and opens a channel. */
  static async open({ worker }: { worker: RunningWorkers }, channel: string, options: VisitOptions = {}): Promise<Visit> {
    const visit = await Visit.start(worker, `#channel=${encodeURIComponent(channel)}`, options)
    await visit.enter(options.key ?? INSPECT_KEY)
    await visit.is('Live')
    return visit
  }

  static async start(worker: RunningWorkers, hash: string, { expected, key: _, ...options }: VisitOptions = {}): Promise<Visit> {
    const context = await browser.newContext(options)
    context.setDefaultTimeout(PATIENCE)
    const visit = new Visit(await context.newPage(), expected)
    await visit.page.addInitScript(() => {
      addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => console.error('CSP', violatedDirective, blockedURI))
    })
    await visit.page.goto(new URL(`/inspect${hash}`, worker.url).href)
    return visit
  }

  async enter(key: string): Promise<void> {
    await this.page.getByLabel('Key', { exact: true }).fill(key)
    await this.page.getByRole('button', { name: 'Open channel' }).click()
  }

  /** Resolves when the page shows a state of the connection. */
  async is(state: string): Promise<void> {
    await expect.poll(() => this.page.locator('#state').textContent(), { timeout: PATIENCE }).toBe(state)
  }

  get events(): Locator {
    return this.page.getByRole('list', { name: 'Live events' })
  }

  /** The texts of the live events, the newest first, without those of presence. */
  previews(): Promise<string[]> {
    return this.events.locator('.event:not(.live-only) .preview').allTextContents()
  }

  async shows(previews: string[]): Promise<void> {
    await expect.poll(() => this.previews(), { timeout: PATIENCE }).toEqual(previews)
  }

  async tab(name: string): Promise<Locator> {
    await this.page.getByRole('tab', { name }).click()
    return this.page.getByRole('tabpanel', { name })
  }

  async overflow(): Promise<number> {
    return this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  }
}

async function publish({ worker, prefix }: Implementation, channel: string, event: object, query: [string, string][] = []): Promise<string> {
  const url = new URL(`${prefix}/events?${new URLSearchParams([['channel', channel], ...query])}`, worker.url)
  const headers = { authorization: `Bearer ${INSPECT_KEY}`, 'content-type': 'application/vnd.orpc+json' }
  const body = JSON.stringify('json' in event ? event : { json: event })
  const response = await worker.fetch(url, { method: 'POST', headers, body })
  expect([response.status, response.ok || (await response.text())]).toEqual([201, true])
  return ((await response.json()) as { id: string }).id
}

interface Connected {
  client: Client
  subscription: Subscription
}

/** Connects an unmodified client of oRPC. Only tokens of `DurableIterator` clients have tags. */
async function connect(
  { worker }: Implementation,
  { tags, ...claims }: Claims & { tags?: string[] },
  id?: string,
  version: ClientVersion = '1.16.1',
): Promise<Connected> {
  const url = new URL('/', worker.url)
  url.protocol = 'ws:'
  url.searchParams.set('token', await (tags === undefined ? token(claims) : durableIteratorToken({ ...claims, tags })))
  if (id !== undefined) url.searchParams.set('id', id)
  const client = await Client.connect(url.href, { version })
  clients.push(client)
  return { client, subscription: await client.subscribe() }
}

describe('without the secret', () => {
  test('the page and its assets do not exist', async () => {
    for (const path of ['/inspect', '/inspect/', '/inspect/main.js', '/inspect/style.css']) {
      expect((await locked.fetch(path)).status).toBe(404)
    }
    const response = await locked.fetch('/channels/stats?channel=a', { headers: { authorization: `Bearer ${INSPECT_KEY}` } })
    expect([401, 404]).toContain(response.status)
  })
})

describe.for(both)('the page of %s', ([, of]) => {
  test('has strict headers, and contains no key', async () => {
    const { worker } = of()
    const response = await worker.fetch('/inspect')
    const text = await response.text()
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    const policy = response.headers.get('content-security-policy')
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain('unsafe')
    expect(response.headers.get('referrer-policy')).toBe('no-referrer')
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    expect(text).not.toContain(INSPECT_KEY)
    expect(text).toContain(`data-prefix="${of().prefix}"`)
    const tag = response.headers.get('etag')!
    expect((await worker.fetch('/inspect', { headers: { 'if-none-match': tag } })).status).toBe(304)
    const head = await worker.fetch('/inspect/main.js', { method: 'HEAD' })
    expect([head.status, head.headers.get('content-type'), await head.text()]).toEqual([200, 'text/javascript; charset=utf-8', ''])
    expect((await worker.fetch('/inspect', { method: 'POST', body: '' })).status).toBe(405)
  })

  test('shows retained events, then live ones, with their types', async () => {
    const implementation = of()
    await publish(implementation, 'live', { n: 1 })
    const visit = await Visit.open(implementation, 'live')
    await visit.shows(['{ n: 1 }'])
    await visit.events.getByText('{ type: "presence"').waitFor() // not stored
    const meta = [[1, 'at'], [0, 'total'], [6, 'tags'], [7, 'map'], [3, 'list', 0]]
    const id = await publish(
      implementation,
      'live',
      { json: { at: '2026-01-31T12:00:00.000Z', total: '12345678901234567890', tags: ['a'], map: [['k', 1]], list: [null] }, meta },
      [['retry', '1500'], ['comments', 'a comment']],
    )
    await visit.shows([
      '{ at: 2026-01-31T12:00:00.000Z, total: 12345678901234567890n, tags: Set ["a"], map: Map ["k" → 1], list: [undefined] }',
      '{ n: 1 }',
    ])
    const event = visit.events.locator('.event:not(.live-only)').first()
    await event.locator('summary').first().click()
    await event.getByText('12345678901234567890n').last().waitFor()
    for (const text of [/^date$/, /^bigint$/, /^set \[1\]$/, /^map \[1\]$/, /1,500 ms/, /a comment/]) await event.getByText(text).first().waitFor()
    await expect.poll(() => event.locator('dd').first().textContent()).toBe(id)
    await visit.page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    await event.getByRole('button', { name: 'Copy id' }).click()
    await event.getByText('Copied').waitFor()
    expect(await visit.page.evaluate(() => navigator.clipboard.readText())).toBe(id)
  })

  test('publishes an event, which arrives at unmodified clients', async () => {
    const implementation = of()
    const [first, second] = await Promise.all([
      connect(implementation, { chn: 'publish', tags: ['staff'] }, 'anna', '1.6.6'),
      connect(implementation, { chn: 'publish' }, 'bert', '1.16.1'),
    ])
    const visit = await Visit.open(implementation, 'publish')
    const panel = await visit.tab('Publish')
    await panel.getByLabel('Event', { exact: true }).fill('{"n":')
    await panel.getByText('Invalid JSON').first().waitFor()
    await panel.getByLabel('Event', { exact: true }).fill('{"n":1}')
    await panel.getByRole('button', { name: 'Publish' }).click()
    await panel.getByText(/^Published as event \d+\.$/).waitFor()
    await visit.shows(['{ n: 1 }'])

    await panel.getByText('Recipients and options').click()
    await panel.getByLabel('Tags').fill('staff')
    await panel.getByLabel('Comments').fill('only for the staff')
    await panel.getByLabel('Retry, in milliseconds').fill('2500')
    await panel.getByRole('button', { name: 'Random' }).click()
    await panel.getByLabel('Event', { exact: true }).fill('{"json":{"at":"2026-01-31T12:00:00.000Z"},"meta":[[1,"at"]]}')
    await panel.getByLabel('oRPC’s serialized form').check()
    await panel.getByRole('button', { name: 'Publish' }).click()
    await panel.getByText(/^Published as event/).waitFor()
    await panel.getByRole('button', { name: 'Publish' }).click()
    await panel.getByText(/^Not published again: event \d+ has this idempotency key\.$/).waitFor()

    await panel.getByLabel('Retry, in milliseconds').fill('soon')
    await panel.getByRole('button', { name: 'Publish' }).click()
    await panel.getByText(/retry: expected an integer/).waitFor()
    visit.problems.splice(0) // the browser logs the response with 400

    await publish(implementation, 'publish', { n: 3 })
    const isOver = ({ events }: Subscription) => events.at(-1)?.n === 3
    await Promise.all([first.subscription.until(isOver), second.subscription.until(isOver)])
    const named = (events: any[]) => events.filter((event) => event.type !== 'presence')
    expect(named(first.subscription.events)).toEqual([{ n: 1 }, { at: new Date('2026-01-31T12:00:00.000Z') }, { n: 3 }])
    expect(named(second.subscription.events)).toEqual([{ n: 1 }, { n: 3 }])
    const addressed = first.subscription.received.find(({ event }) => 'at' in event)
    expect(addressed?.meta).toMatchObject({ retry: 2_500, comments: ['only for the staff'] })
  })

  test('shows the numbers, the clients and who is present', async () => {
    const implementation = of()
    const id = await publish(implementation, 'numbers', { n: 1 })
    await connect(implementation, { chn: 'numbers', sub: 'anna', tags: ['staff'] }, 'c-anna')
    const visit = await Visit.open(implementation, 'numbers')
    const numbers = await visit.tab('Numbers')
    await expect.poll(() => numbers.locator('#numbers-retained').textContent(), { timeout: PATIENCE }).toContain(id)
    expect(await numbers.locator('#numbers-now').textContent()).toContain('Members1')
    const clients = await visit.tab('Clients')
    await clients.getByRole('list', { name: 'Members' }).getByText('anna', { exact: true }).waitFor()
    const row = clients.getByRole('table', { name: 'Connections' }).getByRole('row').filter({ hasText: 'c-anna' })
    await row.getByText('staff').waitFor()
    await row.getByText('live').waitFor()
    await visit.page.getByText('Timeline as a table').click()
    const bars = visit.page.getByRole('table', { name: 'Events over time' })
    await expect.poll(() => bars.getByRole('row').count(), { timeout: PATIENCE }).toBe(2)
    expect(await visit.page.getByRole('table', { name: /^Segments/ }).getByRole('row').count()).toBe(2)
    expect(await visit.page.getByRole('img', { name: /^Events over time: 1 event/ }).count()).toBe(1)
    await bars.getByRole('button', { name: /^Show events from/ }).click()
    await visit.page.getByRole('list', { name: 'Retained events' }).getByText('{ n: 1 }').waitFor()
    expect(await visit.page.getByRole('radio', { name: 'History' }).isChecked()).toBe(true)
  })

  test('disconnects clients, and revokes tokens', async () => {
    const implementation = of()
    const { client } = await connect(implementation, { chn: 'disconnect', sub: 'anna' }, 'c-anna')
    await connect(implementation, { chn: 'disconnect', sub: 'bert' }, 'c-bert')
    const visit = await Visit.open(implementation, 'disconnect')
    const clients = await visit.tab('Clients')
    await clients.getByRole('button', { name: 'Disconnect c-anna' }).click()
    const panel = visit.page.getByRole('tabpanel', { name: 'Disconnect' })
    expect(await panel.getByLabel('Connection ids, one per line').first().inputValue()).toBe('c-anna')

    const dialog = visit.page.getByRole('dialog')
    await panel.getByRole('button', { name: 'Disconnect …' }).click()
    await dialog.getByText('This closes 1 socket').waitFor()
    await visit.page.keyboard.press('Escape')
    await expect.poll(() => panel.getByRole('button', { name: 'Disconnect …' }).evaluate((button) => button === document.activeElement)).toBe(true)
    expect(client.socket.readyState).toBe(1)

    const closed = new Promise((resolve) => client.socket.addEventListener('close', resolve, { once: true }))
    await panel.getByRole('button', { name: 'Disconnect …' }).click()
    await dialog.getByRole('button', { name: 'Disconnect' }).click()
    await panel.getByText('Disconnected 1 socket.').waitFor()
    await closed
    await client.open() // its token is still valid

    await panel.getByRole('radio', { name: 'Of a subject' }).check()
    await panel.getByLabel('Subject', { exact: true }).fill('bert')
    await panel.getByRole('button', { name: 'Revoke …' }).click()
    await dialog.getByText('“bert”').waitFor()
    await dialog.getByRole('button', { name: 'Revoke' }).click()
    await panel.getByText('Revoked. Disconnected 1 socket.').waitFor()
  })
})

test('a wrong key is reported, and the next one opens the channel', async () => {
  const visit = await Visit.start(plain.worker, '#channel=key', { expected: '401' })
  await visit.enter('a wrong key of the tests')
  await visit.page.getByRole('alert').getByText('INSPECT_KEY').waitFor()
  expect(await visit.page.getByLabel('Key', { exact: true }).evaluate((input) => input === document.activeElement)).toBe(true)
  await visit.enter(INSPECT_KEY)
  await visit.is('Live')
  expect(await visit.page.evaluate((key) => JSON.stringify({ ...localStorage }).includes(key), INSPECT_KEY)).toBe(false)
  expect(visit.page.url()).not.toContain(encodeURIComponent(INSPECT_KEY))

  await visit.page.reload()
  await visit.is('Live') // the tab has kept the key
  await visit.page.getByRole('combobox', { name: 'Channel' }).fill('another')
  await visit.page.keyboard.press('Enter')
  await expect.poll(() => visit.page.title()).toBe('another · Inspector')
  await visit.is('Live')
  await visit.page.goBack()
  await expect.poll(() => visit.page.title()).toBe('key · Inspector')
  await visit.page.getByRole('button', { name: 'Key', exact: true }).click()
  expect(await visit.page.evaluate(() => sessionStorage.length)).toBe(0)
  expect(await visit.page.getByRole('button', { name: 'another', exact: true }).isVisible()).toBe(true)
})

test('a key with fewer rights shows what it may, and names the missing right', async () => {
  await publish(plain, 'rights', { n: 1 })
  const visit = await Visit.open(plain, 'rights', { key: READ_KEY, expected: '403' })
  await visit.shows(['{ n: 1 }'])
  await visit.page.getByRole('alert').getByText('Use a key that has this right').waitFor()
})

test.for([
  ['numbers', STATS_KEY],
  ['publishing', PUBLISH_KEY],
] as const)('the tab keeps a key that has only the right for %s', async ([, key]) => {
  const visit = await Visit.start(plain.worker, '#channel=limited', { expected: '403' })
  const { page } = visit
  await visit.enter(key)
  await visit.is('Stopped')
  await expect.poll(() => page.evaluate(() => sessionStorage.length), { timeout: PATIENCE }).toBe(1)
  await page.reload()
  await visit.is('Stopped')
  if (key === STATS_KEY) await page.getByText(/^at \d/).waitFor()
  expect(await page.getByLabel('Key', { exact: true }).isVisible()).toBe(false)
})

test('the stream resumes after the end of the runtime, and reports a gap', async () => {
  const visit = await Visit.open(plain, 'resume', { expected: 'net::ERR' })
  await publish(plain, 'resume', { n: 1 })
  await visit.shows(['{ n: 1 }'])
  await visit.page.context().setOffline(true)
  await plain.worker.kill()
  await visit.is('Reconnecting')
  await visit.page.locator('#note').getByText('cannot be reached').waitFor()
  await publish(plain, 'resume', { n: 2 })
  await visit.page.context().setOffline(false)
  await visit.is('Live')
  await visit.shows(['{ n: 2 }', '{ n: 1 }'])

  await visit.page.context().setOffline(true)
  await plain.worker.kill()
  await visit.is('Reconnecting')
  for (let n = 0; n < 500; n += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, index) => publish(plain, 'resume', { later: n + index })))
  }
  await visit.page.context().setOffline(false)
  await visit.is('Live')
  await visit.events.getByText('Missed events are no longer retained').waitFor()
}, 90_000)

test('the list is bounded, and states how many events it has left out', async () => {
  const visit = await Visit.open(plain, 'bounded')
  for (let n = 0; n < 600; n += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, index) => publish(plain, 'bounded', { n: n + index })))
  }
  await expect.poll(() => visit.page.locator('#event-count').textContent(), { timeout: PATIENCE }).toBe('newest 500 of 600 received')
  expect(await visit.previews()).toHaveLength(500)
}, 60_000)

test('data and names are never HTML', async () => {
  const evil = `<img src=x onerror="alert(1)">"'><script>alert(2)</script>`
  await publish(generic, evil, { [evil]: evil, list: [evil] }, [['comments', evil]])
  await connect(generic, { chn: evil, sub: evil, tags: [evil] }, '<img/src=x/onerror=alert(3)>')
  const visit = await Visit.open(generic, evil)
  await expect.poll(() => visit.previews()).toHaveLength(1)
  await visit.events.locator('.event:not(.live-only) summary').first().click()
  await visit.events.getByText('Copy JSON').waitFor()
  const clients = await visit.tab('Clients')
  await clients.getByText('<img/src=x/onerror=alert(3)>').first().waitFor()
  await clients.getByRole('button', { name: 'Disconnect <img' }).click()
  await visit.page.getByRole('button', { name: 'Disconnect …' }).click()
  await visit.page.getByRole('dialog').getByText(evil).waitFor()
  await visit.page.keyboard.press('Escape')
  await visit.page.reload()
  await visit.is('Live')
  expect(await visit.page.locator('img:not([src="/inspect/icon.svg"]), body script').count()).toBe(0)
  expect(await visit.page.title()).toBe(`${evil} · Inspector`)
})

test('a paused list collects events, the filter counts matches, and older events are loaded', async () => {
  for (let n = 1; n <= 130; n++) await publish(plain, 'list', { n })
  const visit = await Visit.open(plain, 'list')
  const { page } = visit
  const count = page.locator('#event-count')
  await expect.poll(() => count.textContent()).toBe('100 events')
  await page.getByRole('button', { name: 'Load older events' }).click()
  await expect.poll(() => count.textContent()).toBe('130 events')
  await page.getByText('These are all retained events.').waitFor()
  await page.getByRole('button', { name: 'Pause' }).click()
  await publish(plain, 'list', { n: 131 })
  await page.getByText('Paused: 1 new event.').waitFor()
  expect((await visit.previews())[0]).toBe('{ n: 130 }')
  await page.getByRole('button', { name: 'Resume' }).click()
  await expect.poll(async () => (await visit.previews())[0]).toBe('{ n: 131 }')
  await page.getByRole('searchbox', { name: 'Filter events' }).fill('"n":13')
  await expect.poll(() => count.textContent()).toBe('3 of 131 events match')
  await page.getByRole('searchbox', { name: 'Filter events' }).fill('')

  await page.getByRole('radio', { name: 'History' }).check()
  const history = page.getByRole('list', { name: 'Retained events' }).locator('.preview')
  await expect.poll(() => history.count()).toBe(100)
  expect(await history.last().textContent()).toBe('{ n: 1 }')
  await page.getByRole('button', { name: 'Next page' }).click()
  await expect.poll(() => history.count()).toBe(31)
  await page.getByRole('button', { name: 'Previous page' }).click()
  await expect.poll(() => history.count()).toBe(100)
})

test('the pages of the history follow each other after repeated clicks and errors', async () => {
  await Promise.all(Array.from({ length: 250 }, (_, n) => publish(typescript, 'history', { n })))
  const visit = await Visit.open(typescript, 'history', { expected: 'net::ERR' })
  const { page } = visit
  const [previous, next] = [page.getByRole('button', { name: 'Previous page' }), page.getByRole('button', { name: 'Next page' })]
  const first = page.getByRole('list', { name: 'Retained events' }).locator('.event .id').first()
  const isEnabled = async () => [await previous.getAttribute('aria-disabled'), await next.getAttribute('aria-disabled')].map((value) => value === 'false')
  await page.getByRole('radio', { name: 'History' }).check()
  await expect.poll(isEnabled).toEqual([false, true])
  const firsts = [await first.textContent()]

  // The second click is while the page of the first one is loading.
  const requested: string[] = []
  const clicked = Promise.withResolvers<void>()
  let isBroken = false
  await page.route('**/rooms/events?*', async (route) => {
    requested.push(route.request().url())
    await clicked.promise
    await (isBroken ? route.abort() : route.continue())
  })
  await next.dblclick()
  clicked.resolve()
  await expect.poll(isEnabled).toEqual([true, true])
  firsts.push(await first.textContent())
  expect(requested).toHaveLength(1)

  isBroken = true
  await next.click()
  await page.locator('#history-note').getByText('cannot be reached').waitFor()
  expect(await first.textContent()).toBe(firsts[1])
  isBroken = false
  await next.click()
  await expect.poll(isEnabled).toEqual([true, false])
  firsts.push(await first.textContent())
  expect(new Set(firsts).size).toBe(3)

  await previous.click()
  await expect.poll(() => first.textContent()).toBe(firsts[1])
  await previous.click()
  await expect.poll(() => first.textContent()).toBe(firsts[0])
  expect(await isEnabled()).toEqual([false, true])
})

test('in the history, P does not pause the live list, and the focus stays on a visible control', async () => {
  await publish(plain, 'views', { n: 1 })
  const visit = await Visit.open(plain, 'views', { expected: 'net::ERR' })
  const { page } = visit
  await visit.shows(['{ n: 1 }'])
  await page.getByRole('radio', { name: 'History' }).check()
  await page.locator('#history .event').first().waitFor()
  await page.keyboard.press('p')
  await page.keyboard.press('l')
  await publish(plain, 'views', { n: 2 })
  await visit.shows(['{ n: 2 }', '{ n: 1 }'])
  expect(await page.getByText('Paused:').count()).toBe(0)

  for (const [view, control] of [['History', 'view-history'], ['Live', 'pause']] as const) {
    await page.getByRole('radio', { name: view }).check()
    await page.context().setOffline(true)
    await plain.worker.kill()
    await visit.is('Reconnecting')
    // The button disappears during each attempt.
    await page.locator('#retry-now').dispatchEvent('click')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe(control)
    await page.context().setOffline(false)
    await visit.is('Live')
  }
}, 90_000)

test('the numbers are requested only while the page is visible', async () => {
  const visit = await Visit.start(plain.worker, '#channel=visible')
  const { page } = visit
  await page.clock.install()
  await page.reload()
  await visit.enter(INSPECT_KEY)
  await visit.is('Live')
  await page.getByText(/^at \d/).waitFor()
  let requests = 0
  page.on('request', (request) => {
    if (request.url().includes('/stats')) requests += 1
  })
  const setVisibility = (state: string) =>
    page.evaluate((value) => {
      Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => value })
      document.dispatchEvent(new Event('visibilitychange'))
    }, state)
  await page.clock.runFor(11_000)
  await expect.poll(() => requests).toBeGreaterThan(0)
  await setVisibility('hidden')
  requests = 0
  await page.clock.runFor(31_000)
  await publish(plain, 'visible', { n: 1 })
  await visit.shows(['{ n: 1 }']) // the stream goes on
  await page.clock.runFor(31_000)
  expect(requests).toBe(0)
  await setVisibility('visible')
  await expect.poll(() => requests).toBe(1)
})

test('everything is reachable by the keyboard', async () => {
  for (let n = 1; n <= 3; n++) await publish(plain, 'keyboard', { n })
  const visit = await Visit.start(plain.worker, '')
  const { page } = visit
  const focused = () => page.evaluate(() => (document.activeElement as HTMLElement | null)?.innerText || document.activeElement?.id)
  const press = async (...keys: string[]) => {
    for (const key of keys) await page.keyboard.press(key)
  }
  expect(await focused()).toBe('key')
  await page.keyboard.type(INSPECT_KEY)
  await press('Tab')
  await page.keyboard.type('keyboard')
  await press('Enter')
  await visit.is('Live')
  await visit.shows(['{ n: 3 }', '{ n: 2 }', '{ n: 1 }'])

  await page.locator('#skip').focus()
  await press('Enter')
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('main')
  await visit.is('Live')
  await press('e', 'ArrowDown', 'Enter')
  await visit.events.getByRole('button', { name: 'Copy JSON' }).waitFor()
  expect(await focused()).toContain('{ n: 2 }')
  await press('End')
  expect(await focused()).toContain('{ n: 1 }')
  await press('p')
  await page.getByText('Paused: 0 new events.').waitFor()
  await press('p', 'f')
  expect(await focused()).toBe('filter')
  await press('p') // types into the field
  expect(await page.getByRole('searchbox', { name: 'Filter events' }).inputValue()).toBe('p')

  // Tab passes every part, in the order of the page, and leaves it.
  await page.getByRole('searchbox', { name: 'Filter events' }).fill('')
  await page.locator('#main').focus()
  const passed: string[] = []
  for (let stop = 0; stop < 60; stop++) {
    await press('Tab')
    const id = await page.evaluate(() => {
      const { activeElement } = document
      if (activeElement === null || activeElement === document.body) return undefined
      const { outlineStyle } = getComputedStyle(activeElement)
      const isVisible = outlineStyle !== 'none' || activeElement.matches('.views input')
      return `${activeElement.id || activeElement.closest('[id]')?.id}${isVisible ? '' : ' without a visible focus'}`
    })
    if (id === undefined || passed.includes(id) && id === passed[0]) break
    if (id !== passed.at(-1)) passed.push(id)
  }
  expect(passed.filter((id) => id.includes('without'))).toEqual([])
  const order = ['timeline', 'view-live', 'filter', 'pause', 'live', 'tab-numbers', 'auto-refresh', 'refresh', 'panel-numbers']
  expect(passed.filter((id) => order.includes(id))).toEqual(order)

  await page.getByRole('tab', { name: 'Numbers' }).focus()
  await press('ArrowRight', 'ArrowRight', 'Tab', 'Tab')
  expect(await focused()).toBe('event')
  await page.keyboard.type('{"n":4}')
  await press('Control+Enter')
  await visit.shows(['{ n: 4 }', '{ n: 3 }', '{ n: 2 }', '{ n: 1 }'])
  await press('Shift+Tab', 'Shift+Tab', '4')
  expect(await focused()).toBe('Disconnect')
  await press('?')
  const dialog = page.getByRole('dialog', { name: 'Keyboard shortcuts' })
  await dialog.getByRole('checkbox', { name: 'Enable single-key shortcuts' }).uncheck()
  await press('Escape', '1')
  expect(await page.getByRole('tab', { name: 'Disconnect' }).getAttribute('aria-selected')).toBe('true')
})

test('the page has names and roles', async () => {
  await publish(plain, 'roles', { n: 1 })
  const visit = await Visit.open(plain, 'roles')
  const { page } = visit
  await visit.shows(['{ n: 1 }'])
  const snapshot = await page.locator('body').ariaSnapshot()
  for (const part of [
    'banner:',
    'heading "Inspector" [level=1]',
    'search "Channel":',
    'status: Live',
    'main:',
    'region "Timeline":',
    'region "Events":',
    'group "View":',
    'radio "Live" [checked]',
    'searchbox "Filter events"',
    'list "Live events, newest first":',
    'tablist "Channel":',
    'tab "Numbers" [selected]',
    'tabpanel "Numbers":',
    'img "Events over time:',
  ]) {
    expect(snapshot).toContain(part)
  }
  for (const name of ['Clients', 'Publish', 'Disconnect']) await visit.tab(name)
  const unnamed = await page.evaluate(() => {
    const controls = [...document.querySelectorAll<HTMLInputElement>('button, input, textarea, [role="tab"]')]
    return controls.filter((control) => !control.ariaLabel && !control.labels?.length && !control.textContent?.trim()).map(({ outerHTML }) => outerHTML)
  })
  expect(unnamed.filter((html) => !html.includes('confirmation-action'))).toEqual([])
  const ids = await page.evaluate(() => [...document.querySelectorAll('[id]')].map(({ id }) => id))
  expect(new Set(ids).size).toBe(ids.length)
})

test.for(['light', 'dark'] as const)('texts have enough contrast in the %s scheme', async (colorScheme) => {
  await publish(plain, 'contrast', { type: 'a', n: 1, is: true, none: null })
  const visit = await Visit.open(plain, 'contrast', { colorScheme })
  await expect.poll(() => visit.previews()).not.toHaveLength(0)
  await visit.events.locator('summary').first().click()
  const ratios = async () =>
    visit.page.evaluate(() => {
      const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true })!
      const rgb = (color: string): number[] => {
        context.clearRect(0, 0, 1, 1)
        context.fillStyle = color
        context.fillRect(0, 0, 1, 1)
        return [...context.getImageData(0, 0, 1, 1).data]
      }
      const luminance = (color: number[]): number => {
        const [r = 0, g = 0, b = 0] = color.map((part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4))
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
      }
      const background = (element: Element | null): number[] => {
        for (let at = element; at !== null; at = at.parentElement) {
          const color = rgb(getComputedStyle(at).backgroundColor)
          if (color[3] === 255) return color
        }
        return [255, 255, 255, 255]
      }
      const found: string[] = []
      for (const element of document.querySelectorAll<HTMLElement>('body *:not(svg *)')) {
        const hasText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent?.trim())
        if (!hasText || !element.checkVisibility() || element.closest('fieldset:disabled')) continue
        const [text, back] = [luminance(rgb(getComputedStyle(element).color)), luminance(background(element))]
        const ratio = (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05)
        if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${element.outerHTML.slice(0, 80)}`)
      }
      return found
    })
  expect(await ratios()).toEqual([])
  for (const name of ['Clients', 'Publish', 'Disconnect']) {
    await visit.tab(name)
    expect(await ratios()).toEqual([])
  }
})

test('a phone of 360 px needs no horizontal scrolling', async () => {
  const long = 'x'.repeat(300)
  await publish(plain, 'phone', { [long]: long, list: [[[[{ deep: long }]]]] })
  await connect(plain, { chn: 'phone', sub: long.slice(0, 200) }, 'c'.repeat(128))
  const visit = await Visit.start(plain.worker, '#channel=phone', { viewport: { width: 360, height: 740 }, reducedMotion: 'reduce' })
  expect(await visit.overflow()).toBe(0)
  await visit.enter(INSPECT_KEY)
  await visit.is('Live')
  await visit.events.locator('summary').first().click()
  await visit.events.getByText('Copy JSON').waitFor()
  await visit.page.getByText('Timeline as a table').click()
  for (const name of ['Numbers', 'Clients', 'Publish', 'Disconnect']) {
    await visit.tab(name)
    if (name === 'Clients') await visit.page.getByRole('table', { name: 'Connections' }).getByRole('row').nth(1).waitFor()
    expect([name, await visit.overflow()]).toEqual([name, 0])
  }
  const animations = await visit.page.evaluate(() => document.getAnimations().length)
  expect(animations).toBe(0)
})

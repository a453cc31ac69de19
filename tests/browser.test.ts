// The page of the chat room, in a real browser.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Browser, BrowserContext, Locator, Page, WebSocket, WebSocketRoute } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import type { ClientKind } from '../examples/chat-room/web/generated.ts'
import { RestrictedNetwork } from './npm/support/restricted-network.ts'
import { INSTALL_TIMEOUT, launchBrowser } from './support/browser.ts'
import { startChatRoom } from './support/chat-room.ts'
import type { RunningWorkers } from './support/workerd.ts'

/** The time limit for changes of the page, in milliseconds: the first attempts to reconnect take some seconds. */
const PATIENCE = 20_000

let persistence: string
let chat: RunningWorkers
let browser: Browser
const contexts: BrowserContext[] = []
/** Uncaught exceptions, which no page may have. */
const failures: string[] = []

beforeAll(async () => {
  persistence = await mkdtemp(join(tmpdir(), 'chat-room-'))
  ;[chat, browser] = await Promise.all([startChatRoom({ persistence }), launchBrowser()])
}, INSTALL_TIMEOUT)
afterEach(async () => {
  await Promise.all(contexts.splice(0).map((context) => context.close()))
  expect(failures.splice(0)).toEqual([])
})
afterAll(async () => {
  await browser?.close()
  await chat?.dispose()
  await rm(persistence, { recursive: true, force: true })
})

class Visitor {
  readonly page: Page
  readonly name: string
  readonly context: BrowserContext
  /** All WebSockets of the page. */
  readonly sockets: WebSocket[] = []

  constructor(page: Page, name: string) {
    this.page = page
    this.name = name
    this.context = page.context()
  }

  /** @param network - The network of the visitor, and the state of the page in it. */
  static async enter(room: string, name: string, client?: ClientKind, network?: { url: URL; state: string }): Promise<Visitor> {
    const visitor = await Visitor.open(name)
    await visitor.goTo(room, network?.state, { client, url: network?.url })
    return visitor
  }

  /** Opens an empty page, in a browser of its own or in that of another visitor. */
  static async open(name: string, context?: BrowserContext): Promise<Visitor> {
    if (context === undefined) {
      context = await browser.newContext()
      contexts.push(context)
      context.setDefaultTimeout(PATIENCE)
    }
    const page = await context.newPage()
    const visitor = new Visitor(page, name)
    page.on('pageerror', (error) => failures.push(`${name}: ${error.message}`))
    page.on('websocket', (socket) => visitor.sockets.push(socket))
    return visitor
  }

  async goTo(room: string, state = 'Connected', { client, url = chat.url }: { client?: ClientKind | undefined; url?: URL | undefined } = {}): Promise<void> {
    const query = new URLSearchParams({ room, name: this.name, ...(client === undefined ? {} : { client }) })
    await this.page.goto(new URL(`/?${query}`, url).href)
    await this.is(state)
  }

  async is(state: string): Promise<void> {
    await expect.poll(() => this.page.locator('#state').textContent(), { timeout: PATIENCE }).toBe(state)
  }

  get log(): Locator {
    return this.page.getByRole('log')
  }

  /** The field for the text of a message. */
  get input(): Locator {
    return this.page.getByLabel('Message', { exact: true })
  }

  /** Sends a message, and waits until the room has confirmed it. */
  async say(text: string): Promise<void> {
    await this.send(text)
    await expect.poll(() => this.delivery(text), { timeout: PATIENCE }).toBe('')
  }

  /** Sends a message, which is shown at once. */
  async send(text: string): Promise<void> {
    await this.input.fill(text)
    await this.page.keyboard.press('Enter')
    await this.message(text).waitFor()
  }

  /** The message with the text. */
  message(text: string): Locator {
    return this.log.getByRole('listitem').filter({ has: this.page.getByText(text, { exact: true }) })
  }

  /** The state of a message that is not confirmed yet, and otherwise an empty text. */
  async delivery(text: string): Promise<string> {
    return (await this.message(text).locator('.delivery').allTextContents()).join()
  }

  async delivers(text: string, state: string | RegExp): Promise<void> {
    await expect.poll(() => this.delivery(text), { timeout: PATIENCE }).toMatch(state)
  }

  async goOffline(): Promise<void> {
    await this.page.getByRole('button', { name: 'Go offline' }).click()
    await this.is('Offline')
  }

  async goOnline(): Promise<void> {
    await this.page.getByRole('button', { name: 'Go online' }).click()
  }

  /** The people that the page lists. */
  get people(): Locator {
    return this.page.getByRole('region', { name: 'Here now' }).getByRole('listitem')
  }

  /** Waits until the page lists these people. */
  async sees(names: string[]): Promise<void> {
    await expect.poll(() => this.people.locator('.name').allTextContents(), { timeout: PATIENCE }).toEqual(names)
  }

  /** The radio button of a client. */
  async client(kind: ClientKind): Promise<Locator> {
    const isHidden = (await this.page.getByRole('group', { name: 'Client' }).count()) === 0
    if (isHidden) await this.page.getByText('Advanced').click()
    const names = { durableEventIterator: /^Durable event iterator/, durableIterator: /^Durable iterator/ }
    return this.page.getByRole('group', { name: 'Client' }).getByRole('radio', { name: names[kind] })
  }

  /** The kind of token and the connection id of the newest socket. */
  get token(): { kind: string; id: string | null } {
    const { searchParams } = new URL(this.sockets.at(-1)?.url() ?? '')
    return { kind: searchParams.get('token')?.startsWith('{') ? 'DurableIterator' : 'DurableEventIterator', id: searchParams.get('id') }
  }

  messages(): Promise<string[]> {
    return this.log.locator('.message p').allTextContents()
  }

  notes(): Promise<string[]> {
    return this.log.locator('.note').allTextContents()
  }

  async hears(messages: string[]): Promise<void> {
    await expect.poll(() => this.messages(), { timeout: PATIENCE }).toEqual(messages)
  }
}

test('two pages chat, and show who is present and who is typing', { timeout: 60_000 }, async () => {
  const anna = await Visitor.enter('talk', 'Anna')
  const bert = await Visitor.enter('talk', 'Bert')
  await anna.sees(['Anna (you)', 'Bert'])
  await bert.sees(['Anna', 'Bert (you)'])
  await anna.say('Hello')
  await bert.hears(['Hello'])
  await bert.input.pressSequentially('Hi')
  await anna.page.getByRole('status').getByText('Bert is typing').waitFor()
  await anna.people.filter({ hasText: 'Bert' }).getByRole('img', { name: 'typing' }).waitFor()
  await bert.page.keyboard.press('Enter')
  await anna.hears(['Hello', 'Hi'])
  await expect.poll(() => anna.page.getByText('is typing').count(), { timeout: PATIENCE }).toBe(0)
  await bert.page.getByRole('button', { name: 'Announce' }).click()
  await anna.hears(['Hello', 'Hi', 'Bert says hello through the server.'])
  await bert.page.close()
  await anna.sees(['Anna (you)'])
})

test('nobody is shown as typing while the page is offline, or before it knows', { timeout: 60_000 }, async () => {
  const anna = await Visitor.enter('unknown', 'Anna')
  const bert = await Visitor.open('Bert')
  // Typing ends only when the message is sent.
  await bert.page.addInitScript((pause) => {
    const { setTimeout } = globalThis
    Object.assign(globalThis, { setTimeout: (action: () => void, delay?: number) => (delay === pause ? 0 : setTimeout(action, delay)) })
  }, 3_000)
  await bert.goTo('unknown')
  const shown = (): Promise<string[]> => anna.page.locator('#typing, .dots').allTextContents()
  await bert.input.fill('H')
  await expect.poll(shown, { timeout: PATIENCE }).toEqual(['•••', 'Bert is typing …'])
  await anna.goOffline()
  expect(await shown()).toEqual([''])
  await anna.goOnline()
  await expect.poll(shown, { timeout: PATIENCE }).toEqual(['•••', 'Bert is typing …'])

  await anna.goOffline()
  await bert.say('Hi')
  await anna.page.evaluate(() => {
    const seen = new Set<string>()
    new MutationObserver(() => seen.add(document.querySelector('#typing')!.textContent)).observe(document.body, { childList: true, subtree: true, characterData: true })
    Object.assign(globalThis, { seen })
  })
  await anna.goOnline()
  await anna.log.getByText('received 1 missed message').waitFor()
  expect(await anna.page.evaluate(() => [...(globalThis as unknown as { seen: Set<string> }).seen])).toEqual([''])
})

test('a reload, a reconnect and a change of the client do not change the list of people', { timeout: 60_000 }, async () => {
  const anna = await Visitor.enter('steady', 'Anna')
  const bert = await Visitor.enter('steady', 'Bert')
  await anna.sees(['Anna (you)', 'Bert'])
  await anna.page.evaluate(() => {
    const seen = new Set<string>()
    const people = document.querySelector('#people')!
    new MutationObserver(() => seen.add([...people.querySelectorAll('.name')].map((name) => name.textContent).join())).observe(people, { childList: true })
    Object.assign(globalThis, { seen })
  })
  // Typing ends with the page.
  await bert.input.pressSequentially('A')
  await anna.page.getByRole('status').getByText('Bert is typing').waitFor()
  await bert.page.reload()
  await bert.is('Connected')
  await expect.poll(() => anna.page.getByText('Bert is typing').count(), { timeout: PATIENCE }).toBe(0)
  await bert.goOffline()
  await bert.goOnline()
  await bert.is('Connected')
  await (await bert.client('durableIterator')).check()
  await expect.poll(() => bert.token.kind, { timeout: PATIENCE }).toBe('DurableIterator')
  await bert.is('Connected')
  // A name is a person: the old one leaves after the grace period.
  await bert.page.getByLabel('Your name').fill('Clara')
  await bert.page.getByRole('button', { name: 'Change' }).click()
  await anna.sees(['Anna (you)', 'Clara'])
  const seen = await anna.page.evaluate(() => [...(globalThis as unknown as { seen: Set<string> }).seen])
  expect(seen).toEqual(['Anna (you),Bert', 'Anna (you),Bert,Clara', 'Anna (you),Clara'])
})

test('clients of both kinds are in one room, and the setting switches between them', async () => {
  const anna = await Visitor.enter('both', 'Anna')
  const bert = await Visitor.enter('both', 'Bert', 'durableIterator')
  expect([anna.token.kind, bert.token.kind]).toEqual(['DurableEventIterator', 'DurableIterator'])
  expect(await (await anna.client('durableEventIterator')).isChecked()).toBe(true)
  expect(await (await bert.client('durableIterator')).isChecked()).toBe(true)
  await anna.say('From the first')
  await bert.hears(['From the first'])
  await bert.say('From the second')
  await anna.hears(['From the first', 'From the second'])

  await (await anna.client('durableIterator')).check()
  await expect.poll(() => anna.token.kind, { timeout: PATIENCE }).toBe('DurableIterator')
  await anna.is('Connected')
  expect(new URL(anna.page.url()).searchParams.get('client')).toBe('durableIterator')
  await anna.sees(['Anna (you)', 'Bert'])
  await expect.poll(() => anna.sockets.map((socket) => socket.isClosed()), { timeout: PATIENCE }).toEqual([true, false])
  await (await bert.client('durableEventIterator')).check()
  await expect.poll(() => bert.token.kind, { timeout: PATIENCE }).toBe('DurableEventIterator')
  await bert.is('Connected')

  // Messages from during the switch are present, and no message is shown twice.
  await anna.say('As the second')
  await bert.say('As the first')
  const all = ['From the first', 'From the second', 'As the second', 'As the first']
  await Promise.all([anna.hears(all), bert.hears(all)])
  // The setting is saved.
  await anna.page.goto(new URL('/?room=both&name=Anna', chat.url).href)
  await anna.is('Connected')
  expect([anna.token.kind, await (await anna.client('durableIterator')).isChecked()]).toEqual(['DurableIterator', true])
})

/** All ways to be disconnected. Browsers do not report a silent network: the client has to detect it. */
const OUTAGES: [string, (visitor: Visitor) => Promise<void>, (visitor: Visitor) => Promise<void>][] = [
  [
    'whose connection was cut',
    async (visitor) => {
      await visitor.context.setOffline(true)
      await visitor.goOffline()
    },
    async (visitor) => {
      await visitor.context.setOffline(false)
      await visitor.goOnline()
    },
  ],
  ['whose network was unavailable', ({ context }) => context.setOffline(true), ({ context }) => context.setOffline(false)],
]

/** Each way with each kind of client. */
const AWAY = OUTAGES.flatMap(([what, go, comeBack]) =>
  (['durableEventIterator', 'durableIterator'] as const).map((client) => [what, client, go, comeBack] as const),
)

test.each(AWAY)('a client %s receives all messages once and in order (%s)', { timeout: 90_000 }, async (_, client, go, comeBack) => {
  const room = `outage ${Math.random()}`
  const anna = await Visitor.enter(room, 'Anna')
  const bert = await Visitor.enter(room, 'Bert', client)
  await anna.say('Before')
  await bert.hears(['Before'])
  await go(bert)
  await bert.is('Offline')
  const missed = Array.from({ length: 20 }, (_, n) => `Message ${n + 1}`)
  for (const message of missed) await anna.say(message)
  expect(await bert.messages()).toEqual(['Before'])
  await comeBack(bert)
  await bert.hears(['Before', ...missed])
  await bert.is('Connected')
  await bert.log.getByText('received 20 missed messages').waitFor()
  await anna.say('After')
  await bert.hears(['Before', ...missed, 'After'])
  expect((await bert.notes()).filter((note) => note.includes('no longer available'))).toEqual([])
  // After the reconnect it has the same connection id.
  const ids = bert.sockets.map((socket) => new URL(socket.url()).searchParams.get('id'))
  expect([ids.length > 1, new Set(ids).size]).toEqual([true, 1])
})

describe('without WebSockets', () => {
  let network: RestrictedNetwork
  beforeEach(async () => {
    network = await RestrictedNetwork.start(chat.url)
  })
  afterEach(() => network.dispose())

  test.each(['durableEventIterator', 'durableIterator'] as const)('a page chats over HTTP, also after cuts, and returns to a WebSocket (%s)', { timeout: 90_000 }, async (client) => {
    const room = `restricted ${Math.random()}`
    const anna = await Visitor.enter(room, 'Anna')
    const bert = await Visitor.enter(room, 'Bert', client, { url: network.url, state: 'Connected over HTTP' })
    const said: string[] = []
    const say = async (visitor: Visitor, text: string): Promise<void> => {
      await visitor.say(text)
      said.push(text)
    }
    await say(anna, 'Hello')
    await say(bert, 'Hi')
    await bert.sees(['Anna', 'Bert (you)'])
    await bert.input.pressSequentially('I')
    await anna.page.getByRole('status').getByText('Bert is typing').waitFor()
    await Promise.all([anna.hears(said), bert.hears(said)])

    // The page notices the cut cable, but not that a proxy cuts responses.
    await bert.goOffline()
    for (let n = 1; n <= 10; n += 1) await say(anna, `Message ${n}`)
    await bert.goOnline()
    await bert.hears(said)
    await bert.is('Connected over HTTP')
    await bert.log.getByText('received 10 missed messages').waitFor()
    for (let n = 1; n <= 3; n += 1) {
      network.cut()
      await say(anna, `During cut ${n}`)
      await bert.hears(said)
    }

    network.webSockets = 'pass'
    await bert.context.setOffline(true)
    await say(anna, 'While offline')
    await bert.context.setOffline(false)
    await bert.is('Connected')
    await say(anna, 'At last')
    await say(bert, 'Yes')
    await Promise.all([anna.hears(said), bert.hears(said)])
    expect((await bert.notes()).filter((note) => note.includes('no longer available'))).toEqual([])
  })

  test('a page chats by long polling if a proxy collects streams', { timeout: 90_000 }, async () => {
    network.collectsStreams = true
    const room = `collected ${Math.random()}`
    const anna = await Visitor.enter(room, 'Anna')
    const bert = await Visitor.enter(room, 'Bert', 'durableIterator', { url: network.url, state: 'Connected over HTTP, by polling' })
    await anna.say('Hello')
    await bert.hears(['Hello'])
    await bert.say('Hi')
    network.cut()
    await anna.say('Once more')
    await Promise.all([anna.hears(['Hello', 'Hi', 'Once more']), bert.hears(['Hello', 'Hi', 'Once more'])])
  })
})

describe('messages that are not confirmed yet', () => {
  const queued = 'Queued · sent when you are connected'

  test('a message is shown as sending until the room responds, and is published once if the response is lost', { timeout: 60_000 }, async () => {
    const bert = await Visitor.enter('lost response', 'Bert')
    const anna = await Visitor.open('Anna')
    // Of the first connection, the call reaches the room, and its response and event do not reach the page.
    const called = Promise.withResolvers<WebSocketRoute>()
    let isFirst = true
    await anna.page.routeWebSocket('**/chat-room?**', (socket) => {
      const room = socket.connectToServer()
      if (!isFirst) return
      isFirst = false
      let isLost = false
      socket.onMessage((data) => {
        room.send(data)
        if (!String(data).includes('publishMessage')) return
        isLost = true
        called.resolve(socket)
      })
      room.onMessage((data) => {
        if (!isLost) socket.send(data)
      })
    })
    await anna.goTo('lost response')
    await anna.send('Once')
    await anna.send('Twice')
    const socket = await called.promise
    await bert.hears(['Once'])
    await anna.delivers('Once', 'Sending …')
    await anna.delivers('Twice', 'Sending …')
    await socket.close()
    await Promise.all([anna.delivers('Once', /^$/), anna.delivers('Twice', /^$/)])
    await bert.say('Yes')
    await Promise.all([anna.hears(['Once', 'Twice', 'Yes']), bert.hears(['Once', 'Twice', 'Yes'])])
  })

  test('messages and announcements wait while the page is offline, and are sent in order', { timeout: 60_000 }, async () => {
    const anna = await Visitor.enter('queue', 'Anna')
    const bert = await Visitor.enter('queue', 'Bert')
    await anna.goOffline()
    const all = ['One', 'Two', 'Three']
    for (const text of all) await anna.send(text)
    await anna.input.fill('Four')
    await anna.page.getByRole('button', { name: 'Announce' }).click()
    for (const text of [...all, 'Four']) await anna.delivers(text, queued)
    expect(await anna.input.inputValue()).toBe('')
    await bert.say('Meanwhile')
    await anna.goOnline()
    const shown = ['Meanwhile', ...all, 'Four']
    await Promise.all([anna.hears(shown), bert.hears(shown)])
    await anna.delivers('Four', /^$/)
    await bert.message('Four').getByText('Server').waitFor()
  })

  test('waiting messages and typed text are kept over a reload', { timeout: 60_000 }, async () => {
    const anna = await Visitor.enter('kept', 'Anna')
    const bert = await Visitor.enter('kept', 'Bert')
    await anna.goOffline()
    for (const text of ['One', 'Two']) await anna.send(text)
    await anna.input.fill('A draft')
    await anna.page.reload()
    await bert.hears(['One', 'Two'])
    await anna.hears(['One', 'Two'])
    expect(await anna.input.inputValue()).toBe('A draft')
    await anna.page.keyboard.press('Tab')
    await anna.page.reload()
    await anna.is('Connected')
    await anna.say('Three')
    await bert.hears(['One', 'Two', 'Three'])
    expect(await anna.input.inputValue()).toBe('')
  })

  test('messages to a room that the page has left are sent too', { timeout: 60_000 }, async () => {
    const anna = await Visitor.enter('left', 'Anna')
    const bert = await Visitor.enter('left', 'Bert')
    await anna.goOffline()
    for (const text of ['One', 'Two']) await anna.send(text)
    await anna.page.getByRole('button', { name: 'coffee' }).click()
    await anna.page.getByRole('button', { name: 'left 2 not sent' }).waitFor()
    await anna.page.reload()
    await bert.hears(['One', 'Two'])
    await anna.page.getByRole('button', { name: 'left', exact: true }).click()
    await anna.hears(['One', 'Two'])
  })

  test('messages are sent under the name under which they were written', { timeout: 60_000 }, async () => {
    const anna = await Visitor.enter('renamed', 'Anna')
    const bert = await Visitor.enter('renamed', 'Bert')
    const rename = async (name: string): Promise<void> => {
      await anna.page.getByLabel('Your name').fill(name)
      await anna.page.getByRole('button', { name: 'Change' }).click()
    }
    const authors = async (visitor: Visitor): Promise<string[]> => {
      const shown = await visitor.log.locator('.message').evaluateAll((items) => items.map((item) => `${item.getAttribute('data-author')}: ${item.querySelector('p')?.textContent}`))
      return shown.sort()
    }
    const long = '€'.repeat(2_000)
    await anna.send(long)
    await anna.delivers(long, 'Not sent')
    await anna.goOffline()
    await anna.send('One')
    await rename('Clara')
    await anna.send('Two')
    for (const text of ['One', 'Two']) await anna.delivers(text, queued)
    await anna.goOnline()
    await expect.poll(() => authors(bert), { timeout: PATIENCE }).toEqual(['Anna: One', 'Clara: Two'])
    for (const text of ['One', 'Two']) await anna.delivers(text, /^$/)

    // A room of the previous name is entered again.
    await anna.message(long).getByRole('button', { name: 'Retry' }).click()
    await anna.delivers(long, 'Not sent')
    await anna.goOffline()
    await anna.send('Three')
    await rename('Dora')
    await anna.page.reload()
    await expect.poll(() => authors(bert), { timeout: PATIENCE }).toEqual(['Anna: One', 'Clara: Three', 'Clara: Two'])
    await anna.sees(['Bert', 'Dora (you)'])
    expect(await authors(anna)).toEqual(['Anna: One', `Anna: ${long}`, 'Clara: Three', 'Clara: Two'])
  })

  test('a rejected message is shown as not sent, and the others are sent', async () => {
    const anna = await Visitor.enter('rejected', 'Anna')
    const bert = await Visitor.enter('rejected', 'Bert')
    const long = '€'.repeat(2_000)
    await anna.send(long)
    await anna.delivers(long, 'Not sent: message must be 1–4000 bytes and not blank')
    await anna.say('Short')
    await bert.hears(['Short'])
    await anna.message(long).getByRole('button', { name: 'Retry' }).click()
    await anna.delivers(long, 'Not sent: message must be')
    await anna.page.reload()
    await anna.is('Connected')
    await anna.delivers(long, 'Not sent: message must be')
    await anna.message(long).getByRole('button', { name: 'Delete' }).click()
    await anna.hears(['Short'])
  })

  test('messages of a page that the server rejects are shown as not sent', async () => {
    const anna = await Visitor.open('A'.repeat(41))
    await anna.goTo('refused', 'Disconnected')
    await anna.send('Hello')
    const reason = 'Not sent: name must be 1–40 characters and not blank'
    await anna.delivers('Hello', reason)
    await anna.page.getByLabel('Your name').fill('Anna')
    await anna.page.getByRole('button', { name: 'Change' }).click()
    await anna.is('Connected')
    await anna.message('Hello').getByRole('button', { name: 'Retry' }).click()
    await anna.delivers('Hello', reason)
    await anna.say('Hi')
    await anna.message('Hello').getByRole('button', { name: 'Delete' }).click()
    await anna.hears(['Hi'])
  })

  test('a failed message is sent when the user asks for it', async () => {
    const anna = await Visitor.enter('failed', 'Anna')
    const bert = await Visitor.enter('failed', 'Bert')
    await anna.page.route('**/rpc/sendMessage', (route) => route.abort())
    await anna.input.fill('Hear, hear')
    await anna.page.getByRole('button', { name: 'Announce' }).click()
    await anna.delivers('Hear, hear', 'Not sent: the server is not reachable')
    await anna.page.unroute('**/rpc/sendMessage')
    await anna.message('Hear, hear').getByRole('button', { name: 'Retry' }).click()
    await bert.hears(['Hear, hear'])
    await anna.delivers('Hear, hear', /^$/)
  })
})

test('a second tab has its own connection, and the page says so', async () => {
  const anna = await Visitor.enter('tabs', 'Anna')
  const note = (visitor: Visitor): Locator => visitor.page.getByRole('status').getByText('Also open in another tab')
  expect(await note(anna).count()).toBe(0)
  const second = await Visitor.open('Anna', anna.context)
  await second.goTo('tabs')
  for (const tab of [anna, second]) {
    await note(tab).getByText('each tab has its own connection, and you are listed once').waitFor()
    await tab.sees(['Anna (you)'])
    expect(tab.sockets.length).toBe(1)
  }
  await anna.say('From the first')
  await second.say('From the second')
  for (const tab of [anna, second]) await tab.hears(['From the first', 'From the second'])
  await second.page.close({ runBeforeUnload: true })
  await note(anna).waitFor({ state: 'detached' })
})

test('a page enters its room when the server is reachable', async () => {
  const anna = await Visitor.open('Anna')
  const requested = Promise.withResolvers<void>()
  await anna.page.route('**/rpc/onMessage', async (route) => {
    await route.abort()
    requested.resolve()
  })
  await anna.goTo('late', 'Connecting')
  await anna.send('Early')
  await requested.promise
  await anna.page.unroute('**/rpc/onMessage')
  await anna.is('Connected')
  await anna.delivers('Early', /^$/)
})

test('a room resumes where the page left it', async () => {
  const anna = await Visitor.enter('corner', 'Anna')
  const bert = await Visitor.enter('corner', 'Bert')
  await anna.say('One')
  await bert.hears(['One'])
  await bert.say('Me too')
  await bert.page.getByRole('button', { name: 'coffee' }).click()
  await bert.is('Connected')
  await bert.hears([])
  await anna.say('Two')
  await bert.page.getByRole('button', { name: 'corner' }).click()
  // His own message is shown once.
  await bert.hears(['One', 'Me too', 'Two'])
})

test('the page keeps the newest messages, and those that the user reads do not move', { timeout: 90_000 }, async () => {
  let sent = 0
  const announce = async (count: number): Promise<void> => {
    for (const end = sent + count; sent < end; sent += 1) {
      const input = { json: { room: 'busy', id: String(sent), message: `Message ${sent}` } }
      const headers = { 'content-type': 'application/json' }
      const { status } = await chat.fetch('/rpc/sendMessage', { method: 'POST', headers, body: JSON.stringify(input) })
      expect(status).toBe(200)
    }
  }
  await announce(700)
  const anna = await Visitor.enter('busy', 'Anna')
  await anna.message('Message 699').waitFor()
  const check = async (): Promise<void> => {
    const numbers = (await anna.messages()).map((text) => Number(text.split(' ')[1]))
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, n) => sent - numbers.length + n))
    expect(numbers.length).toBeGreaterThanOrEqual(500)
    expect(numbers.length).toBeLessThan(550)
    // Only the first message has the name of the author.
    expect(await anna.log.locator('.message:not(.same)').allTextContents()).toEqual([expect.stringContaining(`Message ${numbers[0]}`)])
  }
  await check()
  const atEnd = (): Promise<boolean> => anna.log.evaluate((list) => list.scrollHeight - list.scrollTop - list.clientHeight < 2)
  await expect.poll(atEnd).toBe(true)

  const read = anna.message('Message 640')
  await read.evaluate((item) => item.scrollIntoView())
  const before = await read.boundingBox()
  await announce(100)
  await anna.message('Message 799').waitFor()
  await check()
  expect(Math.abs((await read.boundingBox())!.y - before!.y)).toBeLessThan(1)
  await anna.say('Last')
  await expect.poll(atEnd).toBe(true)
})

test('the page survives a restart of the server', { timeout: 90_000 }, async () => {
  const anna = await Visitor.enter('lasting', 'Anna')
  const bert = await Visitor.enter('lasting', 'Bert')
  await anna.say('Before the restart')
  await bert.hears(['Before the restart'])
  const port = Number(chat.url.port)
  await chat.dispose()
  await bert.is('Reconnecting')
  chat = await startChatRoom({ persistence, port })
  await Promise.all([anna.is('Connected'), bert.is('Connected')])
  await anna.say('After the restart')
  await bert.hears(['Before the restart', 'After the restart'])
  await bert.page.reload()
  await bert.hears(['Before the restart', 'After the restart'])
})

test('all controls are reachable by keyboard and have labels', async () => {
  const { page } = await Visitor.enter('keys', 'Anna')
  const seen: string[] = []
  for (let n = 0; n < 16; n++) {
    await page.keyboard.press('Tab')
    if (seen.at(-1) === 'Change') await page.keyboard.press('Enter')
    seen.push(
      await page.evaluate(() => {
        const at = document.activeElement
        if (at instanceof HTMLInputElement && at.type === 'radio') return at.labels?.[0]?.innerText.replace(/\s+/g, ' ') ?? ''
        return at?.getAttribute('aria-label') ?? (at?.id === 'messages' ? 'log' : (at?.textContent?.trim() || at?.id)) ?? ''
      }),
    )
  }
  expect(seen).toEqual([
    'Skip to the message', 'Go offline', '# lobby', '# rustaceans', '# coffee', '# keys', 'Another room',
    'Enter', 'name', 'Change', 'Advanced', 'Durable event iterator oRPC 1.6–1.8', 'log', 'Message', 'Send', 'Announce',
  ])
  for (const role of ['banner', 'complementary', 'main', 'log', 'status'] as const) {
    expect(await page.getByRole(role).count()).toBeGreaterThan(0)
  }
  expect(await page.getByRole('button', { name: 'keys' }).getAttribute('aria-current')).toBe('page')
})

test.each([['desktop', 1280], ['phone', 360]])('nothing overflows on a %s', { timeout: 60_000 }, async (_, width) => {
  const room = `narrow ${width}`
  const anna = await Visitor.enter(room, 'Anna')
  const { page } = anna
  await page.setViewportSize({ width, height: 720 })
  const fits = async (): Promise<void> => {
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width)
    for (const name of ['Send', 'Announce', /^Go o/]) {
      const { x = -1, width: used = 0 } = (await page.getByRole('button', { name }).boundingBox()) ?? {}
      expect(x).toBeGreaterThanOrEqual(0)
      expect(x + used).toBeLessThanOrEqual(width)
    }
  }
  await fits()
  await page.reload()
  await expect.poll(() => page.getByRole('button', { name: room }).evaluate((button) => button.getBoundingClientRect().right)).toBeLessThanOrEqual(width)
  await anna.is('Connected')
  await anna.say('A'.repeat(200))
  const long = '€'.repeat(1_500)
  await anna.send(long)
  await anna.delivers(long, 'Not sent')
  await fits()
  await anna.goOffline()
  await anna.send('B'.repeat(200))
  await page.getByText('Advanced').click()
  const second = await Visitor.open('Bert', anna.context)
  await second.goTo(room)
  await page.getByRole('status').getByText('Also open in another tab, as Bert').waitFor()
  await fits()
  // The longest state.
  await page.locator('#state').evaluate((state) => (state.textContent = 'Connected over HTTP, by polling'))
  await fits()
})

test('the page follows the settings for colours and motion', async () => {
  const { page } = await Visitor.enter('settings', 'Anna')
  const colour = (): Promise<string> => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
  await page.emulateMedia({ colorScheme: 'light' })
  const light = await colour()
  await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' })
  expect(await colour()).not.toBe(light)
  await page.getByRole('button', { name: 'Go offline' }).click()
  await page.getByLabel('Message', { exact: true }).fill('Hello')
  await page.keyboard.press('Enter')
  await page.getByText('Queued').waitFor()
  expect(await page.evaluate(() => document.getAnimations().length)).toBe(0)
})

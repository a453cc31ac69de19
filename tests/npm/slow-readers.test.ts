// The client's side of flow control: acknowledgements, and subscriptions that were parked, over a network that stalls.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import WebSocket, { WebSocketServer } from 'ws'

import { subscribe } from '../../npm/durable-event-iterator/src/client/index.ts'
import type { SubscribeOptions, Subscription } from '../../npm/durable-event-iterator/src/client/index.ts'
import { token } from '../support/client.ts'
import { ACKNOWLEDGED, FLOW_HEADER, LIVE_WINDOW, upTo } from '../support/flow.ts'
import { startJournals } from '../support/journals.ts'
import type { Journals } from '../support/journals.ts'
import { Proxy } from './support/proxy.ts'

interface Event {
  n: number
}

let journals: Journals
let proxy: Proxy
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())
const opened: Subscription<unknown>[] = []
beforeEach(async () => {
  proxy = await Proxy.start(journals.url)
})
afterEach(async () => {
  for (const events of opened.splice(0)) events.close()
  await proxy.dispose()
})

const SIZE = 10_000
const padding = 'x'.repeat(SIZE)

/** The messages between a client and its WebSocket. */
interface Wire {
  readonly sent: any[]
  readonly received: any[]
  /** In characters, of events. */
  size: number
}

/** A WebSocket class that records its messages. */
function recording(wire: Wire): NonNullable<SubscribeOptions['WebSocket']> {
  return class extends WebSocket {
    constructor(url: string) {
      super(url)
      this.on('message', (data) => {
        if (`${data}` === 'pong') return
        const frame = JSON.parse(`${data}`)
        wire.received.push(frame)
        if (frame.p?.e === 'message') wire.size += `${data}`.length
      })
    }

    override send(message: any): void {
      if (message !== 'ping') wire.sent.push(JSON.parse(`${message}`))
      super.send(message)
    }
  }
}

interface Opened {
  events: Subscription<Event>
  states: string[]
  gaps: unknown[]
  wire: Wire
}

async function open(chn: string, options: Partial<SubscribeOptions> = {}): Promise<Opened> {
  const wire: Wire = { sent: [], received: [], size: 0 }
  const [states, gaps]: [string[], unknown[]] = [[], []]
  const path = await journals.upgrade('USUAL', { chn })
  const events = subscribe<Event>({
    url: new URL(`/upgrade/USUAL`, proxy.url).href,
    token: () => new URL(path).searchParams.get('token')!,
    onStateChange: (state) => states.push(state),
    onGap: (gap) => gaps.push(gap),
    WebSocket: recording(wire),
    ...options,
  })
  opened.push(events)
  await events.opened()
  return { events, states, gaps, wire }
}

async function read(events: Subscription<Event>, count: number): Promise<number[]> {
  const numbers: number[] = []
  while (numbers.length < count) numbers.push((await events.next()).value!.n)
  return numbers
}

const acknowledgements = ({ sent }: Wire): any[] => sent.filter(({ t }) => t === 5)
const parked = ({ received }: Wire): any[] => received.filter(({ p }) => p?.e === 'parked')
const subscribes = ({ sent }: Wire): any[] => sent.filter(({ p }) => p?.u === '/subscribe')

async function publish(chn: string, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) await journals.stub('USUAL', chn, 'publish', { n, padding })
}

test('a client that reads acknowledges at most once per 64 KiB, and is not parked', async () => {
  const chn = 'reading'
  const { events, states, wire } = await open(chn)
  for (let n = 1; n <= 200; n++) {
    await publish(chn, n, n)
    expect((await events.next()).value).toMatchObject({ n })
  }
  const all = acknowledgements(wire)
  expect(all.length).toBe(Math.floor(200 / Math.ceil(ACKNOWLEDGED / (wire.size / 200))))
  for (const { p } of all) expect(p).toBeGreaterThanOrEqual(ACKNOWLEDGED)
  expect(all.reduce((sum, { p }) => sum + p, 0)).toBeLessThanOrEqual(wire.size)
  expect([parked(wire), subscribes(wire).length, states]).toEqual([[], 1, ['connecting', 'open']])
})

test('a client whose network stalls is parked, and receives everything afterwards without a change of its state', async () => {
  const chn = 'stalled'
  const { events, states, gaps, wire } = await open(chn)
  for (let round = 0; round < 3; round++) {
    const restart = proxy.stall()
    await publish(chn, round * 100 + 1, round * 100 + 100)
    const before = parked(wire).length
    restart()
    expect(await read(events, 100)).toEqual(upTo((round + 1) * 100, round * 100 + 1))
    expect(parked(wire).length).toBeGreaterThan(before)
  }
  expect(states).toEqual(['connecting', 'open'])
  expect(gaps).toEqual([])
  expect(acknowledgements(wire).length).toBeLessThanOrEqual(wire.size / ACKNOWLEDGED)
  for (const { p } of subscribes(wire)) expect(p.h).toHaveProperty(FLOW_HEADER, '1')
})

test('a client whose connection is cut while it is parked resumes', async () => {
  const chn = 'cut'
  const { events, gaps } = await open(chn, { minReconnectionDelay: 10, maxReconnectionDelay: 20 })
  await publish(chn, 1, 1)
  expect(await read(events, 1)).toEqual([1])
  proxy.stall()
  await publish(chn, 2, 100)
  await journals.hibernate('USUAL', chn)
  await publish(chn, 101, 110)
  proxy.cut()
  expect(await read(events, 109)).toEqual(upTo(110, 2))
  expect(gaps).toEqual([])
})

test('a client whose application reads slowly pauses, and receives everything', async () => {
  const chn = 'slow application'
  const { events, states, wire } = await open(chn, { maxBufferedBytes: 3 * LIVE_WINDOW })
  for (let n = 0; n < 300; n += 50) await publish(chn, n + 1, n + 50)
  expect(await read(events, 300)).toEqual(upTo(300))
  expect(states.slice(0, 3)).toEqual(['connecting', 'open', 'paused'])
  expect(acknowledgements(wire).length).toBeLessThanOrEqual(wire.size / ACKNOWLEDGED)
})

test('a client acknowledges nothing to a Durable Object without flow control', async () => {
  const sent: any[] = []
  const http = createServer()
  // The messages of an earlier release.
  new WebSocketServer({ server: http }).on('connection', (socket) => {
    socket.on('message', (data) => {
      const frame = JSON.parse(`${data}`)
      sent.push(frame)
      if (frame.p?.u !== '/subscribe') return
      socket.send(`{"i":"${frame.i}","p":{"h":{"content-type":"text/event-stream"}}}`)
      for (let n = 1; n <= 100; n++) socket.send(`{"i":"${frame.i}","t":3,"p":{"e":"message","d":{"json":{"n":${n},"padding":"${padding}"}},"m":{"id":"${n}"}}}`)
    })
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const events = subscribe<Event>({
    url: `ws://127.0.0.1:${(http.address() as AddressInfo).port}`,
    token: await token({ chn: 'earlier release' }),
    WebSocket,
  })
  expect(await read(events, 100)).toEqual(upTo(100))
  expect(sent.map(({ t, p }) => t ?? p.u)).toEqual(['/subscribe'])
  events.close()
  http.closeAllConnections()
  await new Promise((resolve) => http.close(resolve))
})

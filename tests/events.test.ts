import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { CLIENT_VERSIONS } from './support/client.ts'
import type { ClientVersion } from './support/client.ts'
import { PUBLISH, startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

/** The numbers in the events of `publishMany`. */
const numbers = (events: any[]): number[] => events.map(({ n }) => n)
const range = (count: number): number[] => Array.from({ length: count }, (_, n) => n + 1)

describe.each(CLIENT_VERSIONS)('with @orpc/client %s', (version) => {
  const channel = (name: string): string => `${name}-${version}`

  test('an event published by a stub of another Worker arrives with its id', async () => {
    const chn = channel('hello')
    const client = await journals.client('USUAL', { chn }, { version })
    const subscription = await client.subscribe()
    const id = await journals.stub('USUAL', chn, 'publish', { message: 'Hello, world!' })
    await subscription.count(1)
    expect(subscription.received[0]).toMatchObject({ event: { message: 'Hello, world!' }, id })
    client.close()
  })

  test('a client that loses its connection five times receives all events once and in order', async () => {
    const chn = channel('cuts')
    const client = await journals.client('USUAL', { chn }, { version })
    const subscription = await client.subscribe()
    for (let round = 1; round <= 5; round++) {
      client.cut()
      for (let n = 1; n <= 12; n++) await journals.stub('USUAL', chn, 'publish', { n: (round - 1) * 12 + n })
      await subscription.count(round * 12)
    }
    expect(numbers(subscription.events)).toEqual(range(60))
    const ids = subscription.received.map(({ id }) => Number(id))
    expect(ids).toEqual([...ids].sort((a, b) => a - b))
    client.close()
  })

  test('a client that loses its connection during a replay receives all events once and in order', async () => {
    const chn = channel('replay')
    const iat = Date.now() / 1000
    // A replay of 1,500 events of 2 KiB has many steps.
    await journals.stub('ROOMY', chn, 'publishMany', 1500, 2048)
    const client = await journals.client('ROOMY', { chn, iat }, { version })
    const subscription = await client.subscribe()
    for (const part of [100, 400, 800]) {
      await subscription.count(part)
      client.cut()
    }
    await subscription.count(1500)
    await journals.stub('ROOMY', chn, 'publish', { n: 1501 })
    await subscription.count(1501)
    expect(numbers(subscription.events)).toEqual(range(1501))
    client.close()
  })

  test("an event's retry and comments arrive live and on replay", async () => {
    const chn = channel('meta')
    const live = await journals.client('USUAL', { chn }, { version })
    const first = await live.subscribe()
    await journals.stub('USUAL', chn, 'publish', { m: 1 }, { retry: 4321, comments: ['c1', 'c2'] })
    await first.count(1)
    const late = await journals.client('USUAL', { chn }, { version })
    const second = await late.subscribe()
    await second.count(1)
    for (const { received } of [first, second]) {
      expect(received[0]?.meta).toMatchObject({ retry: 4321, comments: ['c1', 'c2'] })
    }
    live.close()
    late.close()
  })

  test('aborting ends the subscription on the server, and the socket stays usable', async () => {
    const chn = channel('abort')
    const client = await journals.client('USUAL', { chn, rpc: ['kept'] }, { version })
    const controller = new AbortController()
    const subscription = await client.subscribe({ signal: controller.signal })
    const frames: string[] = []
    controller.abort()
    await subscription.end()
    // The response to a later frame arrives after the abort is handled.
    await client.call(['kept'])
    client.socket.addEventListener('message', ({ data }) => frames.push(String(data)))
    await journals.stub('USUAL', chn, 'publish', { n: 1 })
    await client.call(['kept'])
    expect(frames.filter((frame) => frame.includes('"n":1'))).toEqual([])
    client.close()
  })

  test('a second subscription on a socket ends the first one without an error', async () => {
    const chn = channel('twice')
    const client = await journals.client('USUAL', { chn }, { version })
    const first = await client.subscribe()
    const second = await client.subscribe()
    await first.end()
    expect(first.ended?.error).toBeUndefined()
    await journals.stub('USUAL', chn, 'publish', { n: 1 })
    await second.count(1)
    expect(first.events).toEqual([])
    client.close()
  })
})

// All versions at once, since the test waits.
test('a client without a cursor receives the events published since its token was issued, and no older ones', async () => {
  const receives = async (version: ClientVersion): Promise<void> => {
    const chn = `since-${version}`
    await journals.stub('USUAL', chn, 'publish', { n: 1 })
    await journals.stub('USUAL', chn, 'publish', { n: 2 })
    const older = await journals.client('USUAL', { chn, iat: Date.now() / 1000 - 10 }, { version })
    // Waits, since the slack is 2 s and tokens have whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 3_100))
    const newer = await journals.client('USUAL', { chn }, { version })
    const [all, none] = await Promise.all([older.subscribe(), newer.subscribe()])
    await journals.stub('USUAL', chn, 'publish', { n: 3 })
    await Promise.all([all.count(3), none.count(1)])
    expect(numbers(all.events), version).toEqual([1, 2, 3])
    expect(numbers(none.events), version).toEqual([3])
    older.close()
    newer.close()
  }
  await Promise.all(CLIENT_VERSIONS.map(receives))
})

test('a Rust Worker of another script publishes events and receives errors', async () => {
  const chn = 'relayed'
  const client = await journals.client('USUAL', { chn })
  const subscription = await client.subscribe()
  const relay = await journals.urlOf('relay')
  const publish = (body: string): Promise<Response> =>
    journals.fetch(new URL(`/relay/USUAL/${chn}`, relay), { method: 'POST', body })
  const published = await publish('{"json":{"at":"2020-01-02T03:04:05.678Z"},"meta":[[1,"at"]]}')
  expect(published.status).toBe(200)
  await subscription.count(1)
  expect(subscription.received[0]).toMatchObject({
    event: { at: new Date('2020-01-02T03:04:05.678Z') },
    id: ((await published.json()) as { id: string }).id,
  })
  const refused = await publish('{"json":"no object"}')
  expect(refused.status).toBe(400)
  expect(await refused.text()).toContain('BAD_REQUEST')
  const large = await publish(JSON.stringify({ json: { x: 'x'.repeat(2_000_000) } }))
  expect([large.status, await large.text()]).toEqual([413, expect.stringContaining('EventTooLarge')])
  client.close()
})

test('a subscription that is aborted and restarted with the same id during a replay receives all events once', async () => {
  const chn = 'restarted'
  const iat = Date.now() / 1000
  await journals.stub('ROOMY', chn, 'publishMany', 450, 2048)
  const socket = await BareSocket.open(await journals.upgrade('ROOMY', { chn, iat }))
  const subscribe = { i: '0', p: { u: '/subscribe', b: {} } }
  for (const frame of [subscribe, { i: '0', t: 4 }, subscribe]) socket.send(frame)
  const isAnswer = (message: string): boolean => !message.includes('"t":3')
  let answers = 0
  let looked = 0
  await socket.until((messages) => {
    answers += messages.slice(looked).filter(isAnswer).length
    looked = messages.length
    return answers === 2 && messages.at(-1)!.includes('"n":450,')
  })
  const second = socket.messages.slice(socket.messages.findLastIndex(isAnswer) + 1)
  expect(second.map((message) => JSON.parse(message).p.d.json.n)).toEqual(range(450))
  // Neither replay continues: the next event is live.
  await journals.stub('ROOMY', chn, 'publish', { n: 451 })
  await socket.until((messages) => messages.length > looked)
  expect(JSON.parse(socket.messages.at(-1)!).p.d.json).toEqual({ n: 451 })
  socket.vanish()
})

test('repeated subscriptions do not delay others', async () => {
  const chn = 'flood'
  const iat = Date.now() / 1000
  await journals.stub('ROOMY', chn, 'publishMany', 500, 2048)
  const hostile = await BareSocket.open(await journals.upgrade('ROOMY', { chn, iat }))
  for (let n = 0; n < 200; n++) {
    hostile.send({ i: `${n}`, p: { u: '/subscribe', b: {} } })
    hostile.send({ i: `${n}`, t: 4 })
  }
  const neighbour = await journals.client('ROOMY', { chn, rpc: ['kept'] })
  expect(await neighbour.call(['kept'])).toBeUndefined()
  // Of 200 subscriptions that were aborted at once, almost none was replayed.
  expect(hostile.messages.length).toBeLessThan(1000)
  hostile.vanish()
  neighbour.close()
})

test('an event for a subset of clients is neither sent nor replayed to others', async () => {
  const chn = 'some'
  const [anna, bert] = await Promise.all(['anna', 'bert'].map((id) => journals.client('USUAL', { chn }, { id })))
  const [toAnna, toBert] = await Promise.all([anna!.subscribe(), bert!.subscribe()])
  await journals.stub('USUAL', chn, 'publish', { n: 1 }, { to: ['anna'] })
  await journals.stub('USUAL', chn, 'publish', { n: 2 }, { except: ['anna'] })
  await journals.stub('USUAL', chn, 'publish', { n: 3 }, { tags: ['nobody has this'] })
  await journals.stub('USUAL', chn, 'publish', { n: 4 })
  await Promise.all([toAnna.count(2), toBert.count(2)])
  expect(numbers(toAnna.events)).toEqual([1, 4])
  expect(numbers(toBert.events)).toEqual([2, 4])
  // The same for clients that were disconnected meanwhile.
  const late = await Promise.all(['anna', 'bert', undefined].map((id) => journals.client('USUAL', { chn }, id ? { id } : {})))
  const replays = await Promise.all(late.map((client) => client.subscribe()))
  await Promise.all([replays[0]!.count(2), replays[1]!.count(2), replays[2]!.count(2)])
  expect(replays.map(({ events }) => numbers(events))).toEqual([[1, 4], [2, 4], [2, 4]])
  for (const client of [anna!, bert!, ...late]) client.close()
})

test('a misspelled audience is rejected instead of published to everyone', async () => {
  await expect(journals.stub('USUAL', 'misspelt', 'publish', { n: 1 }, { tag: ['staff'] })).rejects.toMatchObject({
    code: 'BAD_REQUEST',
  })
})

test('a publish to all but the caller reaches the others, and the caller not even after a reconnect', async () => {
  const chn = 'but-me'
  const rpc = [PUBLISH]
  const me = await journals.client('USUAL', { chn, rpc }, { id: 'me' })
  const other = await journals.client('USUAL', { chn, rpc })
  const [mine, others] = await Promise.all([me.subscribe(), other.subscribe()])
  const id = await me.call([PUBLISH], { n: 1 })
  await others.count(1)
  expect(others.received[0]).toMatchObject({ event: { n: 1 }, id })
  me.cut()
  await journals.stub('USUAL', chn, 'publish', { n: 2 })
  await mine.count(1)
  expect(numbers(mine.events)).toEqual([2])
  // A client without a connection id is excluded only while its socket is open.
  await other.call([PUBLISH], { n: 3 })
  await journals.stub('USUAL', chn, 'publish', { n: 4 })
  await Promise.all([others.count(3), mine.count(3)])
  expect(numbers(others.events)).toEqual([1, 2, 4])
  expect(numbers(mine.events)).toEqual([2, 3, 4])
  me.close()
  other.close()
})

test('a live event has no id, is not replayed, and does not change the cursor', async () => {
  const chn = 'live-only'
  const client = await journals.client('USUAL', { chn })
  const subscription = await client.subscribe()
  const id = await journals.stub('USUAL', chn, 'publish', { n: 1 })
  await journals.stub('USUAL', chn, 'sendLive', { typing: true })
  await subscription.count(2)
  expect(subscription.received.map((received) => received.id)).toEqual([id, undefined])
  client.cut()
  await journals.stub('USUAL', chn, 'publish', { n: 2 })
  await subscription.count(3)
  expect(subscription.events).toEqual([{ n: 1 }, { typing: true }, { n: 2 }])
  client.close()
})

test('closed and vanished sockets do not affect others', async () => {
  const chn = 'neighbours'
  const url = await journals.upgrade('USUAL', { chn })
  const bare = await Promise.all(Array.from({ length: 6 }, () => BareSocket.open(url)))
  for (const socket of bare) socket.send({ i: '0', p: { u: '/subscribe', b: {} } })
  await Promise.all(bare.map((socket) => socket.frames(1)))
  const [a, b, c, ...rest] = bare as [BareSocket, BareSocket, BareSocket, ...BareSocket[]]
  a.vanish()
  b.socket.close(1000)
  await Promise.all([a.end(), b.end()])
  c.send('no frame at all')
  expect((await c.end()).code).toBe(1007)
  await journals.stub('USUAL', chn, 'publish', { n: 1 })
  for (const socket of rest) {
    expect((await socket.frames(2))[1]).toMatchObject({ i: '0', t: 3, p: { d: { json: { n: 1 } } } })
  }
  await journals.stub('USUAL', chn, 'closeAll', 4001)
  expect(await Promise.all(rest.map((socket) => socket.end()))).toEqual(
    rest.map(() => ({ code: 4001, reason: 'closed by the test' })),
  )
  await expect(journals.stub('USUAL', chn, 'publish', { n: 2 })).resolves.toMatch(/^\d+$/)
})

test('a close by the client receives a close frame', async () => {
  const url = await journals.upgrade('USUAL', { chn: 'closing' })
  for (const [sent, answered] of [[1000, 1000], [1001, 1001], [4321, 4321], [undefined, 1000]] as const) {
    const socket = await BareSocket.open(url)
    socket.socket.close(sent)
    expect((await socket.end()).code).toBe(answered)
  }
})

test('a ping receives a pong without waking the Durable Object', async () => {
  const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn: 'ping' }))
  socket.send('ping')
  while (socket.messages.length === 0) await new Promise((resolve) => socket.socket.once('message', resolve))
  expect(socket.messages).toEqual(['pong'])
  socket.vanish()
})

describe('a publish that fails', () => {
  test.each([
    ['too large', { padding: 'x'.repeat(2_000_000) }, 'PAYLOAD_TOO_LARGE', /at most 1998976 bytes/],
    ['a string', 'a string', 'BAD_REQUEST', /object/],
    ['null', null, 'BAD_REQUEST', /object/],
    ['a number', 5, 'BAD_REQUEST', /object/],
  ])('because the event is %s reports the reason, and stored events are still served', async (name, event, code, message) => {
    const chn = `failing ${name}`
    const live = await journals.client('USUAL', { chn })
    const before = await live.subscribe()
    await journals.stub('USUAL', chn, 'publish', { n: 1 })
    await expect(journals.stub('USUAL', chn, 'publish', event)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    })
    await journals.stub('USUAL', chn, 'publish', { n: 2 })
    const late = await journals.client('USUAL', { chn })
    const after = await late.subscribe()
    expect(numbers(await before.count(2))).toEqual([1, 2])
    expect(numbers(await after.count(2))).toEqual([1, 2])
    live.close()
    late.close()
  })
})

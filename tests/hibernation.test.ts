import { afterAll, beforeAll, expect, test } from 'vitest'

import { PUBLISH, startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

test('after hibernation, a publish reaches all clients, ids keep increasing, and attachments are kept', async () => {
  const chn = 'sleeper'
  const att = { userId: 'user-123' }
  const rpc = ['keep', 'kept', 'whoAmI', PUBLISH]
  const clients = await Promise.all(Array.from({ length: 5 }, () => journals.client('USUAL', { chn, att, rpc })))
  const subscriptions = await Promise.all(clients.map((client) => client.subscribe()))
  await Promise.all(clients.map((client, n) => client.call(['keep'], { n })))
  const ids = [await journals.stub('USUAL', chn, 'publish', { n: 1 })]
  for (let n = 2; n <= 4; n++) {
    await journals.hibernate('USUAL', chn)
    ids.push(await journals.stub('USUAL', chn, 'publish', { n }))
  }
  for (const subscription of subscriptions) {
    expect(await subscription.count(4)).toEqual([1, 2, 3, 4].map((n) => ({ n })))
    expect(subscription.received.map(({ id }) => id)).toEqual(ids)
  }
  expect(ids.map(Number)).toEqual(ids.map(Number).toSorted((a, b) => a - b))
  await journals.hibernate('USUAL', chn)
  expect(await clients[3]!.call(['kept'])).toEqual({ n: 3 })
  expect(await clients[3]!.call(['whoAmI'])).toEqual(att)
  await journals.hibernate('USUAL', chn)
  expect((await journals.stub('USUAL', chn, 'kept')).toSorted((a: any, b: any) => a.n - b.n)).toEqual(
    [0, 1, 2, 3, 4].map((n) => ({ n })),
  )
  // A call that publishes wakes the Durable Object, and its event arrives before its response.
  await journals.hibernate('USUAL', chn)
  await clients[0]!.call([PUBLISH], { n: 5 })
  for (const subscription of subscriptions.slice(1)) await subscription.count(5)
  expect(subscriptions[0]!.events).toHaveLength(4)
  for (const client of clients) client.close()
})

test('attachments keep their types', async () => {
  const chn = 'kept-types'
  const client = await journals.client('USUAL', { chn, rpc: ['keep', 'kept'] })
  const kept = { at: new Date(0), big: 12n, set: new Set(['a']), nothing: null }
  await client.call(['keep'], kept)
  await journals.hibernate('USUAL', chn)
  expect(await client.call(['kept'])).toEqual(kept)
  // An attachment that is too large is rejected, and the previous one is kept.
  await expect(client.call(['keep'], 'x'.repeat(17_000))).rejects.toMatchObject({ code: 'INTERNAL_SERVER_ERROR' })
  expect(await client.call(['kept'])).toEqual(kept)
  client.close()
})

test('an abort is not forgotten by hibernation', async () => {
  const chn = 'aborted'
  const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn, rpc: ['kept'] }))
  socket.send({ i: '0', p: { u: '/subscribe', b: {} } })
  await socket.frames(1)
  socket.send({ i: '0', t: 4 })
  socket.send({ i: '1', p: { u: '/call', b: { json: { path: ['kept'] } } } })
  await socket.frames(2)
  await journals.hibernate('USUAL', chn)
  await journals.stub('USUAL', chn, 'publish', { n: 1 })
  socket.send({ i: '2', p: { u: '/call', b: { json: { path: ['kept'] } } } })
  expect((await socket.frames(3)).map(({ i }) => i)).toEqual(['0', '1', '2'])
  socket.vanish()
})

test('a Durable Object that was unloaded with its sockets sends missed events to reconnecting clients', async () => {
  const chn = 'unloaded'
  const client = await journals.client('USUAL', { chn })
  const subscription = await client.subscribe()
  for (let n = 1; n <= 3; n++) {
    await journals.stub('USUAL', chn, 'publish', { n })
    await subscription.count(n)
    await journals.evict({ worker: 'objects', className: 'UsualJournal', name: chn }, 'close')
  }
  await journals.stub('USUAL', chn, 'publish', { n: 4 })
  expect(await subscription.count(4)).toEqual([1, 2, 3, 4].map((n) => ({ n })))
  client.close()
})

test('an expired token ends its subscription without an error, and rejects its calls', async () => {
  const chn = 'expiring'
  const exp = Math.floor(Date.now() / 1000) + 2
  const rpc = ['kept']
  const client = await journals.client('USUAL', { chn, exp, rpc })
  const lasting = await journals.client('USUAL', { chn, rpc })
  const [ending, staying] = await Promise.all([client.subscribe(), lasting.subscribe()])
  await journals.stub('USUAL', chn, 'publish', { n: 1 })
  await Promise.all([ending.count(1), staying.count(1)])
  await new Promise((resolve) => setTimeout(resolve, exp * 1000 - Date.now() + 10))
  await journals.stub('USUAL', chn, 'publish', { n: 2 })
  await Promise.all([ending.end(), staying.count(2)])
  expect(ending.ended?.error).toBeUndefined()
  expect(ending.events).toEqual([{ n: 1 }])
  await expect(client.call(['kept'])).rejects.toMatchObject({ code: 'UNAUTHORIZED', status: 401 })
  expect(client.socket.readyState).toBe(1)
  client.close()
  lasting.close()
})

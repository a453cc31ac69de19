// Readers over HTTP let the Durable Object hibernate: the Worker holds their responses, and the Durable Object only hibernating sockets.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { token } from './support/client.ts'
import { EventStream } from './support/event-stream.ts'
import { startFaultyJournals } from './support/faults.ts'
import type { FaultyJournals } from './support/faults.ts'
import { Publisher, publisherWorker } from './support/publisher.ts'

let journals: FaultyJournals
beforeAll(async () => {
  journals = await startFaultyJournals({ workers: [publisherWorker()] })
})
afterAll(() => journals.dispose())

/** In milliseconds: the runtime unloads an idle Durable Object after ten seconds, and streams send a keep-alive after fifteen. */
const IDLE = 22_000

test('no instance is constructed while readers are idle, and the next event reaches all of them', { timeout: 90_000 }, async () => {
  const chn = 'idle readers'
  await journals.stub('ROOMY', chn, 'publish', { n: 1 })
  const headers = { authorization: `Bearer ${await token({ chn })}` }
  const url = new URL(`/http/ROOMY/${encodeURIComponent(chn)}/events`, journals.url)
  const stream = await EventStream.open(url, { headers })
  await stream.count(1)
  const publisher = await (await Publisher.of(journals)).subscribed('ROOMY', chn)
  const { next } = (await (await fetch(url, { headers })).json()) as { next: string }
  const poll = fetch(`${url}?wait=60&after=${next}`, { headers }).then((response) => response.json() as Promise<{ events: object[] }>)
  // Nothing can be awaited: what is tested is that nothing happens.
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  const { made } = await journals.set({})
  await new Promise((resolve) => setTimeout(resolve, IDLE))
  expect((await journals.set({})).made).toBe(made)

  const id = await journals.stub('ROOMY', chn, 'publish', { n: 2 })
  await stream.count(2)
  expect(stream.events.at(-1)).toMatchObject({ id, data: { json: { n: 2 } } })
  expect((await poll).events).toEqual([{ id, json: { n: 2 } }])
  expect(await publisher.count(1)).toEqual([{ n: 2 }])
  // It had hibernated: the event has constructed one instance.
  expect((await journals.set({})).made).toBe(made + 1)
  publisher.close()
  await stream.close()
})

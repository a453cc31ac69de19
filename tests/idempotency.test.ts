// Publishing with an idempotency key: repeated calls publish once.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { startJournals } from './support/journals.ts'
import type { Binding, Journals } from './support/journals.ts'

let journals: Journals
let persistence: string
beforeAll(async () => {
  persistence = await mkdtemp(join(tmpdir(), 'idempotency-'))
  journals = await startJournals({ persistence })
})
afterAll(async () => {
  await journals.dispose()
  await rm(persistence, { recursive: true, force: true })
})

interface Published {
  id: string
  duplicate: boolean
}

/** Publishes from another Worker in Rust, through `ChannelStub`. */
async function relay(binding: Binding, channel: string, event: object, key: string): Promise<Published> {
  const url = new URL(`/relay/${binding}/${channel}`, await journals.urlOf('relay'))
  const body = JSON.stringify({ json: event })
  const response = await journals.fetch(url, { method: 'POST', body, headers: { 'idempotency-key': key } })
  if (!response.ok) throw new Error(await response.text())
  return (await response.json()) as Published
}

const refusal = { code: 'BAD_REQUEST', message: 'idempotency key must be 1–255 visible ASCII characters' }

test('publishes with the same key, in all ways and at the same time, are stored and sent once', async () => {
  const chn = 'every-way'
  const client = await journals.client('USUAL', { chn })
  const subscription = await client.subscribe()
  const published: Published[] = await Promise.all(
    Array.from({ length: 10 }, (_, n) => [
      journals.publish('USUAL', chn, { n }, { idempotencyKey: 'same' }),
      journals.stub('USUAL', chn, 'publishOnce', { n }, 'same'),
      relay('USUAL', chn, { n }, 'same'),
    ]).flat(),
  )
  const ids = published.map(({ id }) => id)
  expect(published.filter(({ duplicate }) => !duplicate)).toHaveLength(1)
  expect(new Set(ids).size).toBe(1)
  const last = await journals.stub('USUAL', chn, 'publish', { last: true }, { idempotencyKey: 'another' })
  expect(last).not.toBe(ids[0])
  expect(await journals.stub('USUAL', chn, 'publish', { late: true }, { idempotencyKey: 'same' })).toBe(ids[0])
  await journals.stub('USUAL', chn, 'publish', { end: true })
  await subscription.count(3)
  expect(subscription.received.map(({ id }) => id).slice(0, 2)).toEqual([ids[0], last])
  expect(subscription.events.slice(1)).toEqual([{ last: true }, { end: true }])
  // The replayed event equals the sent one.
  const late = await journals.client('USUAL', { chn })
  const replayed = await late.subscribe()
  expect(await replayed.count(3)).toEqual(subscription.events)
  client.close()
  late.close()
})

test('a key is kept after hibernation and a crash of the runtime', async () => {
  const chn = 'restarted'
  const id = await journals.stub('USUAL', chn, 'publish', { n: 1 }, { idempotencyKey: 'k' })
  await journals.hibernate('USUAL', chn)
  expect(await journals.stub('USUAL', chn, 'publish', { n: 1 }, { idempotencyKey: 'k' })).toBe(id)
  await journals.kill()
  expect(await journals.stub('USUAL', chn, 'publish', { n: 1 }, { idempotencyKey: 'k' })).toBe(id)
  expect(await journals.stub('USUAL', chn, 'tables')).toEqual([[expect.any(String), 1]])
})

test('a publish that fails leaves its key free', async () => {
  const chn = 'failing'
  const failing = journals.stub('USUAL', chn, 'publish', { x: 'x'.repeat(2_000_000) }, { idempotencyKey: 'k' })
  await expect(failing).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
  await expect(journals.stub('USUAL', chn, 'publish', 'no object', { idempotencyKey: 'k' })).rejects.toMatchObject({ code: 'BAD_REQUEST' })
  const id = await journals.stub('USUAL', chn, 'publish', { n: 1 }, { idempotencyKey: 'k' })
  const client = await journals.client('USUAL', { chn })
  const subscription = await client.subscribe()
  await subscription.count(1)
  expect(subscription.received).toMatchObject([{ event: { n: 1 }, id }])
  client.close()
})

test('the audience of an event is that of the first publish with its key', async () => {
  const chn = 'for-one'
  const [a, b] = await Promise.all(['a', 'b'].map((id) => journals.client('USUAL', { chn }, { id })))
  const [toA, toB] = await Promise.all([a!.subscribe(), b!.subscribe()])
  const id = await journals.stub('USUAL', chn, 'publish', { n: 1 }, { to: ['a'], idempotencyKey: 'k', retry: 50 })
  expect(await journals.stub('USUAL', chn, 'publish', { n: 1 }, { idempotencyKey: 'k' })).toBe(id)
  await journals.stub('USUAL', chn, 'publish', { n: 2 })
  expect(await toA!.count(2)).toEqual([{ n: 1 }, { n: 2 }])
  expect(await toB!.count(1)).toEqual([{ n: 2 }])
  a!.close()
  b!.close()
})

test.each([[''], ['with space'], ['ümläut'], ['x'.repeat(256)]])('the key %j is rejected', async (key) => {
  await expect(journals.stub('USUAL', 'refusing', 'publish', { n: 1 }, { idempotencyKey: key })).rejects.toMatchObject(refusal)
  await expect(journals.stub('USUAL', 'refusing', 'publishOnce', { n: 1 }, key)).rejects.toMatchObject(refusal)
})

test('a publisher in Rust can detect the error of an invalid key', async () => {
  await expect(relay('USUAL', 'refusing', { n: 1 }, 'with space')).rejects.toThrow(`${refusal.message} InvalidKey`)
})

test('the longest key is accepted, and keys are case-sensitive', async () => {
  const keys = ['~'.repeat(255), 'a', 'A', '"a"', "'; DROP"].map((key) => key.replace(' ', '_'))
  const ids = []
  for (const key of keys) ids.push(await journals.stub('USUAL', 'many', 'publish', {}, { idempotencyKey: key }))
  expect(new Set(ids).size).toBe(keys.length)
  for (const [n, key] of keys.entries()) {
    expect(await journals.stub('USUAL', 'many', 'publish', {}, { idempotencyKey: key })).toBe(ids[n])
  }
})

test('after the window a key is free, and its tables are dropped', async () => {
  const chn = 'forgetful'
  const first = await journals.stub('FORGETFUL', chn, 'publish', { n: 1 }, { idempotencyKey: 'k' })
  let second: string
  // The id contains the time of storing, and the key expires by the same clock.
  do {
    second = await journals.stub('FORGETFUL', chn, 'publish', { n: 2 }, { idempotencyKey: 'k' })
  } while (second === first)
  expect(Number(second) - Number(first)).toBeGreaterThanOrEqual(1_000_000)
  // Only the tables of the last windows remain.
  for (let last = second; Number(last) < Number(second) + 4_000_000; ) {
    last = await journals.stub('FORGETFUL', chn, 'publish', { n: 3 }, { idempotencyKey: `k${last}` })
  }
  const tables = await journals.stub('FORGETFUL', chn, 'tables', 'keys')
  expect(tables.length).toBeGreaterThanOrEqual(1)
  expect(tables.length).toBeLessThanOrEqual(3)
})

test('wiped storage has no keys, and the next key is kept', async () => {
  const chn = 'wiped'
  const first = await journals.stub('USUAL', chn, 'publish', { n: 1 }, { idempotencyKey: 'k' })
  await journals.stub('USUAL', chn, 'wipe')
  const second = await journals.stub('USUAL', chn, 'publish', { n: 2 }, { idempotencyKey: 'k' })
  expect(Number(second)).toBeGreaterThan(Number(first))
  expect(await journals.stub('USUAL', chn, 'publish', { n: 3 }, { idempotencyKey: 'k' })).toBe(second)
  expect(await journals.stub('USUAL', chn, 'tables')).toEqual([[expect.any(String), 1]])
})

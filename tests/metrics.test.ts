// The data points of a Durable Object, and the lines about its anomalies.
//
// A local Analytics Engine dataset discards its data points, so the dataset here is one that keeps them and passes them on.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { startJournals } from './support/journals.ts'
import type { Binding, Journals } from './support/journals.ts'
import { BareSocket, upgradeAnswer } from './support/socket.ts'

/** Keeps the data points, and counts the instances of each class. */
const FRONT = `
import * as worker from './index.js'
export * from './index.js'
const points = []
const constructed = {}
const measured = (name) => new Proxy(worker[name], {
  construct(target, [ctx, env], newTarget) {
    const key = name + ' ' + ctx.id.name
    constructed[key] = (constructed[key] ?? 0) + 1
    const METRICS = {
      writeDataPoint(point) {
        env.METRICS.writeDataPoint(point)
        points.push({ ...point, at: Date.now() })
        if (point.blobs[1].startsWith('broken')) throw new Error('a dataset that is broken')
      },
    }
    return Reflect.construct(target, [ctx, { ...env, METRICS }], newTarget)
  },
})
export const MeasuredJournal = measured('MeasuredJournal')
export const UsualJournal = measured('UsualJournal')
const own = worker.default
const handle = (request, env, ctx) => (typeof own === 'function' ? new own(ctx, env).fetch(request) : own.fetch(request, env, ctx))
export default {
  fetch: (request, env, ctx) => (new URL(request.url).pathname === '/seen' ? Response.json({ points, constructed }) : handle(request, env, ctx)),
}`

interface DataPoint {
  indexes: string[]
  blobs: string[]
  doubles: number[]
  at: number
}

let journals: Journals
const log: string[] = []
beforeAll(async () => {
  journals = await startJournals({ front: FRONT, datasets: ['METRICS'], onLog: (line) => void log.push(line) })
})
afterAll(() => journals.dispose())

const seen = async (): Promise<{ points: DataPoint[]; constructed: Record<string, number> }> => (await journals.fetch('/seen')).json() as any
const pointsOf = async (chn: string): Promise<DataPoint[]> => (await seen()).points.filter(({ blobs }) => blobs[1] === chn)

const after = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

const SUBSCRIBE = { i: '0', p: { u: '/subscribe', b: {} } }

async function subscribed(binding: Binding, chn: string): Promise<BareSocket> {
  const socket = await BareSocket.open(await journals.upgrade(binding, { chn }))
  socket.send(SUBSCRIBE)
  await socket.frames(1)
  return socket
}

/** Expects the data points of an instance that was constructed at a time, and no other ones within 10 s. */
function expectPaced(points: DataPoint[], begun: number): void {
  for (const [n, { at }] of points.entries()) expect(at - (points[n - 1]?.at ?? begun)).toBeGreaterThanOrEqual(n === 0 ? 4_900 : 9_900)
}

const sum = (points: DataPoint[], column: number): number => points.reduce((total, { doubles }) => total + doubles[column - 1]!, 0)

test('thousands of events are one data point', { timeout: 60_000 }, async () => {
  const chn = `busy ${'ä'.repeat(100)}`
  const begun = Date.now()
  const socket = await subscribed('MEASURED', chn)
  for (let n = 0; n < 3; n++) await journals.stub('MEASURED', chn, 'publishMany', 1_000)
  await journals.publish('MEASURED', chn, { n: 0 }, { idempotencyKey: 'k' })
  await journals.publish('MEASURED', chn, { n: 0 }, { idempotencyKey: 'k' })
  // One, unless the machine takes more than 5 s to publish the events.
  await expect.poll(async () => sum(await pointsOf(chn), 2), { timeout: 30_000, interval: 500 }).toBe(3_001)
  const points = await pointsOf(chn)
  expectPaced(points, begun)
  expect([3, 4, 6].map((column) => sum(points, column)), 'duplicates, deliveries and opened sockets').toEqual([1, 3_001, 1])
  for (const { indexes, blobs, doubles } of points) {
    // Limits of Analytics Engine: one index of 96 bytes, 20 blobs of 16 KB, 20 doubles.
    expect(indexes).toHaveLength(1)
    expect(Buffer.byteLength(indexes[0]!)).toBeLessThanOrEqual(96)
    expect(chn.startsWith(indexes[0]!)).toBe(true)
    expect(blobs).toEqual(['durable-event-iterator/1', chn, ''])
    expect(doubles).toHaveLength(16)
    expect(doubles[0], 'seconds').toBeGreaterThanOrEqual(4.9)
    expect(doubles[4], 'sockets').toBe(1)
    expect(doubles.slice(6, 15), 'anomalies').toEqual(Array.from({ length: 9 }, () => 0))
    expect(doubles[15], 'bytes of the database').toBeGreaterThan(0)
  }
  socket.vanish()
})

test('a busy channel writes at most one data point in 10 s', { timeout: 60_000 }, async () => {
  const chn = 'always busy'
  const begun = Date.now()
  let published = 0
  while (Date.now() < begun + 22_000) {
    await journals.stub('MEASURED', chn, 'publishMany', 10)
    published += 10
    await after(100)
  }
  await expect.poll(async () => sum(await pointsOf(chn), 2), { timeout: 20_000, interval: 500 }).toBe(published)
  expectPaced(await pointsOf(chn), begun)
})

test('a channel with metrics hibernates', { timeout: 60_000 }, async () => {
  const waits = [8, 12, 14, 16, 18, 20, 24]
  const classes = ['USUAL', 'MEASURED'] as const
  const className = { USUAL: 'UsualJournal', MEASURED: 'MeasuredJournal' }
  const hasHibernated = async (binding: (typeof classes)[number], seconds: number): Promise<boolean> => {
    const chn = `idle for ${seconds} s`
    const socket = await subscribed(binding, chn)
    await journals.stub(binding, chn, 'publish', { n: 1 })
    await after(seconds * 1_000)
    await journals.stub(binding, chn, 'publish', { n: 2 })
    await socket.frames(3)
    socket.vanish()
    return (await seen()).constructed[`${className[binding]} ${chn}`] === 2
  }
  const [usual, measured] = await Promise.all(classes.map((binding) => Promise.all(waits.map((seconds) => hasHibernated(binding, seconds)))))
  // Measured: between 8 and 12 s without metrics, between 12 and 14 s with them.
  expect(usual!.at(-1)).toBe(true)
  expect(measured!.at(-1)).toBe(true)
})

test('a dataset that throws does not fail the Durable Object', { timeout: 30_000 }, async () => {
  const chn = 'broken dataset'
  const socket = await subscribed('MEASURED', chn)
  await journals.stub('MEASURED', chn, 'publish', { n: 1 })
  await expect.poll(() => pointsOf(chn), { timeout: 15_000, interval: 500 }).toHaveLength(1)
  await journals.stub('MEASURED', chn, 'publish', { n: 2 })
  await socket.frames(3)
  expect(log.filter((line) => line.includes('writing a data point failed'))).toHaveLength(1)
  socket.vanish()
})

test('anomalies are objects in the log, without tokens and subjects', async () => {
  const chn = 'anomalies'
  const sub = 'someone@example.org'
  await journals.stub('MEASURED', chn, 'publishMany', 20)
  const url = await journals.upgrade('MEASURED', { chn, sub, att: 'a secret attachment' }, 'a-connection')
  const [socket, other] = [await BareSocket.open(url), await BareSocket.open(url)]
  for (let n = 0; n < 5; n++) expect(await upgradeAnswer(url)).toMatchObject({ status: 429 })
  for (const i of ['0', '1']) socket.send({ i, p: { u: '/subscribe', b: {}, h: { 'last-event-id': '1' } } })
  await socket.until((messages) => messages.some((message) => message.startsWith('{"i":"1"')))
  const lines = (): string[] => log.filter((line) => line.includes('anomaly') && line.includes(chn))
  await expect.poll(() => lines().length).toBe(2)
  // The Workers runtime receives the object itself, which it shows as text here.
  expect(lines().find((line) => line.includes('upgrade_rejected'))).toMatch(/reason: 'max_sockets_per_subject'[^]*count: 1/)
  expect(lines().find((line) => line.includes("anomaly: 'gap'"))).toMatch(/channel: 'anomalies'/)
  const token = new URL(url).searchParams.get('token')!
  for (const secret of [sub, 'a secret attachment', 'a-connection', ...token.split('.').slice(1)]) expect(log.join('\n')).not.toContain(secret)
  expect((await journals.stub('MEASURED', chn, 'stats')).rejections).toEqual({ max_sockets_per_subject: 5 })
  socket.vanish()
  other.vanish()
})

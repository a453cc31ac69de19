import { expect, test } from 'vitest'

import { EventBuffer } from '../../npm/durable-event-iterator/src/client/event-buffer.ts'
import { Queue } from '../../npm/durable-event-iterator/src/client/queue.ts'

test('a queue returns each of 100,000 elements once and in order, for any sequence of pushes and shifts', () => {
  const queue = new Queue<number>()
  const taken: number[] = []
  let pushed = 0
  for (let round = 1; pushed < 100_000; round += 1) {
    for (let n = 0; n < round % 97; n += 1) queue.push((pushed += 1))
    for (let n = 0; n < round % 89; n += 1) {
      const element = queue.shift()
      if (element !== undefined) taken.push(element)
    }
  }
  for (let n = queue.shift(); n !== undefined; n = queue.shift()) taken.push(n)
  expect(taken.every((n, index) => n === index + 1)).toBe(true)
  expect([taken.length, queue.shift()]).toEqual([pushed, undefined])
})

test('a buffer is full by the number or the size of its events, and runs a mark after the events before it', async () => {
  const buffer = new EventBuffer<number>(() => {}, { maxEvents: 3, maxBytes: 100 })
  let isMarked = false
  buffer.push(1, 10)
  buffer.push(2, 10)
  expect(buffer.isFull).toBe(false)
  buffer.push(3, 10)
  expect(buffer.isFull).toBe(true)
  buffer.mark(() => (isMarked = true))
  expect((await buffer.next()).value).toBe(1)
  expect(buffer.isFull).toBe(false)
  expect([(await buffer.next()).value, (await buffer.next()).value, isMarked]).toEqual([2, 3, false])
  const next = buffer.next()
  expect(isMarked).toBe(true)
  buffer.push(4, 200)
  expect((await next).value).toBe(4)
  buffer.push(5, 200)
  expect(buffer.isFull).toBe(true)
  await buffer.return()
  expect(await buffer.next()).toEqual({ done: true, value: undefined })
})

test('a buffer ends after its events, once with an error or a value', async () => {
  for (const [end, last] of [[{ error: 'lost' }, 'lost'], [{ value: 2 }, { done: true, value: 2 }]] as const) {
    const buffer = new EventBuffer<number>(() => {})
    buffer.push(1, 1, 'a')
    buffer.end(end)
    buffer.push(2, 1)
    expect([(await buffer.next()).value, buffer.lastEventId]).toEqual([1, 'a'])
    expect(await buffer.next().catch((error: unknown) => error)).toEqual(last)
    expect(await buffer.next()).toEqual({ done: true, value: undefined })
  }
})

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
    expect(queue.length).toBe(pushed - taken.length)
  }
  for (let n = queue.shift(); n !== undefined; n = queue.shift()) taken.push(n)
  expect(taken.every((n, index) => n === index + 1)).toBe(true)
  expect([taken.length, queue.length, queue.shift()]).toEqual([pushed, 0, undefined])
})

test('a buffer is full by the number or the size of its events, and drained when all have been read', async () => {
  const buffer = new EventBuffer<number>({ maxEvents: 3, maxBytes: 100 }, () => {})
  let isDrained = false
  buffer.push(1, 10)
  buffer.push(2, 10)
  expect(buffer.isFull).toBe(false)
  buffer.push(3, 10)
  expect(buffer.isFull).toBe(true)
  void buffer.drained().then(() => (isDrained = true))
  expect((await buffer.next()).value).toBe(1)
  expect([buffer.isFull, isDrained]).toEqual([false, false])
  expect([(await buffer.next()).value, (await buffer.next()).value]).toEqual([2, 3])
  await buffer.drained()
  expect(isDrained).toBe(true)
  buffer.push(4, 200)
  expect(buffer.isFull).toBe(true)
  const drained = buffer.drained()
  await buffer.return()
  await drained
  expect(await buffer.next()).toEqual({ done: true, value: undefined })
})

// The short form of `npm run scale`.

import { expect, test } from 'vitest'

import { scale } from './scale/run.ts'

test('one publish reaches 500 sockets of one Durable Object, before and after hibernation', async () => {
  const { sockets, inside, bytesPerSocket } = await scale(500, { inside: 50 })
  expect([sockets, inside]).toEqual([500, 50])
  // An isolate has 128 MB: with much more than this, thousands of sockets would not fit. Half of it is buffers of the runtime.
  expect(bytesPerSocket).toBeLessThan(256 * 1024)
})

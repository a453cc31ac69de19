// The short form of `npm run scale`.

import { expect, test } from 'vitest'

import { scale } from './scale/run.ts'

test('one publish reaches 500 sockets on one object, before and after it has slept', async () => {
  const { sockets, inside, bytesPerSocket } = await scale(500, { inside: 50 })
  expect([sockets, inside]).toEqual([500, 50])
  // An isolate has 128 MB: with far more than this, thousands of sockets would not fit. Half of it is the runtime's own buffers.
  expect(bytesPerSocket).toBeLessThan(256 * 1024)
})

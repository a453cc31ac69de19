// The short form of `npm run bench -- clients --only storm`.

import { expect, test } from 'vitest'

import { largestWindow, storm } from '../bench/clients/storm.ts'

test.for(['subscribe', 'stock'] as const)(
  'all clients resume after a restart of the runtime, and lose nothing: %s',
  { timeout: 90_000 },
  async (scenario) => {
    const { recovered, lost, repeated, ended, attempts } = await storm(scenario, { clients: 60, processes: 2, openFor: 0 })
    expect({ recovered, lost, repeated, ended }).toEqual({ recovered: 60, lost: 0, repeated: 0, ended: 0 })
    expect(attempts).toBeGreaterThanOrEqual(1)
  },
)

test('the largest number of reconnects within one second is found at any offset', () => {
  expect(largestWindow([])).toBe(0)
  expect(largestWindow([900, 1_899, 1_000, 100, 1_900])).toBe(3)
})

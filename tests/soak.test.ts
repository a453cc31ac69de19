// The short form of `npm run soak`, with every kind of fault.

import { expect, test } from 'vitest'

import { failures, soak } from './soak/run.ts'

/** In milliseconds. An idle machine needs half of it; on a busy machine, reconnecting takes longer. */
const TIMEOUT = 90_000

test('under faults no event is lost, duplicated, reordered or leaked, and all gaps are reported', { timeout: TIMEOUT }, async () => {
  const result = await soak({ seed: 6, events: 1_200, clients: 60, seconds: 10 })
  expect(result.violations, failures(result).join('\n')).toEqual([])
  expect(result.events).toBeGreaterThanOrEqual(1_200)
  expect(result.clients).toBeGreaterThanOrEqual(60)
  for (const kind of ['killed', 'wiped', 'unreadable attachment', 'online storm']) {
    const kinds = Object.keys(result.faultsByKind).filter((known) => known.startsWith(kind))
    expect(kinds, kind).not.toEqual([])
  }
  // Clients with a fallback have used it, and subscriptions were parked.
  expect(Object.keys(result.transports).length).toBeGreaterThan(1)
  expect(result.parked).toBeGreaterThan(0)
  expect(result.statesSet).toBeGreaterThan(0)
  // A run without gap notifications would not test them.
  expect(result.gapsTold).toBeGreaterThan(0)
})

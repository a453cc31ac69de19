// The store of the hook, without React.

import { setImmediate } from 'node:timers/promises'

import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { createStore } from '../../../npm/durable-event-iterator/src/react/subscription-store.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

/** A source whose events the test pushes. */
function createSource() {
  let push = (_event: unknown): void => {}
  async function* read(): AsyncGenerator<unknown, void, void> {
    for (;;) yield await new Promise((resolve) => (push = resolve))
  }
  return {
    source: read(),
    /** Resolves when the store has read the event. */
    push: async (event: unknown): Promise<void> => {
      push(event)
      await setImmediate()
    },
  }
}

test('events within 16 ms cause one notification', async () => {
  const { source, push } = createSource()
  const store = createStore({ open: () => source, options: {} })
  const notify = vi.fn()
  store.subscribe(notify)
  await setImmediate()
  vi.advanceTimersByTime(100)
  notify.mockClear()
  for (const event of [1, 2, 3]) {
    await push(event)
    vi.advanceTimersByTime(1)
  }
  expect(notify.mock.calls.length).toBe(1)
  vi.advanceTimersByTime(16)
  expect(notify.mock.calls.length).toBe(2)
  expect(store.snapshot().events).toEqual([1, 2, 3])
})

test('a list that React knows does not change', async () => {
  const { source, push } = createSource()
  const store = createStore({ open: () => source, options: {} })
  store.subscribe(() => {})
  await setImmediate()
  await push(1)
  vi.advanceTimersByTime(16)
  const { events } = store.snapshot()
  const replacement = [7]
  store.snapshot().replace(replacement)
  await push(8)
  vi.advanceTimersByTime(16)
  expect([events, replacement, store.snapshot().events]).toEqual([[1], [7], [7, 8]])
})

test('events arrive although timers are late, as in a hidden page', async () => {
  const { source, push } = createSource()
  const store = createStore({ open: () => source, options: {} })
  const notify = vi.fn()
  store.subscribe(notify)
  await setImmediate()
  vi.advanceTimersByTime(100)
  notify.mockClear()
  // Time passes, but timers do not fire.
  const now = vi.spyOn(performance, 'now')
  const start = performance.now()
  for (let n = 1; n <= 100; n += 1) {
    now.mockReturnValue(start + n)
    await push(n)
  }
  expect(notify.mock.calls.length).toBeGreaterThan(1)
  expect(notify.mock.calls.length).toBeLessThanOrEqual(6)
  expect((store.snapshot().events ?? []).length).toBeGreaterThan(60)
})

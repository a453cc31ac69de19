// TanStack Query with the link plugins, through oRPC's integration: the queries of `streamedOptions` and `liveOptions`. An observer
// does what `useQuery` does; `react/tanstack-query.test.ts` uses React itself.

import { getEventMeta } from '@orpc/client'
import type { Client } from '@orpc/client'
import { ClientRetryPlugin } from '@orpc/client/plugins'
import { createTanstackQueryUtils } from '@orpc/tanstack-query'
import { experimental_streamedQuery, focusManager, onlineManager, QueryClient, QueryObserver } from '@tanstack/query-core'
import type { QueryObserverResult } from '@tanstack/query-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { startJournals } from '../support/journals.ts'
import type { Binding, Journals } from '../support/journals.ts'
import { forbidden, startApplication, unavailable } from './support/app.ts'
import type { Application, Event, Follower, Iterator } from './support/app.ts'
import { Proxy } from './support/proxy.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

let app: Application
let proxy: Proxy
let queryClient: QueryClient
beforeEach(async () => {
  ;[app, proxy] = await Promise.all([startApplication(), Proxy.start(journals.url)])
  queryClient = new QueryClient({ defaultOptions: { queries: { retry: false } } })
  queryClient.mount()
})
afterEach(async () => {
  queryClient.unmount()
  queryClient.clear()
  await proxy.dispose()
  await app.dispose()
})

let channels = 0
const newChannel = (): string => `query-${++channels}`

const publish = (channel: string, n: number, binding: Binding = 'USUAL'): Promise<string> =>
  journals.stub(binding, channel, 'publish', { n }, {})

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))
/** Resolves when a client without a cursor does not receive the events until now: it starts two seconds before its token. */
const untilTooOld = (): Promise<void> => pause(3_100)

const sockets = (): { opened: number; open: number } => ({ opened: proxy.upgrades.length, open: proxy.open })

interface Hooks {
  onGap?: () => void
}
interface Context {
  durableIterator?: Hooks
  durableEventIterator?: Hooks
  retry?: number
}
const KINDS = ['DurableIterator', 'DurableEventIterator'] as const

/** Resolves when this number of iterators have been opened, and all but the last one have ended. */
async function opened(count: number): Promise<void> {
  await expect.poll(sockets).toEqual({ opened: count, open: 1 })
  // The upgrade request arrives before the subscription.
  await pause(100)
}

/** Returns the query options of oRPC for the procedure that returns an iterator of this kind. */
function utilsOf(...of: Parameters<typeof clientOf>) {
  return createTanstackQueryUtils({ procedure: clientOf(...of) }).procedure
}

/** Returns the client of the procedure that returns an iterator of this kind. */
function clientOf(kind: (typeof KINDS)[number], binding: Binding = 'USUAL', plugins: object[] = []) {
  const url = new URL(`/upgrade/${binding}`, proxy.url)
  const client = kind === 'DurableIterator' ? app.follower({ url }, { plugins }).follow : app.client({ url }, { plugins }).onEvent
  return client as unknown as Client<Context, string, Follower | Iterator, Error>
}

/** An observer and the results that it has received. */
class Observed<T> {
  readonly results: QueryObserverResult<T, Error>[] = []
  readonly observer: QueryObserver<T, Error>
  readonly unsubscribe: () => void

  constructor(options: object) {
    this.observer = new QueryObserver<T, Error>(queryClient, options as never)
    this.unsubscribe = this.observer.subscribe((result) => this.results.push(result))
  }

  get result(): QueryObserverResult<T, Error> {
    return this.observer.getCurrentResult()
  }

  /** Resolves when the result has these fields. */
  async shows(fields: object): Promise<void> {
    await expect.poll(() => this.result, { timeout: 10_000 }).toMatchObject(fields)
  }

  async numbers(numbers: number[]): Promise<void> {
    await expect.poll(() => (this.result.data as Event[] | undefined)?.map(({ n }) => n), { timeout: 10_000 }).toEqual(numbers)
  }
}

type List = Observed<Event[]>

describe.each(KINDS)('streamedOptions with a %s', (kind) => {
  const options = (input: string, queryFnOptions: object = {}, more: object = {}): object =>
    utilsOf(kind).experimental_streamedOptions({ input, queryFnOptions, ...more })

  test('collects events, and is successful as soon as the iterator is open', async () => {
    const channel = newChannel()
    const query: List = new Observed(options(channel))
    expect(query.result).toMatchObject({ status: 'pending', fetchStatus: 'fetching' })
    await query.shows({ status: 'success', fetchStatus: 'fetching', data: [] })
    await publish(channel, 1)
    await publish(channel, 2)
    await query.numbers([1, 2])
    expect(query.result).toMatchObject({ status: 'success', fetchStatus: 'fetching' })
    query.unsubscribe()
    await proxy.closed()
  })

  test('keeps the last `maxChunks` events', async () => {
    const channel = newChannel()
    const query: List = new Observed(options(channel, { maxChunks: 2 }))
    await query.shows({ data: [] })
    for (const n of [1, 2, 3]) await publish(channel, n)
    await query.numbers([2, 3])
    query.unsubscribe()
  })

  test('a refetch in the mode reset is pending, opens a new socket, closes the old one, and shows the events since its token', async () => {
    const channel = newChannel()
    const query: List = new Observed(options(channel, { refetchMode: 'reset' }))
    await query.shows({ data: [] })
    await publish(channel, 1)
    await query.numbers([1])
    await untilTooOld()
    const before = query.results.length
    void query.observer.refetch()
    await query.shows({ status: 'success', fetchStatus: 'fetching', data: [] })
    expect(query.results.slice(before).some(({ status, data }) => status === 'pending' && data === undefined)).toBe(true)
    await expect.poll(sockets).toEqual({ opened: 2, open: 1 })
    await publish(channel, 2)
    await query.numbers([2])
    query.unsubscribe()
    await proxy.closed()
  })

  test('a refetch in the mode append shows the events of the last two seconds twice', async () => {
    const channel = newChannel()
    const query: List = new Observed(options(channel, { refetchMode: 'append' }))
    await query.shows({ data: [] })
    await publish(channel, 1)
    await query.numbers([1])
    await untilTooOld()
    await publish(channel, 2)
    await query.numbers([1, 2])
    const before = query.results.length
    void query.observer.refetch()
    await expect.poll(sockets).toEqual({ opened: 2, open: 1 })
    await query.numbers([1, 2, 2])
    await publish(channel, 3)
    await query.numbers([1, 2, 2, 3])
    expect(query.results.slice(before).map(({ status }) => status)).not.toContain('pending')
    query.unsubscribe()
    await proxy.closed()
  })

  test('a refetch in the mode replace shows new events only when the iterator ends', async () => {
    const channel = newChannel()
    const query: List = new Observed(options(channel, { refetchMode: 'replace' }))
    await query.shows({ data: [] })
    await publish(channel, 1)
    await query.numbers([1])
    void query.observer.refetch()
    await opened(2)
    await publish(channel, 2)
    await pause(100)
    await query.numbers([1])
    query.unsubscribe()
    await proxy.closed()
  })

  test('cancelling the query closes the socket and keeps the events', async () => {
    const channel = newChannel()
    const query: List = new Observed(options(channel))
    await query.shows({ data: [] })
    await publish(channel, 1)
    await query.numbers([1])
    await queryClient.cancelQueries()
    await proxy.closed()
    expect(query.result).toMatchObject({ status: 'success', fetchStatus: 'idle', data: [{ n: 1 }], error: null })
    query.unsubscribe()
  })

  test('two observers share one socket, which closes with the last observer', async () => {
    const channel = newChannel()
    const [first, second]: [List, List] = [new Observed(options(channel)), new Observed(options(channel))]
    await first.shows({ data: [] })
    await publish(channel, 1)
    await Promise.all([first.numbers([1]), second.numbers([1])])
    first.unsubscribe()
    await publish(channel, 2)
    await second.numbers([1, 2])
    expect(sockets()).toEqual({ opened: 1, open: 1 })
    second.unsubscribe()
    await proxy.closed()
  })

  test('an unmount before the iterator is open leaves no socket', async () => {
    const query: List = new Observed(options(newChannel()))
    await pause(15)
    query.unsubscribe()
    await pause(300)
    expect(proxy.open).toBe(0)
  })

  test('a second mount shows the old events, and misses the events between the mounts', async () => {
    const channel = newChannel()
    const first: List = new Observed(options(channel, { refetchMode: 'append' }))
    await first.shows({ data: [] })
    await publish(channel, 1)
    await first.numbers([1])
    first.unsubscribe()
    await proxy.closed()
    await publish(channel, 2)
    await untilTooOld()
    const second: List = new Observed(options(channel, { refetchMode: 'append' }))
    expect(second.result.data).toEqual([{ n: 1 }])
    await opened(2)
    await publish(channel, 3)
    await second.numbers([1, 3])
    second.unsubscribe()
  })

  test('a second mount within `staleTime` shows the old events and does not subscribe', async () => {
    const channel = newChannel()
    const first: List = new Observed(options(channel, {}, { staleTime: Number.POSITIVE_INFINITY }))
    await first.shows({ data: [] })
    await publish(channel, 1)
    await first.numbers([1])
    first.unsubscribe()
    await proxy.closed()
    const second: List = new Observed(options(channel, {}, { staleTime: Number.POSITIVE_INFINITY }))
    await pause(200)
    expect(second.result).toMatchObject({ status: 'success', fetchStatus: 'idle', data: [{ n: 1 }] })
    expect(proxy.upgrades).toHaveLength(1)
    second.unsubscribe()
  })

  test('focusing the page and going online do not restart the query', async () => {
    const query: List = new Observed(options(newChannel()))
    await query.shows({ data: [] })
    focusManager.setFocused(false)
    focusManager.setFocused(true)
    onlineManager.setOnline(false)
    onlineManager.setOnline(true)
    await pause(200)
    expect(sockets()).toEqual({ opened: 1, open: 1 })
    query.unsubscribe()
    focusManager.setFocused(undefined)
  })

  test('with the cursor of the last event, a second mount and a refetch miss nothing and show nothing twice', async () => {
    const channel = newChannel()
    const procedure = clientOf(kind)
    const withCursor = {
      queryKey: [kind, channel],
      queryFn: experimental_streamedQuery<Event>({
        refetchMode: 'append',
        streamFn: ({ client, queryKey, signal }) => {
          const last = client.getQueryData<Event[]>(queryKey)?.at(-1)
          return procedure(channel, { signal, lastEventId: last && getEventMeta(last)?.id })
        },
      }),
    }
    const first: List = new Observed(withCursor)
    await opened(1)
    await publish(channel, 1)
    await first.numbers([1])
    void first.observer.refetch()
    await opened(2)
    await publish(channel, 2)
    await first.numbers([1, 2])
    first.unsubscribe()
    await proxy.closed()
    await publish(channel, 3)
    await untilTooOld()
    const second: List = new Observed(withCursor)
    await second.numbers([1, 2, 3])
    await publish(channel, 4)
    await second.numbers([1, 2, 3, 4])
    second.unsubscribe()
    await proxy.closed()
  })

  test('a lost connection does not end the query, and missed events arrive', async () => {
    const channel = newChannel()
    const query: List = new Observed(options(channel))
    await query.shows({ data: [] })
    await publish(channel, 1)
    await query.numbers([1])
    proxy.cut()
    await publish(channel, 2)
    await query.numbers([1, 2])
    expect(query.results.filter(({ isError, failureCount }) => isError || failureCount > 0)).toEqual([])
    expect(app.issued).toHaveLength(1)
    query.unsubscribe()
  })

  test('a gap can invalidate the query, which then starts again', async () => {
    const channel = newChannel()
    const name = kind === 'DurableIterator' ? 'durableIterator' : 'durableEventIterator'
    let gaps = 0
    const utils = utilsOf(kind, 'BRIEF')
    const context = {
      [name]: {
        onGap: () => {
          gaps += 1
          void queryClient.invalidateQueries({ queryKey: utils.experimental_streamedKey({ input: channel }) })
        },
      },
    }
    const query: List = new Observed(utils.experimental_streamedOptions({ input: channel, context }))
    await query.shows({ data: [] })
    await publish(channel, 1, 'BRIEF')
    await query.numbers([1])
    proxy.refuses = true
    proxy.cut()
    await publish(channel, 2, 'BRIEF')
    await untilTooOld()
    const lost = query.results.length
    await publish(channel, 3, 'BRIEF')
    proxy.refuses = false
    await expect.poll(() => gaps, { timeout: 10_000 }).toBe(1)
    await expect.poll(() => query.results.slice(lost).some(({ status }) => status === 'pending')).toBe(true)
    await query.numbers([3])
    await publish(channel, 4, 'BRIEF')
    await query.numbers([3, 4])
    expect([gaps, proxy.open]).toEqual([1, 1])
    query.unsubscribe()
    await proxy.closed()
  })

  test('a rejected call fails the query, and is retried as often as the query allows', async () => {
    let calls = 0
    app.policy.check = () => {
      calls += 1
      forbidden()
    }
    const query: List = new Observed(options(newChannel(), {}, { retry: 2, retryDelay: 1 }))
    await query.shows({ status: 'error', fetchStatus: 'idle', failureCount: 3, error: { code: 'FORBIDDEN' } })
    expect(calls).toBe(3)
    query.unsubscribe()
  })

  test('the rejection of a later token fails the query and keeps the events', async () => {
    app.policy.tokenTTLSeconds = 3
    const channel = newChannel()
    const query: List = new Observed(options(channel))
    await query.shows({ data: [] })
    await publish(channel, 1)
    await query.numbers([1])
    app.policy.check = forbidden
    await query.shows({ status: 'error', fetchStatus: 'idle', data: [{ n: 1 }], error: { code: 'FORBIDDEN' } })
    await proxy.closed()
    query.unsubscribe()
  })

  test('the retry plugin of oRPC retries the call for the token, without a retry of the query', async () => {
    let calls = 0
    app.policy.check = () => {
      calls += 1
      if (calls < 3) unavailable()
    }
    const channel = newChannel()
    const utils = utilsOf(kind, 'USUAL', [new ClientRetryPlugin({ default: { retry: 3, retryDelay: 1 } })])
    const query: List = new Observed(utils.experimental_streamedOptions({ input: channel }))
    await query.shows({ status: 'success', data: [], failureCount: 0 })
    await publish(channel, 1)
    await query.numbers([1])
    expect([calls, sockets()]).toEqual([3, { opened: 1, open: 1 }])
    query.unsubscribe()
  })
})

describe.each(KINDS)('liveOptions with a %s', (kind) => {
  const options = (input: string): object => utilsOf(kind).experimental_liveOptions({ input })

  test('shows the last event, and is pending until the first one', async () => {
    const channel = newChannel()
    const query = new Observed<Event>(options(channel))
    await opened(1)
    expect(query.result).toMatchObject({ status: 'pending', fetchStatus: 'fetching' })
    await publish(channel, 1)
    await query.shows({ status: 'success', data: { n: 1 } })
    await publish(channel, 2)
    await query.shows({ fetchStatus: 'fetching', data: { n: 2 } })
    query.unsubscribe()
    await proxy.closed()
  })

  test('a refetch keeps the last event and opens a new socket', async () => {
    const channel = newChannel()
    const query = new Observed<Event>(options(channel))
    await opened(1)
    await publish(channel, 1)
    await query.shows({ data: { n: 1 } })
    void query.observer.refetch()
    await expect.poll(sockets).toEqual({ opened: 2, open: 1 })
    expect(query.result).toMatchObject({ status: 'success', data: { n: 1 } })
    await pause(100)
    await publish(channel, 2)
    await query.shows({ data: { n: 2 } })
    query.unsubscribe()
    await proxy.closed()
  })

  test('two observers share one socket', async () => {
    const channel = newChannel()
    const [first, second] = [new Observed<Event>(options(channel)), new Observed<Event>(options(channel))]
    await opened(1)
    await publish(channel, 1)
    await Promise.all([first.shows({ data: { n: 1 } }), second.shows({ data: { n: 1 } })])
    first.unsubscribe()
    second.unsubscribe()
    await proxy.closed()
    expect(proxy.upgrades).toHaveLength(1)
  })

  test('cancelling before the first event closes the socket', async () => {
    const query = new Observed<Event>(options(newChannel()))
    await expect.poll(sockets).toEqual({ opened: 1, open: 1 })
    await queryClient.cancelQueries()
    await proxy.closed()
    expect(query.result).toMatchObject({ status: 'pending', fetchStatus: 'idle' })
    query.unsubscribe()
  })
})

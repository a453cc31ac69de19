// The page of a tab: subscribes, and reports what it receives to the test.

import { subscribe } from 'durable-event-iterator/client'
import type { Subscription } from 'durable-event-iterator/client'
import { shareBetweenTabs } from 'durable-event-iterator/tabs'

export interface StartOptions {
  url: string
  key: string
  leaderTimeout: number
  lastEventId?: string
  maxBufferedEvents?: number
  heartbeatInterval?: number
}

/** The functions that the test provides. */
interface Test {
  fetchToken(): Promise<string>
  report(kind: 'event' | 'state' | 'gap' | 'end', value: unknown): void
}

const test = window as unknown as Test

let events: Subscription<{ n: number }>
let release: (() => void) | undefined
let held: Promise<void> | undefined
let source: ReturnType<typeof shareBetweenTabs> | undefined

const tab = {
  start({ url, key, leaderTimeout, lastEventId, maxBufferedEvents, heartbeatInterval }: StartOptions): void {
    source ??= shareBetweenTabs(key, { leaderTimeout })
    events = subscribe<{ n: number }>({
      url,
      token: () => test.fetchToken(),
      share: source,
      minReconnectionDelay: 50,
      maxReconnectionDelay: 500,
      lastEventId,
      maxBufferedEvents,
      heartbeatInterval,
      onStateChange: (state) => test.report('state', state),
      onGap: (gap) => test.report('gap', gap),
    })
    void this.read(events)
  },
  async read(subscription: typeof events): Promise<void> {
    try {
      for await (const { n } of subscription) {
        test.report('event', n)
        await held
      }
      test.report('end', undefined)
    } catch (error) {
      test.report('end', String(error))
    }
  },
  /** Stops to read events, until `resume` is called. */
  pause(): void {
    held ??= new Promise((resolve) => (release = resolve))
  },
  resume(): void {
    held = undefined
    release?.()
  },
  close(): void {
    events.close()
  },
  call: (path: string[], input?: unknown): Promise<unknown> => events.call(path, input),
  /** Sends a file, and returns the description of the Durable Object. */
  sendFile: (content: string): Promise<unknown> =>
    events.call(['extra', 'file'], new File([content], 'file.txt', { type: 'text/plain' })),
  async receiveFile(): Promise<unknown> {
    const file = (await events.call(['extra', 'getFile'])) as File
    return { name: file.name, type: file.type, bytes: [...new Uint8Array(await file.arrayBuffer())] }
  },
  /** Returns the first items of a stream. Less than all of them end it. */
  async readStream(path: string[], count: number, input?: unknown): Promise<unknown[]> {
    const items: unknown[] = []
    for await (const item of (await events.call(path, input)) as AsyncIterable<unknown>) {
      items.push(item)
      if (items.length === count) break
    }
    return items
  },
  error: (path: string[], input?: unknown): Promise<unknown> =>
    events.call(path, input).then(
      () => undefined,
      (error) => ({ code: error.code, message: error.message }),
    ),
  get lastEventId(): string | undefined {
    return events.lastEventId
  },
}

export type TabApi = typeof tab
Object.assign(window, { tab })

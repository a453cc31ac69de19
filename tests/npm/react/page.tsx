// The page of the tests: one component with the hook, which a test controls through `window.app`.

import { createORPCClient } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import * as React from 'react'
import { createRoot, hydrateRoot } from 'react-dom/client'
import type { Root } from 'react-dom/client'

import { subscribe } from '../../../npm/durable-event-iterator/src/client/index.ts'
import { DurableEventIteratorLinkPlugin, DurableIteratorLinkPlugin } from '../../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import type { SourceHooks } from '../../../npm/durable-event-iterator/src/react/index.ts'
import type { AppClient, Event, Follower, FollowingClient, Journal } from '../support/app.ts'
import { Room } from './room.tsx'
import type { Result, RoomProps, Source } from './room.tsx'

/** The properties of the component, and the components around it. */
export interface PageProps extends Omit<RoomProps, 'open' | 'onEvent' | 'onLoad' | 'onRender'> {
  source: 'subscribe' | 'DurableIterator' | 'DurableEventIterator' | 'generator' | 'late generator'
  isStrict?: boolean
  /** Whether the component is in a hidden `Activity`. */
  isHidden?: boolean
}

/** A result as JSON. */
export interface Shown extends Pick<Result, 'state' | 'gap'> {
  events: readonly Event[] | undefined
  data: number | undefined
  error: string | undefined
  failureReason: string | undefined
  transport: string | undefined
  hasSubscription: boolean
}

/** A render of the component. */
export interface Render {
  channel: string
  state: string
  numbers: number[]
}

export interface App {
  render(props: PageProps): void
  /** Hydrates the HTML of the page, which the server has rendered. */
  hydrate(props: PageProps): void
  unmount(): void
  shown(): Shown
  call(procedure: 'publish' | 'whoAmI', input?: Event): Promise<unknown>
  replace(events: Event[]): void
  /** All renders. */
  renders: Render[]
  /** The numbers that `onEvent` has received. */
  received: number[]
  /** The channel of each call of `load`. */
  loads: string[]
  /** The errors that React has reported, such as a failed hydration. */
  errors: string[]
  /** The numbers of started and ended generators. */
  generators: { started: number; ended: number }
}

declare global {
  interface Window {
    app: App
  }
}

const { socketUrl, rpcUrl } = window as unknown as { socketUrl: string; rpcUrl: string }

const QUICK = { url: socketUrl, minReconnectionDelay: 20, maxReconnectionDelay: 200 }
const client = createORPCClient(
  new RPCLink({ url: rpcUrl, plugins: [new DurableIteratorLinkPlugin(QUICK), new DurableEventIteratorLinkPlugin(QUICK)] }),
) as unknown as AppClient & FollowingClient

/** Fetches a token that the test has signed. */
async function fetchToken(channel: string): Promise<string> {
  const response = await fetch(`/token?${new URLSearchParams({ channel })}`)
  if (!response.ok) throw Object.assign(new Error(await response.text()), { status: response.status })
  return response.text()
}

const generators = { started: 0, ended: 0 }

/** Yields a number every millisecond, and ignores the signal. */
async function* generate(): AsyncGenerator<Event, void, void> {
  generators.started += 1
  try {
    for (let n = 1; n <= 3; n += 1) {
      yield { n }
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
  } finally {
    generators.ended += 1
  }
}

function open(source: PageProps['source'], channel: string, hooks: SourceHooks): Source | Promise<Source> {
  const { signal } = hooks
  switch (source) {
    case 'subscribe':
      return subscribe<Journal>({ ...QUICK, ...hooks, token: () => fetchToken(channel) })
    case 'DurableIterator':
      return client.follow(channel, { signal, context: { durableIterator: hooks } })
    case 'DurableEventIterator':
      return client.onEvent(channel, { signal, context: { durableEventIterator: hooks } })
    case 'generator':
      return generate()
    case 'late generator':
      return new Promise((resolve) => setTimeout(() => resolve(generate()), 100))
  }
}

let result: Result | undefined
const text = (error: unknown): string | undefined => (error instanceof Error ? error.message : (error as string | undefined))

function Page({ source, isStrict = false, isHidden, ...props }: PageProps): React.ReactNode {
  const onRender = (next: Result): void => {
    result = next
    app.renders.push({ channel: props.channel, state: next.state, numbers: (next.events ?? []).map(({ n }) => n) })
  }
  const room = (
    <Room
      {...props}
      source={source}
      open={(hooks) => open(source, props.channel, hooks)}
      onEvent={({ n }) => app.received.push(n)}
      onLoad={() => app.loads.push(props.channel)}
      onRender={onRender}
    />
  )
  const inActivity = isHidden === undefined ? room : <React.Activity mode={isHidden ? 'hidden' : 'visible'}>{room}</React.Activity>
  return isStrict ? <React.StrictMode>{inActivity}</React.StrictMode> : inActivity
}

let root: Root | undefined
const container = document.getElementById('root')!
const onRecoverableError = (error: unknown): void => void app.errors.push(String(error))

const app: App = {
  render(props) {
    root ??= createRoot(container)
    root.render(<Page {...props} />)
  },
  hydrate(props) {
    root = hydrateRoot(container, <Page {...props} />, { onRecoverableError })
  },
  unmount() {
    root?.unmount()
    root = undefined
  },
  shown() {
    const { events, data, state, gap, error, failureReason, transport, subscription } = result!
    return { events, data, state, gap, error: text(error), failureReason: text(failureReason), transport, hasSubscription: subscription !== undefined }
  },
  async call(procedure, input) {
    const { subscription } = result!
    if (subscription === undefined) throw new Error('there is no subscription')
    const procedures = 'rpc' in subscription ? subscription.rpc : (subscription as Follower)
    return procedure === 'publish' ? procedures.publish(input!) : procedures.whoAmI()
  },
  replace: (events) => result!.replace(events as never),
  renders: [],
  received: [],
  loads: [],
  errors: [],
  generators,
}
window.app = app

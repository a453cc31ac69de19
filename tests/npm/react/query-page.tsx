// A page with TanStack Query: two components with one query, and one that keeps a query up to date with the hook.

import { createORPCClient } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { createTanstackQueryUtils } from '@orpc/tanstack-query'
import { QueryClient, QueryClientProvider, useQuery, useQueryClient } from '@tanstack/react-query'
import { StrictMode, useState } from 'react'
import { createRoot } from 'react-dom/client'

import { DurableIteratorLinkPlugin } from '../../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import { useSubscription } from '../../../npm/durable-event-iterator/src/react/index.ts'
import type { Event, FollowingClient } from '../support/app.ts'

export interface History {
  events: Event[]
  lastEventId: string | undefined
}

declare global {
  interface Window {
    queryApp: {
      render(names: string[], channel: string): void
      unmount(): void
    }
    /** Returns the history of the channel. The test provides it. */
    fetchHistory(channel: string): Promise<History>
  }
}

const { socketUrl, rpcUrl } = window as unknown as { socketUrl: string; rpcUrl: string }
const plugin = new DurableIteratorLinkPlugin({ url: socketUrl, minReconnectionDelay: 20, maxReconnectionDelay: 200 })
const client = createORPCClient(new RPCLink({ url: rpcUrl, plugins: [plugin] })) as unknown as FollowingClient
const orpc = createTanstackQueryUtils({ follow: client.follow as never }) as unknown as {
  follow: { experimental_streamedOptions(options: { input: string }): { queryKey: unknown[]; queryFn: () => Promise<Event[]> } }
}

const print = (events: readonly Event[] | undefined): string => events?.map(({ n }) => n).join(' ') ?? 'pending'

function Streamed({ channel }: { channel: string }) {
  const { data } = useQuery(orpc.follow.experimental_streamedOptions({ input: channel }))
  return <output>{print(data)}</output>
}

/** Applies each event to the query of the history, which is loaded before the first subscription and after a gap. */
function Updated({ channel }: { channel: string }) {
  const queryClient = useQueryClient()
  const [history] = useState(() => ({ queryKey: ['history', channel], queryFn: () => window.fetchHistory(channel) }))
  const { data } = useQuery({ ...history, enabled: false })
  useSubscription((hooks) => client.follow(channel, { signal: hooks.signal, context: { durableIterator: hooks } }), [channel], {
    maxEvents: 0,
    load: async () => {
      const { lastEventId } = await queryClient.fetchQuery({ ...history, staleTime: 0 })
      return { events: [], lastEventId }
    },
    onEvent: (event) =>
      queryClient.setQueryData<History>(history.queryKey, (old) => old && { ...old, events: [...old.events, event] }),
  })
  return <output>{print(data?.events)}</output>
}

const COMPONENTS: Record<string, typeof Streamed> = { Streamed, Updated }

const queryClient = new QueryClient({ defaultOptions: { queries: { retry: false } } })
const root = createRoot(document.getElementById('root')!)
window.queryApp = {
  render(names, channel) {
    const components = names.map((name, index) => {
      const Component = COMPONENTS[name]!
      return <Component key={index} channel={channel} />
    })
    root.render(
      <StrictMode>
        <QueryClientProvider client={queryClient}>{components}</QueryClientProvider>
      </StrictMode>,
    )
  },
  unmount: () => root.unmount(),
}

// The component of the tests, for the browser and the server.

import type { Subscription, SubscriptionProcedures } from '../../../npm/durable-event-iterator/src/client/index.ts'
import { useSubscription } from '../../../npm/durable-event-iterator/src/react/index.ts'
import type { EventsResult, ReducedResult, SourceHooks } from '../../../npm/durable-event-iterator/src/react/index.ts'
import type { Event, Follower, Iterator, Journal } from '../support/app.ts'

export type Source = Subscription<Event, SubscriptionProcedures<Journal>> | Follower | Iterator | AsyncGenerator<Event, void, void>

/** The result of both forms of the hook. */
export type Result = Omit<EventsResult<Source> & ReducedResult<Source, number>, 'events' | 'data'> & {
  events?: readonly Event[]
  data?: number
}

export interface RoomProps {
  source: string
  channel: string
  /** Whether there is a factory. */
  isEnabled?: boolean
  maxEvents?: number
  /** With a factor, the events are reduced to the sum of their numbers, each multiplied by the factor. */
  factor?: number
  /** The events that `load` returns. */
  history?: { events: Event[]; lastEventId: string | undefined }
  onLoad?: () => void
  onEvent?: (event: Event) => void
  open: (hooks: SourceHooks) => Source | Promise<Source>
  onRender?: (result: Result) => void
}

export function Room(props: RoomProps) {
  const { factor, open, isEnabled = true } = props
  return factor === undefined ? <Events {...props} open={isEnabled && open} /> : <Sum {...props} open={isEnabled && open} factor={factor} />
}

type OpenProps = Omit<RoomProps, 'open'> & { open: false | RoomProps['open'] }

function Events({ source, channel, maxEvents, history, onLoad, onEvent, onRender, open }: OpenProps) {
  const load = async (): Promise<NonNullable<typeof history>> => {
    onLoad?.()
    return history!
  }
  const result = useSubscription(open, [source, channel], { maxEvents, onEvent, load: history && load })
  onRender?.(result as unknown as Result)
  return <output>{`${result.state}: ${result.events.map(({ n }) => n).join(' ')}`}</output>
}

function Sum({ source, channel, factor, onEvent, onRender, open }: OpenProps & { factor: number }) {
  const result = useSubscription(open, [source, channel], {
    initial: 0,
    reduce: (sum, { n }) => {
      if (n < 0) throw new RangeError(`n must be positive, got ${n}`)
      return sum + n * factor
    },
    onEvent,
  })
  onRender?.(result as unknown as Result)
  return <output>{`${result.state}: ${result.data}`}</output>
}

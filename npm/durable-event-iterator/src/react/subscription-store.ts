import type { EventsOptions, ReduceOptions } from './options.js'
import type { Replace } from './result.js'
import type { Source, SourceFactory, SourceHooks, SourceState } from './source.js'

/** The fields of a result. */
export interface Snapshot {
  /** A list without a reducer. */
  readonly events?: readonly unknown[]
  /** The value of the reducer. */
  readonly data?: unknown
  readonly state: SourceState
  readonly error: unknown
  readonly failureReason: unknown
  readonly transport: unknown
  readonly gap: unknown
  readonly subscription: unknown
  readonly replace: Replace<unknown>
}

/** The arguments of the latest render. */
export interface StoreInput {
  readonly open: SourceFactory<Source>
  readonly options: EventsOptions<unknown> | ReduceOptions<unknown, unknown>
}

/** An external store for `useSyncExternalStore` that has a source while React is subscribed to it. */
export interface SubscriptionStore {
  update(input: StoreInput): void
  subscribe(notify: () => void): () => void
  snapshot(): Snapshot
  /** Returns the snapshot before the first effect, also on the server. */
  initialSnapshot(): Snapshot
}

/** Creates a store. This has no side effects, since React may discard the store. */
export function createStore(input: StoreInput): SubscriptionStore {
  const { open, options } = input
  const field = options.reduce ? 'data' : 'events'
  const initial: Snapshot = {
    [field]: options.reduce ? options.initial : [],
    state: open ? 'connecting' : 'idle',
    error: undefined,
    failureReason: undefined,
    transport: undefined,
    gap: undefined,
    subscription: undefined,
    replace: (next) => change(filled(typeof next === 'function' ? (next as (previous: unknown) => unknown)(current[field]) : next)),
  }
  /** The fields as React knows them. */
  let shown = initial
  /** The fields at the next notification. */
  let current = initial
  /** The list of `current`, while only this store has it. */
  let draft: unknown[] | undefined
  let notify = (): void => {}
  let timer: ReturnType<typeof setTimeout> | undefined
  let shownAt = 0
  let dueAt = 0

  function filled(value: unknown): Partial<Snapshot> {
    return { [field]: value, gap: undefined }
  }

  function change(fields: Partial<Snapshot>): void {
    current = { ...current, ...fields }
    const now = performance.now()
    if (!timer) {
      dueAt = Math.max(now, shownAt + FRAME_MS)
      timer = setTimeout(show, dueAt - now)
    } else if (now > dueAt + FRAME_MS) {
      // The timer is late, as in a hidden page, where browsers delay timers by a second or more.
      show()
    }
  }

  function show(): void {
    clearTimeout(timer)
    timer = draft = undefined
    shownAt = performance.now()
    const { events } = current
    const { maxEvents = DEFAULT_MAX_EVENTS } = input.options as EventsOptions<unknown>
    if (events && events.length > maxEvents) current = { ...current, events: events.slice(events.length - maxEvents) }
    shown = current
    notify()
  }

  function add(event: unknown): void {
    const { options } = input
    options.onEvent?.(event)
    if (options.reduce) {
      const data = options.reduce(current.data, event)
      if (!Object.is(data, current.data)) change({ data })
    } else if (options.maxEvents !== 0) {
      // One copy for each notification, since a list that React knows does not change.
      if (!draft || draft !== current.events) draft = [...current.events!]
      draft.push(event)
      change({ events: draft })
    }
  }

  async function read(signal: AbortSignal): Promise<void> {
    // Strict mode subscribes, unsubscribes and subscribes in one task. Only the last one opens a source.
    await undefined
    const set = (fields: Partial<Snapshot>): void => {
      if (!signal.aborted) change(fields)
    }
    // A source that does not report its state is open.
    let state: SourceState = 'open'
    const hooks: SourceHooks = {
      signal,
      onStateChange: (next, { error, transport } = {}) => {
        state = next
        set(state === 'closed' ? { ...CLOSED, error } : { state, failureReason: error, transport })
      },
      onGap: (gap) => set({ gap }),
      load: input.options.load && (async (request) => {
        const loaded = await input.options.load!(request)
        set(filled(loaded[field as never]))
        return loaded.lastEventId
      }),
    }
    try {
      if (signal.aborted || !input.open) return
      const source = await input.open(hooks)
      // For a source that ignores the signal, or arrives after the abort.
      const close = (): unknown => source.return?.()?.then(undefined, () => {})
      if (signal.aborted) return void close()
      signal.addEventListener('abort', close)
      set({ subscription: source, state })
      for await (const event of source) {
        if (signal.aborted) return
        add(event)
      }
      set(CLOSED)
    } catch (error) {
      set({ ...CLOSED, error })
    }
  }

  return {
    update(next) {
      input = next
    },
    subscribe(listener) {
      notify = listener
      if (shown !== initial) {
        shown = current = initial
        notify()
      }
      const controller = new AbortController()
      void read(controller.signal)
      return () => {
        notify = () => {}
        clearTimeout(timer)
        timer = draft = undefined
        controller.abort()
      }
    },
    snapshot: () => shown,
    initialSnapshot: () => initial,
  }
}

const CLOSED = { state: 'closed', failureReason: undefined, transport: undefined } as const

/** The minimum time between two notifications, in milliseconds: a frame of most screens. */
const FRAME_MS = 16

/** The default of `maxEvents`. */
const DEFAULT_MAX_EVENTS = 1_000

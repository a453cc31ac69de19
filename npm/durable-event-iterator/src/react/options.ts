interface CommonOptions<TEvent> {
  /**
   * Called once for each event, in order and outside of rendering. The hook calls the latest function. If it throws, the
   * subscription ends with that error.
   */
  readonly onEvent?: ((event: TEvent) => void) | undefined
}

/** Loads a value and its cursor. */
type Load<TLoaded> = (options: { readonly signal: AbortSignal }) => (TLoaded & Cursor) | Promise<TLoaded & Cursor>

interface Cursor {
  /** The id of the last event that the loaded value includes. The subscription starts after that event. */
  readonly lastEventId: string | undefined
}

/** The options of a hook that keeps the last events. */
export interface EventsOptions<TEvent> extends CommonOptions<TEvent> {
  /**
   * The maximum number of events that the hook keeps. It drops the oldest events first. With 0 it keeps none, and an event
   * does not render the component.
   *
   * @default 1000
   */
  readonly maxEvents?: number | undefined

  /**
   * Loads the events before the first subscription and after each gap, such as the history of a chat room. The loaded events
   * replace all earlier events. Requires a factory that passes `load` of its hooks to the source.
   */
  readonly load?: Load<{ readonly events: readonly TEvent[] }> | undefined

  readonly reduce?: undefined
}

/** The options of a hook that reduces the events to data. */
export interface ReduceOptions<TEvent, TData> extends CommonOptions<TEvent> {
  /** The data before the first event. */
  readonly initial: TData

  /**
   * Returns the data after an event. The hook calls the latest function once for each event, in order and outside of
   * rendering. If it returns the previous data, the component does not render. If it throws, the subscription ends with that
   * error.
   */
  readonly reduce: (data: TData, event: TEvent) => TData

  /**
   * Loads the data before the first subscription and after each gap. Requires a factory that passes `load` of its hooks to the
   * source.
   */
  readonly load?: Load<{ readonly data: TData }> | undefined
}

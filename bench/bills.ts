// Monthly costs of channels: Cloudflare's prices, applied to the measured use.

/** The measured resource use of a library. CPU times are in microseconds. */
export interface Costs {
  cpuPerPublish: number
  cpuPerDelivery: number
  cpuPerConnection: number
  /** From hibernation to the first delivered event, including the publish. */
  cpuPerWaking: number
  /** Per event over its whole life, including its deletion. */
  rowsWritten: number
  rowsRead: number
  /** Set if events are stored in tables that are dropped as a whole. */
  segments?: {
    /** Rows written per table. */
    rowsWritten: number
  }
  /** The number of tables and indexes. Each one has at least one page. */
  btrees: number
}

export interface Example {
  title: string
  channels: number
  /** Events per second and channel. */
  events: number
  listeners: number
  /** The retention time of events in seconds. */
  retention: number
}

const MINUTE = 60
const DAY = 24 * 60 * MINUTE
/** 30 days, as in Cloudflare's examples. */
const MONTH = 30 * DAY

/** The default of the generic Worker. */
const RETENTION = 5 * MINUTE

const QUIET = { channels: 100_000, events: 10 / DAY, listeners: 2 }

export const EXAMPLES: Example[] = [
  { title: '1 event/s to 100 listeners', channels: 1, events: 1, listeners: 100, retention: RETENTION },
  { title: '20 events/s to 5,000 listeners', channels: 1, events: 20, listeners: 5_000, retention: RETENTION },
  { ...QUIET, title: '100,000 quiet channels, events kept for 5 minutes', retention: RETENTION },
  { ...QUIET, title: '100,000 quiet channels, events kept for a day', retention: DAY },
]

/** The number of connections per listener and day, such as after sleep or a network change. */
const CONNECTIONS_A_DAY = 4

/**
 * The maximum load of the single thread of a Durable Object; above it, events would queue. A channel that needs more is split
 * into several Durable Objects. Each of them has a part of the listeners and receives all events.
 */
const LOAD = 0.7

/** Microseconds in a second. */
const MICROS = 1e6

/** The memory that is billed for a Durable Object, independent of its use: 128 MB, in the unit of Cloudflare's examples. */
const GIGABYTES = 128 / 1_000

/** The sizes of an empty database and of a page of SQLite, in bytes. */
const EMPTY_DATABASE = 12_000
const PAGE = 4_096

/** The stored size of an event of 100 bytes, in bytes. */
const STORED_EVENT = 150

/** The number of incoming WebSocket messages that are billed as one request. */
const MESSAGES_PER_REQUEST = 20

/**
 * The prices of the paid plan in dollars, from https://developers.cloudflare.com/durable-objects/platform/pricing/ (November
 * 2026): the use that each month includes, and the price of each further unit.
 */
const PRICES = {
  requests: { unit: 'requests', included: 1e6, price: 0.15 / 1e6 },
  duration: { unit: 'GB-s', included: 400_000, price: 12.5 / 1e6 },
  rowsWritten: { unit: 'rows written', included: 50e6, price: 1 / 1e6 },
  rowsRead: { unit: 'rows read', included: 25e9, price: 0.001 / 1e6 },
  stored: { unit: 'GB stored', included: 5, price: 0.2 },
}

/** The monthly price of the paid plan in dollars. */
const PLAN = 5

type Item = keyof typeof PRICES

export interface Bill {
  /** The number of Durable Objects. */
  objects: number
  /** The dollars are for the whole use, without a deduction for the use that the plan includes. */
  items: { item: string; used: number; dollars: number }[]
  /** The sum of all items. */
  atListPrice: number
  /** The bill of an account without other use: the price of the plan, and the use beyond the plan. */
  onThePlan: number
}

export function billOf(example: Example, costs: Costs): Bill {
  const { channels, listeners, retention } = example
  // Events are so rare that each one wakes its Durable Object.
  const isQuiet = example.events * MINUTE < 1
  const perEvent = isQuiet ? costs.cpuPerWaking : costs.cpuPerPublish
  const parts = Math.ceil((example.events * listeners * costs.cpuPerDelivery) / (LOAD * MICROS - example.events * perEvent))
  const objects = channels * parts
  const events = objects * example.events * MONTH
  // A table spans half of the retention. If events are rarer, each event has its own table.
  const tables = costs.segments ? Math.min(events, objects * (MONTH / (retention / 2))) : 0
  // The alarms of the generic Worker, which delete the events of silent channels: one per table, with one row written to set
  // it.
  const alarms = tables
  const connections = channels * listeners * CONNECTIONS_A_DAY * (MONTH / DAY)
  const cpu =
    events * perEvent +
    events * (listeners / parts) * costs.cpuPerDelivery +
    connections * costs.cpuPerConnection +
    alarms * (isQuiet ? costs.cpuPerWaking : costs.cpuPerPublish)
  const used: Record<Item, number> = {
    // A publish by a stub, an alarm, and a connection with the message that subscribes.
    requests: events + alarms + connections * (1 + 1 / MESSAGES_PER_REQUEST),
    duration: (cpu / MICROS) * GIGABYTES,
    rowsWritten: events * costs.rowsWritten + tables * (costs.segments?.rowsWritten ?? 0) + alarms,
    rowsRead: events * costs.rowsRead,
    stored:
      (objects * (EMPTY_DATABASE + costs.btrees * PAGE + example.events * retention * STORED_EVENT)) / 1e9,
  }
  const items = (Object.keys(PRICES) as Item[]).map((item) => ({
    item: PRICES[item].unit,
    used: used[item],
    dollars: used[item] * PRICES[item].price,
  }))
  const beyond = (item: Item): number => Math.max(0, used[item] - PRICES[item].included) * PRICES[item].price
  return {
    objects,
    items,
    atListPrice: items.reduce((sum, { dollars }) => sum + dollars, 0),
    onThePlan: (Object.keys(PRICES) as Item[]).reduce((sum, item) => sum + beyond(item), PLAN),
  }
}

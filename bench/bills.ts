// What channels cost a month: the platform's prices, applied to what was measured.

/** What a library does with the platform, as measured. CPU in microseconds. */
export interface Costs {
  cpuPerPublish: number
  cpuPerDelivery: number
  cpuPerConnection: number
  /** From hibernation to the first delivered event, publishing included. */
  cpuPerWaking: number
  /** Of an event over its whole life, removal included. */
  rowsWritten: number
  rowsRead: number
  /** Where events are kept in tables that are dropped whole. */
  segments?: {
    /** Written for each table. */
    rowsWritten: number
  }
  /** Tables and indexes, each of which has a page at least. */
  btrees: number
}

export interface Example {
  title: string
  channels: number
  /** Of each channel, in a second. */
  events: number
  listeners: number
  /** For how long events are kept, in seconds. */
  retention: number
}

const MINUTE = 60
const DAY = 24 * 60 * MINUTE
/** As in the platform's own examples. */
const MONTH = 30 * DAY

/** What the deployable Worker has when nothing is said. */
const RETENTION = 5 * MINUTE

const QUIET = { channels: 100_000, events: 10 / DAY, listeners: 2 }

export const EXAMPLES: Example[] = [
  { title: '1 event/s to 100 listeners', channels: 1, events: 1, listeners: 100, retention: RETENTION },
  { title: '20 events/s to 5,000 listeners', channels: 1, events: 20, listeners: 5_000, retention: RETENTION },
  { ...QUIET, title: '100,000 quiet channels, events kept for 5 minutes', retention: RETENTION },
  { ...QUIET, title: '100,000 quiet channels, events kept for a day', retention: DAY },
]

/** How often a listener connects in a day: a laptop that is opened, a train that leaves a tunnel. */
const CONNECTIONS_A_DAY = 4

/**
 * How much of its one thread an object may be busy with: with more, events queue. A channel that needs more is several
 * objects, each with its part of the listeners and all of the events.
 */
const LOAD = 0.7

/** Microseconds in a second. */
const MICROS = 1e6

/** What is billed for an object's memory, whatever it uses: 128 MB, in the unit of the platform's own examples. */
const GIGABYTES = 128 / 1_000

/** An empty database, and SQLite's page. Bytes. */
const EMPTY_DATABASE = 12_000
const PAGE = 4_096

/** An event of 100 bytes with its row. */
const STORED_EVENT = 150

/** Incoming messages on WebSockets that are billed as one request. */
const MESSAGES_PER_REQUEST = 20

/**
 * The paid plan's prices in dollars, as https://developers.cloudflare.com/durable-objects/platform/pricing/ says them (read in
 * November 2026): what is included in a month, and what each unit costs beyond that.
 */
const PRICES = {
  requests: { unit: 'requests', included: 1e6, price: 0.15 / 1e6 },
  duration: { unit: 'GB-s', included: 400_000, price: 12.5 / 1e6 },
  rowsWritten: { unit: 'rows written', included: 50e6, price: 1 / 1e6 },
  rowsRead: { unit: 'rows read', included: 25e9, price: 0.001 / 1e6 },
  stored: { unit: 'GB stored', included: 5, price: 0.2 },
}

/** The paid plan itself. */
const PLAN = 5

type Item = keyof typeof PRICES

export interface Bill {
  /** How many objects there are. */
  objects: number
  /** The dollars are those of the use itself: nothing is taken off for what the plan includes. */
  items: { item: string; used: number; dollars: number }[]
  /** Of all items. */
  atListPrice: number
  /** For an account that does nothing else: the plan, and what is not included in it. */
  onThePlan: number
}

export function billOf(example: Example, costs: Costs): Bill {
  const { channels, listeners, retention } = example
  // Seldom enough that each event wakes its object.
  const isQuiet = example.events * MINUTE < 1
  const perEvent = isQuiet ? costs.cpuPerWaking : costs.cpuPerPublish
  const parts = Math.ceil((example.events * listeners * costs.cpuPerDelivery) / (LOAD * MICROS - example.events * perEvent))
  const objects = channels * parts
  const events = objects * example.events * MONTH
  // A table spans half the retention; where events are rarer, each has its own.
  const tables = costs.segments ? Math.min(events, objects * (MONTH / (retention / 2))) : 0
  // Of the deployable Worker, so that what is in a silent channel goes too: one for each table, and one row to set it.
  const alarms = tables
  const connections = channels * listeners * CONNECTIONS_A_DAY * (MONTH / DAY)
  const cpu =
    events * perEvent +
    events * (listeners / parts) * costs.cpuPerDelivery +
    connections * costs.cpuPerConnection +
    alarms * (isQuiet ? costs.cpuPerWaking : costs.cpuPerPublish)
  const used: Record<Item, number> = {
    // A publish by stub; a connection, with the message that subscribes.
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

import type { ErrorStatuses } from './orpc-error.js'

/** The limits and the behaviour of a Durable Object. All are optional. `docs/limits.md` describes them. */
export interface DurableEventIteratorObjectLimits {
  /** The maximum number of stored events. The oldest ones are deleted beyond it. Default: 100,000. */
  maxRetainedEvents?: number | undefined
  /** The maximum size of all stored events in bytes. The oldest ones are deleted beyond it. Default: 32 MiB. */
  maxRetainedBytes?: number | undefined
  /** How long an idempotency key is stored, in seconds. Default: 300. 0 disables idempotency keys. */
  idempotencyWindowSeconds?: number | undefined
  /** The maximum size of a client's message in bytes: at most 32 MiB. Default: 1 MiB. */
  maxFrameBytes?: number | undefined
  /** The maximum number of concurrent calls of one socket. Default: 64. */
  maxCalls?: number | undefined
  /** The maximum memory of one socket's running calls in bytes. Default: 8 MiB. */
  maxCallBytes?: number | undefined
  /** The maximum memory of all running calls in bytes. Default: 32 MiB. */
  maxTotalCallBytes?: number | undefined
  /** The maximum number of open sockets: at most 32,768. Default: 32,000. */
  maxSockets?: number | undefined
  /** The maximum number of open sockets with the same connection id. Default: no limit. */
  maxSocketsPerConnection?: number | undefined
  /** The maximum number of open sockets whose tokens have the same subject. Default: no limit. */
  maxSocketsPerSubject?: number | undefined
  /** Whether sockets stay usable after their token has expired. Default: false. */
  keepExpiredSockets?: boolean | undefined
  /**
   * Whether `DurableIterator` clients without a cursor start with the events published after they subscribe, as in oRPC's
   * implementation. Default: false: they start with the events published since their token was issued.
   */
  startDurableIteratorsLive?: boolean | undefined
  /**
   * Whether clients without a cursor start with the snapshot that `onSubscribed` sends, instead of the retained events.
   * Default: false.
   */
  beginWithSnapshot?: boolean | undefined
  /**
   * Whether the alarm of the Durable Object is used to delete expired events. Default: true, unless the class overrides `alarm`.
   */
  pruneByAlarm?: boolean | undefined
  /**
   * Whether oRPC's publisher for Durable Objects (`DurablePublisher` of `@orpc/experimental-publisher-durable-object`) is served: a
   * Worker with a binding of the namespace publishes and subscribes with it, without a token. Requests that were forwarded from a
   * client do not reach it. See the section “Publisher” of `docs/typescript-durable-object.md`. Default: false.
   */
  publisher?: boolean | undefined
  /**
   * The name of an Analytics Engine binding. The Durable Object writes data points to it: the numbers of events, deliveries, sockets
   * and anomalies, at most one data point per 10 s and instance. Without such a binding nothing is written. `docs/metrics.md` lists the
   * columns. Default: none.
   */
  metrics?: string | undefined
  /**
   * Whether anomalies are logged as objects, which Workers Logs indexes: gap notifications, rejected upgrades, parked subscriptions,
   * failures of the storage and others. At most one line per anomaly and minute, with the number of occurrences. Errors are logged as
   * text in any case. Default: false.
   */
  logAnomalies?: boolean | undefined
  /**
   * Whether clients receive which members are connected, and the state that each member has set: `PresenceEvent`s between the
   * channel's events. `true` makes each connection id a member. See `docs/presence.md`. Default: false.
   */
  presence?: boolean | PresenceOptions | undefined
}

/** The options of presence. */
export interface PresenceOptions {
  /**
   * What the sockets of a member have in common: the connection id, the subject of the token, or a property of the token attachment,
   * a text or an integer. A socket without it is a member by its connection id. Default: `'connection'`.
   */
  key?: 'connection' | 'subject' | { readonly attachment: string } | undefined
  /**
   * The grace period in seconds: how long a member without a subscription stays present, so that a reconnect causes no events. At most
   * 3,600. The Durable Object does not hibernate meanwhile. Default: 10.
   */
  graceSeconds?: number | undefined
}

/** The options as the core reads them: `ClassOptions` in `object/embedding/class.rs` of the library. */
export interface ClassOptions extends Omit<DurableEventIteratorObjectLimits, 'presence'> {
  presence?: ClassPresence | undefined
  eventRetentionSeconds?: number | undefined
  tablePrefix?: string | undefined
  /** The current key first. */
  signingKeys?: readonly string[] | undefined
}

/** The options of presence as the core reads them. */
interface ClassPresence {
  key: 'connection' | 'subject' | 'attachment'
  /** The property of the attachment. */
  property?: string
  graceSeconds?: number
  /** Whether the class has a procedure `setPresence` of its own. */
  isReplaced?: boolean
}

/** The names of the options that are numbers. */
const NUMBERS = [
  'maxRetainedEvents',
  'maxRetainedBytes',
  'idempotencyWindowSeconds',
  'maxFrameBytes',
  'maxCalls',
  'maxCallBytes',
  'maxTotalCallBytes',
  'maxSockets',
  'maxSocketsPerConnection',
  'maxSocketsPerSubject',
] as const satisfies (keyof DurableEventIteratorObjectLimits)[]

/** The names of the options that are booleans. */
const BOOLEANS = [
  'keepExpiredSockets',
  'startDurableIteratorsLive',
  'beginWithSnapshot',
  'pruneByAlarm',
  'publisher',
  'logAnomalies',
] as const satisfies (keyof DurableEventIteratorObjectLimits)[]

/**
 * Returns the limits for the core.
 *
 * @throws {TypeError} If one has the wrong type. The core checks the ranges.
 */
export function limitsOf(options: DurableEventIteratorObjectLimits): ClassOptions {
  const limits: Record<string, unknown> = {}
  for (const name of NUMBERS) {
    const value = options[name]
    if (value !== undefined) limits[name] = checkedNumber(name, value)
  }
  for (const name of BOOLEANS) {
    const value = options[name]
    if (value === undefined) continue
    if (typeof value !== 'boolean') throw new TypeError(`${name} must be a boolean, got ${String(value)}`)
    limits[name] = value
  }
  const { metrics } = options
  if (metrics !== undefined) {
    if (typeof metrics !== 'string' || metrics === '') throw new TypeError(`metrics must be the name of a binding, got ${String(metrics)}`)
    limits['metrics'] = metrics
  }
  const presence = presenceOf(options.presence)
  if (presence !== undefined) limits['presence'] = presence
  return limits
}

/** @throws {TypeError} If an option has the wrong type. The core checks the ranges. */
function presenceOf(presence: unknown): ClassPresence | undefined {
  if (presence === undefined || presence === false) return undefined
  if (presence === true) return { key: 'connection' }
  if (typeof presence !== 'object' || presence === null) {
    throw new TypeError(`presence must be a boolean or an object, got ${String(presence)}`)
  }
  const { key = 'connection', graceSeconds } = presence as PresenceOptions
  const grace = graceSeconds === undefined ? {} : { graceSeconds: checkedNumber('presence.graceSeconds', graceSeconds) }
  if (key === 'connection' || key === 'subject') return { key, ...grace }
  const property = (key as { attachment?: unknown } | null)?.attachment
  if (typeof property !== 'string') {
    throw new TypeError("presence.key must be 'connection', 'subject' or { attachment: '<property>' }")
  }
  return { key: 'attachment', property, ...grace }
}

/**
 * Returns the retention in seconds. Infinity is the largest number, since JSON has no infinity.
 *
 * @throws {TypeError} If it is not a number of at least 0.
 */
export function checkedNumber(name: string, value: unknown): number {
  if (typeof value !== 'number' || Number.isNaN(value) || value < 0) {
    throw new TypeError(`${name} must be a number of at least 0, got ${String(value)}`)
  }
  return Math.min(value, Number.MAX_SAFE_INTEGER)
}

/**
 * Returns the statuses of error codes.
 *
 * @throws {TypeError} If one is not an integer from 400 to 599.
 */
export function checkedStatuses(statuses: ErrorStatuses | undefined): ErrorStatuses | undefined {
  for (const [code, status] of Object.entries(statuses ?? {})) {
    if (Number.isInteger(status) && status >= 400 && status <= 599) continue
    throw new TypeError(`errorStatusMap: the status of ${code} must be an integer from 400 to 599, got ${String(status)}`)
  }
  return statuses
}

/**
 * Returns the signing keys, the current one first.
 *
 * @throws {TypeError} If there is none, or one is not a text. The core checks the rest.
 */
export function signingKeysOf(signingKey: unknown): readonly string[] {
  const keys: readonly unknown[] = Array.isArray(signingKey) ? signingKey : [signingKey]
  if (keys.length > 0 && keys.every((key) => typeof key === 'string' && key !== '')) return keys as string[]
  // Not the value, which may be a part of a secret.
  const got = Array.isArray(signingKey) ? `a list of ${keys.length}` : signingKey === '' ? 'an empty text' : typeof signingKey
  throw new TypeError(`signingKey must be a text, or a list of one or more, got ${got}`)
}

/**
 * Returns the prefix of the table names for one of oRPC's schema prefixes, such as `dei:`. Characters that this package does not
 * allow in it become `_`.
 *
 * @throws {TypeError} If it is not a text.
 */
export function tablePrefixOf(name: string, schemaPrefix: unknown): string {
  if (typeof schemaPrefix !== 'string') throw new TypeError(`${name} must be a text, got ${String(schemaPrefix)}`)
  return schemaPrefix.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_')
}

import type { JsonValue } from '../object.js'

/** What a token of a {@link DurableEventIterator} says. */
export interface DurableEventIteratorTokenPayload extends DurableIteratorTokenPayload {
  readonly rpc: readonly string[]
  readonly att?: JsonValue | undefined
}

/** What a token of a {@link DurableIterator} says. */
export interface DurableIteratorTokenPayload {
  /** The channel, which names the object. */
  readonly chn: string
  /** The procedures that may be called, by the first segment of their path; none when it is missing. */
  readonly rpc?: readonly string[] | undefined
  /** What the application put into it. */
  readonly att?: unknown
  /** Who the client is, such as a user id: 1–256 UTF-8 bytes. */
  readonly sub?: string | undefined
  /** By these, events can be for some clients only. Only tokens of a `DurableIterator` have them. */
  readonly tags?: readonly string[] | undefined
  /** When it was issued, in seconds since the epoch. */
  readonly iat: number
  /** When its rights end, in seconds since the epoch. */
  readonly exp: number
  /** When its rights begin, in seconds since the epoch; at once when it is missing. */
  readonly nbf?: number | undefined
}

/**
 * The two kinds of oRPC's iterators, which one object serves at once: 1 is the `DurableEventIterator` of oRPC 1.6 to 1.8,
 * 2 the `DurableIterator` of 1.9 and later.
 */
export type Generation = 1 | 2

/** What the JSON says, if it is a payload of that generation. */
export function readPayload(json: string, generation: Generation): DurableIteratorTokenPayload | undefined {
  try {
    const payload: unknown = JSON.parse(json)
    return isPayload(payload, generation) ? payload : undefined
  } catch {
    return undefined
  }
}

/** Whether its rights have begun, and have not ended, at `now`, in milliseconds since the epoch. */
export function isInForce({ exp, nbf = 0 }: DurableIteratorTokenPayload, generation: Generation, now: number): boolean {
  // As the original of each has it: the instant of `exp` itself is too late for the first, and not yet for the second.
  const isOver = generation === 1 ? exp * 1_000 <= now : exp * 1_000 < now
  return !isOver && nbf <= Math.floor(now / 1_000)
}

function isPayload(payload: unknown, generation: Generation): payload is DurableIteratorTokenPayload {
  return (
    isRecord(payload) &&
    typeof payload['chn'] === 'string' &&
    (isTexts(payload['rpc']) || (generation === 2 && payload['rpc'] === undefined)) &&
    (generation === 1 || payload['tags'] === undefined || isTexts(payload['tags'])) &&
    (payload['sub'] === undefined || typeof payload['sub'] === 'string') &&
    isTime(payload['iat']) &&
    isTime(payload['exp']) &&
    (payload['nbf'] === undefined || isTime(payload['nbf']))
  )
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((text) => typeof text === 'string')
}

function isTime(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

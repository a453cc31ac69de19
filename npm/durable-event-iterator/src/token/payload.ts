import type { JsonValue } from '../object.js'

/** The claims of a token of a `DurableEventIterator`. */
export interface DurableEventIteratorTokenPayload extends DurableIteratorTokenPayload {
  readonly rpc: readonly string[]
  readonly att?: JsonValue | undefined
}

/** The claims of a token of a `DurableIterator`. */
export interface DurableIteratorTokenPayload {
  /** The channel name. */
  readonly chn: string
  /** The procedures that the client may call, by the first segment of their path. If missing: none. */
  readonly rpc?: readonly string[] | undefined
  /** The token attachment. */
  readonly att?: unknown
  /** The subject: who the client is, such as a user id, 1–256 UTF-8 bytes. */
  readonly sub?: string | undefined
  /**
   * The tags of the client, by which events are addressed to a subset of clients. Only tokens of a `DurableIterator` have tags.
   */
  readonly tags?: readonly string[] | undefined
  /** The time at which the token was issued, in seconds since 1970. */
  readonly iat: number
  /** The time at which the token expires, in seconds since 1970. */
  readonly exp: number
  /** The time from which the token is valid, in seconds since 1970. If missing: from the beginning. */
  readonly nbf?: number | undefined
}

/**
 * The two kinds of clients: `DurableEventIterator` clients (oRPC 1.6–1.8) and `DurableIterator` clients (oRPC 1.9–1.16). One
 * Durable Object serves both at the same time.
 */
export type ClientKind = 'DurableEventIterator' | 'DurableIterator'

/** Parses the JSON of a payload. Returns `undefined` if it is not a payload of a token of that kind. */
export function readPayload(json: string, kind: ClientKind): DurableIteratorTokenPayload | undefined {
  try {
    const payload: unknown = JSON.parse(json)
    return isPayload(payload, kind) ? payload : undefined
  } catch {
    return undefined
  }
}

/** Whether the token is valid at `now`, in milliseconds since 1970: after `nbf` and before `exp`. */
export function isInForce({ exp, nbf = 0 }: DurableIteratorTokenPayload, kind: ClientKind, now: number): boolean {
  // As oRPC's implementations: at the instant of `exp` itself, a `DurableEventIterator` token has expired, and a
  // `DurableIterator` token has not.
  const isOver = kind === 'DurableEventIterator' ? exp * 1_000 <= now : exp * 1_000 < now
  return !isOver && nbf <= Math.floor(now / 1_000)
}

function isPayload(payload: unknown, kind: ClientKind): payload is DurableIteratorTokenPayload {
  return (
    isRecord(payload) &&
    typeof payload['chn'] === 'string' &&
    (isTexts(payload['rpc']) || (kind === 'DurableIterator' && payload['rpc'] === undefined)) &&
    (kind === 'DurableEventIterator' || payload['tags'] === undefined || isTexts(payload['tags'])) &&
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

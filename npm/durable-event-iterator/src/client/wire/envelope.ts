// The frames of the wire as layers below the session read and write them: without decoding bodies, and on both sides. A frame begins with
// its head, `{"i":"<call id>"`; the rest is its tail. The Durable Object writes the same tail of an event for all subscribers.

import { FLOW_HEADER } from '../../wire.js'
import { ABORT, ACKNOWLEDGEMENT, decodeMessage, STREAM_ITEM } from './frames.js'
import type { Frame as DecodedFrame } from './frames.js'

/** A message of a WebSocket. */
export type SocketMessage = string | ArrayBuffer

/** A frame with a call id. Its other members are not checked. */
export interface Frame extends DecodedFrame {
  readonly i: string
  readonly p: {
    /** The path of a request. */
    readonly u?: unknown
    readonly h?: Readonly<Record<string, unknown>>
    /** The kind of an item of a stream. */
    readonly e?: unknown
    readonly m?: { readonly id?: unknown }
  }
}

/** Returns the frame of a message, or `undefined` if the message is not a frame. */
export function frameOf(message: SocketMessage): Frame | undefined {
  const frame = decodeMessage(message)
  return typeof frame?.i === 'string' ? (frame as Frame) : undefined
}

export const headOf = (id: string): string => `{"i":${JSON.stringify(id)}`

/**
 * Returns the message with another call id, or `undefined` if it does not begin with the head of the id `from`. Bodies are not
 * decoded, since they may be large.
 */
export function withId(message: SocketMessage, from: string, to: string): SocketMessage | undefined {
  const head = headOf(from)
  if (typeof message === 'string') return message.startsWith(head) ? headOf(to) + message.slice(head.length) : undefined
  const encoder = new TextEncoder()
  const [before, after] = [encoder.encode(head), encoder.encode(headOf(to))]
  const bytes = new Uint8Array(message)
  if (before.some((byte, index) => byte !== bytes[index])) return undefined
  const result = new Uint8Array(bytes.length - before.length + after.length)
  result.set(after)
  result.set(bytes.subarray(before.length), after.length)
  return result.buffer
}

/** Whether the frame is a request. */
export const isRequest = ({ t, p }: Frame): boolean => t === undefined && p?.u !== undefined

/** Whether the frame aborts a call. */
export const isAbort = ({ t }: Frame): boolean => t === ABORT

/** Whether the frame of the server is the last one of its call. */
export function isLast({ t, p }: Frame): boolean {
  if (t === STREAM_ITEM) return p?.e !== 'message'
  const { 'content-type': type, 'content-disposition': file } = p?.h ?? {}
  return t === undefined && (file !== undefined || !String(type).startsWith(EVENT_STREAM))
}

const EVENT_STREAM = 'text/event-stream'

/** Returns the frame that aborts a call. */
export const abortOf = (id: string): string => `${headOf(id)},"t":${ABORT}}`

/** Returns the frame that acknowledges events. */
export const acknowledgementOf = (id: string, characters: number): string => `${headOf(id)},"t":${ACKNOWLEDGEMENT},"p":${characters}}`

/** Whether the response to `/subscribe` states flow control. */
export const hasFlowControl = ({ p }: Frame): boolean => p?.h?.[FLOW_HEADER] !== undefined

/** Returns the request to subscribe with these headers after a cursor. */
export function subscribeOf(id: string, headers: Frame['p']['h'], cursor: string | undefined): string {
  const h = cursor === undefined ? headers : { ...headers, [CURSOR_HEADER]: cursor }
  return JSON.stringify({ i: id, p: { u: '/subscribe', h } })
}

/** Returns the cursor in the headers of a request to subscribe. */
export function cursorOf(headers: Frame['p']['h']): string | undefined {
  const cursor = headers?.[CURSOR_HEADER]
  return typeof cursor === 'string' ? cursor : undefined
}

const CURSOR_HEADER = 'last-event-id'

/** Returns the tail of a response to `/subscribe` without the header of flow control. */
export function withoutFlowControl({ p }: Frame): string {
  const { [FLOW_HEADER]: _, ...h } = p.h ?? {}
  return `,"p":${JSON.stringify({ ...p, h })}}`
}

/** The tail of the item after which the client subscribes again. */
export const PARKED = `,"t":${STREAM_ITEM},"p":{"e":"parked"}}`

/** Returns the response to `/subscribe`. */
export function subscribedOf(id: string, headers: Readonly<Record<string, string>> = {}): string {
  return `${headOf(id)},"p":${JSON.stringify({ h: { 'content-type': EVENT_STREAM, ...headers } })}}`
}

/** Returns the response to `/updateToken`. */
export const emptyResponseOf = (id: string): string => `${headOf(id)},"p":{"b":{}}}`

/** The beginning of the tail of an event. */
export const EVENT = `,"t":${STREAM_ITEM},"p":{"e":"message"`

/** Returns the event id in the tail of an event, where it is always last, or `undefined` if the event is not stored. */
export function eventIdOf(tail: string): string | undefined {
  return /"id":"([^"\\]+)"\}\}\}$/.exec(tail.slice(-MAX_ID_LENGTH))?.[1]
}

/** The maximum length of the end of a tail with an event id, in characters. An id has up to 20 digits. */
const MAX_ID_LENGTH = 80

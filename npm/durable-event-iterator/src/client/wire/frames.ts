import { isInstance } from './platform.js'

export type WireMessage = string | Uint8Array<ArrayBuffer>

/** The names are in lower case. */
export type PeerHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

export interface PeerRequest {
  readonly url: string
  /** @default 'POST' */
  readonly method?: string
  readonly headers?: PeerHeaders
  /** A JSON value, `Blob`, `FormData`, `URLSearchParams`, undefined, or a stream: an async iterable of {@link UploadItem}. */
  readonly body?: unknown
}

export interface EventMeta {
  readonly id?: string
  readonly retry?: number
  readonly comments?: readonly string[]
}

/** An item of a stream. `error` and `done` end the stream. */
export interface StreamItem {
  readonly event: 'message' | 'error' | 'done'
  readonly data: unknown
  readonly meta: EventMeta | undefined
}

/**
 * An item of a stream in a request. `data` is sent as it is, so it must be serialized.
 *
 * A stream can end with an item `error` or `done`, yielded or returned. If it ends without one, `done` is sent, and `error` if it
 * throws.
 */
export interface UploadItem {
  /** @default 'message', or 'done' for the returned item */
  readonly event?: StreamItem['event']
  readonly data?: unknown
  readonly meta?: EventMeta | undefined
}

/** A received frame. Its members are not checked. */
export interface Frame {
  readonly i?: unknown
  readonly t?: unknown
  readonly p?: any
  /** The bytes after the JSON of the frame. */
  readonly binary?: Uint8Array<ArrayBuffer> | undefined
}

/** The types of frames. A request or a response has none. */
export const STREAM_ITEM = 3
export const ABORT = 4

/** Returned instead of the body of a response whose items follow. */
export const STREAM = Symbol()

/** Between the JSON and the bytes of a binary message. It never occurs in UTF-8. */
const DELIMITER = 0xff

const TYPE = 'content-type'
const DISPOSITION = 'content-disposition'
const EVENT_STREAM = 'text/event-stream'
const URLENCODED = 'application/x-www-form-urlencoded'

export function isStream(body: unknown): body is AsyncIterable<UploadItem, UploadItem | undefined> {
  return (body as Partial<AsyncIterable<unknown>> | null | undefined)?.[Symbol.asyncIterator] !== undefined
}

/** Returns the message of a request: a promise if the body is binary. */
export function encodeRequest(id: string, request: PeerRequest): WireMessage | Promise<WireMessage> {
  const { url, method, body } = request
  const headers: Record<string, unknown> = { ...request.headers }
  const disposition = headers[DISPOSITION]
  delete headers[TYPE]
  delete headers[DISPOSITION]
  let json: unknown
  let binary: Promise<Blob> | undefined
  const isBlob = isInstance(body, 'Blob')
  if (isBlob || isInstance(body, 'FormData')) {
    const response = new Response(body)
    headers[TYPE] = response.headers.get(TYPE) ?? ''
    if (isBlob) headers[DISPOSITION] = disposition ?? dispositionOf((body as Partial<File>).name ?? 'blob')
    binary = response.blob()
  } else if (isInstance(body, 'URLSearchParams')) {
    headers[TYPE] = URLENCODED
    json = `${body}`
  } else if (isStream(body)) headers[TYPE] = EVENT_STREAM
  else json = body
  const text = JSON.stringify({
    i: id,
    p: { u: url, b: json, h: Object.keys(headers)[0] && headers, m: method === 'POST' ? undefined : method },
  })
  return binary ? withBinary(text, binary) : text
}

async function withBinary(text: string, binary: Promise<Blob>): Promise<WireMessage> {
  return new Uint8Array(await new Blob([text, Uint8Array.of(DELIMITER), await binary]).arrayBuffer())
}

function dispositionOf(filename: string): string {
  const fallback = filename.replace(/[^ -~]/g, '_').replaceAll('"', '\\"')
  // RFC 8187 does not allow these characters, which `encodeURIComponent` keeps.
  const encoded = encodeURIComponent(filename).replace(/['()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
  return `inline; filename="${fallback}"; filename*=utf-8''${encoded}`
}

/** Returns the frame of a message, or undefined if the message is malformed. */
export function decodeMessage(message: string | ArrayBuffer): Frame | undefined {
  try {
    if (typeof message === 'string') return JSON.parse(message)
    const bytes = new Uint8Array(message)
    const end = bytes.indexOf(DELIMITER)
    const frame = JSON.parse(new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end)))
    return { ...frame, binary: end < 0 ? undefined : bytes.subarray(end + 1) }
  } catch {
    return undefined
  }
}

/**
 * Returns the body of a response: a promise if it is a form, and {@link STREAM} if items follow.
 *
 * @throws When the headers are malformed, or the platform does not have the class of the body.
 */
export function decodeBody(headers: PeerHeaders, json: unknown, binary: Uint8Array<ArrayBuffer> | undefined): unknown {
  const [type, disposition] = [TYPE, DISPOSITION].map((name) => [headers[name]].flat().join(', ')) as [string, string]
  if (!disposition) {
    if (type.startsWith(EVENT_STREAM)) return STREAM
    if (type.startsWith('multipart/form-data')) return new Response(binary, { headers: { [TYPE]: type } }).formData()
    if (!binary) return type.startsWith(URLENCODED) ? new URLSearchParams(json as string) : json
  }
  return new File([binary ?? ''], filenameOf(disposition) ?? 'blob', { type })
}

function filenameOf(disposition: string): string | undefined {
  const encoded = /filename\*=(?:utf-8'')?([^;]*)/i.exec(disposition)?.[1]
  if (encoded === undefined) return /filename="((?:\\"|[^"])*)"/i.exec(disposition)?.[1]?.replaceAll('\\"', '"')
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}

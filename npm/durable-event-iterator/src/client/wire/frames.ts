import { BodyError } from './body-error.js'
import { isInstance } from './platform.js'

export type WireMessage = string | Uint8Array<ArrayBuffer>

/** The names are in lower case. */
export type PeerHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

export interface PeerRequest {
  readonly url: string
  /** @default 'POST' */
  readonly method?: string
  readonly headers?: PeerHeaders
  /** A JSON value, or `FormData`. Durable Objects accept no other bodies. */
  readonly body?: unknown
}

export interface EventMeta {
  readonly id?: string
  readonly retry?: number
  readonly comments?: readonly string[]
}

/** An item of a stream. All but `message` end the stream. */
export interface StreamItem {
  /** `parked`: only in a subscription with flow control. The client subscribes again. */
  readonly event: 'message' | 'error' | 'done' | 'parked'
  readonly data: unknown
  readonly meta: EventMeta | undefined
}

/** A received frame. Its members are not checked. */
export interface Frame {
  readonly i?: unknown
  readonly t?: unknown
  readonly p?: unknown
  /** The bytes after the JSON of the frame. */
  readonly binary?: Uint8Array<ArrayBuffer> | undefined
}

/** The types of frames. A request or a response has none. */
export const STREAM_ITEM = 3
export const ABORT = 4
export const ACKNOWLEDGEMENT = 5

/** Returned instead of the body of a response whose items follow. */
export const STREAM = Symbol()

/** Between the JSON and the bytes of a binary message. It never occurs in UTF-8. */
const DELIMITER = 0xff

/** The headers that describe a body. */
const TYPE = 'content-type'
const DISPOSITION = 'content-disposition'

/**
 * Returns the message of a request: a promise if the body is a form.
 *
 * @throws {BodyError} When JSON cannot represent the body.
 */
export function encodeRequest(id: string, { url, method, headers = {}, body }: PeerRequest): WireMessage | Promise<WireMessage> {
  const form = isInstance(body, 'FormData') ? new Response(body) : undefined
  const { [TYPE]: _type, [DISPOSITION]: _disposition, ...others } = headers
  const h = form ? { ...others, [TYPE]: form.headers.get(TYPE) } : others
  const payload = { u: url, b: form ? undefined : body, h: Object.keys(h)[0] && h, m: method === 'POST' ? undefined : method }
  let text: string
  try {
    text = JSON.stringify({ i: id, p: payload })
  } catch (error) {
    throw new BodyError('the request cannot be encoded', error)
  }
  return form ? withForm(text, form) : text
}

async function withForm(text: string, form: Response): Promise<WireMessage> {
  return new Uint8Array(await new Blob([text, Uint8Array.of(DELIMITER), await form.blob()]).arrayBuffer())
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
 * @throws When the headers are malformed, or the platform cannot read forms.
 */
export function decodeBody(headers: PeerHeaders, json: unknown, binary: Frame['binary']): unknown {
  const type = `${headers[TYPE]}`
  if (type.startsWith('text/event-stream')) return STREAM
  return type.startsWith('multipart/form-data') ? new Response(binary, { headers: { [TYPE]: type } }).formData() : json
}

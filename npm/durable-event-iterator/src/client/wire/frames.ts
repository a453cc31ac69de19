import { encodeBody } from './bodies.js'
import type { PeerHeaders } from './bodies.js'

export type WireMessage = string | Uint8Array<ArrayBuffer>

export interface PeerRequest {
  readonly url: string
  /** @default 'POST' */
  readonly method?: string
  readonly headers?: PeerHeaders
  /** A JSON value, `Blob`, `FormData`, `URLSearchParams`, undefined, or an async iterator of {@link UploadItem}. */
  readonly body?: unknown
}

/** A received frame. Its members are not checked. */
export interface Frame {
  readonly i?: unknown
  readonly t?: unknown
  readonly p?: any
  /** The bytes after the JSON of the frame. */
  readonly binary?: Uint8Array<ArrayBuffer> | undefined
}

export const STREAM_ITEM = 3
export const ABORT = 4

/** Between the JSON and the bytes of a binary message. It never occurs in UTF-8. */
const DELIMITER = 0xff

/** Returns the message of a request: a promise if the body is binary. */
export function encodeRequest(id: string, { url, method, headers, body }: PeerRequest): WireMessage | Promise<WireMessage> {
  const encoded = encodeBody(body, headers)
  const text = JSON.stringify({
    i: id,
    p: {
      u: url,
      b: encoded.json,
      h: Object.keys(encoded.headers).length > 0 ? encoded.headers : undefined,
      m: method === 'POST' ? undefined : method,
    },
  })
  return encoded.binary ? withBinary(text, encoded.binary) : text
}

async function withBinary(text: string, binary: Blob | Promise<Blob>): Promise<WireMessage> {
  return new Uint8Array(await new Blob([text, Uint8Array.of(DELIMITER), await binary]).arrayBuffer())
}

/** Returns the frame of a message, or undefined if the message is malformed. */
export function decodeMessage(message: string | ArrayBuffer): Frame | undefined {
  try {
    if (typeof message === 'string') return JSON.parse(message) ?? undefined
    const bytes = new Uint8Array(message)
    const end = bytes.indexOf(DELIMITER)
    const frame = JSON.parse(new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end)))
    return { i: frame.i, t: frame.t, p: frame.p, binary: end < 0 ? undefined : bytes.subarray(end + 1) }
  } catch {
    return undefined
  }
}

import { isInstance } from './platform.js'

/** A header without a value is undefined. The names are in lower case. */
export type PeerHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

export interface EncodedBody {
  readonly headers: PeerHeaders
  /** The body in the JSON of the frame. */
  readonly json: unknown
  /** The body after the JSON of the frame. */
  readonly binary?: Blob | Promise<Blob>
}

/** Returns the parts of a frame for a body, and the headers that describe it. */
export function encodeBody(body: unknown, original: PeerHeaders = {}): EncodedBody {
  const headers: Record<string, string | readonly string[] | undefined> = { ...original }
  delete headers[TYPE]
  delete headers[DISPOSITION]
  if (isInstance(body, 'Blob')) {
    headers[TYPE] = body.type
    headers[DISPOSITION] = original[DISPOSITION] ?? dispositionOf(isInstance(body, 'File') ? body.name : 'blob')
    return { headers, json: undefined, binary: body }
  }
  if (isInstance(body, 'FormData')) {
    const response = new Response(body)
    headers[TYPE] = response.headers.get(TYPE) ?? undefined
    return { headers, json: undefined, binary: response.blob() }
  }
  if (isInstance(body, 'URLSearchParams')) {
    headers[TYPE] = FORM_URLENCODED
    return { headers, json: `${body}` }
  }
  if (isStream(body)) {
    headers[TYPE] = EVENT_STREAM
    return { headers, json: undefined }
  }
  return { headers, json: body }
}

/** Returns the body of a response with these headers: a promise if it is a form. */
export function decodeBody(headers: PeerHeaders, json: unknown, binary: Uint8Array<ArrayBuffer> | undefined): unknown {
  const type = header(headers, TYPE) ?? ''
  const disposition = header(headers, DISPOSITION)
  if (disposition === undefined && type.startsWith(FORM_DATA)) {
    return new Response(binary, { headers: { [TYPE]: type } }).formData()
  }
  if (disposition !== undefined || binary) {
    return new File(binary ? [binary] : [], filenameOf(disposition) ?? 'blob', { type })
  }
  if (type.startsWith(FORM_URLENCODED) && typeof json === 'string') return new URLSearchParams(json)
  return json
}

/** Whether a response with these headers is followed by the items of a stream. */
export function isStreamResponse(headers: PeerHeaders): boolean {
  return header(headers, DISPOSITION) === undefined && (header(headers, TYPE) ?? '').startsWith(EVENT_STREAM)
}

/** Whether a request body is a stream. The same check as in oRPC. */
export function isStream(body: unknown): body is AsyncIterator<unknown> {
  const stream = body as Partial<AsyncIterableIterator<unknown>> | null | undefined
  return typeof stream === 'object' && typeof stream?.next === 'function' && typeof stream[Symbol.asyncIterator] === 'function'
}

const TYPE = 'content-type'
const DISPOSITION = 'content-disposition'
const EVENT_STREAM = 'text/event-stream'
const FORM_DATA = 'multipart/form-data'
const FORM_URLENCODED = 'application/x-www-form-urlencoded'

/** Returns the values of a header in one string, or undefined if there is none. */
function header(headers: PeerHeaders, name: string): string | undefined {
  // A received header may have any JSON value.
  const values = [headers[name]].flat().filter((value) => typeof value === 'string')
  return values.length > 0 ? values.join(', ') : undefined
}

function dispositionOf(filename: string): string {
  const fallback = filename.replace(/[^ -~]/g, '_').replaceAll('"', '\\"')
  // RFC 8187: only these characters need no encoding.
  const encoded = encodeURIComponent(filename)
    .replace(/['()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/%(7C|60|5E)/g, decodeURIComponent)
  return `inline; filename="${fallback}"; filename*=utf-8''${encoded}`
}

function filenameOf(disposition: string | undefined): string | undefined {
  const encoded = /filename\*=(?:utf-8'')?([^;]*)/i.exec(disposition ?? '')?.[1]
  if (encoded === undefined) return /filename="((?:\\"|[^"])*)"/i.exec(disposition ?? '')?.[1]?.replaceAll('\\"', '"')
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}

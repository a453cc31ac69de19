// What the core and a class exchange for a call.

/** A file or blob: its path in the body as JSON, its bytes, its type and its name. The name is undefined for a blob. */
export type WireBlob = readonly [path: string, bytes: Uint8Array, type: string, name: string | undefined]

/** A response to a call. The items of a stream follow with the operation `SEND_ITEM`. */
export type Answer = readonly [
  status: number,
  json: string | undefined,
  meta: string | undefined,
  blobs: readonly WireBlob[] | undefined,
  isStream: boolean,
]

/** An item of a stream. */
export type Item = readonly [kind: number, json: string | undefined, meta: string | undefined, blobs: undefined, eventMeta: string | undefined]

/** A call that the core passes on. */
export interface Call {
  readonly ws: WebSocket
  readonly path: readonly string[]
  readonly headers: Record<string, string[]>
  readonly json: unknown
  readonly meta: readonly (readonly [type: number, ...path: (string | number)[]])[]
  readonly blobs: readonly WireBlob[]
  /** Reads the next item of the client's stream, if the input is one: `[json, meta]`, or undefined at the end. */
  readonly upload: (() => Promise<readonly [json: string | undefined, meta: string | undefined] | undefined>) | undefined
  readonly signal: AbortSignal
}

/** The response of the application to a call. */
export interface Response {
  readonly status: number
  readonly body: unknown
}

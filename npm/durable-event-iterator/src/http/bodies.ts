import { messageOf } from '../client/errors.js'

/** The maximum size of a response, and of an event of a stream: that of a WebSocket message in the Workers runtime. */
export const MAX_BODY_BYTES = 32 * 1_024 * 1_024

/** A body has ended before it was complete. */
export class CutError extends Error {
  constructor(cause: unknown) {
    super(`the response was cut: ${messageOf(cause)}`, { cause })
  }
}

/**
 * Returns the parts of a body as they arrive. Without the support of streams, it is one part, when the body is complete.
 *
 * @throws {CutError}
 */
export async function* partsOf(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader()
  if (reader === undefined) {
    yield new Uint8Array(await response.arrayBuffer())
    return
  }
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw new CutError(error)
      })
      if (done) return
      yield value
    }
  } finally {
    reader.cancel().catch(() => {})
  }
}

/**
 * Returns the bytes of a body.
 *
 * @throws {RangeError} When the body is too large.
 */
export async function bytesOf(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of partsOf(response)) {
    size += part.length
    if (size > MAX_BODY_BYTES) throw new RangeError(`the response is larger than ${MAX_BODY_BYTES} bytes`)
    parts.push(part)
  }
  const bytes = new Uint8Array(size)
  let offset = 0
  for (const part of parts) {
    bytes.set(part, offset)
    offset += part.length
  }
  return bytes
}

/** Returns the text of a body. */
export async function textOf(response: Response): Promise<string> {
  return new TextDecoder().decode(await bytesOf(response))
}

/** Whether the media type of a response is this one. */
export function hasType(response: Response, type: string): boolean {
  return (response.headers.get('content-type') ?? '').toLowerCase().startsWith(type)
}


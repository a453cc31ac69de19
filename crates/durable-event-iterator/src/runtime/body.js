/** Reads the bytes of a request's body. Returns undefined, and stops reading, if there are more than `limit`. */
export async function readBody(request, limit) {
  const { body } = request
  if (body === null) return new Uint8Array()
  if (Number(request.headers.get('content-length')) > limit) {
    await body.cancel()
    return undefined
  }
  const chunks = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.byteLength
    if (size > limit) return undefined // leaving the loop cancels the stream
    chunks.push(chunk)
  }
  if (chunks.length === 1) return chunks[0]
  const whole = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.byteLength
  }
  return whole
}

/** Decodes UTF-8, without a byte order mark. Throws a TypeError for other bytes. */
const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * Reads the body of a request as text. Returns undefined, and stops reading, if it has more than `limit` bytes, and null if it is
 * not UTF-8.
 */
export async function readText(request, limit) {
  const bytes = await readBody(request, limit)
  if (bytes === undefined) return undefined
  try {
    return decoder.decode(bytes)
  } catch {
    return null
  }
}

/** Returns the object of a JSON text, or undefined if the text is not the JSON of an object. */
export function parseObject(text) {
  try {
    const value = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {} // not JSON
}

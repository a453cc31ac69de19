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

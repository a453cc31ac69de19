// Publishes events through a stub, one after the other, or in batches. All variants use the same driver.

export default {
  async fetch(request, env) {
    const { searchParams } = new URL(request.url)
    const rooms = searchParams.get('room').split(',')
    if (searchParams.has('rows')) return Response.json(await env.ROOM.getByName(rooms[0]).rows())
    if (searchParams.has('members')) return Response.json(await env.ROOM.getByName(rooms[0]).members())
    const count = Number(searchParams.get('count'))
    const event = { message: 'x'.repeat(Number(searchParams.get('bytes')) - '{"message":""}'.length) }
    // Events with consecutive numbers, from this one on.
    const first = searchParams.has('first') ? Number(searchParams.get('first')) : undefined
    const numbered = (n) => (first === undefined ? event : { ...event, n: first + n })
    const batch = Number(searchParams.get('batch') ?? 0)
    for (const room of rooms) {
      const stub = env.ROOM.getByName(room)
      for (let n = 0; batch > 0 && n < count; n += batch) {
        await stub.publishBatch(Array.from({ length: Math.min(batch, count - n) }, (_, index) => numbered(n + index)))
      }
      for (let n = 0; batch === 0 && n < count; n++) await stub.publish(numbered(n))
    }
    return new Response()
  },
}

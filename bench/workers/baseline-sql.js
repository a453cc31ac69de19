// The baseline with storage, for rows in which storage is most of the work: a Durable Object in plain JavaScript that inserts a
// row and sends it, or reads its rows and sends them.

import { DurableObject } from 'cloudflare:workers'

const STEP = 256 * 1024

const frameOf = (id, json) => `{"i":"0","t":3,"p":{"e":"message","d":{"json":${json}},"m":{"id":"${id}"}}}`

export class Room extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, json TEXT NOT NULL)')
  }

  fetch() {
    const [client, server] = Object.values(new WebSocketPair())
    this.ctx.acceptWebSocket(server)
    return new Response(null, { status: 101, webSocket: client })
  }

  publish(event) {
    const json = JSON.stringify(event)
    const { id } = this.ctx.storage.sql.exec('INSERT INTO events (json) VALUES (?) RETURNING id', json).one()
    for (const ws of this.ctx.getWebSockets()) ws.send(frameOf(id, json))
    return id
  }

  async webSocketMessage(ws) {
    ws.send('{"i":"0","p":{"h":{"content-type":"text/event-stream"}}}')
    let last = 1
    for (;;) {
      let sent = 0
      const rows = this.ctx.storage.sql.exec('SELECT id, json FROM events WHERE id > ? ORDER BY id LIMIT 1000', last)
      for (const [id, json] of rows.raw()) {
        const frame = frameOf(id, json)
        ws.send(frame)
        sent += frame.length
        last = id
      }
      if (sent === 0) return
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
  }

  webSocketClose(ws, _code, _reason, wasClean) {
    if (wasClean) ws.close()
  }
}

export default {
  fetch: (request, env) => env.ROOM.getByName(new URL(request.url).searchParams.get('room')).fetch(request),
}

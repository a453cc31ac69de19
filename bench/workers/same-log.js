// The SQL statements and messages of our publish and wake-up in plain JavaScript, with the same log and without checks. The
// difference to ours is the cost of Rust and of its calls to and from JavaScript.

import { DurableObject } from 'cloudflare:workers'

const LAYOUT =
  '" (id INTEGER PRIMARY KEY, count INTEGER NOT NULL, bytes INTEGER NOT NULL, json TEXT NOT NULL, meta TEXT, extra TEXT, audience TEXT)'
const KEYS_LAYOUT = '" (key TEXT PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID'

export class Room extends DurableObject {
  #sql
  #table
  #last = 0
  #count = 0
  #bytes = 0

  fetch() {
    const [client, server] = Object.values(new WebSocketPair())
    this.ctx.acceptWebSocket(server)
    return new Response(null, { status: 101, webSocket: client })
  }

  publish(event) {
    const json = JSON.stringify(event)
    if (this.#sql === undefined) this.#open()
    const id = Math.max(Date.now() * 1_000, this.#last + 1)
    if (this.#table === undefined) {
      this.#table = `dei_events_${id - 1}_first`
      this.#run(`CREATE TABLE "${this.#table}${LAYOUT}`)
    }
    this.#last = id
    this.#count += 1
    this.#bytes += json.length
    const sql = `INSERT INTO "${this.#table}" (id, count, bytes, json, meta, extra, audience) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)`
    this.#run(sql, id, this.#count, this.#bytes, json, null, null, null)
    const tail = `,"t":3,"p":{"e":"message","d":{"json":${json}},"m":{"id":"${id}"}}}`
    for (const ws of this.ctx.getWebSockets()) {
      for (const call of ws.deserializeAttachment()) ws.send(`{"i":"${call}"${tail}`)
    }
    return String(id)
  }

  webSocketMessage(ws) {
    ws.serializeAttachment(['0'])
    ws.send('{"i":"0","p":{"h":{"content-type":"text/event-stream"}}}')
  }

  webSocketClose(ws, _code, _reason, wasClean) {
    if (wasClean) ws.close()
  }

  #open() {
    this.#sql = this.ctx.storage.sql
    const tables = this.#run(
      `SELECT name, CASE sql WHEN 'CREATE TABLE "' || name || '${LAYOUT}' THEN 1 WHEN 'CREATE TABLE "' || name || '${KEYS_LAYOUT}' THEN 2 END FROM sqlite_master WHERE type = 'table' AND (name >= ?1 AND name < ?2 OR name >= ?3 AND name < ?4)`,
      'dei_events_0',
      'dei_events_:',
      'dei_keys_0',
      'dei_keys_:',
    )
    for (const [name] of tables) {
      this.#table = name
      const rows = this.#run(
        `SELECT id, CAST(count AS INTEGER), CAST(bytes AS INTEGER) FROM "${name}" WHERE id > ?1 AND id <= ?2 ORDER BY id DESC LIMIT 1`,
        Number.parseInt(name.slice('dei_events_'.length), 10),
        Number.MAX_SAFE_INTEGER,
      )
      for (const [last, count, bytes] of rows) [this.#last, this.#count, this.#bytes] = [last, count, bytes]
    }
  }

  #run(sql, ...parameters) {
    return [...this.#sql.exec(sql, ...parameters).raw()]
  }
}

export default {
  fetch: (request, env) => env.ROOM.getByName(new URL(request.url).searchParams.get('room')).fetch(request),
}

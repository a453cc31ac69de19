// The same as the HTTP endpoint by hand: a Durable Object in plain JavaScript that stores events, streams them as server-sent events,
// responds to long polls and reads pages. It checks no token, has no audiences and detects no gap. Its open responses keep it from
// hibernating.

import { DurableObject } from 'cloudflare:workers'

const encoder = new TextEncoder()

const eventOf = (id, json) => `event: message\nid: ${id}\ndata: {"json":${json}}\n\n`

const HEADERS = { 'content-type': 'text/event-stream', 'cache-control': 'no-store' }

export class Room extends DurableObject {
  #streams = new Set()
  #polls = new Set()

  constructor(ctx, env) {
    super(ctx, env)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, json TEXT NOT NULL)')
  }

  async fetch(request) {
    const query = new URL(request.url).searchParams
    if (request.headers.get('accept') === 'text/event-stream') return this.#stream()
    const after = Number(query.get('after') ?? 0)
    const page = this.#page(after, Number(query.get('limit') ?? 100))
    if (page.count > 0 || !query.has('wait')) return page.response
    await new Promise((resolve) => {
      const poll = () => {
        clearTimeout(timer)
        this.#polls.delete(poll)
        resolve()
      }
      const timer = setTimeout(poll, Number(query.get('wait')) * 1_000)
      this.#polls.add(poll)
    })
    return this.#page(after, 100).response
  }

  #stream() {
    let stream
    const body = new ReadableStream({
      start: (controller) => {
        stream = controller
        stream.enqueue(encoder.encode(': \n\n'))
        this.#streams.add(stream)
      },
      cancel: () => void this.#streams.delete(stream),
    })
    return new Response(body, { headers: HEADERS })
  }

  #page(after, limit) {
    const rows = this.ctx.storage.sql.exec('SELECT id, json FROM events WHERE id > ? ORDER BY id LIMIT ?', after, limit)
    let events = ''
    let count = 0
    let next = after
    for (const [id, json] of rows.raw()) {
      events += `${count++ === 0 ? '' : ','}{"id":"${id}","json":${json}}`
      next = id
    }
    const body = `{"events":[${events}],"next":"${next}"}`
    return { count, response: new Response(body, { headers: { 'content-type': 'application/json' } }) }
  }

  publish(event) {
    const json = JSON.stringify(event)
    const { id } = this.ctx.storage.sql.exec('INSERT INTO events (json) VALUES (?) RETURNING id', json).one()
    if (this.#streams.size > 0) {
      const chunk = encoder.encode(eventOf(id, json))
      for (const stream of this.#streams) stream.enqueue(chunk)
    }
    for (const poll of [...this.#polls]) poll()
    return id
  }
}

export default {
  fetch: (request, env) => env.ROOM.getByName(new URL(request.url).pathname.split('/')[2]).fetch(request),
}

// The baseline for real clients: a Durable Object that stores nothing, and responds in oRPC's protocol without parsing messages.

import { DurableObject } from 'cloudflare:workers'

export class Room extends DurableObject {
  /** The call id of the subscription of each socket. */
  #subscriptions = new Map()
  /** The end of the message of the last event, after the call id. */
  #last

  constructor(ctx, env) {
    super(ctx, env)
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'))
  }

  fetch() {
    const [client, server] = Object.values(new WebSocketPair())
    this.ctx.acceptWebSocket(server)
    return new Response(null, { status: 101, webSocket: client })
  }

  publish(event) {
    const id = String(Date.now() * 1_000)
    this.#last = `","t":3,"p":{"e":"message","d":{"json":${JSON.stringify(event)}},"m":{"id":"${id}"}}}`
    for (const [ws, call] of this.#subscriptions) ws.send(`{"i":"${call}${this.#last}`)
    return id
  }

  webSocketMessage(ws, message) {
    if (!message.includes('"/subscribe"')) return
    const call = message.slice(6, message.indexOf('"', 6))
    this.#subscriptions.set(ws, call)
    ws.send(`{"i":"${call}","p":{"h":{"content-type":"text/event-stream"}}}`)
    // In place of the missed events.
    if (this.#last !== undefined) ws.send(`{"i":"${call}${this.#last}`)
  }

  webSocketClose(ws, _code, _reason, wasClean) {
    this.#subscriptions.delete(ws)
    if (wasClean) ws.close()
  }
}

export default {
  fetch: (request, env) => env.ROOM.getByName(new URL(request.url).searchParams.get('room')).fetch(request),
}

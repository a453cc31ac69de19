// The baseline: the cost of the runtime itself. A Durable Object that stores nothing and sends constants.

import { DurableObject } from 'cloudflare:workers'

/** Returns a frame with the length of ours for an event of that size. */
const frames = new Map()
function frame(bytes) {
  let text = frames.get(bytes)
  if (text === undefined) {
    const event = JSON.stringify({ message: 'x'.repeat(bytes - '{"message":""}'.length) })
    text = `{"i":"0","t":3,"p":{"e":"message","d":{"json":${event}},"m":{"id":"1795373846123456"}}}`
    frames.set(bytes, text)
  }
  return text
}

/** The number of bytes after which a replay yields to other tasks, as in ours. */
const STEP = 256 * 1024

export class Room extends DurableObject {
  fetch() {
    const [client, server] = Object.values(new WebSocketPair())
    this.ctx.acceptWebSocket(server)
    return new Response(null, { status: 101, webSocket: client })
  }

  publish(event) {
    const text = frame(event.message.length + '{"message":""}'.length)
    for (const ws of this.ctx.getWebSockets()) ws.send(text)
    return '1795373846123456'
  }

  async webSocketMessage(ws, message) {
    if (message.includes('"/subscribe"')) {
      ws.send('{"i":"0","p":{"h":{"content-type":"text/event-stream"}}}')
      const events = Number(/"last-event-id":"events-(\d+)"/.exec(message)?.[1] ?? 0)
      const text = frame(100)
      for (let n = 0, sent = 0; n < events; n++) {
        ws.send(text)
        if ((sent += text.length) >= STEP) {
          sent = 0
          await new Promise((resolve) => setTimeout(resolve, 0))
        }
      }
    } else {
      ws.send('{"i":"1","p":{"b":{"json":"pong"}}}')
    }
  }

  webSocketClose(ws, _code, _reason, wasClean) {
    if (wasClean) ws.close()
  }
}

export default {
  fetch: (request, env) => env.ROOM.getByName(new URL(request.url).searchParams.get('room')).fetch(request),
}

// Members inside the runtime: an outside connection uses two file descriptors of the runtime, a connection of another Durable Object
// uses none. For the measured Durable Object they do not differ from other members.

import type { WorkerDefinition } from '../../tests/support/workerd.ts'

const SOURCE = `
import { DurableObject } from 'cloudflare:workers'

export class InsideObject extends DurableObject {
  async fetch(request) {
    for (const query of await request.json()) {
      const { webSocket } = await this.env.ROOMS.fetch('http://room/' + query, { headers: { upgrade: 'websocket' } })
      const opened = new Promise((resolve) => webSocket.addEventListener('message', resolve, { once: true }))
      webSocket.accept()
      webSocket.send('{"i":"0","p":{"u":"/subscribe","b":{}}}')
      await opened
    }
    return new Response()
  }
}

export default {
  fetch: (request, env) => env.INSIDE.getByName('inside').fetch(request),
}`

export const INSIDE: WorkerDefinition = {
  name: 'inside',
  source: SOURCE,
  durableObjects: { INSIDE: { className: 'InsideObject' } },
  services: { ROOMS: 'room' },
}

// Clients inside the runtime. An outside connection uses two file descriptors of the runtime, a connection of another Durable
// Object uses none. So a Durable Object can have more sockets than a process can have files. They do not differ from other
// sockets.

import type { Journals } from '../support/journals.ts'
import type { WorkerDefinition } from '../support/workerd.ts'

const SOURCE = `
import { DurableObject } from 'cloudflare:workers'

export class CrowdObject extends DurableObject {
  #messages = []
  #changed = () => {}

  async #open(path, query) {
    const { webSocket } = await this.env.OBJECTS.fetch('http://objects' + path + query, { headers: { upgrade: 'websocket' } })
    const messages = []
    this.#messages.push(messages)
    webSocket.addEventListener('message', ({ data }) => {
      messages.push(data)
      this.#changed()
    })
    webSocket.accept()
    webSocket.send(JSON.stringify({ i: 's', p: { u: '/subscribe', b: {}, h: { 'last-event-id': '0' } } }))
  }

  async fetch(request) {
    const { open, message } = await request.json()
    if (open) for (let n = 0; n < open.count; n++) await this.#open(open.path, open.query)
    // The different texts of the message of this index, when all clients have it: one text if all are the same.
    while (!this.#messages.every((messages) => messages.length > message)) {
      await new Promise((resolve) => { this.#changed = resolve })
    }
    return Response.json([...new Set(this.#messages.map((messages) => messages[message]))])
  }
}

export default {
  fetch: (request, env) => env.CROWD.getByName('crowd').fetch(request),
}`

/** The Worker to start with the Durable Objects. */
export const CROWD: WorkerDefinition = {
  name: 'crowd',
  source: SOURCE,
  durableObjects: { CROWD: { className: 'CrowdObject' } },
  services: { OBJECTS: 'objects' },
}

/** Clients that are opened together and each receive all messages. */
export class Crowd {
  readonly #url: URL
  /** The number of clients. */
  size = 0

  private constructor(url: URL) {
    this.#url = url
  }

  static async of(journals: Journals): Promise<Crowd> {
    return new Crowd(await journals.urlOf('crowd'))
  }

  async #ask(question: { open?: { path: string; query: string; count: number }; message: number }): Promise<string[]> {
    if (this.size === 0) return []
    const response = await fetch(this.#url, { method: 'POST', body: JSON.stringify(question) })
    if (!response.ok) throw new Error(`the crowd failed:  ${response.status} ${await response.text()}`)
    return (await response.json()) as string[]
  }

  /** Opens and subscribes more sockets. Resolves when all have received the response and `events` events. */
  async open(url: string, count: number, { events }: { events: number }): Promise<void> {
    const { pathname: path, search: query } = new URL(url)
    this.size += count
    await this.#ask({ open: { path, query, count }, message: events })
  }

  /** Resolves with the different texts of the message of this index, when all clients have it. */
  message(number: number): Promise<string[]> {
    return this.#ask({ message: number })
  }
}

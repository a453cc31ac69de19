// Clients inside the runtime. A connection from outside takes two of its file descriptors, one from another object takes none:
// so an object can have more sockets than the machine lets a process have files. To the object they are sockets like any other.

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
    // What all have as their message of this number, when they have it: one text, if all have the same.
    while (!this.#messages.every((messages) => messages.length > message)) {
      await new Promise((resolve) => { this.#changed = resolve })
    }
    return Response.json([...new Set(this.#messages.map((messages) => messages[message]))])
  }
}

export default {
  fetch: (request, env) => env.CROWD.getByName('crowd').fetch(request),
}`

/** To be started beside the objects. */
export const CROWD: WorkerDefinition = {
  name: 'crowd',
  source: SOURCE,
  durableObjects: { CROWD: { className: 'CrowdObject' } },
  services: { OBJECTS: 'objects' },
}

/** Clients that are opened together and each get all messages. */
export class Crowd {
  readonly #url: URL
  /** How many there are. */
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
    if (!response.ok) throw new Error(`The crowd: ${response.status} ${await response.text()}`)
    return (await response.json()) as string[]
  }

  /** Opens so many more sockets and subscribes them; resolves when all have the answer and `events` events. */
  async open(url: string, count: number, { events }: { events: number }): Promise<void> {
    const { pathname: path, search: query } = new URL(url)
    this.size += count
    await this.#ask({ open: { path, query, count }, message: events })
  }

  /** Resolves when all have their message of this number, from 0 on, with the different ones. */
  message(number: number): Promise<string[]> {
    return this.#ask({ message: number })
  }
}

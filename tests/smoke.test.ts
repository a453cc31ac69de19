import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { type RunningWorkers, startWorkers } from './support/workerd.ts'

describe('the built Worker', () => {
  /** A JavaScript Worker that uses the Rust class of the other one. */
  const caller = `export default {
    async fetch(request, env) {
      const answer = await env.CHANNEL.getByName('smoke').fetch('https://channel/')
      return Response.json({ greeting: env.GREETING, limits: env.LIMITS, answer: await answer.text() })
    },
  }`

  let workers: RunningWorkers

  beforeAll(async () => {
    workers = await startWorkers({
      workers: [
        { name: 'channels', crate: '.', durableObjects: { CHANNEL: { className: 'DurableEventIteratorObject' } } },
        {
          name: 'caller',
          source: caller,
          variables: { GREETING: 'hello', LIMITS: { events: 3 } },
          durableObjects: { CHANNEL: { className: 'DurableEventIteratorObject', scriptName: 'channels' } },
        },
      ],
    })
  })

  afterAll(() => workers?.dispose())

  test('answers through its Durable Object', async () => {
    const response = await workers.fetch('/')
    expect(response.status).toBe(200)
    expect(await response.text()).toBe('1')
  })

  test('lends its class to a Worker in JavaScript', async () => {
    const response = await workers.fetch(await workers.urlOf('caller'))
    expect(await response.json()).toEqual({ greeting: 'hello', limits: { events: 3 }, answer: '2' })
  })

  test('loses what an object had in memory when the object is evicted', async () => {
    expect(await (await workers.fetch('/')).text()).toBe('3')
    await workers.evict({ worker: 'channels', className: 'DurableEventIteratorObject', name: 'smoke' })
    expect(await (await workers.fetch('/')).text()).toBe('1')
  })
})

describe('the runtime for tests', () => {
  const source = `import { DurableObject } from 'cloudflare:workers'
  export class Notes extends DurableObject {
    constructor(context, env) {
      super(context, env)
      this.loaded = crypto.randomUUID()
      this.sql = context.storage.sql
      this.sql.exec('CREATE TABLE IF NOT EXISTS notes (text TEXT)')
    }
    fetch(request) {
      if (request.headers.get('upgrade') === 'websocket') {
        const { 0: client, 1: server } = new WebSocketPair()
        this.ctx.acceptWebSocket(server)
        return new Response(null, { status: 101, webSocket: client })
      }
      return new Response(this.loaded)
    }
    webSocketMessage(socket, text) {
      this.sql.exec('INSERT INTO notes VALUES (?)', text)
      socket.send(this.loaded)
    }
  }
  export default { fetch: (request, env) => env.NOTES.getByName('ours').fetch(request) }`
  const notes = { worker: 'notes', className: 'Notes', name: 'ours' }

  const start = (persistence: string) =>
    startWorkers({
      workers: [{ name: 'notes', source, durableObjects: { NOTES: { className: 'Notes' } } }],
      persistence,
      inspectStorage: true,
    })

  test('keeps WebSockets through an eviction and data through a restart', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'workerd-'))
    try {
      const first = await start(folder)
      const socket = new WebSocket(new URL('/', first.url.href.replace('http', 'ws')))
      await once(socket, 'open')
      const beforeEviction = await exchange(socket, 'one')
      await first.evict(notes)
      const afterEviction = await exchange(socket, 'two')
      socket.close()
      await first.dispose()

      expect(afterEviction).not.toBe(beforeEviction)

      const second = await start(folder)
      expect(await second.sql(notes, 'SELECT text FROM notes WHERE text <> ?', 'none')).toEqual([
        { text: 'one' },
        { text: 'two' },
      ])
      await second.dispose()
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

function once<Type extends keyof WebSocketEventMap>(socket: WebSocket, type: Type): Promise<WebSocketEventMap[Type]> {
  return new Promise((resolve, reject) => {
    socket.addEventListener(type, resolve, { once: true })
    socket.addEventListener('error', () => reject(new Error(`failed while waiting for "${type}"`)), { once: true })
  })
}

async function exchange(socket: WebSocket, text: string): Promise<unknown> {
  const answer = once(socket, 'message')
  socket.send(text)
  return (await answer).data
}

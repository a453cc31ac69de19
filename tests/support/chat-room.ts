// The chat room: its Worker and its page, as deployed.

import { readFileSync, readdirSync } from 'node:fs'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { SIGNING_KEY } from './client.ts'
import { startWorkers } from './workerd.ts'
import type { RunningWorkers, StartOptions, WorkerDefinition } from './workerd.ts'

const dist = fileURLToPath(new URL('../../examples/chat-room/dist', import.meta.url))

const TYPES: Record<string, string> = {
  '.html': 'text/html;charset=utf-8',
  '.js': 'text/javascript;charset=utf-8',
  '.css': 'text/css;charset=utf-8',
}

/** Serves the files of the page before the Worker, like static assets. */
function front(): string {
  const files = readdirSync(dist).map((name) => {
    const path = name === 'index.html' ? '/' : `/${name}`
    return [path, { type: TYPES[extname(name)] ?? 'application/octet-stream', text: readFileSync(join(dist, name), 'utf8') }]
  })
  return `
import worker from './index.js'
export * from './index.js'
const files = new Map(${JSON.stringify(files)})
export default {
  fetch(request, env, ctx) {
    const file = files.get(new URL(request.url).pathname)
    if (file === undefined) return new worker(ctx, env).fetch(request)
    return new Response(file.text, { headers: { 'content-type': file.type } })
  },
}`
}

export interface ChatRoomOptions extends Omit<StartOptions, 'workers'> {
  /** Additional Workers. */
  workers?: WorkerDefinition[]
}

export function startChatRoom({ workers = [], ...options }: ChatRoomOptions = {}): Promise<RunningWorkers> {
  const chatRoom: WorkerDefinition = {
    name: 'chat-room',
    crate: 'examples/chat-room',
    front: front(),
    variables: { SIGNING_KEY },
    durableObjects: { CHAT_ROOM: { className: 'ChatRoom' } },
  }
  return startWorkers({ ...options, workers: [chatRoom, ...workers] })
}

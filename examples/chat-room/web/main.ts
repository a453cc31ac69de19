// The page of the chat room, with the stock oRPC client over a WebSocket that reconnects by itself.

import { createORPCClient } from '@orpc/client'
import { ClientRetryPlugin } from '@orpc/client/plugins'
import type { ClientRetryPluginContext } from '@orpc/client/plugins'
import { RPCLink } from '@orpc/client/websocket'
import type { Client } from '@orpc/client'
import { WebSocket as ReconnectingWebSocket } from 'partysocket'

interface Message {
  message: string
}

/** What the object answers to. */
type ChatRoom = {
  subscribe: Client<ClientRetryPluginContext, void, AsyncIterableIterator<Message>, Error>
  call: Client<ClientRetryPluginContext, { path: string[]; input?: unknown }, unknown, Error>
}

/** How soon a subscription that was interrupted is tried again, in milliseconds. */
const RETRY_DELAY = 500

/** An element of the page, by its id. */
function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id)
  if (found instanceof type) return found
  throw new Error(`The page has no ${type.name} #${id}`)
}

const messages = element('messages', HTMLOListElement)
const state = element('state', HTMLOutputElement)
const text = element('text', HTMLInputElement)
const room = element('room', HTMLInputElement)
const name = element('name', HTMLInputElement)

const query = new URLSearchParams(location.search)
room.value = query.get('room') ?? 'lobby'
name.value = query.get('name') ?? `guest-${Math.floor(Math.random() * 1000)}`

function show(line: string, className = ''): void {
  const item = document.createElement('li')
  item.textContent = line
  item.className = className
  messages.append(item)
  item.scrollIntoView({ block: 'end' })
}

async function post(path: string): Promise<string> {
  const body = JSON.stringify({ room: room.value, name: name.value })
  const response = await fetch(path, { method: 'POST', body })
  if (!response.ok) throw new Error(`${path} was answered with ${response.status}`)
  return response.text()
}

/** Enters the room; what it returns leaves it. */
function enter(): { socket: ReconnectingWebSocket; client: ChatRoom; leave: () => void } {
  const id = crypto.randomUUID()
  // A function, so that each reconnect has a fresh token.
  const socket = new ReconnectingWebSocket(async () => {
    const url = new URL('/chat-room', location.href)
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    url.searchParams.set('token', await post('/token'))
    url.searchParams.set('id', id)
    return url.href
  })
  for (const event of ['open', 'close'] as const) {
    socket.addEventListener(event, () => {
      state.value = event === 'open' ? 'connected' : 'reconnecting…'
    })
  }
  const client: ChatRoom = createORPCClient(
    // partysocket types its `readyState` as any number.
    new RPCLink<ClientRetryPluginContext>({ websocket: socket as unknown as WebSocket, plugins: [new ClientRetryPlugin()] }),
  )
  const controller = new AbortController()
  const iterate = async (): Promise<void> => {
    const context = { retry: Number.POSITIVE_INFINITY, retryDelay: RETRY_DELAY }
    const iterator = await client.subscribe(undefined, { signal: controller.signal, context })
    for await (const { message } of iterator) show(message)
  }
  iterate().catch((error: Error) => {
    if (!controller.signal.aborted) show(`The subscription has failed: ${error.message}`, 'note')
  })
  return {
    socket,
    client,
    leave: () => {
      controller.abort()
      socket.close()
    },
  }
}

let entered = enter()

element('entrance', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault()
  entered.leave()
  messages.replaceChildren()
  history.replaceState(null, '', `?${new URLSearchParams({ room: room.value, name: name.value })}`)
  entered = enter()
})

element('send', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault()
  const message = `${name.value}: ${text.value}`
  text.value = ''
  // The object sends it to all others.
  entered.client
    .call({ path: ['publishMessage'], input: { message } })
    .then(() => show(message))
    .catch((error: Error) => show(`Not sent: ${error.message}`, 'note'))
})

element('announce', HTMLButtonElement).addEventListener('click', () => {
  post('/announce').catch((error: Error) => show(`Not announced: ${error.message}`, 'note'))
})

element('cut', HTMLButtonElement).addEventListener('click', () => entered.socket.reconnect())

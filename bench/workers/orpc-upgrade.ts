// The upgrade of `@orpc/experimental-durable-iterator`, rebuilt from the steps of version 1.16 with oRPC's functions, since the
// registry does not have the package. As in oRPC's implementation, both the Worker and the Durable Object verify the token with
// `unsign`. The check of the claims is shorter than oRPC's schema.

import { DurableObject } from 'cloudflare:workers'

import { os } from '@orpc/server'
import { unsign } from '@orpc/server/helpers'
import { HibernationEventIterator, HibernationPlugin } from '@orpc/server/hibernation'
import { RPCHandler } from '@orpc/server/websocket'

interface Env {
  ROOM: DurableObjectNamespace<Room>
  SIGNING_KEY: string
}

interface Payload {
  chn: string
  rpc?: string[]
  iat: number
  exp: number
}

async function verify(token: string, signingKey: string): Promise<Payload | undefined> {
  try {
    const payload = JSON.parse((await unsign(token, signingKey)) ?? '') as Payload
    const isPayload = typeof payload.chn === 'string' && typeof payload.iat === 'number' && typeof payload.exp === 'number'
    return isPayload && payload.exp >= Date.now() / 1_000 ? payload : undefined
  } catch {
    return undefined
  }
}

function parametersOf(request: Request): { token: string | undefined; id: string | undefined } {
  const { searchParams } = new URL(request.url)
  return { token: searchParams.getAll('token').at(-1), id: searchParams.getAll('id').at(-1) }
}

const base = os.$context<{ ws: WebSocket }>()
const router = {
  subscribe: base.handler(
    ({ context: { ws } }) =>
      new HibernationEventIterator<object>((subscription) =>
        ws.serializeAttachment({ ...(ws.deserializeAttachment() as object), subscription }),
      ),
  ),
}

export class Room extends DurableObject<Env> {
  readonly #handler = new RPCHandler(router, { plugins: [new HibernationPlugin()] })

  override async fetch(request: Request): Promise<Response> {
    const { token, id } = parametersOf(request)
    if (id === undefined) return new Response('ID is required', { status: 401 })
    if (token === undefined) return new Response('Token is required', { status: 401 })
    const payload = await verify(token, this.env.SIGNING_KEY)
    if (payload === undefined) return new Response('Invalid Token', { status: 401 })
    const { 0: client, 1: server } = new WebSocketPair()
    this.ctx.acceptWebSocket(server)
    server.serializeAttachment({ id })
    server.serializeAttachment({ ...(server.deserializeAttachment() as object), payload })
    return new Response(null, { status: 101, webSocket: client })
  }

  override async webSocketMessage(ws: WebSocket, message: string | ArrayBuffer): Promise<void> {
    await this.#handler.message(ws, message, { context: { ws } })
  }

  override webSocketClose(ws: WebSocket): void {
    this.#handler.close(ws)
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (request.headers.get('upgrade') !== 'websocket') return new Response('Expected WebSocket upgrade', { status: 426 })
    const { token, id } = parametersOf(request)
    if (id === undefined) return new Response('ID is required', { status: 401 })
    if (!token) return new Response('Token is required', { status: 401 })
    const payload = await verify(token, env.SIGNING_KEY)
    if (payload === undefined) return new Response('Invalid Token', { status: 401 })
    return env.ROOM.get(env.ROOM.idFromName(payload.chn)).fetch(request)
  },
}

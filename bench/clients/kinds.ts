// The compared clients, each as an application uses it, with the default settings of its package.

import { createHmac } from 'node:crypto'

import { createORPCClient } from '@orpc/client'
import type { Client, ClientContext } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { createORPCClient as createStockClient } from 'orpc-client-1.16.1'
import { ClientRetryPlugin } from 'orpc-client-1.16.1/plugins'
import { RPCLink as StockLink } from 'orpc-client-1.16.1/websocket'
import { WebSocket as ReconnectingWebSocket } from 'partysocket'
import WebSocket from 'ws'

import { subscribe } from '../../npm/durable-event-iterator/src/client/index.ts'
import { DurableEventIteratorLinkPlugin } from '../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import { SIGNING_KEY } from '../../tests/support/client.ts'

/** An event of the measurements. Consecutive events have consecutive numbers. */
export interface Numbered {
  n: number
}

/** The WebSocket implementation of all clients: without compression, which takes most of the memory of a socket. */
export class PlainWebSocket extends WebSocket {
  constructor(url: string | URL, protocols?: string | string[]) {
    super(url, protocols, { perMessageDeflate: false })
  }
}

/**
 * The time after which all kinds of clients treat a connection as stable, in milliseconds: five seconds. A connection that is lost
 * earlier counts as a failed attempt.
 */
export const STABLE_AFTER = 5_500

export interface ClientOptions {
  /** The URL of the upgrade. */
  url: string
  channel: string
  /** The issue time of all tokens, in seconds since 1970. A client without a cursor receives the events since then. */
  issuedAt: number
  WebSocket: typeof PlainWebSocket
  onEvent(event: Numbered): void
  /** Called when the iteration ends before `close`. */
  onEnd(error: unknown): void
}

export interface OpenClient {
  close(): void
}

interface Kind {
  /** Starts a client. It is synchronous, so that a measurement can start with the call. */
  open(options: ClientOptions): OpenClient
}

export const KINDS = {
  subscribe: {
    open(options) {
      const { url, WebSocket } = options
      const events = subscribe<Numbered>({ url, WebSocket, token: () => tokenOf(options) })
      let isClosed = false
      void iterate(events, options, () => isClosed)
      return {
        close: () => {
          isClosed = true
          events.close()
        },
      }
    },
  },
  linkV1: {
    open(options) {
      const link = new RPCLink({
        url: 'http://tokens.test/rpc',
        // The response of a server with the handler plugin.
        fetch: async () => Response.json({ json: tokenOf(options) }, { headers: { 'x-orpc-dei': '1' } }),
        plugins: [new DurableEventIteratorLinkPlugin({ url: options.url, WebSocket: options.WebSocket })],
      })
      const client = createORPCClient<Called<'onEvent'>>(link)
      const stop = new AbortController()
      void iterate(client.onEvent(undefined, { signal: stop.signal }), options, () => stop.signal.aborted)
      return { close: () => stop.abort() }
    },
  },
  stock: {
    open(options) {
      let isClosed = false
      // The steps of the client of `@orpc/experimental-durable-iterator`.
      const url = (): string => {
        const address = new URL(options.url)
        address.searchParams.set('token', tokenOf(options))
        return address.href
      }
      const socket = new ReconnectingWebSocket(url, undefined, { WebSocket: options.WebSocket })
      // The type of its `readyState` is wider than that of a WebSocket.
      const client = createStockClient<Called<'subscribe'>>(new StockLink({ websocket: socket as never, plugins: [new ClientRetryPlugin()] }))
      const context = { retry: Number.POSITIVE_INFINITY, shouldRetry: () => !isClosed }
      void iterate(client.subscribe(undefined, { context }), options, () => isClosed)
      return {
        close: () => {
          isClosed = true
          socket.close()
        },
      }
    },
  },
} satisfies Record<string, Kind>

export type KindName = keyof typeof KINDS

/** A router with one procedure. */
type Called<Name extends string> = Record<Name, Client<ClientContext, undefined, AsyncIterable<Numbered>, Error>>

async function iterate(
  events: AsyncIterable<Numbered> | Promise<AsyncIterable<Numbered>>,
  { onEvent, onEnd }: ClientOptions,
  isClosed: () => boolean,
): Promise<void> {
  let cause: unknown
  try {
    for await (const event of await events) onEvent(event)
  } catch (error) {
    cause = error
  }
  if (!isClosed()) onEnd(cause)
}

/** Signs a token as oRPC's implementation does, synchronously. */
function tokenOf({ channel, issuedAt }: Pick<ClientOptions, 'channel' | 'issuedAt'>): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const head = `${part({ alg: 'HS256' })}.${part({ chn: channel, rpc: [], iat: issuedAt, exp: issuedAt + 86_400 })}`
  return `${head}.${createHmac('sha256', SIGNING_KEY).update(head).digest('base64url')}`
}

import type { ClientContext, ClientLink } from '@orpc/client'
import type { StandardRPCLinkOptions } from '@orpc/client/standard'
import * as adapter from '@orpc/client/websocket'

import type { LinkSocket } from './link-socket.js'

export interface SocketRPCLinkOptions<T extends ClientContext>
  extends Omit<StandardRPCLinkOptions<T>, 'url' | 'method' | 'fallbackMethod' | 'maxUrlLength'> {
  websocket: LinkSocket
}

type SocketRPCLinkClass = new <T extends ClientContext>(options: SocketRPCLinkOptions<T>) => ClientLink<T>

/** Looked up by name: oRPC 1.6 calls it `experimental_RPCLink`, and a bundler would complain about the other one. */
const exported: Readonly<Record<string, unknown>> = adapter

/** oRPC's link over a WebSocket. */
export const SocketRPCLink = (exported['RPCLink'] ?? exported['experimental_RPCLink']) as SocketRPCLinkClass

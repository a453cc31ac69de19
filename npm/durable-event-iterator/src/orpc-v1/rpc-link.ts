import type { ClientContext, ClientLink } from '@orpc/client'
import type { StandardRPCLinkOptions } from '@orpc/client/standard'
import * as adapter from '@orpc/client/websocket'

import type { LinkSocket } from './link-socket.js'

export interface SocketRPCLinkOptions<T extends ClientContext>
  extends Omit<StandardRPCLinkOptions<T>, 'url' | 'method' | 'fallbackMethod' | 'maxUrlLength'> {
  websocket: LinkSocket
}

type SocketRPCLinkClass = new <T extends ClientContext>(options: SocketRPCLinkOptions<T>) => ClientLink<T>

/** For lookup by name: oRPC 1.6 exports `experimental_RPCLink`, and bundlers report an import of a missing name. */
const exported: Readonly<Record<string, unknown>> = adapter

/** oRPC's `RPCLink` over a WebSocket. */
export const SocketRPCLink = (exported['RPCLink'] ?? exported['experimental_RPCLink']) as SocketRPCLinkClass

import { Peer } from '../../../npm/durable-event-iterator/src/client/wire/peer.ts'
import type { CallHandler, WireMessage } from '../../../npm/durable-event-iterator/src/client/wire/peer.ts'

export const VERSIONS = ['1.6.6', '1.8.8', '1.9.4', '1.14.6', '1.16.1'] as const

/** A peer that records what it sends. */
export function recordingPeer(): { peer: Peer; sent: WireMessage[]; frames(): any[] } {
  const sent: WireMessage[] = []
  return { peer: new Peer((message) => sent.push(message)), sent, frames: () => sent.map(frameOf) }
}

/** A handler that records its calls. */
export function recordingHandler(): CallHandler & { calls: unknown[][] } {
  const calls: unknown[][] = []
  return {
    calls,
    onResponse: ({ status, body }, isStream) => calls.push(['response', status, body, isStream]),
    onItem: ({ event, data, meta }) => calls.push([event, data, meta]),
    onFailed: (error) => calls.push(['failed', error]),
  }
}

/** The JSON of a message. */
export function frameOf(message: WireMessage): any {
  return JSON.parse(typeof message === 'string' ? message : new TextDecoder().decode(message.subarray(0, message.indexOf(0xff))))
}

/** Resolves when all promises that are already resolved have been handled. */
export const idle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export function bytesOf(...parts: (string | number[])[]): ArrayBuffer {
  return Uint8Array.from(parts.flatMap((part) => (typeof part === 'string' ? [...new TextEncoder().encode(part)] : part))).buffer
}

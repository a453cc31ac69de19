// A WebSocket as a client opens it.

import { WebSocket } from 'ws'

import { Peer } from '../../client/wire/peer.js'

/** The time limit for the WebSocket, and for both it and the subscription, in milliseconds. */
const HANDSHAKE_TIMEOUT_MS = 10_000
const TIMEOUT_MS = 20_000

const MAX_TEXT = 200

/** What became of a WebSocket. */
export type SocketResult =
  | { readonly reason: 'subscribed' }
  /** The response to the upgrade request is an error. */
  | { readonly reason: 'rejected'; readonly status: number; readonly text: string }
  /** The WebSocket has opened, and the subscription failed. */
  | { readonly reason: 'not subscribed'; readonly text: string }
  | { readonly reason: 'failed'; readonly text: string }

/** Opens a WebSocket, subscribes, and closes it. `ws` reports the response to a rejected upgrade, which other implementations hide. */
export function openSocket(url: string): Promise<SocketResult> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url.replace(/^http/, 'ws'), { handshakeTimeout: HANDSHAKE_TIMEOUT_MS, followRedirects: false })
    socket.binaryType = 'arraybuffer'
    const peer = new Peer((message) => socket.send(message))
    const timer = setTimeout(() => end({ reason: 'not subscribed', text: `no response within ${TIMEOUT_MS / 1_000} s` }), TIMEOUT_MS)
    const end = (result: SocketResult): void => {
      clearTimeout(timer)
      resolve(result)
      socket.close()
    }
    socket.on('unexpected-response', (_, response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += text.length < MAX_TEXT ? part : ''))
      response.on('close', () => end({ reason: 'rejected', status: response.statusCode ?? 0, text: text.trim().slice(0, MAX_TEXT) }))
    })
    socket.on('error', (error) => end({ reason: 'failed', text: error.message }))
    socket.on('close', (code, reason) => end({ reason: 'not subscribed', text: `close code ${code}${reason.length > 0 ? `: ${reason}` : ''}` }))
    // With this binary type, as in browsers.
    socket.addEventListener('message', ({ data }) => peer.receive(data as string | ArrayBuffer))
    socket.on('open', () => {
      peer.open(
        { url: '/subscribe', headers: {} },
        {
          onResponse: ({ status }, isStream) =>
            end(isStream && status < 400 ? { reason: 'subscribed' } : { reason: 'not subscribed', text: `the subscription responds with status ${status}` }),
          onItem: () => {},
          onFailed: () => {},
        },
      )
    })
  })
}

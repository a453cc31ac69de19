// What your server does, in any language: it signs a token for each client. A token is a JWT.

import { createHmac } from 'node:crypto'

/** Returns a token with which a client may subscribe to a channel for one hour. */
export function createToken(channel: string, signingKey: string): string {
  const now = Math.floor(Date.now() / 1000)
  const unsigned = `${encode({ alg: 'HS256' })}.${encode({ chn: channel, rpc: [], iat: now, exp: now + 3600 })}`
  return `${unsigned}.${createHmac('sha256', signingKey).update(unsigned).digest('base64url')}`
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

// Clients of generation 2 ("durable iterator", oRPC 1.9 and later): another form of token, and a connection id.

import { createHmac } from 'node:crypto'

import { Client, SIGNING_KEY } from './client.ts'
import type { ConnectOptions } from './client.ts'
import type { Binding, Journals } from './journals.ts'

export interface Claims {
  chn: string
  rpc?: string[]
  att?: unknown
  tags?: string[]
  /** Seconds since the epoch. */
  iat?: number
  exp?: number
}

export const seconds = (): number => Math.floor(Date.now() / 1000)

/** A token of generation 2: its payload, a dot, and the signature. `generation-2.test.ts` holds it against oRPC's own. */
export function token(claims: Claims, key = SIGNING_KEY): string {
  const payload = JSON.stringify({ iat: seconds(), exp: seconds() + 86_400, ...claims })
  return `${payload}.${createHmac('sha256', key).update(payload).digest('base64url')}`
}

/** The URL of the upgrade to a namespace, with a token and a connection id. */
export function upgradeUrl(journals: Journals, binding: Binding, claims: Claims | string, id?: string): string {
  const url = new URL(`/upgrade/${binding}`, journals.url)
  url.protocol = 'ws:'
  url.searchParams.set('token', typeof claims === 'string' ? claims : token(claims))
  if (id !== undefined) url.searchParams.set('id', id)
  return url.href
}

/** A client of generation 2. */
export function connect(
  journals: Journals,
  binding: Binding,
  claims: Claims,
  { id, ...options }: ConnectOptions & { id: string },
): Promise<Client> {
  return Client.connect(upgradeUrl(journals, binding, claims, id), { version: '1.16.1', ...options })
}

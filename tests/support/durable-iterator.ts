// `DurableIterator` clients (oRPC 1.9–1.16), which have another form of token, and a connection id.

import { Client, SIGNING_KEY } from './client.ts'
import type { ClientVersion, ConnectOptions } from './client.ts'
import type { Binding, Journals } from './journals.ts'

export interface Claims {
  chn: string
  rpc?: string[]
  att?: unknown
  tags?: string[]
  sub?: string
  /** In seconds since 1970. */
  iat?: number
  exp?: number
}

export const seconds = (): number => Math.floor(Date.now() / 1000)

/** Signs a token with the helper of oRPC. */
export async function token(claims: Claims, { key = SIGNING_KEY, version = '1.16.1' }: { key?: string; version?: ClientVersion } = {}): Promise<string> {
  const { sign } = await import(`orpc-server-${version}/helpers`)
  return sign(JSON.stringify({ iat: seconds(), exp: seconds() + 86_400, ...claims }), key)
}

/** Returns the URL of the upgrade to a namespace, with a token and a connection id. */
export function upgradeUrl(journals: Journals, binding: Binding, signed: string, id?: string): string {
  const url = new URL(`/upgrade/${binding}`, journals.url)
  url.protocol = 'ws:'
  url.searchParams.set('token', signed)
  if (id !== undefined) url.searchParams.set('id', id)
  return url.href
}

/** Connects a `DurableIterator` client. */
export async function connect(
  journals: Journals,
  binding: Binding,
  claims: Claims,
  { id, version = '1.16.1', ...options }: ConnectOptions & { id: string },
): Promise<Client> {
  // oRPC has this helper since 1.9.
  const signed = await token(claims, version.startsWith('1.6') || version.startsWith('1.8') ? {} : { version })
  return Client.connect(upgradeUrl(journals, binding, signed, id), { version, ...options })
}

// Clients of generation 2 ("durable iterator", oRPC 1.9 and later): another form of token, and a connection id.

import { Client, SIGNING_KEY } from './client.ts'
import type { ClientVersion, ConnectOptions } from './client.ts'
import type { Binding, Journals } from './journals.ts'

export interface Claims {
  chn: string
  rpc?: string[]
  att?: unknown
  tags?: string[]
  sub?: string
  /** Seconds since the epoch. */
  iat?: number
  exp?: number
}

export const seconds = (): number => Math.floor(Date.now() / 1000)

/** A token as oRPC's own helper signs it, of any version that has one. */
export async function token(claims: Claims, { key = SIGNING_KEY, version = '1.16.1' }: { key?: string; version?: ClientVersion } = {}): Promise<string> {
  const { sign } = await import(`orpc-server-${version}/helpers`)
  return sign(JSON.stringify({ iat: seconds(), exp: seconds() + 86_400, ...claims }), key)
}

/** The URL of the upgrade to a namespace, with a token and a connection id. */
export function upgradeUrl(journals: Journals, binding: Binding, signed: string, id?: string): string {
  const url = new URL(`/upgrade/${binding}`, journals.url)
  url.protocol = 'ws:'
  url.searchParams.set('token', signed)
  if (id !== undefined) url.searchParams.set('id', id)
  return url.href
}

/** A client of generation 2. */
export async function connect(
  journals: Journals,
  binding: Binding,
  claims: Claims,
  { id, version = '1.16.1', ...options }: ConnectOptions & { id: string },
): Promise<Client> {
  // The oldest helper that signs so is that of 1.9.
  const signed = await token(claims, version.startsWith('1.6') || version.startsWith('1.8') ? {} : { version })
  return Client.connect(upgradeUrl(journals, binding, signed, id), { version, ...options })
}

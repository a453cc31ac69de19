// The access keys: whether the endpoint accepts them, and their rights.

import { errorIn, urlOf } from '../api.js'
import type { ApiRequest } from '../api.js'
import { findAccessKey, RIGHTS } from '../credentials.js'
import type { Credential, Right } from '../credentials.js'
import { UsageError } from '../errors.js'
import type { Settings } from '../settings.js'
import { list, plain } from '../text.js'
import { ask } from './answer.js'
import type { Answer } from './answer.js'
import { failed, ok, skipped, warning } from './check.js'
import type { Finding } from './check.js'

/** Requests that change nothing: a right is checked before the body. */
const PROBES: Readonly<Record<Right, Pick<ApiRequest, 'last' | 'query' | 'method'>>> = {
  publish: { last: 'events', method: 'POST' },
  read: { last: 'events', query: { last: 0 } },
  disconnect: { last: 'disconnect', method: 'POST' },
  stats: {},
}

/** Checks all access keys that commands would use for the channel. */
export async function keyFindings(settings: Settings, channel: string): Promise<Finding[]> {
  const keys = new Map<string, Credential & { rights: Right[] }>()
  /** The rights whose commands fail, by the messages. */
  const invalid = new Map<string, Right[]>()
  for (const right of RIGHTS) {
    let key: Credential | undefined
    try {
      key = findAccessKey(settings, right, channel)
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
      invalid.set(error.message, [...(invalid.get(error.message) ?? []), right])
    }
    if (key === undefined) continue
    const known = keys.get(key.text) ?? { ...key, rights: [] }
    known.rights.push(right)
    keys.set(key.text, known)
  }
  const findings = [...invalid].map(([message, rights]) =>
    failed('access key', message, `correct it: commands that need ${rights.length === 1 ? 'the right' : 'one of the rights'} ${list(rights, 'or')} fail`),
  )
  if (keys.size === 0 && findings.length === 0) return [skipped('access key', 'none is set (DEI_KEY, ACCESS_KEYS, PUBLISH_KEY, READ_KEY or INSPECT_KEY)')]
  return [...findings, ...(await Promise.all([...keys.values()].map((key) => keyFinding(settings, channel, key))))]
}

async function keyFinding(settings: Settings, channel: string, { text, title, rights }: Credential & { rights: Right[] }): Promise<Finding> {
  const name = `access key (${title})`
  const granted: Right[] = []
  const missing: Right[] = []
  const problems: string[] = []
  let unknown = 0
  for (const right of rights) {
    const { last, query, method = 'GET' } = PROBES[right]
    const url = urlOf(settings, channel, last, query)
    // The body is invalid, so that nothing is published or disconnected.
    const answer = await ask(url, { method, headers: { authorization: `Bearer ${text}` }, ...(method === 'POST' ? { body: '' } : {}) })
    if (typeof answer === 'string') return failed(name, plain(answer), 'check --url')
    if (answer.status === 401) unknown += 1
    // If no key of the Worker has a right, the endpoint does not have its path or its method.
    else if (answer.status === 403 || ([404, 405].includes(answer.status) && right !== 'read')) missing.push(right)
    else if (answer.status < 300 || (answer.status === 400 && method === 'POST')) granted.push(right)
    else problems.push(`${right}: ${describe(answer)}`)
  }
  // A key for one right is unknown where another right is required.
  if (granted.length > 0) {
    if (problems.length > 0) return warning(name, `has the rights ${list(granted)}; ${problems.join('; ')}`, 'the log of the Worker may state the reason')
    return ok(name, `has the ${granted.length === 1 ? 'right' : 'rights'} ${list(granted)} for channel ${JSON.stringify(channel)}`)
  }
  if (unknown > 0) {
    return failed(name, 'the Worker does not know this key', 'set the same key as the secret of the Worker (`npx wrangler secret put`, or .dev.vars), or correct DEI_KEY')
  }
  if (missing.length > 0) {
    return failed(name, `has no rights for channel ${JSON.stringify(channel)}`, 'pass --channel with a channel of its prefix, or add rights in ACCESS_KEYS')
  }
  return failed(name, problems.join('; '), 'check --url and --prefix; the log of the Worker may state the reason')
}

/** Describes a response in a few words. */
export function describe({ status, headers, text }: Answer): string {
  const { code, message } = errorIn(text)
  const said = message ?? code ?? (text.startsWith('<') || headers.get('content-type')?.includes('html') ? 'a page' : text.slice(0, 100))
  return said === '' ? `status ${status}` : `status ${status} (${plain(said)})`
}

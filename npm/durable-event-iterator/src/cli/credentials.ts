// The secret with which a command is authorized.

import { readClaims } from '../client/claims.js'
import { UsageError } from './errors.js'
import { hasControls, list } from './text.js'
import type { Settings } from './settings.js'

/** What an access key allows. */
export type Right = 'publish' | 'read' | 'disconnect' | 'stats'

export const RIGHTS: readonly Right[] = ['publish', 'read', 'disconnect', 'stats']

/** A secret and where it was found. */
export interface Credential {
  readonly kind: 'token' | 'signing key' | 'access key'
  readonly text: string
  /** The name and the source, such as `PUBLISH_KEY of .dev.vars`. Not a secret. */
  readonly title: string
}

/** An access key as in the secret `ACCESS_KEYS`. */
interface AccessKey {
  readonly key: string
  readonly name?: string
  readonly prefix?: string
  readonly rights: readonly string[]
}

/** The secrets of the Worker that are an access key with one right for all channels. */
const SINGLE_RIGHT: Readonly<Partial<Record<Right, string>>> = { publish: 'PUBLISH_KEY', read: 'READ_KEY' }

/**
 * Returns the access key with a right: of the first source that has one.
 *
 * @throws {UsageError} When there is none.
 */
export function accessKeyFor(settings: Settings, right: Right, channel: string): Credential {
  const found = findAccessKey(settings, right, channel)
  if (found !== undefined) return found
  const names = ['DEI_KEY', SINGLE_RIGHT[right], 'ACCESS_KEYS', 'INSPECT_KEY'].filter((name) => name !== undefined)
  throw new UsageError(`no access key with the right ${right}: ${advice(settings, names, '--key')}`)
}

/**
 * Like {@link accessKeyFor}, but returns `undefined` when there is none.
 *
 * @throws {UsageError} When the access keys of a source are invalid.
 */
export function findAccessKey({ sources }: Settings, right: Right, channel: string): Credential | undefined {
  for (const { title, values } of sources) {
    const found =
      named('DEI_KEY', values) ??
      listed(values['ACCESS_KEYS'], title, right, channel) ??
      named(SINGLE_RIGHT[right], values) ??
      named('INSPECT_KEY', values)
    if (found === undefined) continue
    if (!/^[ -~]+$/.test(found.text)) throw new UsageError(`${found.name} of ${title} has characters that are not ASCII, which no HTTP header can contain`)
    return { kind: 'access key', text: found.text, title: `${found.name} of ${title}` }
  }
  return undefined
}

/**
 * Returns the token or the signing key: of the first source that has one.
 *
 * @throws {UsageError} When the token is malformed.
 */
export function findTokenSource({ sources }: Settings): Credential | undefined {
  for (const { title, values } of sources) {
    const token = named('DEI_TOKEN', values)
    if (token !== undefined) {
      // `fetch` would print the token if no header can contain it.
      if (readClaims(token.text) === undefined || hasControls(token.text)) {
        throw new UsageError(`${token.name} of ${title} is invalid: expected the token of a DurableEventIterator or DurableIterator client`)
      }
      return { kind: 'token', text: token.text, title: `${token.name} of ${title}` }
    }
    const signingKey = named('SIGNING_KEY', values)
    if (signingKey !== undefined) return { kind: 'signing key', text: signingKey.text, title: `${signingKey.name} of ${title}` }
  }
  return undefined
}

/**
 * Returns the signing key.
 *
 * @throws {UsageError} When there is none.
 */
export function signingKeyOf(settings: Settings): string {
  for (const { values } of settings.sources) {
    const found = named('SIGNING_KEY', values)
    if (found !== undefined) return found.text
  }
  throw new UsageError(`no signing key: ${advice(settings, ['SIGNING_KEY'], '--signing-key')}`)
}

/**
 * Returns the secret for a reader: of the first source that has one, a token or a signing key before an access key.
 *
 * @throws {UsageError} When there is none.
 */
export function readerOf(settings: Settings, channel: string): Credential {
  for (const source of settings.sources) {
    const one = { ...settings, sources: [source] }
    const found = findTokenSource(one) ?? findAccessKey(one, 'read', channel)
    if (found !== undefined) return found
  }
  const names = ['SIGNING_KEY', 'DEI_TOKEN', 'DEI_KEY', 'READ_KEY', 'ACCESS_KEYS', 'INSPECT_KEY']
  throw new UsageError(`no token and no key with the right read: ${advice(settings, names, '--token, --signing-key or --key')}`)
}

/** Returns what to do about a missing secret. */
function advice({ unusedFile }: Settings, names: readonly string[], flags: string): string {
  const set = `set ${list(names, 'or')} in the environment or in .dev.vars, or pass ${flags}`
  if (unusedFile === undefined) return set
  return `${set} (${unusedFile} is not used, since the Worker is on another machine; --vars-file ${unusedFile} uses it)`
}

type Values = Readonly<Record<string, string | undefined>>

function named(name: string | undefined, values: Values): { readonly name: string; readonly text: string } | undefined {
  const text = name === undefined ? undefined : values[name]
  return name === undefined || text === undefined || text === '' ? undefined : { name, text }
}

/** Returns the first key of `ACCESS_KEYS` that has the right for the channel. */
function listed(json: string | undefined, source: string, right: Right, channel: string): { readonly name: string; readonly text: string } | undefined {
  if (json === undefined || json === '') return undefined
  let keys: unknown
  try {
    keys = JSON.parse(json)
  } catch {
    keys = undefined
  }
  if (!Array.isArray(keys) || !keys.every(isAccessKey)) {
    throw new UsageError(`ACCESS_KEYS of ${source} is invalid: expected a JSON array of {"key", "name"?, "prefix"?, "rights"}`)
  }
  const found = keys.find(({ prefix = '', rights }) => rights.includes(right) && channel.startsWith(prefix))
  if (found === undefined) return undefined
  return { name: found.name === undefined ? 'ACCESS_KEYS' : `the key ${found.name} in ACCESS_KEYS`, text: found.key }
}

function isAccessKey(value: unknown): value is AccessKey {
  if (typeof value !== 'object' || value === null) return false
  const { key, name, prefix, rights } = value as Partial<Record<keyof AccessKey, unknown>>
  const isText = (text: unknown): boolean => text === undefined || typeof text === 'string'
  return typeof key === 'string' && key !== '' && isText(name) && isText(prefix) && Array.isArray(rights)
}

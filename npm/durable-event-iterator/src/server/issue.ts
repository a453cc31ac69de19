import type { Generation } from '../token/payload.js'
import { checkAttachment, checkChannel, checkLifetime, checkProcedures, checkSubject, checkTags } from '../token/limits.js'
import { signToken } from '../token/token.js'
import { TokenCarrier } from '../token-carrier.js'

/** What a token is issued from. */
export interface IssueOptions {
  readonly signingKey: string
  readonly tokenTTLSeconds?: number | undefined
  readonly rpc?: readonly string[] | undefined
  readonly att?: unknown
  readonly tags?: readonly string[] | undefined
  readonly subject?: string | undefined
}

/**
 * Checks everything but the attachment and the token's length, which `issue` does.
 *
 * @throws {RangeError} When a Durable Object would reject the token.
 * @throws {TypeError} When an option has another type or an unknown name.
 */
export function checkIssue(channel: string, options: IssueOptions, generation: Generation): void {
  const { tokenTTLSeconds = DEFAULT_TOKEN_TTL_SECONDS, rpc = [], tags = [], subject } = options
  const unknown = Object.keys(options).find((name) => !OPTIONS.has(name))
  // A misspelt lifetime or list of procedures must not become the default.
  if (unknown !== undefined) throw new TypeError(`unknown option \`${unknown}\`, expected one of ${[...OPTIONS].join(', ')}`)
  checkChannel(channel)
  checkLifetime(tokenTTLSeconds)
  checkProcedures(rpc)
  checkTags(tags, generation)
  if (subject !== undefined) checkSubject(subject)
}

/** Issues a token, valid from now on. */
export async function issue(channel: string, options: IssueOptions, generation: Generation): Promise<TokenCarrier> {
  const { signingKey, tokenTTLSeconds = DEFAULT_TOKEN_TTL_SECONDS, rpc = [], att, tags, subject } = options
  checkAttachment(att)
  const iat = Math.floor(Date.now() / 1_000)
  const payload = {
    chn: channel,
    rpc,
    att,
    ...(tags === undefined ? {} : { tags }),
    ...(subject === undefined ? {} : { sub: subject }),
    iat,
    exp: iat + Math.ceil(tokenTTLSeconds),
  }
  return new TokenCarrier(await signToken(payload, signingKey, generation))
}

const OPTIONS: ReadonlySet<string> = new Set<keyof IssueOptions>(['signingKey', 'tokenTTLSeconds', 'rpc', 'att', 'tags', 'subject'])

const DEFAULT_TOKEN_TTL_SECONDS = 24 * 60 * 60

import type { ClientKind } from '../token/payload.js'
import { checkAttachment, checkChannel, checkLifetime, checkProcedures, checkSubject, checkTags } from '../token/limits.js'
import { signToken } from '../token/token.js'
import { TokenCarrier } from '../token-carrier.js'

/** The options of both kinds of iterators. */
export interface IssueOptions {
  readonly signingKey: string
  readonly tokenTTLSeconds?: number | undefined
  readonly rpc?: readonly string[] | undefined
  readonly att?: unknown
  readonly tags?: readonly string[] | undefined
  readonly subject?: string | undefined
}

/**
 * Checks the channel and all options, except the attachment and the length of the token, which `issue` checks.
 *
 * @throws {RangeError} When a Durable Object would reject the token.
 * @throws {TypeError} When an option has the wrong type or an unknown name.
 */
export function checkIssue(channel: string, options: IssueOptions, kind: ClientKind): void {
  const { tokenTTLSeconds = DEFAULT_TOKEN_TTL_SECONDS, rpc = [], tags = [], subject } = options
  const unknown = Object.keys(options).find((name) => !OPTIONS.has(name))
  // With a misspelled option, its default would apply unnoticed: a longer lifetime, or no procedures.
  if (unknown !== undefined) throw new TypeError(`unknown option \`${unknown}\`, expected one of ${[...OPTIONS].join(', ')}`)
  checkChannel(channel)
  checkLifetime(tokenTTLSeconds)
  checkProcedures(rpc)
  checkTags(tags, kind)
  if (subject !== undefined) checkSubject(subject)
}

/** Issues a token that is valid from now on. */
export async function issue(channel: string, options: IssueOptions, kind: ClientKind): Promise<TokenCarrier> {
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
  return new TokenCarrier(await signToken(payload, signingKey, kind))
}

const OPTIONS: ReadonlySet<string> = new Set<keyof IssueOptions>(['signingKey', 'tokenTTLSeconds', 'rpc', 'att', 'tags', 'subject'])

const DEFAULT_TOKEN_TTL_SECONDS = 24 * 60 * 60

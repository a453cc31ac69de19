import type { Generation } from '../token/payload.js'
import { signToken } from '../token/token.js'
import { TokenCarrier } from '../token-carrier.js'
import { areTags, MAX_CHANNEL_BYTES, MAX_TAG_LENGTH, MAX_TAGS } from '../wire.js'

/** What a token is issued from. */
export interface IssueOptions {
  readonly signingKey: string
  readonly tokenTTLSeconds?: number | undefined
  readonly rpc?: readonly string[] | undefined
  readonly att?: unknown
  readonly tags?: readonly string[] | undefined
}

/**
 * What no object would accept is refused before anything is issued.
 *
 * @throws {RangeError}
 */
export function checkIssue(channel: string, { tokenTTLSeconds = DEFAULT_TOKEN_TTL_SECONDS, tags = [] }: IssueOptions): void {
  const bytes = new TextEncoder().encode(channel).length
  if (bytes < 1 || bytes > MAX_CHANNEL_BYTES) {
    throw new RangeError(`A channel's name has 1 to ${MAX_CHANNEL_BYTES} bytes, not ${bytes}.`)
  }
  if (!Number.isFinite(tokenTTLSeconds) || tokenTTLSeconds <= 0) {
    throw new RangeError(`tokenTTLSeconds is a positive number of seconds, not ${tokenTTLSeconds}.`)
  }
  if (!areTags(tags)) {
    throw new RangeError(`A token has up to ${MAX_TAGS} tags, each of 1 to ${MAX_TAG_LENGTH} characters.`)
  }
}

/** Issues a token, valid from now on. */
export async function issue(channel: string, options: IssueOptions, generation: Generation): Promise<TokenCarrier> {
  const { signingKey, tokenTTLSeconds = DEFAULT_TOKEN_TTL_SECONDS, rpc = [], att, tags } = options
  const iat = Math.floor(Date.now() / 1_000)
  const payload = { chn: channel, rpc, att, ...(tags === undefined ? {} : { tags }), iat, exp: iat + tokenTTLSeconds }
  return new TokenCarrier(await signToken(payload, signingKey, generation))
}

const DEFAULT_TOKEN_TTL_SECONDS = 24 * 60 * 60

import { DurableIteratorError } from '../error.js'
import { checkAttachment, checkChannel, checkLifetime, checkProcedures, checkSubject, checkTags } from '../token/limits.js'
import type { ClientKind, DurableIteratorTokenPayload } from '../token/payload.js'
import { signToken } from '../token/token.js'
import { UsageError } from './errors.js'

/** The claims of a token that the command line issues. */
export interface TokenOptions {
  readonly kind: ClientKind
  readonly subject?: string | undefined
  readonly tags?: readonly string[] | undefined
  readonly procedures?: readonly string[] | undefined
  readonly attachment?: unknown
  /** In seconds. */
  readonly lifetime: number
  /** The time of issue, in milliseconds since 1970. Default: now. */
  readonly now?: number | undefined
}

export interface IssuedToken {
  readonly token: string
  readonly claims: DurableIteratorTokenPayload
}

/**
 * Issues a token for a channel.
 *
 * @throws {UsageError} When a claim is out of its limits.
 */
export async function issueToken(channel: string, signingKey: string, options: TokenOptions): Promise<IssuedToken> {
  const { kind, subject, tags = [], procedures = [], attachment, lifetime, now = Date.now() } = options
  try {
    checkChannel(channel)
    checkLifetime(lifetime)
    checkProcedures(procedures)
    checkTags(tags, kind)
    if (subject !== undefined) checkSubject(subject)
    checkAttachment(attachment)
    const iat = Math.floor(now / 1_000)
    const claims: DurableIteratorTokenPayload = {
      chn: channel,
      rpc: procedures,
      ...(attachment === undefined ? {} : { att: attachment }),
      ...(tags.length === 0 ? {} : { tags }),
      ...(subject === undefined ? {} : { sub: subject }),
      iat,
      exp: iat + Math.ceil(lifetime),
    }
    return { token: await signToken(claims, signingKey, kind), claims }
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError || error instanceof DurableIteratorError) {
      throw new UsageError(error.message)
    }
    throw error
  }
}

// The limits of token claims, checked when a token is issued and when it is verified.
//
// `crates/durable-event-token/src/limits.rs` has the same limits and error messages. Both are tested against the table
// `tests/token/limits.json`, and against the tokens of `tests/token/corpus.json`, as is a real Durable Object.

import type { ClientKind, DurableIteratorTokenPayload } from './payload.js'

/**
 * The maximum length of a token in bytes. Tokens travel in a URL, and common servers and proxies reject request lines of more
 * than 8 KiB.
 */
export const MAX_TOKEN_BYTES = 8_192

/** The maximum length of a channel name in UTF-8 bytes. */
export const MAX_CHANNEL_BYTES = 512

/** The maximum number of tags of a token. */
export const MAX_TAGS = 10

/** The maximum length of a tag in UTF-8 bytes. */
export const MAX_TAG_BYTES = 256

/** The maximum length of a subject in UTF-8 bytes. */
export const MAX_SUBJECT_BYTES = 256

/** The maximum nesting depth of an attachment. */
export const MAX_ATTACHMENT_DEPTH = 127

/** The maximum token lifetime in seconds. It keeps `exp` far below 2^53, up to which a number represents every integer. */
export const MAX_LIFETIME_SECONDS = 1_000_000_000_000

/** The latest time that a claim can have, in seconds since 1970. */
export const MAX_TIME_SECONDS = Number.MAX_SAFE_INTEGER

/** @throws {RangeError} When a Durable Object would reject the channel name. */
export function checkChannel(channel: string): void {
  checkText('chn', channel, 'channel name')
  checkBytes('channel name', channel, MAX_CHANNEL_BYTES)
}

/** @throws {RangeError} When a Durable Object would reject one of the procedures. */
export function checkProcedures(rpc: readonly string[]): void {
  checkTexts('rpc', rpc)
}

/** @throws {RangeError} When a Durable Object would reject the tags. */
export function checkTags(tags: readonly string[], kind: ClientKind): void {
  checkTexts('tags', tags)
  if (kind === 'DurableEventIterator' && tags.length > 0) throw new RangeError('tokens of DurableEventIterator clients cannot have tags')
  if (tags.length > MAX_TAGS) throw new RangeError(`a token must have at most ${MAX_TAGS} tags, got ${tags.length}`)
  for (const tag of tags) checkBytes('each tag', tag, MAX_TAG_BYTES)
}

/** @throws {RangeError} When a Durable Object would reject the subject. */
export function checkSubject(subject: string): void {
  checkText('sub', subject, 'subject')
  checkBytes('subject', subject, MAX_SUBJECT_BYTES)
}

/**
 * Checks an attachment when a token is issued. Lone surrogates are rejected only here: a Durable Object accepts them in the
 * tokens of other issuers, and reads them as U+FFFD.
 *
 * @throws {RangeError} When a Durable Object would reject the attachment, or would read another one.
 * @throws {TypeError} When JSON cannot represent it.
 */
export function checkAttachment(attachment: unknown): void {
  if (attachment === undefined) return
  const json: string | undefined = JSON.stringify(attachment)
  if (json === undefined) throw new TypeError('attachment must be a value that JSON can represent')
  checkDepth(json)
  // `JSON.stringify` escapes only lone surrogates.
  if (/(?:^|[^\\])(?:\\\\)*\\ud[89a-f]/.test(json)) throw loneSurrogate('att')
}

/** @throws {RangeError} When the token lifetime is out of its limits. */
export function checkLifetime(seconds: number): void {
  if (!(seconds >= 1 && seconds <= MAX_LIFETIME_SECONDS)) {
    throw new RangeError(`token lifetime must be 1–${MAX_LIFETIME_SECONDS} seconds, got ${seconds}`)
  }
}

/** @throws {RangeError} When the token is longer than a Durable Object accepts. */
export function checkToken(token: string): void {
  const bytes = bytesOf(token)
  if (bytes > MAX_TOKEN_BYTES) {
    throw new RangeError(`token must be at most ${MAX_TOKEN_BYTES} bytes, got ${bytes}; make its attachment smaller`)
  }
}

/**
 * Checks the claims as a Durable Object does when it verifies a token. It does not check the number and the length of tags: a
 * Durable Object rejects them with another status.
 *
 * @throws {RangeError} When a Durable Object would reject a claim.
 * @throws {TypeError} When a claim has the wrong type.
 */
export function checkClaims({ chn, rpc = [], att, tags = [], sub, iat, exp, nbf }: DurableIteratorTokenPayload): void {
  checkChannel(chn)
  checkProcedures(rpc)
  checkTexts('tags', tags)
  if (sub !== undefined) checkSubject(sub)
  if (att !== undefined) checkDepth(JSON.stringify(att))
  checkTime('iat', iat)
  checkTime('exp', exp)
  if (nbf !== undefined) checkTime('nbf', nbf)
}

/** Returns the length of a text in UTF-8 bytes. */
export function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length
}

function checkDepth(json: string): void {
  if (depthOf(json) > MAX_ATTACHMENT_DEPTH) {
    throw new RangeError(`attachment must be nested at most ${MAX_ATTACHMENT_DEPTH} levels deep`)
  }
}

function checkTime(claim: string, seconds: number): void {
  if (!(typeof seconds === 'number' && seconds >= 0 && seconds <= MAX_TIME_SECONDS)) {
    throw new RangeError(`claim \`${claim}\` must be 0–${MAX_TIME_SECONDS} seconds since 1970, got ${seconds}`)
  }
}

function checkBytes(what: string, text: string, max: number): void {
  const bytes = bytesOf(text)
  if (bytes < 1 || bytes > max) throw new RangeError(`${what} must be 1–${max} bytes, got ${bytes}`)
}

function checkTexts(claim: string, texts: readonly string[]): void {
  if (!Array.isArray(texts)) throw new TypeError(`\`${claim}\` must be an array of strings`)
  for (const text of texts) checkText(claim, text, `each item of \`${claim}\``)
}

function checkText(claim: string, text: string, what: string): void {
  if (typeof text !== 'string') throw new TypeError(`${what} must be a string`)
  if (/\p{Surrogate}/u.test(text)) throw loneSurrogate(claim)
}

function loneSurrogate(claim: string): RangeError {
  return new RangeError(`claim \`${claim}\` must not contain a lone surrogate`)
}

/** Returns the nesting depth of arrays and objects in valid JSON. */
function depthOf(json: string): number {
  let deepest = 0
  let depth = 0
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    if (token === '[' || token === '{') deepest = Math.max(deepest, ++depth)
    else if (token === ']' || token === '}') depth--
  }
  return deepest
}

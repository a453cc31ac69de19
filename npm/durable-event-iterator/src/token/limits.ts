// The limits of what a token says, checked where a token is issued and where it is verified.
//
// `crates/durable-event-token/src/limits.rs` holds the same numbers and reasons. `tests/token/limits.json` is the
// table that both are tested against, `tests/token/corpus.json` the tokens that both and a real Durable Object must agree on.

import type { DurableIteratorTokenPayload, Generation } from './payload.js'

/** Longest token in bytes. Tokens travel in a URL, and common servers and proxies reject request lines beyond 8 KiB. */
export const MAX_TOKEN_BYTES = 8_192

/** Longest channel name in UTF-8 bytes. */
export const MAX_CHANNEL_BYTES = 512

/** Most tags of a token: the Workers runtime accepts ten per socket. */
export const MAX_TAGS = 10

/** Longest tag in UTF-8 bytes that the Workers runtime accepts. */
export const MAX_TAG_BYTES = 256

/** Longest subject in UTF-8 bytes. */
export const MAX_SUBJECT_BYTES = 256

/** Deepest nesting of an attachment. */
export const MAX_ATTACHMENT_DEPTH = 127

/** Longest lifetime in seconds: it keeps `exp` far below 2^53, up to which a number represents every second. */
export const MAX_LIFETIME_SECONDS = 1_000_000_000_000

/** Last time that is read, in seconds since 1970. */
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

/** @throws {RangeError} When the Workers runtime would reject the tags. */
export function checkTags(tags: readonly string[], generation: Generation): void {
  checkTexts('tags', tags)
  if (generation === 1 && tags.length > 0) throw new RangeError('tokens of DurableEventIterator clients cannot have tags')
  if (tags.length > MAX_TAGS) throw new RangeError(`a token must have at most ${MAX_TAGS} tags, got ${tags.length}`)
  for (const tag of tags) checkBytes('each tag', tag, MAX_TAG_BYTES)
}

/** @throws {RangeError} When a Durable Object would reject the subject. */
export function checkSubject(subject: string): void {
  checkText('sub', subject, 'subject')
  checkBytes('subject', subject, MAX_SUBJECT_BYTES)
}

/**
 * Checks an attachment that is issued. One that is read may have lone surrogates, which read as U+FFFD: tokens of other issuers
 * have them.
 *
 * @throws {RangeError} When a Durable Object would reject the attachment, or would not read it as it is.
 * @throws {TypeError} When it cannot be written as JSON.
 */
export function checkAttachment(attachment: unknown): void {
  if (attachment === undefined) return
  const json: string | undefined = JSON.stringify(attachment)
  if (json === undefined) throw new TypeError('attachment must be a value that JSON can represent')
  checkDepth(json)
  // `JSON.stringify` escapes surrogates that are not part of a pair, and no others.
  if (/(?:^|[^\\])(?:\\\\)*\\ud[89a-f]/.test(json)) throw loneSurrogate('att')
}

/** @throws {RangeError} When a token would not live for that long. */
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
 * Checks the claims as a Durable Object does when it verifies a token. The number and length of tags are left out: it rejects
 * them with another status.
 *
 * @throws {RangeError} When a Durable Object would reject a claim.
 * @throws {TypeError} When a claim has another type.
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

/** Length in UTF-8 bytes. */
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

/** How deep arrays and objects are nested in well-formed JSON. */
function depthOf(json: string): number {
  let deepest = 0
  let depth = 0
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    if (token === '[' || token === '{') deepest = Math.max(deepest, ++depth)
    else if (token === ']' || token === '}') depth--
  }
  return deepest
}

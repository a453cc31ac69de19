// Whether JavaScript's own constructors take a text: clients call them on what they receive, and throw where these throw.

/** The schemes whose hosts are domains (WHATWG URL, "special scheme"). */
const HAS_DOMAIN = /^(?:https?|wss?|ftp|file):$/

/** A label of an international name, as it stands in a URL. */
const ENCODED_LABEL = /(?:^|\.)xn--/

/** The longest name that DNS has, in bytes (RFC 1035, section 2.3.4, without the length octets of its text form). */
const MAX_NAME = 253

export function isUrl(text) {
  try {
    const { protocol, hostname } = new URL(text)
    return !(HAS_DOMAIN.test(protocol) && ENCODED_LABEL.test(hostname)) || isInternational(hostname)
  } catch {
    return false
  }
}

/**
 * Engines differ in how much of an encoded label they check when they read a URL: some accept `xn--` with any letters behind
 * it, others throw. All check names that are written in Unicode, so this encodes the decoded name again.
 */
function isInternational(hostname) {
  if (hostname.length > MAX_NAME) return false
  const labels = hostname.split('.').map((label) => (label.startsWith('xn--') ? decode(label.slice(4)) : label))
  return !labels.includes(undefined) && new URL(`http://${labels.join('.')}/`).hostname === hostname
}

// The parameters of Punycode (RFC 3492, section 5).
const BASE = 36
const T_MIN = 1
const T_MAX = 26
const SKEW = 38
const DAMP = 700
const INITIAL_BIAS = 72
const INITIAL_N = 0x80

/** The text of a label in Punycode (RFC 3492, section 6.2); undefined where it is none, or has nothing but ASCII. */
function decode(input) {
  const delimiter = Math.max(input.lastIndexOf('-'), 0)
  const output = Array.from(input.slice(0, delimiter), (letter) => letter.charCodeAt(0))
  let n = INITIAL_N
  let i = 0
  let bias = INITIAL_BIAS
  for (let at = delimiter > 0 ? delimiter + 1 : 0; at < input.length; ) {
    const before = i
    for (let weight = 1, k = BASE; ; k += BASE) {
      const digit = digitOf(input.charCodeAt(at++))
      if (digit === undefined) return undefined
      i += digit * weight
      if (i > Number.MAX_SAFE_INTEGER) return undefined
      const threshold = Math.min(Math.max(k - bias, T_MIN), T_MAX)
      if (digit < threshold) break
      weight *= BASE - threshold
    }
    const length = output.length + 1
    bias = adapt(i - before, length, before === 0)
    n += Math.floor(i / length)
    if (n > 0x10ffff) return undefined
    i %= length
    output.splice(i++, 0, n)
  }
  return output.some((point) => point >= INITIAL_N) ? String.fromCodePoint(...output) : undefined
}

/** Letters are the digits from 0 on, figures those from 26 on. */
function digitOf(code) {
  if (code >= 0x61 && code <= 0x7a) return code - 0x61
  if (code >= 0x30 && code <= 0x39) return code - 0x30 + 26
  return undefined
}

/** RFC 3492, section 6.1. */
function adapt(total, length, isFirst) {
  let delta = Math.floor(total / (isFirst ? DAMP : 2))
  delta += Math.floor(delta / length)
  let k = 0
  for (; delta > ((BASE - T_MIN) * T_MAX) / 2; k += BASE) delta = Math.floor(delta / (BASE - T_MIN))
  return k + Math.floor(((BASE - T_MIN + 1) * delta) / (delta + SKEW))
}

export function isRegExp(source, flags) {
  try {
    new RegExp(source, flags)
    return true
  } catch {
    return false
  }
}

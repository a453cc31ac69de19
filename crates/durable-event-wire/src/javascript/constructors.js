// Validates texts with JavaScript's constructors. Clients call the same constructors on received texts and throw if
// these throw.

/** The schemes whose hosts are domains (WHATWG URL, "special scheme"). */
const HAS_DOMAIN = /^(?:https?|wss?|ftp|file):$/

/** An encoded label of an internationalized name in a URL. */
const ENCODED_LABEL = /(?:^|\.)xn--/

/** The maximum length of a DNS name in bytes (RFC 1035, section 2.3.4, without the length octets of its text form). */
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
 * Returns whether every engine accepts an internationalized name. Engines differ in how much of an encoded label they
 * check: some accept `xn--` with any letters after it, others throw. All engines check names in Unicode, so this decodes
 * the name and lets the constructor encode it again.
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

/** Decodes a Punycode label (RFC 3492, section 6.2). Returns undefined if it is invalid or contains only ASCII. */
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

/** Returns the value of a Punycode digit: letters are 0 to 25, decimal digits are 26 to 35. */
function digitOf(code) {
  if (code >= 0x61 && code <= 0x7a) return code - 0x61
  if (code >= 0x30 && code <= 0x39) return code - 0x30 + 26
  return undefined
}

/** Adapts the bias (RFC 3492, section 6.1). */
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

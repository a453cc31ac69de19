//! The limits of a token's content, checked when a token is issued and when it is verified.
//!
//! `npm/durable-event-iterator/src/token/limits.ts` has the same limits for TypeScript issuers. Both are tested against the
//! table `tests/token/limits.json`, and together with a real Durable Object against the tokens in `tests/token/corpus.json`.

use std::ops::RangeInclusive;

/// Maximum length of a token in bytes. Tokens are sent in a URL, and common servers and proxies reject request lines beyond 8
/// KiB.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Maximum number of tags of a token. The Workers runtime accepts ten tags per socket.
pub const MAX_TAGS: usize = 10;

/// Length of a tag in UTF-8 bytes. 256 is the limit of the Workers runtime; an empty tag is most likely a mistake.
pub const TAG_BYTES: RangeInclusive<usize> = 1..=256;

/// Length of a subject in UTF-8 bytes. The maximum is that of a tag, because a subject is often used as one.
pub const SUBJECT_BYTES: RangeInclusive<usize> = 1..=256;

/// Maximum nesting of an attachment: the deepest JSON that serde_json reads with its recursion limit of 128.
pub const MAX_ATTACHMENT_DEPTH: usize = 127;

/// Lifetime of an issued token in seconds. The maximum (31,700 years) keeps `exp` far below 2^53, up to which a JavaScript
/// number represents every integer.
pub const LIFETIME_S: RangeInclusive<u64> = 1..=1_000_000_000_000;

/// Accepted times in seconds since 1970: up to 2^53 - 1, the last integer that a JavaScript number represents exactly.
pub const TIMES_S: RangeInclusive<f64> = 0.0..=9_007_199_254_740_991.0;

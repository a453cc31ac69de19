//! The limits of what a token says, checked where a token is issued and where it is verified.
//!
//! `npm/durable-event-iterator/src/token/limits.ts` holds the same numbers and reasons for issuers in TypeScript. `tests/token/limits.json` is the
//! table that both are tested against, `tests/token/corpus.json` the tokens that both and a real Durable Object must agree on.

use std::ops::RangeInclusive;

/// Longest token in bytes that is issued or read. Tokens travel in a URL, and common servers and proxies reject request
/// lines beyond 8 KiB.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Most tags of a token: the Workers runtime accepts ten per socket.
pub const MAX_TAGS: usize = 10;

/// Length of a tag in UTF-8 bytes. The Workers runtime accepts no longer one; an empty one would match nothing on purpose.
pub const TAG_BYTES: RangeInclusive<usize> = 1..=256;

/// Length of a subject in UTF-8 bytes: as long as a tag, since a subject often becomes one.
pub const SUBJECT_BYTES: RangeInclusive<usize> = 1..=256;

/// Deepest nesting of an attachment: what serde_json reads within its recursion limit of 128.
pub const MAX_ATTACHMENT_DEPTH: usize = 127;

/// Lifetime of an issued token in seconds. The upper end (31,700 years) keeps `exp` far below 2^53, up to which a JavaScript
/// number represents every second.
pub const LIFETIME_S: RangeInclusive<u64> = 1..=1_000_000_000_000;

/// Times that are read, in seconds since 1970: up to the last integer that a JavaScript number represents exactly (2^53 - 1).
pub const TIMES_S: RangeInclusive<f64> = 0.0..=9_007_199_254_740_991.0;

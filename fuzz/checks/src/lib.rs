//! What must hold whatever bytes come in: the targets of the fuzzers in `fuzz/`, and of the tests below, which run each
//! target on every input that was ever kept.
//!
//! A target panics where something does not hold. Whatever it does, it must take no more memory than a multiple of its
//! input, and leave none behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects
)] // a target is a test, whatever builds it

mod frames;
#[path = "../../../crates/durable-event-wire/src/loss.rs"]
mod loss;
mod messages;
mod serializer;
mod tokens;
mod upgrades;

use std::cell::Cell;

// For `loss`.
use durable_event_wire::{Blob, Object, Value};

/// What is fuzzed.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// Frames of clients: text, binary, forms.
    Frames,
    /// Serialized values, and values of every type.
    Serializer,
    /// Tokens of both generations.
    Tokens,
    /// Upgrade requests, and paths.
    Upgrades,
    /// Several messages on one socket, with what they change and what is sent.
    Messages,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Frames, Self::Serializer, Self::Tokens, Self::Upgrades, Self::Messages];

    /// The name of its folder of inputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Serializer => "serializer",
            Self::Tokens => "tokens",
            Self::Upgrades => "upgrades",
            Self::Messages => "messages",
        }
    }

    /// How many bytes it may have allocated at once, for each byte of its input. A value of JSON's shortest, `0,`, is 40
    /// bytes large, in a list that doubles its room while it grows, and the targets hold a value up to four times.
    const fn bytes_per_byte(self) -> u64 {
        match self {
            Self::Frames | Self::Serializer => 600,
            Self::Tokens | Self::Upgrades => 200,
            Self::Messages => 1_000,
        }
    }
}

/// What a target may have allocated for an empty input, in bytes.
const BYTES_AT_LEAST: u64 = 256 * 1024;

/// Runs a target on an input.
///
/// # Panics
/// Where something does not hold that must.
pub fn run(target: Target, input: &[u8]) {
    prepare();
    let mut size = input.len();
    let used = allocation_counter::measure(|| match target {
        Target::Frames => frames::check(input),
        Target::Serializer => size = serializer::check(input).max(size),
        Target::Tokens => tokens::check(input),
        Target::Upgrades => upgrades::check(input),
        Target::Messages => messages::check(input),
    });
    let bound = target.bytes_per_byte() * u64::try_from(size).unwrap() + BYTES_AT_LEAST;
    assert!(used.bytes_max <= bound, "{} bytes for {size} of input", used.bytes_max);
    assert!(used.bytes_current <= 0, "{} bytes stay behind", used.bytes_current);
}

/// Makes what is made once for a process or a thread, and is no leak.
fn prepare() {
    thread_local! {
        static IS_PREPARED: Cell<bool> = const { Cell::new(false) };
    }
    if !IS_PREPARED.replace(true) {
        tokens::prepare();
        messages::check(b"\0\x01[{}]");
    }
}

/// Whether a text is one JSON value, by the word of another reader than ours.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests;

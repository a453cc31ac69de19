//! How many sockets a Durable Object accepts: in all, for one connection id, and for one subject.

use super::Rejection;
use crate::{
    channel::options::{Options, RUNTIME_SOCKETS},
    runtime::{self, Hub, JsError},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use durable_event_token::Claims;
use sha2::{Digest, Sha256};
use std::cell::Cell;

/// How many sockets are counted in a millisecond, as a lower bound: counting takes at most a small share of the time.
const COUNTED_PER_MS: usize = 32;

/// Counts the sockets of a Durable Object. The runtime's own list is the source of truth, also after hibernation.
#[derive(Default)]
pub(crate) struct Caps {
    total: Cell<Option<Total>>,
}

/// At least as many sockets as are open: those that have closed since they were counted are among them.
#[derive(Clone, Copy)]
struct Total {
    sockets: usize,
    /// When the next count is worth its time, in milliseconds since the epoch.
    next_ms: u64,
}

impl Caps {
    /// The tags of the runtime for one more socket: what it is counted by later.
    ///
    /// # Errors
    /// When there are as many sockets as the options allow.
    pub(crate) fn admit(
        &self,
        hub: &Hub,
        options: &Options,
        claims: &Claims,
        connection: Option<&str>,
    ) -> Result<Vec<String>, Rejection> {
        let count = || Ok(hub.sockets()?.len());
        if self.is_full(options.max_sockets, runtime::now_ms(), count)? {
            return Err(Rejection::Full);
        }
        let groups = [
            (
                options.max_sockets_per_connection,
                connection.map(connection_tag),
                Rejection::ManyPerConnection,
            ),
            (options.max_sockets_per_subject, claims.subject().map(subject_tag), Rejection::ManyPerSubject),
        ];
        let mut tags = Vec::new();
        for (cap, tag, refusal) in groups {
            let (Some(cap), Some(tag)) = (cap, tag) else { continue };
            if hub.count(&tag)? >= cap {
                return Err(refusal);
            }
            tags.push(tag);
        }
        Ok(tags)
    }

    /// What the runtime's refusal of a socket is.
    pub(crate) fn refused(&self, hub: &Hub, error: JsError) -> Rejection {
        match hub.held() {
            Ok(held) if held >= RUNTIME_SOCKETS => Rejection::Full,
            _ => Rejection::Runtime(error),
        }
    }

    /// Whether there are so many sockets; if not, one more is counted.
    fn is_full(
        &self,
        cap: usize,
        now_ms: u64,
        count: impl FnOnce() -> Result<usize, JsError>,
    ) -> Result<bool, JsError> {
        let mut total = match self.total.get() {
            Some(total) if total.sockets < cap || now_ms < total.next_ms => total,
            _ => {
                let sockets = count()?;
                let pause_ms = (sockets / COUNTED_PER_MS) as u64;
                Total { sockets, next_ms: now_ms.saturating_add(pause_ms) }
            }
        };
        let is_full = total.sockets >= cap;
        if !is_full {
            total.sockets = total.sockets.saturating_add(1);
        }
        self.total.set(Some(total));
        Ok(is_full)
    }
}

/// A subject has any length and any characters, so that its hash is the tag.
fn subject_tag(subject: &str) -> String {
    let hash = Sha256::digest(subject.as_bytes());
    format!("s:{}", URL_SAFE_NO_PAD.encode(hash))
}

/// A connection id is short enough, and of characters that a tag may have.
fn connection_tag(connection: &str) -> String {
    format!("c:{connection}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Sockets come and go; each that comes is admitted or not, and the clock goes on.
        #[test]
        fn never_more_than_the_cap_and_never_full_for_long(
            cap in 0_usize..5,
            steps in proptest::collection::vec((any::<bool>(), 0_u64..3), 0..60),
        ) {
            let caps = Caps::default();
            let (mut open, mut now_ms) = (0_usize, 0_u64);
            for (comes, passed_ms) in steps {
                now_ms = now_ms.saturating_add(passed_ms);
                if !comes {
                    open = open.saturating_sub(1);
                } else if !caps.is_full(cap, now_ms, || Ok(open)).unwrap() {
                    open = open.saturating_add(1);
                    prop_assert!(open <= cap);
                } else {
                    // So few are counted each time.
                    prop_assert_eq!(open, cap);
                }
            }
        }
    }

    #[test]
    fn many_sockets_are_not_counted_for_each_that_is_refused() {
        let caps = Caps::default();
        let counted = Cell::new(0);
        let count = |sockets| {
            counted.set(counted.get() + 1);
            Ok(sockets)
        };
        for now_ms in 0..1_000 {
            assert!(caps.is_full(32_000, now_ms, || count(32_000)).unwrap());
        }
        assert_eq!(counted.get(), 1);
        // One has closed, another takes its place.
        assert!(!caps.is_full(32_000, 1_000, || count(31_999)).unwrap());
        assert!(caps.is_full(32_000, 1_500, || count(31_999)).unwrap());
        assert_eq!(counted.get(), 2);
    }
}

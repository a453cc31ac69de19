//! The limits of open sockets: of a Durable Object, of a connection id, and of a subject.

use super::Rejection;
use crate::{
    channel::options::{Options, RUNTIME_SOCKETS},
    runtime::{self, Hub, JsError},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use durable_event_token::Claims;
use sha2::{Digest, Sha256};
use std::cell::Cell;

/// The number of counted sockets per millisecond of pause until the next count. The runtime counts more in a millisecond, so
/// that counting takes a small part of the time.
const COUNTED_PER_MS: usize = 32;

/// Counts the sockets of a Durable Object. The runtime's list of sockets is the source of truth, also after hibernation.
#[derive(Default)]
pub(crate) struct Caps {
    total: Cell<Option<Total>>,
}

/// An upper bound of the number of open sockets: it includes sockets that have closed since the last count.
#[derive(Clone, Copy)]
struct Total {
    sockets: usize,
    /// The earliest time of the next count, in milliseconds since 1970.
    next_ms: u64,
}

impl Caps {
    /// Admits one more socket and returns its tags for the runtime, by which it is counted later.
    ///
    /// # Errors
    /// A rejection if the number of sockets has reached a limit of the options.
    pub(crate) fn admit(
        &self,
        hub: &Hub,
        options: &Options,
        claims: &Claims,
        connection: Option<&str>,
    ) -> Result<Vec<String>, Rejection> {
        self.admit_any(hub, options)?;
        let groups = [
            (
                options.max_sockets_per_connection,
                connection.map(connection_tag),
                Rejection::ManyPerConnection,
            ),
            (options.max_sockets_per_subject, claims.subject().map(subject_tag), Rejection::ManyPerSubject),
        ];
        let mut tags = Vec::new();
        for (cap, tag, rejection) in groups {
            let (Some(cap), Some(tag)) = (cap, tag) else { continue };
            if hub.count(&tag)? >= cap {
                return Err(rejection);
            }
            tags.push(tag);
        }
        Ok(tags)
    }

    /// Admits one more socket, of whomever.
    ///
    /// # Errors
    /// A rejection if the Durable Object has reached its maximum number of sockets.
    pub(crate) fn admit_any(&self, hub: &Hub, options: &Options) -> Result<(), Rejection> {
        let count = || Ok(hub.sockets()?.len());
        let is_full = self.is_full(options.max_sockets, runtime::now_ms(), count)?;
        if is_full { Err(Rejection::Full) } else { Ok(()) }
    }

    /// Returns the rejection for an exception that the runtime has thrown instead of accepting a socket.
    pub(crate) fn rejection(&self, hub: &Hub, error: JsError) -> Rejection {
        match hub.held() {
            Ok(held) if held >= RUNTIME_SOCKETS => Rejection::Full,
            _ => Rejection::Runtime(error),
        }
    }

    /// Whether the number of open sockets has reached `cap`. If not, one more socket is counted.
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

/// The tag of the sockets of publishers' subscribers. `websockets.ts` of the npm package hides these sockets from the application.
pub(crate) const PUBLISHER_SOCKETS: &str = "durable-event-iterator:publisher";

/// Returns the tag of a subject: its hash, because a subject may be longer than a tag, with any characters.
fn subject_tag(subject: &str) -> String {
    let hash = Sha256::digest(subject.as_bytes());
    format!("s:{}", URL_SAFE_NO_PAD.encode(hash))
}

/// Returns the tag of a connection id, which is short enough for a tag and contains only characters that a tag may contain.
fn connection_tag(connection: &str) -> String {
    format!("c:{connection}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Sockets open and close, each new socket is admitted or rejected, and the clock advances.
        #[test]
        fn sockets_are_admitted_exactly_up_to_the_cap(
            cap in 0_usize..5,
            steps in proptest::collection::vec((any::<bool>(), 0_u64..3), 0..60),
        ) {
            let caps = Caps::default();
            let (mut open, mut now_ms) = (0_usize, 0_u64);
            for (opens, passed_ms) in steps {
                now_ms = now_ms.saturating_add(passed_ms);
                if !opens {
                    open = open.saturating_sub(1);
                } else if !caps.is_full(cap, now_ms, || Ok(open)).unwrap() {
                    open = open.saturating_add(1);
                    prop_assert!(open <= cap);
                } else {
                    // So few sockets are counted without a pause.
                    prop_assert_eq!(open, cap);
                }
            }
        }
    }

    #[test]
    fn many_sockets_are_not_counted_for_each_rejection() {
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
        // One socket has closed and another one is admitted.
        assert!(!caps.is_full(32_000, 1_000, || count(31_999)).unwrap());
        assert!(caps.is_full(32_000, 1_500, || count(31_999)).unwrap());
        assert_eq!(counted.get(), 2);
    }
}

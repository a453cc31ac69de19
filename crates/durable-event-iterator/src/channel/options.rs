//! How an object of a class behaves.

use durable_event_log::{Retention, TablePrefix};
use durable_event_token::SigningKeys;
use std::{fmt, time::Duration};

/// Events are kept for five minutes: long enough for a train in a tunnel, short enough to cost next to nothing.
const EVENT_RETENTION: Duration = Duration::from_secs(300);
/// At about 300 bytes each, as many as the bytes below allow.
const RETAINED_EVENTS: u64 = 100_000;
/// A quarter of what an isolate may hold in memory, so that even a full replay to a slow reader leaves room.
const RETAINED_BYTES: u64 = 32 * 1024 * 1024;
/// Longer than anything retries a publish by itself, and as long as an event is kept.
const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(300);
/// Room for a call with a small file; what is larger is better uploaded over HTTP.
const MAX_FRAME: usize = 1024 * 1024;
/// As many calls as one client has a reason to run at once.
const MAX_CALLS: usize = 64;
/// Below the runtime's 32,768 for a Durable Object, among which are those that are closing.
const MAX_SOCKETS: usize = 32_000;

/// Room for several calls with a large frame each. What a client takes besides stays below the same again, an eighth of an
/// isolate's 128 MB in all.
const MAX_CALL_BYTES: usize = 8 * 1024 * 1024;
/// Of all clients together: a quarter of an isolate's memory.
const MAX_TOTAL_CALL_BYTES: usize = 32 * 1024 * 1024;

/// How an object of a class behaves, see
/// [`DurableEventIteratorObject::options`](crate::DurableEventIteratorObject::options).
///
/// ```
/// use durable_event_iterator::Options;
/// use std::time::Duration;
///
/// let options = Options::default().event_retention(Duration::from_secs(3_600)).retained_events(10_000);
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) retention: Retention,
    pub(crate) max_frame: usize,
    pub(crate) max_calls: usize,
    pub(crate) max_call_bytes: usize,
    pub(crate) max_total_call_bytes: usize,
    pub(crate) max_sockets: usize,
    pub(crate) max_sockets_per_connection: Option<usize>,
    pub(crate) max_sockets_per_subject: Option<usize>,
    pub(crate) enforce_expiry: bool,
    pub(crate) second_starts_live: bool,
    pub(crate) begins_with_snapshot: bool,
    pub(crate) prune_by_alarm: bool,
    pub(crate) table_prefix: &'static str,
    pub(crate) signing_keys: Option<SigningKeys>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retention: Retention {
                period: EVENT_RETENTION,
                events: RETAINED_EVENTS,
                bytes: RETAINED_BYTES,
                keys: IDEMPOTENCY_WINDOW,
            },
            max_frame: MAX_FRAME,
            max_calls: MAX_CALLS,
            max_call_bytes: MAX_CALL_BYTES,
            max_total_call_bytes: MAX_TOTAL_CALL_BYTES,
            max_sockets: MAX_SOCKETS,
            max_sockets_per_connection: None,
            max_sockets_per_subject: None,
            enforce_expiry: true,
            second_starts_live: false,
            begins_with_snapshot: false,
            prune_by_alarm: true,
            table_prefix: "dei_",
            signing_keys: None,
        }
    }
}

impl Options {
    /// For how long an event is served to clients that come back. Default: 300 s. With zero nothing is replayed.
    #[must_use]
    pub fn event_retention(mut self, retention: Duration) -> Self {
        self.retention.period = retention;
        self
    }

    /// How many events are kept at most. Default: 100,000. Beyond it the oldest go, about a quarter at a time, and who
    /// resumes from before them is told of a gap.
    #[must_use]
    pub fn retained_events(mut self, events: u64) -> Self {
        self.retention.events = events;
        self
    }

    /// How many bytes of events are kept at most. Default: 32 MiB. Beyond it the oldest go, as with
    /// [`Options::retained_events`].
    #[must_use]
    pub fn retained_bytes(mut self, bytes: u64) -> Self {
        self.retention.bytes = bytes;
        self
    }

    /// Sets the idempotency window: for how long an idempotency key is remembered after its event was published, see
    /// [`PublishOptions::idempotency_key`](crate::PublishOptions::idempotency_key). Default: 300 s. With zero, keys have no
    /// effect. Independent of [`event_retention`](Self::event_retention).
    #[must_use]
    pub fn idempotency_window(mut self, window: Duration) -> Self {
        self.retention.keys = window;
        self
    }

    /// The largest frame a client may send, in bytes. Default: 1 MiB. The socket of a larger one is closed (1009).
    #[must_use]
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }

    /// How many calls of one socket may run at once. Default: 64. One more is refused with TOO_MANY_REQUESTS.
    #[must_use]
    pub fn max_calls(mut self, calls: usize) -> Self {
        self.max_calls = calls;
        self
    }

    /// How many bytes of memory one socket's running calls may take together. Default: 8 MiB. Counted are a call's frame, which
    /// the Workers runtime keeps while the call runs, its input in parsed values, which take more than their JSON (24 bytes for a
    /// number), its headers twice, 2 KiB for the call itself, and the unread items of an [`Upload`](crate::Upload). A call that
    /// alone exceeds the limit is rejected with PAYLOAD_TOO_LARGE, one that exceeds it together with others with
    /// TOO_MANY_REQUESTS. With a larger [`Options::max_frame`], raise this too.
    #[must_use]
    pub fn max_call_bytes(mut self, bytes: usize) -> Self {
        self.max_call_bytes = bytes;
        self
    }

    /// How many bytes of memory the running calls of all sockets may take together, counted as in
    /// [`Options::max_call_bytes`]. Default: 32 MiB. A call that exceeds the limit is rejected with TOO_MANY_REQUESTS. The last
    /// quarter is for sockets whose calls take up to 64 KiB: a few large ones do not keep the others from calling.
    #[must_use]
    pub fn max_total_call_bytes(mut self, bytes: usize) -> Self {
        self.max_total_call_bytes = bytes;
        self
    }

    /// The maximum number of open sockets of one Durable Object. Default: 32,000; the runtime's own limit is 32,768. Beyond it
    /// an upgrade is answered 503 with `Retry-After`.
    #[must_use]
    pub fn max_sockets(mut self, sockets: usize) -> Self {
        self.max_sockets = sockets;
        self
    }

    /// The maximum number of open sockets with the same [connection id](crate::ConnectionId). Default: no limit. Beyond it an
    /// upgrade is answered 429 with `Retry-After`.
    ///
    /// A client whose network was lost connects again before the runtime has noticed the loss: allow some more than the one
    /// that a client needs, such as 4. Sockets without a connection id are not counted.
    #[must_use]
    pub fn max_sockets_per_connection(mut self, sockets: usize) -> Self {
        self.max_sockets_per_connection = Some(sockets);
        self
    }

    /// The maximum number of open sockets whose tokens have the same [subject](crate::Claims::subject). Default: no limit.
    /// Beyond it an upgrade is answered 429 with `Retry-After`.
    ///
    /// With it a user cannot fill a channel: set it to what one user has in tabs and devices, such as 32, and issue all
    /// tokens with a subject. Sockets whose token has none are not counted.
    ///
    /// ```
    /// use durable_event_iterator::Options;
    ///
    /// let options = Options::default().max_sockets_per_connection(4).max_sockets_per_subject(32);
    /// ```
    #[must_use]
    pub fn max_sockets_per_subject(mut self, sockets: usize) -> Self {
        self.max_sockets_per_subject = Some(sockets);
        self
    }

    /// Lets a socket go on when its token has expired. By default a token's rights end with it, on open sockets too.
    ///
    /// Only for applications that revoke access in another way: a leaked token then works for as long as its socket
    /// is kept open.
    #[must_use]
    pub fn keep_expired_sockets(mut self) -> Self {
        self.enforce_expiry = false;
        self
    }

    /// Starts clients of generation 2 that have seen no event with what is published from their subscription on, as oRPC's own
    /// object does. By default they get, like those of generation 1, what was published since their token was issued, so
    /// that nothing falls between the two, nor between their first connect and a reconnect before their first event.
    #[must_use]
    pub fn start_generation_2_live(mut self) -> Self {
        self.second_starts_live = true;
        self
    }

    /// Lets a client that has no place to go on from begin with what
    /// [`on_subscribed`](crate::DurableEventIteratorObject::on_subscribed) sends it, instead of the events that are retained:
    /// on its first connect, and after a gap. For objects whose clients need a state that the events build on. As nothing
    /// precedes the snapshot, whoever has a place has a snapshot too.
    #[must_use]
    pub fn begin_with_snapshot(mut self) -> Self {
        self.begins_with_snapshot = true;
        self
    }

    /// Whether the library uses the Durable Object's alarm to delete the expired events of a channel without new ones. Default:
    /// true, unless the class overrides [`alarm`](crate::DurableEventIteratorObject::alarm): the alarm is its own then.
    ///
    /// Without the alarm, expired events (which are never served) stay on disk until the next publish or
    /// [`Channel::prune`](crate::Channel::prune). Setting an alarm is billed as a row written; it is set once for many events.
    #[must_use]
    pub fn prune_by_alarm(mut self, is_used: bool) -> Self {
        self.prune_by_alarm = is_used;
        self
    }

    /// The prefix of the library's tables: 1–32 characters of `a`–`z`, `0`–`9` and `_`. Default: `dei_`.
    #[must_use]
    pub fn table_prefix(mut self, prefix: &'static str) -> Self {
        self.table_prefix = prefix;
        self
    }

    /// The keys that verify tokens. Default: the secret `SIGNING_KEY`, and `PREVIOUS_SIGNING_KEY` where there is one.
    #[must_use]
    pub fn signing_keys(mut self, keys: SigningKeys) -> Self {
        self.signing_keys = Some(keys);
        self
    }

    /// Checks that all values are within their limits. A Durable Object with invalid options rejects every request, and its log
    /// states the reason.
    ///
    /// ```
    /// use durable_event_iterator::Options;
    ///
    /// assert!(Options::default().check().is_ok());
    /// let error = Options::default().max_calls(0).check().unwrap_err();
    /// assert_eq!(error.to_string(), "Options::max_calls must be at least 1, got 0");
    /// ```
    ///
    /// # Errors
    /// An [`InvalidOption`] for the first value that is not:
    ///
    /// | option | limit |
    /// | --- | --- |
    /// | [`max_frame`](Options::max_frame) | 1–33,554,432 bytes |
    /// | [`max_calls`](Options::max_calls) | at least 1 |
    /// | [`max_call_bytes`](Options::max_call_bytes), [`max_total_call_bytes`](Options::max_total_call_bytes) | at least 4,096 bytes |
    /// | [`max_sockets`](Options::max_sockets) | 1–32,768 |
    /// | [`max_sockets_per_connection`](Options::max_sockets_per_connection), [`max_sockets_per_subject`](Options::max_sockets_per_subject) | at least 1 |
    /// | [`table_prefix`](Options::table_prefix) | 1–32 characters of `a`–`z`, `0`–`9` and `_`, not beginning with `sqlite_` or `_cf_` |
    pub fn check(&self) -> Result<(), InvalidOption> {
        let at_least = |least| (least, usize::MAX);
        let numbers = [
            ("max_frame", Some(self.max_frame), (1, MAX_MESSAGE)),
            ("max_calls", Some(self.max_calls), at_least(1)),
            ("max_call_bytes", Some(self.max_call_bytes), at_least(LEAST_CALL_BYTES)),
            ("max_total_call_bytes", Some(self.max_total_call_bytes), at_least(LEAST_CALL_BYTES)),
            ("max_sockets", Some(self.max_sockets), (1, RUNTIME_SOCKETS)),
            ("max_sockets_per_connection", self.max_sockets_per_connection, at_least(1)),
            ("max_sockets_per_subject", self.max_sockets_per_subject, at_least(1)),
        ];
        for (option, value, (least, most)) in numbers {
            let Some(value) = value.filter(|value| !(least..=most).contains(value)) else { continue };
            let limit =
                if most == usize::MAX { format!("at least {least}") } else { format!("{least}–{most}") };
            return Err(InvalidOption { option, limit, got: value.to_string() });
        }
        if TablePrefix::new(self.table_prefix).is_err() {
            let limit = "1–32 characters of a-z, 0-9 and _, not beginning with sqlite_ or _cf_".to_owned();
            let got = format!("{:?}", self.table_prefix);
            return Err(InvalidOption { option: "table_prefix", limit, got });
        }
        Ok(())
    }
}

/// How many sockets the runtime holds for one Durable Object, those that are closing included. It refuses the next one by an
/// exception.
pub(crate) const RUNTIME_SOCKETS: usize = 32_768;
/// The largest message that the Workers runtime delivers, in bytes.
const MAX_MESSAGE: usize = 32 * 1024 * 1024;
/// With less, no call could run: each takes 2 KiB besides its message and input.
const LEAST_CALL_BYTES: usize = 4_096;

/// A value of [`Options`] is outside its limits, see [`Options::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOption {
    option: &'static str,
    limit: String,
    got: String,
}

impl fmt::Display for InvalidOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Options::{} must be {}, got {}", self.option, self.limit, self.got)
    }
}

impl std::error::Error for InvalidOption {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_at_the_limits_are_accepted_and_those_beyond_are_not() {
        let options = Options::default;
        for accepted in [
            options(),
            options().max_frame(1),
            options().max_frame(MAX_MESSAGE),
            options().max_sockets(RUNTIME_SOCKETS),
            options().max_call_bytes(LEAST_CALL_BYTES),
            options().table_prefix("x"),
        ] {
            assert_eq!(accepted.check(), Ok(()));
        }
        for (rejected, text) in [
            (options().max_frame(0), "Options::max_frame must be 1–33554432, got 0"),
            (options().max_frame(MAX_MESSAGE + 1), "Options::max_frame must be 1–33554432, got 33554433"),
            (options().max_calls(0), "Options::max_calls must be at least 1, got 0"),
            (options().max_call_bytes(1), "Options::max_call_bytes must be at least 4096, got 1"),
            (options().max_total_call_bytes(1), "Options::max_total_call_bytes must be at least 4096, got 1"),
            (options().max_sockets(0), "Options::max_sockets must be 1–32768, got 0"),
            (options().max_sockets(32_769), "Options::max_sockets must be 1–32768, got 32769"),
            (
                options().max_sockets_per_connection(0),
                "Options::max_sockets_per_connection must be at least 1, got 0",
            ),
            (
                options().max_sockets_per_subject(0),
                "Options::max_sockets_per_subject must be at least 1, got 0",
            ),
            (
                options().table_prefix("A-b"),
                "Options::table_prefix must be 1–32 characters of a-z, 0-9 and _, not beginning with sqlite_ or _cf_, got \"A-b\"",
            ),
        ] {
            assert_eq!(rejected.check().unwrap_err().to_string(), text);
        }
    }
}

//! The options of a Durable Object.

use crate::presence::{MAX_GRACE, Presence};
use durable_event_log::{Retention, TablePrefix};
use durable_event_token::SigningKeys;
use std::{borrow::Cow, fmt, time::Duration};

/// Longer than a typical loss of connection, and short enough to cost almost nothing.
const EVENT_RETENTION: Duration = Duration::from_secs(300);
/// With events of about 300 bytes, as many as [`RETAINED_BYTES`] allows.
const RETAINED_EVENTS: u64 = 100_000;
/// A quarter of an isolate's memory, so that even a full replay to a slow client leaves room.
const RETAINED_BYTES: u64 = 32 * 1024 * 1024;
/// Longer than automatic retries of a publish last, and equal to the event retention.
const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(300);
/// Sufficient for a call with a small file. Larger files are better uploaded over HTTP.
const MAX_FRAME: usize = 1024 * 1024;
/// More calls than a client typically runs at the same time.
const MAX_CALLS: usize = 64;
/// Below the runtime's limit of 32,768 for a Durable Object, which includes closing sockets.
const MAX_SOCKETS: usize = 32_000;

/// Sufficient for several calls with a large message each. The other memory of a socket stays below the same amount, so that
/// one socket takes at most an eighth of an isolate's 128 MB.
const MAX_CALL_BYTES: usize = 8 * 1024 * 1024;
/// A quarter of an isolate's memory.
const MAX_TOTAL_CALL_BYTES: usize = 32 * 1024 * 1024;

/// The options of a Durable Object, returned by
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
    pub(crate) durable_iterators_start_live: bool,
    pub(crate) begins_with_snapshot: bool,
    pub(crate) prune_by_alarm: bool,
    pub(crate) serves_publishers: bool,
    pub(crate) presence: Option<Presence>,
    /// Whether a class in TypeScript has a procedure of its own in place of `setPresence`.
    pub(crate) replaces_set_presence: bool,
    pub(crate) metrics: Option<Cow<'static, str>>,
    pub(crate) logs_anomalies: bool,
    pub(crate) table_prefix: Cow<'static, str>,
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
            durable_iterators_start_live: false,
            begins_with_snapshot: false,
            prune_by_alarm: true,
            serves_publishers: false,
            presence: None,
            replaces_set_presence: false,
            metrics: None,
            logs_anomalies: false,
            table_prefix: Cow::Borrowed("dei_"),
            signing_keys: None,
        }
    }
}

impl Options {
    /// Sets the retention: how long events are replayed to reconnecting clients after they were published. Default: 300 s. Zero
    /// disables replay.
    #[must_use]
    pub fn event_retention(mut self, retention: Duration) -> Self {
        self.retention.period = retention;
        self
    }

    /// Sets the maximum number of stored events. Default: 100,000.
    ///
    /// When it is exceeded, the oldest events are deleted, about a quarter at a time. Clients with an older cursor receive a
    /// gap notification.
    #[must_use]
    pub fn retained_events(mut self, events: u64) -> Self {
        self.retention.events = events;
        self
    }

    /// Sets the maximum size of all stored events in bytes. Default: 32 MiB. When it is exceeded, the oldest events are
    /// deleted, as with [`Options::retained_events`].
    #[must_use]
    pub fn retained_bytes(mut self, bytes: u64) -> Self {
        self.retention.bytes = bytes;
        self
    }

    /// Sets the idempotency window: how long an [idempotency key](crate::PublishOptions::idempotency_key) is stored after its
    /// event was published. Default: 300 s. Zero disables idempotency keys. Independent of
    /// [`event_retention`](Self::event_retention).
    #[must_use]
    pub fn idempotency_window(mut self, window: Duration) -> Self {
        self.retention.keys = window;
        self
    }

    /// Sets the maximum size of a client's WebSocket message in bytes. Default: 1 MiB. A larger message closes the socket with
    /// code 1009.
    #[must_use]
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }

    /// Sets the maximum number of concurrent calls of one socket. Default: 64. Further calls are rejected with
    /// TOO_MANY_REQUESTS.
    #[must_use]
    pub fn max_calls(mut self, calls: usize) -> Self {
        self.max_calls = calls;
        self
    }

    /// Sets the maximum memory of one socket's running calls together, in bytes. Default: 8 MiB.
    ///
    /// The memory of a call is the sum of its message, which the Workers runtime keeps while the call runs; its parsed input,
    /// which is larger than its JSON (24 bytes for a number); twice its headers; 2 KiB for the call itself; and the unread
    /// items of an [`Upload`](crate::Upload). A call that exceeds the limit alone is rejected with PAYLOAD_TOO_LARGE, a call
    /// that exceeds it together with others with TOO_MANY_REQUESTS. With a larger [`Options::max_frame`], raise this limit too.
    #[must_use]
    pub fn max_call_bytes(mut self, bytes: usize) -> Self {
        self.max_call_bytes = bytes;
        self
    }

    /// Sets the maximum memory of the running calls of all sockets together, in bytes, measured as in
    /// [`Options::max_call_bytes`]. Default: 32 MiB. A call that exceeds the limit is rejected with TOO_MANY_REQUESTS.
    ///
    /// A quarter of the memory is reserved for sockets whose calls take up to 64 KiB, so that a few sockets with large calls do
    /// not block the others.
    #[must_use]
    pub fn max_total_call_bytes(mut self, bytes: usize) -> Self {
        self.max_total_call_bytes = bytes;
        self
    }

    /// Sets the maximum number of open sockets of one Durable Object. Default: 32,000; the runtime's own limit is 32,768.
    /// Further upgrades are rejected with status 503 and `Retry-After`.
    #[must_use]
    pub fn max_sockets(mut self, sockets: usize) -> Self {
        self.max_sockets = sockets;
        self
    }

    /// Sets the maximum number of open sockets with the same [connection id](crate::ConnectionId). Default: no limit. Further
    /// upgrades are rejected with status 429 and `Retry-After`.
    ///
    /// After a network failure, a client may reconnect before the runtime detects that its old socket is lost. Allow more than
    /// the one socket that a client needs, such as 4. Sockets without a connection id are not counted.
    #[must_use]
    pub fn max_sockets_per_connection(mut self, sockets: usize) -> Self {
        self.max_sockets_per_connection = Some(sockets);
        self
    }

    /// Sets the maximum number of open sockets whose tokens have the same [subject](crate::Claims::subject). Default: no limit.
    /// Further upgrades are rejected with status 429 and `Retry-After`.
    ///
    /// It prevents a single user from filling a channel. Set it to the number of tabs and devices that one user may have, such
    /// as 32, and issue all tokens with a subject. Sockets whose token has no subject are not counted.
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

    /// Keeps sockets usable after their token has expired. By default, the permissions of an open socket end when its token
    /// expires.
    ///
    /// Use it only if the application revokes access in another way: a leaked token works for as long as its socket is open.
    #[must_use]
    pub fn keep_expired_sockets(mut self) -> Self {
        self.enforce_expiry = false;
        self
    }

    /// Starts `DurableIterator` clients without a cursor with the events published after they subscribe, as in oRPC's
    /// implementation.
    ///
    /// By default they start, like `DurableEventIterator` clients, with the events published since their token was issued. They
    /// then miss no event between the token's issue and the subscription, nor when they reconnect before their first event.
    #[must_use]
    pub fn start_durable_iterators_live(mut self) -> Self {
        self.durable_iterators_start_live = true;
        self
    }

    /// Starts clients without a cursor from the snapshot that
    /// [`on_subscribed`](crate::DurableEventIteratorObject::on_subscribed) sends, instead of the retained events. This applies
    /// to the first connection, and to a client that receives a gap notification.
    ///
    /// Use it if clients need a state to which the events are changes. No event precedes the snapshot, so that every client
    /// with a cursor has received a snapshot.
    #[must_use]
    pub fn begin_with_snapshot(mut self) -> Self {
        self.begins_with_snapshot = true;
        self
    }

    /// Sets whether the library uses the Durable Object's alarm to delete the expired events of a channel without new events.
    /// Default: true, unless the class overrides [`alarm`](crate::DurableEventIteratorObject::alarm).
    ///
    /// Without the alarm, expired events stay on disk until the next publish or [`Channel::prune`](crate::Channel::prune). They
    /// are never served. Setting an alarm is billed as a row written; one alarm is set for many events.
    #[must_use]
    pub fn prune_by_alarm(mut self, is_used: bool) -> Self {
        self.prune_by_alarm = is_used;
        self
    }

    /// Serves oRPC's publisher for Durable Objects: `DurablePublisher` of `@orpc/experimental-publisher-durable-object`, in a Worker
    /// with a binding of the namespace. Default: not served.
    ///
    /// Its requests have no token. The Durable Object recognizes them by their exact URLs, `http://localhost/publish` and
    /// `http://localhost/subscribe`, and by their headers: a request that was forwarded from a client has others, such as `Host`, and
    /// is handled as an upgrade request. Do not create a request with one of these URLs from the parts of a client's request without
    /// its headers: it would be served.
    ///
    /// Subscribers receive the events that are for everyone. See the [guide for Durable Objects in
    /// Rust](https://github.com/durable-event-iterator/durable-event-iterator/blob/main/docs/rust-durable-object.md#publisher).
    #[must_use]
    pub fn publisher(mut self) -> Self {
        self.serves_publishers = true;
        self
    }

    /// Turns on presence: clients receive which members are connected, and the state that each member has set. Default: off.
    ///
    /// A member is one connection, subject or value of the token attachment, with at least one subscription. Clients receive
    /// [`PresenceEvent`](crate::PresenceEvent)s between the channel's events: the full list after each subscription, then the changes.
    /// They are not stored. A client sets the state of its member with the procedure `setPresence`, if its token lists it; the Durable
    /// Object with [`Socket::set_presence`](crate::Socket::set_presence). See the [guide to
    /// presence](https://github.com/durable-event-iterator/durable-event-iterator/blob/main/docs/presence.md).
    ///
    /// ```
    /// use durable_event_iterator::{Options, Presence};
    ///
    /// let options = Options::default().presence(Presence::by_subject());
    /// ```
    ///
    /// A [`PresenceEvent`](crate::PresenceEvent) is the content of a variant of the channel's events, with the type of the states:
    ///
    /// ```
    /// use durable_event_iterator::PresenceEvent;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Debug, PartialEq, Serialize, Deserialize)]
    /// #[serde(tag = "type", rename_all = "camelCase")]
    /// enum Event {
    ///     Message { text: String },
    ///     Presence(PresenceEvent<Status>),
    /// }
    ///
    /// #[derive(Debug, PartialEq, Serialize, Deserialize)]
    /// struct Status {
    ///     away: bool,
    /// }
    ///
    /// let json = r#"{"type":"presence","joined":[{"id":"anna","state":{"away":true}}]}"#;
    /// let Event::Presence(event) = serde_json::from_str(json)? else { panic!("expected a presence event") };
    /// assert_eq!(event.joined[0].state, Some(Status { away: true }));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn presence(mut self, presence: Presence) -> Self {
        self.presence = Some(presence);
        self
    }

    /// Writes data points to the Analytics Engine dataset that is bound under this name: the numbers of events, deliveries, sockets
    /// and anomalies, at most one data point per 10 s and instance. Without such a binding nothing is written. Default: none.
    ///
    /// `docs/metrics.md` lists the columns. The data point is written 5 s after the first activity, during which the Durable Object
    /// does not hibernate.
    #[must_use]
    pub fn metrics(mut self, binding: impl Into<Cow<'static, str>>) -> Self {
        self.metrics = Some(binding.into());
        self
    }

    /// Logs anomalies as JSON objects, which Workers Logs indexes: gap notifications, rejected upgrades, parked subscriptions, failures
    /// of the storage and others. At most one line per anomaly and minute, with the number of occurrences. Default: anomalies are only
    /// counted, see [`Channel::stats`](crate::Channel::stats).
    ///
    /// Errors are logged as text in any case.
    #[must_use]
    pub fn log_anomalies(mut self) -> Self {
        self.logs_anomalies = true;
        self
    }

    /// Sets the prefix of the library's table names: 1–32 characters of `a`–`z`, `0`–`9` and `_`. Default: `dei_`.
    #[must_use]
    pub fn table_prefix(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.table_prefix = prefix.into();
        self
    }

    /// Sets the signing keys that verify tokens. Default: the secrets `SIGNING_KEY` and, if it exists, `PREVIOUS_SIGNING_KEY`.
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
    /// [`InvalidOption`] for the first value outside its limits:
    ///
    /// | option | limit |
    /// | --- | --- |
    /// | [`max_frame`](Options::max_frame) | 1–33,554,432 bytes |
    /// | [`max_calls`](Options::max_calls) | at least 1 |
    /// | [`max_call_bytes`](Options::max_call_bytes), [`max_total_call_bytes`](Options::max_total_call_bytes) | at least 4,096 bytes |
    /// | [`max_sockets`](Options::max_sockets) | 1–32,768 |
    /// | [`max_sockets_per_connection`](Options::max_sockets_per_connection), [`max_sockets_per_subject`](Options::max_sockets_per_subject) | at least 1 |
    /// | [`presence`](Options::presence) | a grace period of at most one hour, a property name that is not empty |
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
        if let Some(Presence { key, grace }) = &self.presence {
            if *grace > MAX_GRACE {
                let (limit, got) =
                    (format!("at most {} s", MAX_GRACE.as_secs()), format!("{} s", grace.as_secs_f64()));
                return Err(InvalidOption { option: "presence.grace", limit, got });
            }
            if key.is_empty() {
                let limit = "the name of a property of the token attachment".to_owned();
                return Err(InvalidOption { option: "presence.key", limit, got: "an empty text".to_owned() });
            }
        }
        if TablePrefix::new(&self.table_prefix).is_err() {
            let limit = "1–32 characters of a-z, 0-9 and _, not beginning with sqlite_ or _cf_".to_owned();
            let got = format!("{:?}", self.table_prefix);
            return Err(InvalidOption { option: "table_prefix", limit, got });
        }
        Ok(())
    }
}

/// Maximum number of sockets of a Durable Object in the Workers runtime, including closing sockets. Beyond it, the runtime
/// throws an exception.
pub(crate) const RUNTIME_SOCKETS: usize = 32_768;
/// The largest message that the Workers runtime delivers, in bytes.
const MAX_MESSAGE: usize = 32 * 1024 * 1024;
/// With a lower limit no call could run: each takes 2 KiB in addition to its message and input.
const LEAST_CALL_BYTES: usize = 4_096;

/// The error for a value of [`Options`] outside its limits, see [`Options::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOption {
    option: &'static str,
    limit: String,
    got: String,
}

impl InvalidOption {
    /// Returns the text for a class in TypeScript, whose options have names in camel case.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn in_typescript(&self) -> String {
        let mut words = self.option.split('_');
        let mut name = words.next().unwrap_or_default().to_owned();
        for word in words {
            let mut letters = word.chars();
            name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            name.push_str(letters.as_str());
        }
        // The names that are different.
        let name = match name.as_str() {
            "maxFrame" => "maxFrameBytes",
            "presence.grace" => "presence.graceSeconds",
            name => name,
        };
        format!("{name} must be {}, got {}", self.limit, self.got)
    }
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
    fn values_within_the_limits_are_accepted_and_others_rejected() {
        let options = Options::default;
        for accepted in [
            options(),
            options().max_frame(1),
            options().max_frame(MAX_MESSAGE),
            options().max_sockets(RUNTIME_SOCKETS),
            options().max_call_bytes(LEAST_CALL_BYTES),
            options().table_prefix("x"),
            options().presence(Presence::by_attachment("userId").grace(MAX_GRACE)),
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
                options().presence(Presence::by_subject().grace(Duration::from_millis(3_600_001))),
                "Options::presence.grace must be at most 3600 s, got 3600.001 s",
            ),
            (
                options().presence(Presence::by_attachment("")),
                "Options::presence.key must be the name of a property of the token attachment, got an empty text",
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
